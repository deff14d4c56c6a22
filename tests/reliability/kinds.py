"""What a long run does again and again, with one seed after another; each kind says what it has counted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from random import Random

from tests.crash.kills import kill_again_and_again
from tests.crash.search import Tally, violations
from tests.crash.workload import POLICIES
from tests.reliability.damage import damage_and_start, directories
from tests.reliability.failing_fs import Fault
from tests.reliability.io_errors import KINDS as FAULTS
from tests.reliability.io_errors import fail_once
from tests.reliability.large_log import kill_and_measure
from tests.reliability.power_cuts import Cut, cut_power

_SHOWN = 3
_KILLS = 10
_DAMAGES_EACH = 50
_USUALLY_REACHED = 70

Counts = Mapping[str, float]
Run = Callable[[int, Path], Counts]
"""Takes a seed and an empty directory; raises :class:`AssertionError` when something does not hold."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of run.

    Attributes:
        run: Does it.
        share: Of the time, compared with the others.
        goal: How many of what a release needs, all runs together.
    """

    run: Run
    share: int
    goal: str


def crash_states(seed: int, _directory: Path) -> Counts:
    """All crash states of one trace."""
    tally = Tally()
    found = list(islice(violations(POLICIES[seed % len(POLICIES)], seed, tally), _SHOWN))
    assert not found, "\n".join(map(str, found))
    return {"states": tally.states}


def kills(seed: int, directory: Path) -> Counts:
    """A broker that is killed ten times under load."""
    outcome = asyncio.run(kill_again_and_again(directory, _KILLS, Random(seed)))
    return {"kills": _KILLS, "records acknowledged": outcome.raw + outcome.confluent}


def power_cuts(seed: int, directory: Path) -> Counts:
    """One cut of the power."""
    random = Random(seed)
    outcome = asyncio.run(cut_power(directory, Cut.some(random, seed), random))
    return {"cuts": 1, "records acknowledged": outcome.acknowledged}


def io_errors(seed: int, directory: Path) -> Counts:
    """One call to the disk that fails: each of them in turn."""
    kind = FAULTS[seed % len(FAULTS)]
    nth = seed // len(FAULTS) % _USUALLY_REACHED + 1
    reached = asyncio.run(fail_once(directory, Fault(kind.operation, nth, kind.errno)))
    return {"faults": int(reached)}


def damages(seed: int, _directory: Path) -> Counts:
    """Some damaged data directories."""
    random = Random(f"damage {seed}")
    count = 0
    for policy, image in directories(seed):
        for _ in range(_DAMAGES_EACH):
            damage_and_start(policy, image, random)
            count += 1
    return {"directories": count}


def large_logs(seed: int, directory: Path) -> Counts:
    """A start on a log of 1 GB, after a kill."""
    return {
        "starts": 1,
        "seconds to serving, all together": round(asyncio.run(kill_and_measure(directory, Random(seed))), 2),
    }


KINDS: Mapping[str, Kind] = {
    "states": Kind(crash_states, 8, "2,000,000 states"),
    "kills": Kind(kills, 6, "1,000 kills, 1,000,000 records"),
    "power": Kind(power_cuts, 3, "300 cuts"),
    "io": Kind(io_errors, 2, "every call once"),
    "damage": Kind(damages, 2, "100,000 directories"),
    "large": Kind(large_logs, 1, "2 s to serving"),
}
