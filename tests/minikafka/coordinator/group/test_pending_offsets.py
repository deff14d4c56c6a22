"""Offsets in transactions: what is visible, and when, in memory and from the log."""

from __future__ import annotations

from typing import Literal, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minikafka.coordinator.group.loading import Replay
from minikafka.coordinator.group.offsets import Offsets
from minikafka.coordinator.group.pending_offsets import PendingOffsets
from minikafka.coordinator.group.records import encode
from minikafka.coordinator.group.values import CommittedOffset, GroupLimits
from minikafka.types import NO_PRODUCER_ID, ProducerIdAndEpoch, TopicPartition
from tests.support.clock import ManualClock
from tests.support.group_log import MemoryStateLog
from tests.support.group_topics import Topics

ORDERS = TopicPartition("orders", 0)
LETTERS = TopicPartition("letters", 0)


def offset(number: int) -> CommittedOffset:
    return CommittedOffset(number)


def test_what_is_pending_is_seen_as_such_and_told_at_its_commit() -> None:
    pending = PendingOffsets()
    pending.add(7, "g", ORDERS, offset(5))
    pending.add(7, "g", ORDERS, offset(6))
    pending.add(7, "h", LETTERS, offset(1))
    assert pending.is_pending("g", ORDERS)
    assert not pending.is_pending("g", LETTERS)
    assert set(pending.groups()) == {"g", "h"}
    assert list(pending.partitions_of("g")) == [ORDERS]
    assert list(pending.commit(7)) == [("g", ORDERS, offset(6)), ("h", LETTERS, offset(1))]
    assert list(pending.groups()) == list(pending.commit(7)) == []


def test_what_is_aborted_is_gone() -> None:
    pending = PendingOffsets()
    pending.add(7, "g", ORDERS, offset(5))
    pending.add(8, "g", ORDERS, offset(6))
    pending.abort(7)
    pending.abort(7)
    assert pending.is_pending("g", ORDERS)
    assert list(pending.commit(8)) == [("g", ORDERS, offset(6))]


def test_a_partition_stays_unstable_though_a_later_commit_has_won() -> None:
    pending = PendingOffsets()
    pending.add(7, "g", ORDERS, offset(5))
    pending.supersede("g", ORDERS)
    assert pending.is_pending("g", ORDERS)
    assert list(pending.commit(7)) == []
    assert not pending.is_pending("g", ORDERS)


@pytest.mark.parametrize(("first", "visible"), [(7, [6]), (8, [6])])
def test_of_two_transactions_the_later_record_wins_whichever_ends_first(first: int, visible: list[int]) -> None:
    offsets = Offsets()
    for producer_id, number in ((7, 5), (8, 6)):
        for record in offsets.commit_records("g", {ORDERS: offset(number)}):
            offsets.replay(record, producer_id)
    for producer_id in (first, 15 - first):
        offsets.end_transaction(producer_id, is_commit=True)
    assert [found.offset for found in offsets.all_of("g").values()] == visible


class Step(NamedTuple):
    """What happens in the log."""

    what: Literal["commit", "delete", "end", "abort"]
    where: TopicPartition
    producer_id: int


class History:
    """Steps applied to offsets in memory, to a log, and to a list that is searched from the start every time."""

    def __init__(self) -> None:
        self.offsets = Offsets()
        self.log = MemoryStateLog()
        self._records: list[tuple[TopicPartition, int, int | None, bool]] = []
        """Partition, producer, offset (None deletes), and whether it counts."""

    def apply(self, step: Step) -> None:
        number = len(self.log.records)
        if step.what in ("end", "abort"):
            is_commit = step.what == "end"
            self.log.append_marker(step.producer_id, is_commit=is_commit)
            self.offsets.end_transaction(step.producer_id, is_commit=is_commit)
            kept = []
            for where, producer_id, committed, counts in self._records:
                is_ended = producer_id == step.producer_id and not counts
                if not is_ended or is_commit:
                    kept.append((where, producer_id, committed, counts or is_ended))
            self._records = kept
            return
        if step.what == "delete":
            records = self.offsets.delete_records("g", [step.where])
            producer_id = NO_PRODUCER_ID
            self._records = [record for record in self._records if record[0] != step.where or not records]
        else:
            records = self.offsets.commit_records("g", {step.where: offset(number)})
            producer_id = step.producer_id
            self._records.append((step.where, producer_id, number, producer_id == NO_PRODUCER_ID))
        if records:
            producer = None if producer_id == NO_PRODUCER_ID else ProducerIdAndEpoch(producer_id, 0)
            self.log.append([encode(record) for record in records], producer)
            for record in records:
                self.offsets.replay(record, producer_id)

    def restart(self) -> None:
        """Have the offsets from the log."""
        self.offsets = Offsets()
        for _ in Replay(self.offsets, GroupLimits(), Topics(), str, ManualClock()).read(self.log):
            pass

    def visible(self) -> dict[TopicPartition, int | None]:
        return {where: number for where, _, number, counts in self._records if counts}

    def pending(self) -> set[TopicPartition]:
        return {where for where, _, _, counts in self._records if not counts}

    def check(self) -> None:
        assert {where: found.offset for where, found in self.offsets.all_of("g").items()} == self.visible()
        assert {where for where in (ORDERS, LETTERS) if self.offsets.is_pending("g", where)} == self.pending()
        assert self.offsets.has_pending("g") == bool(self.pending())


STEPS = st.builds(
    Step,
    st.sampled_from(["commit", "commit", "commit", "delete", "end", "abort"]),
    st.sampled_from([ORDERS, LETTERS]),
    st.sampled_from([NO_PRODUCER_ID, 7, 8]),
)


@given(st.lists(st.tuples(STEPS, st.booleans()), max_size=30))
def test_memory_and_log_agree_with_a_look_at_the_whole_history(steps: list[tuple[Step, bool]]) -> None:
    history = History()
    for step, restarts in steps:
        history.apply(step)
        if restarts:
            history.restart()
        history.check()
