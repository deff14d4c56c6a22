"""Writes take effect when they are durable, and in their order."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minikafka.coordinator.group.records import encode
from minikafka.coordinator.group.values import GroupRecord
from minikafka.coordinator.journal import Journal
from minikafka.errors import CoordinatorNotAvailable, KafkaError, NotCoordinator
from minikafka.protocol.payloads.group_records import GroupMetadataKey
from minikafka.types import ProducerIdAndEpoch


class ScriptedLog:
    """A log whose appends are answered as the test says; ``appends`` are the futures that it gave out."""

    def __init__(self, *, is_durable_at_once: bool = False) -> None:
        self.is_durable_at_once = is_durable_at_once
        self.error: Exception | None = None
        self.appends: list[asyncio.Future[None]] = []

    def append(
        self, records: Sequence[tuple[bytes, bytes | None]], producer: ProducerIdAndEpoch | None = None
    ) -> asyncio.Future[None] | None:
        if self.error is not None:
            raise self.error
        if self.is_durable_at_once:
            return None
        self.appends.append(asyncio.get_running_loop().create_future())
        return self.appends[-1]


class Watched:
    """A journal over a scripted log, and what came of its writes."""

    def __init__(self, log: ScriptedLog) -> None:
        self.log = log
        self.appended: list[str] = []
        self.outcomes: list[tuple[str, KafkaError | None]] = []
        self.failures: list[KafkaError] = []
        self.journal = Journal(log, encode, self._on_append, self.failures.append)

    def append(self, name: str) -> None:
        self.journal.append([record(name)], lambda error: self.outcomes.append((name, error)))

    def _on_append(self, records: Sequence[GroupRecord]) -> None:
        assert isinstance(records[0].key, GroupMetadataKey)
        self.appended.append(records[0].key.group)


def record(name: str) -> GroupRecord:
    return GroupRecord(GroupMetadataKey(group=name), None)


async def turn() -> None:
    """Let what is ready on the loop happen."""
    await asyncio.sleep(0)


async def test_what_is_durable_at_once_is_in_effect_at_once() -> None:
    watched = Watched(ScriptedLog(is_durable_at_once=True))
    watched.append("a")
    assert (watched.appended, watched.outcomes, watched.journal.is_settled) == (["a"], [("a", None)], True)


async def test_nothing_is_in_effect_before_it_is_durable() -> None:
    watched = Watched(ScriptedLog())
    watched.append("a")
    await turn()
    assert (watched.appended, watched.outcomes, watched.journal.is_settled) == (["a"], [], False)
    watched.log.appends[0].set_result(None)
    await turn()
    assert (watched.outcomes, watched.journal.is_settled) == ([("a", None)], True)


async def test_what_is_durable_at_once_waits_for_what_came_before() -> None:
    watched = Watched(ScriptedLog())
    watched.append("a")
    watched.log.is_durable_at_once = True
    watched.append("b")
    assert watched.outcomes == []
    watched.log.appends[0].set_result(None)
    await turn()
    assert watched.outcomes == [("a", None), ("b", None)]


@given(st.permutations(range(6)))
def test_outcomes_come_in_the_order_of_the_writes_whatever_is_durable_first(order: list[int]) -> None:
    async def write_and_finish() -> list[str]:
        watched = Watched(ScriptedLog())
        for number in range(6):
            watched.append(str(number))
        for number in order:
            watched.log.appends[number].set_result(None)
            await turn()
        return [name for name, _ in watched.outcomes]

    assert asyncio.run(write_and_finish()) == ["0", "1", "2", "3", "4", "5"]


async def test_what_cannot_be_appended_is_told_before_the_call_returns() -> None:
    watched = Watched(ScriptedLog())
    watched.log.error = NotCoordinator("elsewhere")
    watched.append("a")
    assert watched.outcomes == [("a", watched.log.error)]
    assert (watched.appended, watched.failures, watched.journal.is_settled) == ([], [], True)


async def test_a_bug_leaves_nobody_without_an_answer() -> None:
    watched = Watched(ScriptedLog())
    watched.log.error = ValueError("a bug")
    watched.append("a")
    ((name, error),) = watched.outcomes
    assert name == "a"
    assert isinstance(error, CoordinatorNotAvailable)


async def test_after_a_failed_disk_nobody_knows_what_the_log_holds() -> None:
    watched = Watched(ScriptedLog())
    watched.append("a")
    watched.append("b")
    error = NotCoordinator("the disk failed")
    watched.log.appends[0].set_exception(error)
    watched.log.appends[1].cancel()
    await turn()
    assert watched.outcomes[0] == ("a", error)
    assert isinstance(watched.outcomes[1][1], CoordinatorNotAvailable)
    assert len(watched.failures) == 2


async def test_settling_waits_for_what_was_written_before_and_not_for_what_comes_after() -> None:
    watched = Watched(ScriptedLog())
    assert watched.journal.settle().done()
    watched.append("a")
    settled = watched.journal.settle()
    watched.append("b")
    await turn()
    assert not settled.done()
    watched.log.appends[0].set_result(None)
    await settled
    assert watched.outcomes == [("a", None)]


async def test_who_waits_for_settling_may_give_up() -> None:
    watched = Watched(ScriptedLog())
    watched.append("a")
    watched.journal.settle().cancel()
    watched.log.appends[0].set_result(None)
    await turn()
    assert watched.journal.is_settled


async def test_a_write_is_in_effect_right_before_its_future_is_done() -> None:
    log, effects = ScriptedLog(), list[str]()
    journal = Journal(log, encode, lambda _: None, lambda _: None)
    durable = journal.write([record("a")], lambda: effects.append("a"))
    assert durable is not None
    assert effects == []
    log.appends[0].set_result(None)
    await durable
    assert effects == ["a"]


async def test_a_write_that_is_durable_at_once_needs_no_future_and_one_that_fails_at_once_raises() -> None:
    log, effects = ScriptedLog(is_durable_at_once=True), list[str]()
    journal = Journal(log, encode, lambda _: None, lambda _: None)
    assert journal.write([record("a")], lambda: effects.append("a")) is None
    log.error = NotCoordinator("elsewhere")
    with pytest.raises(NotCoordinator):
        journal.write([record("b")], lambda: effects.append("b"))
    assert effects == ["a"]


async def test_a_write_that_may_be_lost_has_no_effect() -> None:
    log, effects = ScriptedLog(), list[str]()
    journal = Journal(log, encode, lambda _: None, lambda _: None)
    durable = journal.write([record("a")], lambda: effects.append("a"))
    assert durable is not None
    log.appends[0].set_exception(NotCoordinator("the disk failed"))
    with pytest.raises(NotCoordinator):
        await durable
    assert effects == []
