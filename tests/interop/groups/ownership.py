"""Who owned which partition when, by what the members themselves saw.

A member owns a partition from the moment its client says *assigned* until it says *revoked* or *lost*, or until the
member is *gone*: it stopped reading, or was killed.  That a member may lose a partition before it knows is no excuse:
those of whom this tells send heartbeats as long as they live.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from math import inf
from typing import NamedTuple


class Kind(Enum):
    """What a member saw."""

    ASSIGNED = "assigned"
    REVOKED = "revoked"
    LOST = "lost"
    GONE = "gone"


class Event(NamedTuple):
    """Something that a member saw, at a time that all processes of the machine agree on."""

    time_ns: int
    member: str
    kind: Kind
    partitions: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Ownership:
    """A time in which a member owned a partition; ``end_ns`` is infinite as long as it does."""

    partition: int
    member: str
    start_ns: float
    end_ns: float


def ownerships(events: Iterable[Event]) -> list[Ownership]:
    """The times of ownership that the events tell of."""
    owned: dict[tuple[str, int], int] = {}
    found: list[Ownership] = []

    def close(event: Event, partitions: Iterable[int]) -> None:
        for partition in partitions:
            start_ns = owned.pop((event.member, partition), None)
            if start_ns is not None:
                found.append(Ownership(partition, event.member, start_ns, event.time_ns))

    for event in sorted(events, key=lambda event: event.time_ns):
        match event.kind:
            case Kind.ASSIGNED:
                for partition in event.partitions:
                    owned.setdefault((event.member, partition), event.time_ns)
            case Kind.REVOKED | Kind.LOST:
                close(event, event.partitions)
            case Kind.GONE:
                close(event, [partition for member, partition in owned if member == event.member])
    still = [Ownership(partition, member, start_ns, inf) for (member, partition), start_ns in owned.items()]
    return found + still


def conflicts(events: Iterable[Event]) -> list[str]:
    """Where two members owned one partition at the same time, in words."""
    by_partition: defaultdict[int, list[Ownership]] = defaultdict(list)
    for ownership in ownerships(events):
        by_partition[ownership.partition].append(ownership)
    found = []
    for partition, times in sorted(by_partition.items()):
        times.sort(key=lambda ownership: ownership.start_ns)
        latest = times[0]
        for ownership in times[1:]:
            if ownership.start_ns < latest.end_ns:
                found.append(
                    f"partition {partition}: {ownership.member} got it at {ownership.start_ns}, "
                    f"when {latest.member} had it from {latest.start_ns} to {latest.end_ns}"
                )
            if ownership.end_ns > latest.end_ns:
                latest = ownership
    return found


def owned(events: Iterable[Event]) -> dict[str, frozenset[int]]:
    """Which partitions each member owns now; who owns none is left out."""
    found: defaultdict[str, set[int]] = defaultdict(set)
    for ownership in ownerships(events):
        if ownership.end_ns == inf:
            found[ownership.member].add(ownership.partition)
    return {member: frozenset(partitions) for member, partitions in found.items()}


def are_dealt(shares: Iterable[frozenset[int]], partition_count: int) -> bool:
    """Whether every partition is in exactly one of the shares."""
    return sorted(partition for share in shares for partition in share) == list(range(partition_count))
