"""The ledger of reliability runs: one line of JSON for each, so that hours add up over many runs.

::

    {"kind": "states", "seed": 7, "commit": "fb00326", "seconds": 12.3, "counts": {"states": 5023}, "failure": null}
"""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tests.support.broker import ROOT


@dataclass(frozen=True, slots=True)
class Entry:
    """One run of one kind with one seed."""

    kind: str
    seed: int
    commit: str
    seconds: float
    counts: Mapping[str, float] = field(default_factory=dict)
    failure: str | None = None


@dataclass
class Total:
    """What all runs of one kind come to."""

    runs: int = 0
    failures: int = 0
    seconds: float = 0.0
    counts: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        counts = ", ".join(f"{count:,g} {name}" for name, count in self.counts.items())
        return f"{self.runs} runs in {self.seconds:.0f} s, {self.failures} failed: {counts or 'nothing'}"


class Ledger:
    """A file of entries, to which others are added.

    Args:
        path: Where it is, or is to be.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._entries = [Entry(**json.loads(line)) for line in path.read_text().splitlines()] if path.exists() else []

    def add(self, entry: Entry) -> None:
        """Write down a run, for good."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a") as file:
            file.write(json.dumps(asdict(entry)) + "\n")
        self._entries.append(entry)

    def next_seed(self, kind: str, first: int) -> int:
        """The first seed from ``first`` on with which this kind has not been run."""
        return max((entry.seed + 1 for entry in self._entries if entry.kind == kind), default=first)

    def totals(self) -> dict[str, Total]:
        """What each kind comes to."""
        totals: dict[str, Total] = {}
        for entry in self._entries:
            total = totals.setdefault(entry.kind, Total())
            total.runs += 1
            total.failures += entry.failure is not None
            total.seconds += entry.seconds
            total.counts.update(entry.counts)
        return totals


def commit() -> str:
    """What is tested: the commit, and whether something else is there besides."""
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty"]
    described = subprocess.run(command, capture_output=True, text=True, check=False)
    return described.stdout.strip() or "unknown"
