"""How soon a new group has its first records, with each client library."""

from __future__ import annotations

import subprocess
import sys

from benchmarks.group_load import CONSUMERS, RECORDS
from benchmarks.harness import Settings, fill, rotated, running
from benchmarks.report import AtMost, Row
from benchmarks.targets import HOST, TOPIC, Minikafka
from benchmarks.wire import WrongAnswer

_STORED_BYTES = 1_000_000
_ROUNDS = 3
"""Of each run: one takes a fraction of a second."""


def measure_groups(settings: Settings) -> list[Row]:
    """One broker, and for each sample a process with a consumer of a group that the broker has not heard of."""
    row = Row(f"new group: first {RECORDS} records", "s", 3)
    row.samples = {name: [] for name in CONSUMERS}
    row.goals = {name: AtMost(0.3 if name == "kafka-python" else 0.15) for name in CONSUMERS}
    with running(Minikafka(settings.directory / "groups")) as broker:
        fill(settings, broker, _STORED_BYTES)
        for run in range(settings.runs * _ROUNDS):
            for name in rotated(list(CONSUMERS), run):
                group_id = f"{name}-{run}"
                command = [
                    sys.executable,
                    "-m",
                    "benchmarks.group_load",
                    name,
                    f"{HOST}:{broker.port}",
                    TOPIC,
                    group_id,
                ]
                done = subprocess.run(command, capture_output=True, text=True, check=False)
                if done.returncode:
                    raise WrongAnswer(f"{name} ended with {done.stderr.strip().splitlines()[-1:]}")
                row.add(name, float(done.stdout))
    settings.tell("groups: " + " | ".join(f"{figures[-1]:.3f}" for figures in row.samples.values()) + " s")
    return [row]
