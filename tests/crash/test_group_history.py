"""What the checker of groups finds, and what it lets pass."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from minikafka.types import TopicPartition
from tests.crash.group_history import (
    CommitAcknowledged,
    CommitBegun,
    Event,
    History,
    LookBegun,
    Processed,
    Seen,
    broken_promises,
    count_duplicates,
)

PLACE = TopicPartition("jobs", 0)
OTHER = TopicPartition("jobs", 1)


def processed(*offsets: int, member: str = "a", place: TopicPartition = PLACE) -> list[Event]:
    return [Processed(member, place, offset, b"%d" % offset) for offset in offsets]


def tried(offset: int, member: str = "a", place: TopicPartition = PLACE) -> list[Event]:
    return [CommitBegun(member, {place: offset})]


def committed(offset: int, member: str = "a", place: TopicPartition = PLACE) -> list[Event]:
    return [*tried(offset, member, place), CommitAcknowledged(member, {place: offset})]


def seen(offset: int | None) -> list[Event]:
    return [LookBegun(), Seen({} if offset is None else {PLACE: offset})]


GOOD: dict[str, list[Event]] = {
    "nothing at all": [],
    "nothing, seen": seen(None),
    "one after the other": [*processed(0, 1), *committed(2), *processed(2), *committed(3), *seen(3)],
    "again after a commit that was tried in vain": [*processed(0, 1), *tried(2), *processed(0, 1), *committed(2)],
    "again after no commit": [*processed(0, 1), *processed(0, 1, member="b"), *committed(2, "b")],
    "a commit that got through without an answer": [*processed(0, 1), *tried(2), *seen(2), *processed(2)],
    "a commit that did not get through": [*processed(0, 1), *tried(2), *seen(None), *processed(0, member="b")],
    "a commit while somebody looks": [*processed(0), LookBegun(), *committed(1), Seen({})],
    "the same commit twice": [*processed(0), *committed(1), *committed(1), *seen(1)],
    "two partitions": [*processed(0, place=OTHER), *processed(0), *committed(1, place=OTHER), *processed(1)],
}

BAD: dict[str, tuple[list[Event], str]] = {
    "the first record is skipped": ([*processed(1)], "jobs-0@1 came to a when 0 was next"),
    "a record is skipped": ([*processed(0, 1, 3)], "jobs-0@3 came to a when 2 was next"),
    "a record is skipped in one partition": (
        [*processed(0, 1, place=OTHER), *processed(1)],
        "jobs-0@1 came to a when 0 was next",
    ),
    "a record comes again after its commit": (
        [*processed(0, 1), *committed(2), *processed(1, member="b")],
        "jobs-0@1 came to b again after 2",
    ),
    "a commit is lost": ([*processed(0, 1), *committed(2), *seen(None)], "committed at 2 and is at 0"),
    "the last commit is lost": (
        [*processed(0), *committed(1), *processed(1), *committed(2), *seen(1)],
        "committed at 2 and is at 1",
    ),
    "a commit that was seen is lost": ([*processed(0), *tried(1), *seen(1), *seen(None)], "at 1 and is at 0"),
    "a commit is put back": (
        [*processed(0, 1), *committed(2), *committed(1, "b")],
        "committed at 2, and b could put it back to 1",
    ),
    "a commit comes from nowhere": ([*processed(0), *committed(1), *seen(7)], "is at 7, and nobody committed more"),
    "a member commits what it was not given": ([*processed(0), *tried(2)], "when 1 has not been processed"),
}


@pytest.mark.parametrize("events", GOOD.values(), ids=GOOD.keys())
def test_what_may_happen_passes(events: list[Event]) -> None:
    assert broken_promises(events) == []


@pytest.mark.parametrize(("events", "fault"), BAD.values(), ids=BAD.keys())
def test_what_must_not_happen_is_found(events: list[Event], fault: str) -> None:
    (found,) = broken_promises(events)
    assert fault in found


def test_records_that_came_again_are_counted() -> None:
    assert count_duplicates([*processed(0, 1), *processed(1, 2, member="b"), *processed(1, place=OTHER)]) == 1


def test_whoever_waits_for_commits_is_told_when_each_partition_has_a_new_one() -> None:
    history = History()
    add(history, committed(1))
    with ThreadPoolExecutor(1) as executor:
        waiting = executor.submit(history.wait_for_commits, [PLACE, OTHER], 60.0)
        while not waiting.done():
            add(history, [*committed(2), *committed(1, place=OTHER)])
        assert waiting.result() is None
    assert history.events()[:2] == committed(1)


def test_whoever_waits_for_offsets_is_told_when_they_are_committed() -> None:
    history = History()
    add(history, [*committed(2), *committed(1, place=OTHER)])
    history.wait_until_committed({PLACE: 2, OTHER: 1}, 0.0)
    with pytest.raises(TimeoutError):
        history.wait_until_committed({PLACE: 3, OTHER: 1}, 0.0)


def test_whoever_waits_in_vain_is_told_so() -> None:
    history = History()
    add(history, [*processed(0), *committed(1)])
    with pytest.raises(TimeoutError, match="'jobs'"):
        history.wait_for_commits([PLACE], 0.0)


def add(history: History, events: list[Event]) -> None:
    for event in events:
        history.add(event)
