from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from minikafka.coordinator.group.offsets import Offsets
from minikafka.coordinator.group.values import CommittedOffset, GroupRecord
from minikafka.protocol.payloads.group_records import GroupMetadataKey, OffsetCommitKey, OffsetCommitValue
from minikafka.types import TopicPartition

ORDERS = TopicPartition("orders", 0)
ORDERS_1 = TopicPartition("orders", 1)
LETTERS = TopicPartition("letters", 0)

RETENTION_MS = 1000


def committed(offset: int, at_ms: int = 0, expire_ms: int = -1) -> CommittedOffset:
    return CommittedOffset(offset, commit_timestamp_ms=at_ms, expire_timestamp_ms=expire_ms)


def apply(offsets: Offsets, records: Iterable[GroupRecord]) -> None:
    records = tuple(records)
    offsets.appended(records)
    for record in records:
        offsets.replay(record)


def commit(offsets: Offsets, group_id: str, positions: dict[TopicPartition, CommittedOffset]) -> None:
    apply(offsets, offsets.commit_records(group_id, positions))


def partitions_of(records: Iterable[GroupRecord]) -> list[TopicPartition]:
    found = []
    for key, value in records:
        assert isinstance(key, OffsetCommitKey)
        assert value is None
        found.append(TopicPartition(key.topic, key.partition))
    return sorted(found)


def never_subscribed(topic: str) -> bool:
    return False


def test_a_commit_is_visible_with_everything_that_belongs_to_it_once_it_is_durable():
    offsets = Offsets()
    position = CommittedOffset(7, 3, "up to the seventh", 1234, 5678, bytes(range(16)))
    records = offsets.commit_records("billing", {ORDERS: position})
    assert offsets.get("billing", ORDERS) is None
    apply(offsets, records)
    assert offsets.get("billing", ORDERS) == position
    assert offsets.all_of("billing") == {ORDERS: position}


def test_groups_do_not_see_each_others_offsets():
    offsets = Offsets()
    commit(offsets, "billing", {ORDERS: committed(1)})
    commit(offsets, "shipping", {ORDERS: committed(2), LETTERS: committed(3)})
    assert offsets.get("billing", ORDERS) == committed(1)
    assert offsets.get("billing", LETTERS) is None
    assert offsets.all_of("shipping") == {ORDERS: committed(2), LETTERS: committed(3)}
    assert offsets.all_of("nobody") == {}
    assert set(offsets.groups()) == {"billing", "shipping"}


def test_a_group_whose_last_offset_is_deleted_is_no_longer_listed():
    offsets = Offsets()
    commit(offsets, "billing", {ORDERS: committed(1), LETTERS: committed(2)})
    apply(offsets, offsets.delete_records("billing", [ORDERS]))
    assert offsets.all_of("billing") == {LETTERS: committed(2)}
    apply(offsets, offsets.delete_records("billing"))
    assert list(offsets.groups()) == []
    assert not offsets.has_offsets("billing")


def test_only_what_is_there_is_deleted():
    offsets = Offsets()
    commit(offsets, "billing", {ORDERS: committed(1)})
    assert partitions_of(offsets.delete_records("billing", [ORDERS, ORDERS, LETTERS])) == [ORDERS]
    assert offsets.delete_records("nobody") == ()


def test_a_deleted_topic_takes_the_offsets_of_every_group_along():
    offsets = Offsets()
    commit(offsets, "billing", {ORDERS: committed(1), ORDERS_1: committed(1), LETTERS: committed(1)})
    commit(offsets, "shipping", {ORDERS: committed(2)})
    records = offsets.delete_topic("orders")
    assert partitions_of(records) == [ORDERS, ORDERS, ORDERS_1]
    apply(offsets, records)
    assert offsets.all_of("billing") == {LETTERS: committed(1)}
    assert list(offsets.groups()) == ["billing"]


