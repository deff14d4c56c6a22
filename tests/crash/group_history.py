"""What the members of a group saw and did while their broker was killed, and whether that keeps its promises.

no committed offset goes back       a commit that was acknowledged, or seen, is there after every start
no record is skipped                in each partition the first record is processed first, then the next, …
duplicates only after an            a record is processed again only while no commit beyond it
unfinished commit                   has been acknowledged
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from minikafka.types import TopicPartition

Offsets = Mapping[TopicPartition, int]


class Processed(NamedTuple):
    """A member was given a record and has done its work."""

    member: str
    place: TopicPartition
    offset: int
    value: bytes


class CommitBegun(NamedTuple):
    """A member is about to commit."""

    member: str
    offsets: Offsets


class CommitAcknowledged(NamedTuple):
    """The commit was answered, without an error."""

    member: str
    offsets: Offsets


class LookBegun(NamedTuple):
    """Somebody is about to ask for the group's offsets."""


class Seen(NamedTuple):
    """The answer to that; partitions without an offset are not in it."""

    offsets: Offsets


Event = Processed | CommitBegun | CommitAcknowledged | LookBegun | Seen


class History:
    """Events in the order in which they happened, written from the loop and from threads."""

    def __init__(self) -> None:
        self._events: list[Event] = []
        self._commits: Counter[TopicPartition] = Counter()
        self._committed: dict[TopicPartition, int] = {}
        self._changed = threading.Condition()

    def add(self, event: Event) -> None:
        """Note that something happened just now."""
        with self._changed:
            self._events.append(event)
            if isinstance(event, CommitAcknowledged):
                self._commits.update(event.offsets.keys())
                self._committed.update(event.offsets)
                self._changed.notify_all()

    def events(self) -> list[Event]:
        """Everything so far."""
        with self._changed:
            return list(self._events)

    def wait_for_commits(self, places: Collection[TopicPartition], timeout_s: float) -> None:
        """Wait until one commit more has been acknowledged in each of ``places``.

        Raises:
            TimeoutError: They were not in time.
        """
        with self._changed:
            before = Counter(self._commits)
            self._wait(lambda: all(self._commits[place] > before[place] for place in places), timeout_s)

    def wait_until_committed(self, offsets: Offsets, timeout_s: float) -> None:
        """Wait until exactly these offsets are the ones that were committed last.

        Raises:
            TimeoutError: They were not in time.
        """
        with self._changed:
            self._wait(lambda: self._committed == offsets, timeout_s)

    def _wait(self, is_over: Callable[[], bool], timeout_s: float) -> None:
        if not self._changed.wait_for(is_over, timeout_s):
            raise TimeoutError(f"committed until now: {self._committed}, by {dict(self._commits)} commits")


@dataclass
class _Progress:
    """How far a group came in a partition, as far as its history has been read."""

    next_offset: int = 0
    """Of the first record that nobody has processed."""
    begun: int = 0
    """The farthest that a commit was tried for."""
    acknowledged: int = 0
    """The farthest that a member knows to be committed."""
    certain: int = 0
    """The farthest that anybody knows to be committed."""
    certain_before_look: int = 0


def broken_promises(history: Iterable[Event]) -> list[str]:
    """Everything in a history that must not happen."""
    progress: dict[TopicPartition, _Progress] = {}

    def of(place: TopicPartition) -> _Progress:
        return progress.setdefault(place, _Progress())

    broken: list[str] = []
    for event in history:
        match event:
            case Processed():
                broken += _process(event, of(event.place))
            case CommitBegun():
                for place, offset in event.offsets.items():
                    broken += _begin(event.member, place, offset, of(place))
            case CommitAcknowledged():
                for place, offset in event.offsets.items():
                    broken += _acknowledge(event.member, place, offset, of(place))
            case LookBegun():
                for kept in progress.values():
                    kept.certain_before_look = kept.certain
            case Seen():
                for place in progress.keys() | event.offsets.keys():
                    broken += _see(place, event.offsets.get(place, 0), of(place))
    return broken


def count_duplicates(history: Iterable[Event]) -> int:
    """How often a record was processed that had been processed before."""
    places = [(event.place, event.offset) for event in history if isinstance(event, Processed)]
    return len(places) - len(set(places))


def _process(event: Processed, kept: _Progress) -> Iterator[str]:
    where = f"{event.place}@{event.offset}"
    if event.offset > kept.next_offset:
        yield f"{where} came to {event.member} when {kept.next_offset} was next: skipped"
    if event.offset < kept.acknowledged:
        yield f"{where} came to {event.member} again after {kept.acknowledged} was committed"
    kept.next_offset = max(kept.next_offset, event.offset + 1)


def _begin(member: str, place: TopicPartition, offset: int, kept: _Progress) -> Iterator[str]:
    if offset > kept.next_offset:
        yield f"{member} commits {place}@{offset} when {kept.next_offset} has not been processed"
    kept.begun = max(kept.begun, offset)


def _acknowledge(member: str, place: TopicPartition, offset: int, kept: _Progress) -> Iterator[str]:
    if offset < kept.acknowledged:
        yield f"{place} was committed at {kept.acknowledged}, and {member} could put it back to {offset}"
    kept.acknowledged = max(kept.acknowledged, offset)
    kept.certain = max(kept.certain, offset)


def _see(place: TopicPartition, offset: int, kept: _Progress) -> Iterator[str]:
    if offset < kept.certain_before_look:
        yield f"{place} was committed at {kept.certain_before_look} and is at {offset}"
    if offset > kept.begun:
        yield f"{place} is at {offset}, and nobody committed more than {kept.begun}"
    kept.certain = max(kept.certain, offset)
