"""How soon a broker serves again, after a clean stop and after being killed."""

from __future__ import annotations

from benchmarks.harness import Settings, fill, produce, require_space, running
from benchmarks.report import AtMost, Row
from benchmarks.size import LARGE_LOG_BYTES, MANY_PARTITIONS
from benchmarks.targets import Minikafka

_ROUND_BYTES = 1_000_000_000


def measure_clean_restart(settings: Settings) -> list[Row]:
    """Stop a broker of 1,000 partitions with a batch in each, and start it again."""
    row = Row("clean restart, 1,000 partitions", "s", 3)
    stopped = Row("the stop before it", "s", 3)
    broker = Minikafka(settings.directory / "clean", "auto")
    row.goals = {broker.name: AtMost(1.0)}
    with running(broker, partitions=MANY_PARTITIONS):
        for run in range(settings.runs):
            produce(settings, broker, partitions=MANY_PARTITIONS, records_per_batch=1, max_bytes=2_000_000)
            stopped.add(broker.name, broker.stop())
            row.add(broker.name, broker.start())
            settings.tell(f"clean restart, run {run + 1}: {row.samples[broker.name][-1]:.3f} s")
    return [row, stopped]


def measure_recovery(settings: Settings) -> list[Row]:
    """Kill a broker of 10 GB that has just been written to, and start it again."""
    require_space(settings.directory, LARGE_LOG_BYTES + (settings.runs + 5) * _ROUND_BYTES)
    row = Row("restart after SIGKILL, 10 GB", "s", 3)
    for flush in ("never", "auto"):
        broker = Minikafka(settings.directory / flush, flush)
        row.goals = {**row.goals, broker.name: AtMost(2.0)}
        with running(broker):
            fill(settings, broker, LARGE_LOG_BYTES - _ROUND_BYTES)
            for run in range(settings.runs):
                fill(settings, broker, _ROUND_BYTES)
                broker.kill()
                row.add(broker.name, broker.start())
                settings.tell(f"recovery {flush}, run {run + 1}: {row.samples[broker.name][-1]:.3f} s")
    return [row]
