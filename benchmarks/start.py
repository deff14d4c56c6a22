"""How soon a broker serves, and what it takes when it has nothing to do."""

from __future__ import annotations

import time

from benchmarks.harness import Settings, rotated
from benchmarks.report import AtMost, Row
from benchmarks.targets import Minikafka, Tansu, Target

_SETTLE_S = 1.0


def measure_start(settings: Settings) -> list[Row]:
    """Start on an empty directory, wait for the first answer, then look at the memory."""
    minikafka: Target = Minikafka(settings.directory / "minikafka", "auto")
    targets = [minikafka, Tansu(settings.directory / "tansu")]
    ready = Row("ready to serve", "s", 3, goals={minikafka.name: AtMost(0.3)})
    idle = Row("memory when idle", "MB", goals={minikafka.name: AtMost(60)})
    for target in targets:  # files and code into the page cache
        target.start()
        target.discard()
    for row in (ready, idle):
        row.samples = {target.name: [] for target in targets}
    for run in range(settings.runs):
        for target in rotated(targets, run):
            try:
                ready.add(target.name, target.start())
                time.sleep(_SETTLE_S)
                idle.add(target.name, target.resident_bytes() / 1e6)
            finally:
                target.discard()
        settings.tell(f"start, run {run + 1}: {ready.samples[minikafka.name][-1]:.3f} s")
    return [ready, idle]
