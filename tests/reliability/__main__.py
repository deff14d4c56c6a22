"""The long form of the reliability tests: ``python -m tests.reliability --budget 540 --resume``.

It goes on with one seed after another until the budget is used up, and writes each run into a ledger, so that hours add
up.  A failure is written down with what was found, its directory is kept, and the next run begins; the exit code is 1.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

from minikafka.observability import logging
from tests.reliability.kinds import KINDS
from tests.reliability.ledger import Entry, Ledger, commit
from tests.reliability.loop_disk import NoLoopDisk

_DIRECTORY = Path(".reliability")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run; returns the exit code."""
    options = _parser().parse_args(arguments)
    logging.configure("pretty", "critical")
    ledger = Ledger(options.ledger)
    seeds = {kind: ledger.next_seed(kind, options.seed) if options.resume else options.seed for kind in options.only}
    used = dict.fromkeys(options.only, 0.0)
    tested = commit()
    failures = 0
    began = time.monotonic()
    while used and time.monotonic() - began < options.budget:
        kind = min(used, key=lambda name: used[name] / KINDS[name].share)
        entry = _run(kind, seeds[kind], tested, options.ledger.parent / f"{kind}-{seeds[kind]}")
        if entry is None:
            del used[kind]
            continue
        ledger.add(entry)
        seeds[kind] += 1
        used[kind] += entry.seconds
        failures += entry.failure is not None
    print("\nin all runs of this ledger:")
    for kind, total in sorted(ledger.totals().items()):
        print(f"  {kind:8} {total}  (a release needs {KINDS[kind].goal})")
    return 1 if failures else 0


def _run(kind: str, seed: int, tested: str, directory: Path) -> Entry | None:
    """One run; None when this machine does not allow it."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    began = time.perf_counter()
    failure = None
    counts = {}
    try:
        counts = dict(KINDS[kind].run(seed, directory))
    except NoLoopDisk as error:
        print(f"{kind}: skipped, {error}")
        directory.rmdir()
        return None
    except Exception:  # noqa: BLE001 - whatever it is, it is what was looked for
        failure = traceback.format_exc()
        print(f"{kind} {seed}: FAILED, see {directory}\n{failure}", flush=True)
    else:
        shutil.rmtree(directory)
    seconds = round(time.perf_counter() - began, 2)
    print(f"{kind} {seed}: {counts} in {seconds} s", flush=True)
    return Entry(kind, seed, tested, seconds, counts, failure)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.reliability", description="The long reliability runs.")
    parser.add_argument("--budget", type=float, default=540, metavar="S", help="seconds to run for [540]")
    parser.add_argument("--seed", type=int, default=1, help="the first one [1]")
    parser.add_argument("--resume", action="store_true", help="go on with the seeds after those in the ledger")
    parser.add_argument("--ledger", type=Path, default=_DIRECTORY / "ledger.jsonl", help="[.reliability/ledger.jsonl]")
    parser.add_argument("--only", nargs="+", choices=list(KINDS), default=list(KINDS), help="kinds [all]")
    return parser


if __name__ == "__main__":
    sys.exit(main())
