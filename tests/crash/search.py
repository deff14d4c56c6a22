"""Looking for a crash after which something is not as it was promised."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import NamedTuple

from minikafka.errors import KafkaError
from tests.crash.promises import Found, Promises, broken_promises
from tests.crash.recording_fs import EMPTY, Image, Mark, Operation
from tests.crash.restart import look_at, restart, write_more
from tests.crash.starts import Starts
from tests.crash.states import CrashState, power_losses, process_deaths
from tests.crash.workload import Policy, record

_CUTS = 12
"""In how many places a write is cut by the death of the process."""
_SAMPLES = 2
"""How many random states of each kind of file system a loss of power makes after each operation."""
_OBJECTS = 20_000
"""How many are made from one collection of garbage to the next."""

_STUMBLES = (KafkaError, ArithmeticError, AssertionError, LookupError, ValueError)
"""What a broker that is not in order may run into."""


class Violation(NamedTuple):
    """A promise that was broken; ``state`` is None when the broker stumbled while it worked."""

    seed: int
    policy: Policy
    state: CrashState | None
    broken: Sequence[str]

    def __str__(self) -> str:
        where = f"seed {self.seed}, policy {self.policy.name}"
        if self.state is not None:
            where += f", {self.state.crash.value} after {self.state.last_at} operations"
        return f"{where}: {'; '.join(self.broken)}"


@dataclass
class Tally:
    """How much has been looked at: no two states of one trace are alike."""

    states: int = 0
    traces: int = 0
    began: float = field(default_factory=time.perf_counter)

    def __str__(self) -> str:
        seconds = time.perf_counter() - self.began
        return f"{self.states} states of {self.traces} traces in {seconds:.1f} s, {self.states / seconds:.0f} a second"


def violations(policy: Policy, seed: int, tally: Tally, max_states: int | None = None) -> Iterator[Violation]:
    """The broken promises in the crash states of one trace, or in some of them, by chance."""
    tally.traces += 1
    try:
        trace = record(seed, policy)
    except _STUMBLES as error:
        yield Violation(seed, policy, None, [f"the broker stumbles: {error!r}"])
        return
    with _garbage_left_longer():
        yield from _violations_in(trace, policy, seed, tally, max_states)


def _violations_in(
    trace: Sequence[Operation], policy: Policy, seed: int, tally: Tally, max_states: int | None
) -> Iterator[Violation]:
    random = Random(f"crash {seed} {policy.name}")
    promises_at = _promises_at(trace)
    starts = Starts(policy.config, partial(look_at, random=random), write_more)
    alike = list(_alike(trace, random))
    random.shuffle(alike)
    for states in alike[:max_states]:
        tally.states += 1
        found = _restart(states[0], starts, random)
        for state in states:
            for promises in promises_at[state.first_at : state.last_at + 1]:
                broken = broken_promises(promises, found, state.crash)
                if broken:
                    yield Violation(seed, policy, state, broken)
                    break


@contextmanager
def _garbage_left_longer() -> Iterator[None]:
    """Collect it less often: else that takes a fifth of the time."""
    usual = gc.get_threshold()
    gc.set_threshold(_OBJECTS, *usual[1:])
    try:
        yield
    finally:
        gc.set_threshold(*usual)


def _promises_at(trace: Sequence[Operation]) -> list[Promises]:
    """What was promised before the first operation, and after each of them."""
    promises = [Promises()]
    for operation in trace:
        value = operation.value if isinstance(operation, Mark) else None
        promises.append(value if isinstance(value, Promises) else promises[-1])
    return promises


def _alike(trace: Sequence[Operation], random: Random) -> Iterator[Sequence[CrashState]]:
    """The crash states of a trace, those with the same disk together."""
    for states in (process_deaths(EMPTY, trace, random, _CUTS), power_losses(EMPTY, trace, random, _SAMPLES)):
        by_disk: dict[object, list[CrashState]] = {}
        for state in states:
            by_disk.setdefault(_key(state.image), []).append(state)
        yield from by_disk.values()


def _key(image: Image) -> object:
    directories = [(inode, *sorted(entries.items())) for inode, entries in image.directories.items()]
    return (*sorted(directories), *sorted(image.files.items()))


def _restart(state: CrashState, starts: Starts, random: Random) -> Found:
    try:
        return restart(state, starts, random)
    except _STUMBLES as error:
        return Found({}, {}, (f"the start fails: {error!r}",))