def test_records_of_other_kinds_are_not_its_business():
    offsets = Offsets()
    other = GroupRecord(GroupMetadataKey(group="billing"), None)
    apply(offsets, [other])
    assert not offsets.has_offsets("billing")


def test_a_tombstone_for_what_is_not_there_changes_nothing():
    offsets = Offsets()
    apply(offsets, [GroupRecord(OffsetCommitKey(group="billing", topic="orders", partition=0), None)])
    assert list(offsets.groups()) == []


@pytest.mark.parametrize(
    ("position", "empty_since_ms", "last_moment_ms"),
    [
        (committed(1, at_ms=5000), None, 5999),
        (committed(1, at_ms=5000), 7000, 7999),
        (committed(1, at_ms=5000), 4000, 4999),
        (committed(1, at_ms=5000, expire_ms=5500), None, 5499),
        (committed(1, at_ms=5000, expire_ms=9000), 1000, 8999),
        (committed(1, at_ms=5000, expire_ms=0), None, -1),
    ],
    ids=[
        "from the commit",
        "from when the group lost its last member",
        "even if it committed afterwards",
        "the client's own time, which is earlier",
        "the client's own time, which is later",
        "the client's own time of zero",
    ],
)
def test_an_offset_expires_when_its_retention_is_over(position, empty_since_ms, last_moment_ms):
    offsets = Offsets()
    commit(offsets, "billing", {ORDERS: position})

    def expired(now_ms: int) -> list[TopicPartition]:
        return partitions_of(offsets.expired("billing", now_ms, RETENTION_MS, never_subscribed, empty_since_ms))

    assert expired(last_moment_ms) == []
    assert expired(last_moment_ms + 1) == [ORDERS]


def test_offsets_of_topics_that_members_read_do_not_expire():
    offsets = Offsets()
    commit(offsets, "billing", {ORDERS: committed(1), LETTERS: committed(1)})
    records = offsets.expired("billing", 10**9, RETENTION_MS, lambda topic: topic == "orders")
    assert partitions_of(records) == [LETTERS]


def test_nothing_of_a_group_without_offsets_expires():
    assert Offsets().expired("nobody", 10**9, RETENTION_MS, never_subscribed) == ()


def test_a_commit_in_flight_keeps_its_partition_from_expiring():
    offsets = Offsets()
    commit(offsets, "billing", {ORDERS: committed(1), LETTERS: committed(1)})
    flying = offsets.commit_records("billing", {ORDERS: committed(2, at_ms=10**9)})
    offsets.appended(flying)
    assert partitions_of(offsets.expired("billing", 10**9, RETENTION_MS, never_subscribed)) == [LETTERS]
    for record in flying:
        offsets.replay(record)
    assert partitions_of(offsets.expired("billing", 10**9, RETENTION_MS, never_subscribed)) == [LETTERS]
    assert partitions_of(offsets.expired("billing", 10**9 + RETENTION_MS, RETENTION_MS, never_subscribed)) == [
        LETTERS,
        ORDERS,
    ]


def test_a_commit_in_flight_is_deleted_with_its_group_and_with_its_topic():
    offsets = Offsets()
    offsets.appended(offsets.commit_records("billing", {ORDERS: committed(2)}))
    assert offsets.has_offsets("billing")
    assert offsets.get("billing", ORDERS) is None
    assert partitions_of(offsets.delete_records("billing")) == [ORDERS]
    assert partitions_of(offsets.delete_records("billing", [ORDERS])) == [ORDERS]
    assert partitions_of(offsets.delete_topic("orders")) == [ORDERS]


def test_the_last_of_several_commits_in_flight_counts():
    offsets = Offsets()
    first = offsets.commit_records("billing", {ORDERS: committed(1)})
    second = offsets.commit_records("billing", {ORDERS: committed(2)})
    offsets.appended(first)
    offsets.appended(second)
    offsets.replay(first[0])
    assert offsets.get("billing", ORDERS) == committed(1)
    assert offsets.expired("billing", 10**9, RETENTION_MS, never_subscribed) == ()
    offsets.replay(second[0])
    assert offsets.get("billing", ORDERS) == committed(2)
    assert partitions_of(offsets.expired("billing", 10**9, RETENTION_MS, never_subscribed)) == [ORDERS]


