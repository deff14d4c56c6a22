from __future__ import annotations

from collections.abc import Sequence

import pytest

from minikafka.coordinator.group.classic.group import ClassicGroup
from minikafka.coordinator.group.consumer.group import ConsumerGroup
from minikafka.coordinator.group.loading import RECORDS_PER_STEP, Replay
from minikafka.coordinator.group.offsets import Offsets
from minikafka.coordinator.group.records import encode
from minikafka.coordinator.group.values import CommittedOffset, GroupLimits, GroupRecord
from minikafka.protocol.errors import DecodeError
from minikafka.protocol.payloads.group_records import GroupMetadataKey
from minikafka.types import TopicPartition
from tests.minikafka.coordinator.group.classic.harness import Harness as ClassicHarness
from tests.minikafka.coordinator.group.consumer.harness import ClassicConsumer, Consumer, Harness, settle
from tests.support.clock import ManualClock
from tests.support.group_log import MemoryStateLog
from tests.support.group_topics import Topics

ORDERS = TopicPartition("orders", 0)


class Loaded:
    """What a log of these records makes."""

    def __init__(self, records: Sequence[GroupRecord], topics: Topics | None = None) -> None:
        self.offsets = Offsets()
        log = MemoryStateLog()
        log.append([encode(record) for record in records])
        replay = Replay(self.offsets, GroupLimits(), topics or Topics(), str, ManualClock())
        self.steps = sum(1 for _ in replay.read(log))
        self.groups = replay.groups(0.0)


def commit(offset: int, group_id: str = "g", where: TopicPartition = ORDERS) -> GroupRecord:
    (record,) = Offsets().commit_records(group_id, {where: CommittedOffset(offset)})
    return record


def consumer_group() -> tuple[Harness, list[Consumer]]:
    """One that went through a few epochs, with a member that left and one that subscribes by an expression."""
    harness = Harness(orders=5, returns=2)
    consumers = [
        Consumer(harness, "a", "orders", instance_id="i").join(),
        Consumer(harness, "b", "orders").join(),
        Consumer(harness, "c", subscribed_topic_regex="ret.*").join(),
        Consumer(harness, "d", subscribed_topic_regex=".*").join(),
    ]
    settle(*consumers)
    consumers.pop().leave()
    settle(*consumers)
    return harness, consumers


def test_the_last_commit_of_a_partition_is_the_one_that_counts() -> None:
    loaded = Loaded([commit(5), commit(6, "other"), commit(7), commit(8, where=TopicPartition("orders", 1))])
    assert {where: found.offset for where, found in loaded.offsets.all_of("g").items()} == {
        ORDERS: 7,
        TopicPartition("orders", 1): 8,
    }


def test_a_group_that_only_has_offsets_is_an_empty_one() -> None:
    (group,) = Loaded([commit(5)]).groups.values()
    assert isinstance(group, ClassicGroup)
    assert group.describe().state == "Empty"


def test_an_offset_that_was_deleted_makes_no_group() -> None:
    gone = GroupRecord(commit(5).key, None)
    assert Loaded([commit(5), gone]).groups == {}


def test_of_a_classic_group_the_last_record_says_everything() -> None:
    harness = ClassicHarness()
    harness.stabilize(2)
    earlier = harness.group.record()
    harness.leave("client-1")
    harness.join("client-2")
    harness.assign_all()
    (group,) = Loaded([earlier, harness.group.record()]).groups.values()
    assert isinstance(group, ClassicGroup)
    assert (set(group.members), group.generation_id) == ({"client-2"}, 2)
    assert Loaded([earlier, GroupRecord(GroupMetadataKey(group="g"), None)]).groups == {}


def test_a_consumer_group_is_made_of_many_records() -> None:
    harness, consumers = consumer_group()
    (group,) = Loaded(harness.log, harness.topics).groups.values()
    assert isinstance(group, ConsumerGroup)
    assert group.describe_consumer() == harness.group.describe_consumer()
    harness.group = group
    settle(*consumers)
    assert group.describe_consumer().state == "Stable"


def test_compaction_makes_no_difference() -> None:
    harness, _ = consumer_group()
    last = {repr(record.key): record for record in harness.log}
    compacted = [record for record in last.values() if record.value is not None]
    (group,) = Loaded(compacted, harness.topics).groups.values()
    assert isinstance(group, ConsumerGroup)
    assert group.describe_consumer() == harness.group.describe_consumer()


def test_a_consumer_group_is_gone_with_the_record_of_its_epoch() -> None:
    harness, consumers = consumer_group()
    for consumer in consumers:
        consumer.leave()
    tombstones = list(harness.group.tombstones())
    (group,) = Loaded(harness.log).groups.values()
    assert group.is_empty
    assert Loaded(harness.log + tombstones).groups == {}


def test_a_group_that_is_made_anew_has_nothing_of_the_one_before() -> None:
    harness, consumers = consumer_group()
    for consumer in consumers:
        consumer.leave()
    log = harness.log + list(harness.group.tombstones())
    again = Harness(orders=5)
    again.join("z")
    (group,) = Loaded(log + again.log, again.topics).groups.values()
    assert isinstance(group, ConsumerGroup)
    assert group.describe_consumer() == again.group.describe_consumer()


def test_groups_of_both_kinds_are_loaded_beside_each_other() -> None:
    harness, _ = consumer_group()
    classic = ClassicHarness()
    classic.stabilize(1)
    record = GroupRecord(GroupMetadataKey(group="classic"), classic.group.record().value)
    groups = Loaded([record, *harness.log, commit(3, "classic")], harness.topics).groups
    assert {group_id: group.group_type for group_id, group in groups.items()} == {"classic": "classic", "g": "consumer"}


def test_classic_members_go_on_without_a_member_of_the_consumer_protocol_coming_first() -> None:
    harness = Harness()
    new = Consumer(harness, "new", "orders").join()
    old = ClassicConsumer(harness, "orders").join()
    settle(new, old)
    (group,) = Loaded(harness.log, harness.topics).groups.values()
    assert isinstance(group, ConsumerGroup)
    harness.group = group
    harness.topics.grow("orders", 8)
    assert old.beat()


def test_loading_takes_steps_that_others_can_come_between() -> None:
    assert Loaded([commit(5)]).steps == 0
    partitions = [TopicPartition("orders", number) for number in range(RECORDS_PER_STEP)]
    assert Loaded([commit(5, where=where) for where in partitions]).steps == 2  # reading, and decoding


def test_records_of_kinds_that_are_not_known_are_passed_over() -> None:
    log = MemoryStateLog()
    log.append([(b"\x7f\xffsomething", b"else"), encode(commit(5))])
    replay = Replay(Offsets(), GroupLimits(), Topics(), str, ManualClock())
    assert list(replay.read(log)) == []
    assert set(replay.groups(0.0)) == {"g"}


def test_what_is_damaged_is_not_loaded() -> None:
    log = MemoryStateLog()
    key, value = encode(commit(5))
    assert value is not None
    log.append([(key, value[:-1])])
    with pytest.raises(DecodeError):
        list(Replay(Offsets(), GroupLimits(), Topics(), str, ManualClock()).read(log))