PARTITIONS = st.sampled_from([ORDERS, ORDERS_1, LETTERS])
GROUPS = st.sampled_from(["billing", "shipping"])


class OffsetsOfALog(RuleBasedStateMachine):
    """Offsets beside a log whose records become durable one by one, against a replay of the log from its start."""

    def __init__(self) -> None:
        super().__init__()
        self.offsets = Offsets()
        self.log: list[GroupRecord] = []
        self.durable = 0
        self.now_ms = 0

    @rule(group_id=GROUPS, partitions=st.sets(PARTITIONS, min_size=1), offset=st.integers(0, 9))
    def commit(self, group_id: str, partitions: set[TopicPartition], offset: int) -> None:
        self.write(self.offsets.commit_records(group_id, dict.fromkeys(partitions, committed(offset, self.now_ms))))

    @rule(group_id=GROUPS, partitions=st.none() | st.sets(PARTITIONS))
    def delete(self, group_id: str, partitions: set[TopicPartition] | None) -> None:
        self.write(self.offsets.delete_records(group_id, partitions))
        kept = self.in_the_end().get(group_id, {})
        assert not kept if partitions is None else not kept.keys() & partitions

    @rule(topic=st.sampled_from(["orders", "letters"]))
    def delete_topic(self, topic: str) -> None:
        self.write(self.offsets.delete_topic(topic))
        assert all(which.topic != topic for kept in self.in_the_end().values() for which in kept)

    @rule(group_id=GROUPS, passed_ms=st.integers(0, 2 * RETENTION_MS))
    def expire(self, group_id: str, passed_ms: int) -> None:
        self.now_ms += passed_ms
        before = self.in_the_end().get(group_id, {})
        self.write(self.offsets.expired(group_id, self.now_ms, RETENTION_MS, never_subscribed))
        after = self.in_the_end().get(group_id, {})
        for which in before.keys() - after.keys():
            assert self.now_ms - before[which].commit_timestamp >= RETENTION_MS

    @rule(count=st.integers(1, 4))
    def become_durable(self, count: int) -> None:
        for record in self.log[self.durable : self.durable + count]:
            self.offsets.replay(record)
            self.durable += 1

    @invariant()
    def what_is_durable_is_visible_and_nothing_else(self) -> None:
        seen = {
            group_id: {which: position.offset for which, position in self.offsets.all_of(group_id).items()}
            for group_id in self.offsets.groups()
        }
        replayed = state_of(self.log[: self.durable])
        assert seen == {
            group_id: {which: value.offset for which, value in kept.items()} for group_id, kept in replayed.items()
        }

    def write(self, records: tuple[GroupRecord, ...]) -> None:
        self.offsets.appended(records)
        self.log += records

    def in_the_end(self) -> dict[str, dict[TopicPartition, OffsetCommitValue]]:
        return state_of(self.log)


def state_of(log: list[GroupRecord]) -> dict[str, dict[TopicPartition, OffsetCommitValue]]:
    state: dict[str, dict[TopicPartition, OffsetCommitValue]] = {}
    for key, value in log:
        assert isinstance(key, OffsetCommitKey)
        kept = state.setdefault(key.group, {})
        which = TopicPartition(key.topic, key.partition)
        if isinstance(value, OffsetCommitValue):
            kept[which] = value
        else:
            kept.pop(which, None)
    return {group_id: kept for group_id, kept in state.items() if kept}


TestOffsetsOfALog = OffsetsOfALog.TestCase
TestOffsetsOfALog.settings = settings(max_examples=60, stateful_step_count=30)
