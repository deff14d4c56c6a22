from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from minikafka.coordinator.group.classic.group import ClassicGroup
from minikafka.coordinator.group.consumer.group import ConsumerGroup
from minikafka.coordinator.group.consumer.ledger import Ledger
from minikafka.coordinator.group.conversion import can_upgrade, downgrade, upgrade
from minikafka.coordinator.group.loading import Replay
from minikafka.coordinator.group.offsets import Offsets
from minikafka.coordinator.group.values import GroupLimits, GroupRecord, JoinResult, Write
from minikafka.errors import IllegalGeneration, NotCoordinator, RebalanceInProgress
from minikafka.protocol.payloads.consumer_protocol import (
    ConsumerProtocolAssignment,
    ConsumerProtocolSubscription,
    TopicPartition,
)
from minikafka.protocol.payloads.group_records import GroupMetadataKey
from minikafka.protocol.payloads.versioned import decode_versioned, encode_versioned
from tests.minikafka.coordinator.group.classic.harness import Harness as ClassicHarness
from tests.minikafka.coordinator.group.classic.harness import Reply, join_attempt
from tests.minikafka.coordinator.group.consumer.harness import ClassicConsumer, Consumer, Harness, settle
from tests.support.clock import ManualClock
from tests.support.group_topics import Topics

CLOCK = ManualClock()

POLICIES = {
    "bidirectional": (True, True),
    "upgrade": (True, False),
    "downgrade": (False, True),
    "disabled": (False,) * 2,
}


def subscription(*topics: str, rack_id: str | None = None) -> dict[str, bytes]:
    return {"range": encode_versioned(ConsumerProtocolSubscription(topics=list(topics), rack_id=rack_id), 3)}


def assignment(**partitions: Sequence[int]) -> bytes:
    assigned = [TopicPartition(topic=topic, partitions=list(numbers)) for topic, numbers in partitions.items()]
    return encode_versioned(ConsumerProtocolAssignment(assigned_partitions=assigned), 1)


def stable(
    *assignments: bytes, limits: GroupLimits | None = None, protocols: Mapping[str, bytes] | None = None, **fields
) -> ClassicHarness:
    """A stable classic group with a member for each assignment; their ids are ``client-1`` and so on."""
    harness = ClassicHarness(limits)
    fields["protocols"] = subscription("orders") if protocols is None else protocols
    ids = [harness.member_id(**fields) for _ in assignments]
    for member_id in ids:
        harness.join(member_id, **fields)
    for member_id in ids:
        harness.sync(member_id, dict(zip(ids, assignments, strict=True)) if member_id == ids[0] else {})
    harness.written()
    assert harness.state == "Stable"
    return harness


def finish(group: ConsumerGroup | ClassicGroup, error: NotCoordinator | None = None) -> list[GroupRecord]:
    """Let what a group wants written become durable, or fail; returns its records."""
    writes = group.take_writes()
    for write in writes:
        if write.done is not None:
            write.done(error)
    return [record for write in writes for record in write.records]


# From classic to consumer


def test_members_keep_what_they_have_at_the_generation_they_are_in() -> None:
    topics = Topics(orders=4)
    classic = stable(assignment(orders=[0, 1]), assignment(orders=[2, 3]), session_ms=9_000)
    group = upgrade(classic.group, topics, classic.now_ms)
    assert (group.target_epoch, group.state.value) == (classic.group.generation_id, "Stable")
    first, second = group.members["client-1"], group.members["client-2"]
    assert (first.assigned, second.assigned) == (
        topics.partitions("orders", [0, 1]),
        topics.partitions("orders", [2, 3]),
    )
    assert group.target("client-1") == first.assigned
    assert (first.epoch, first.subscribed_topic_names, first.rebalance_timeout_ms) == (1, ("orders",), 60_000)
    assert first.classic is not None
    assert first.classic.session_timeout_ms == 9_000
    assert [protocol.name for protocol in first.classic.protocols] == ["range"]


def test_the_next_generation_is_not_needed_for_it() -> None:
    topics = Topics(orders=4)
    classic = stable(assignment(orders=[0, 1, 2, 3]))
    group = upgrade(classic.group, topics, classic.now_ms)
    group.heartbeat(classic.claim("client-1"), classic.now_ms)
    assert group.target_epoch == 1


def test_who_waits_in_the_classic_group_is_told_to_join_again_when_the_new_one_is_durable() -> None:
    topics = Topics(orders=4)
    classic = stable(assignment(orders=[0, 1, 2, 3]), assignment())
    joining = classic.join("client-1", protocols=subscription("orders", "returns"))
    assert not joining.done()
    group = upgrade(classic.group, topics, classic.now_ms)
    assert not joining.done()
    finish(group)
    assert isinstance(joining.error, RebalanceInProgress)


def test_who_waits_goes_on_waiting_when_the_new_group_could_not_be_written() -> None:
    classic = stable(assignment(orders=[0]), assignment())
    joining = classic.join("client-1", protocols=subscription("orders", "returns"))
    group = upgrade(classic.group, Topics(orders=4), classic.now_ms)
    finish(group, NotCoordinator("the disk failed"))
    assert not joining.done()


def test_the_log_has_the_end_of_the_one_and_all_of_the_other() -> None:
    topics = Topics(orders=4)
    classic = stable(assignment(orders=[0, 1, 2, 3]))
    before = classic.group.record()
    group = upgrade(classic.group, topics, classic.now_ms)
    replay = Replay(Offsets(), GroupLimits(), topics, str, CLOCK)
    for record in [before, *finish(group)]:
        replay.apply(record)
    (loaded,) = replay.groups(classic.now_ms).values()
    assert isinstance(loaded, ConsumerGroup)
    assert loaded.describe_consumer() == group.describe_consumer()


def test_a_partition_that_was_given_to_two_is_the_firsts_and_topics_that_are_gone_are_nobodys() -> None:
    topics = Topics(orders=4)
    classic = stable(assignment(orders=[0, 1], gone=[0]), assignment(orders=[1, 2]))
    group = upgrade(classic.group, topics, classic.now_ms)
    assert group.members["client-1"].assigned == topics.partitions("orders", [0, 1])
    assert group.members["client-2"].assigned == topics.partitions("orders", [2])


def test_a_member_that_has_not_synced_has_nothing_yet() -> None:
    classic = ClassicHarness()
    classic.join_new(protocols=subscription("orders", rack_id="north"))
    group = upgrade(classic.group, Topics(orders=4), classic.now_ms)
    (member,) = group.members.values()
    assert (member.assigned, member.rack_id) == ({}, "north")


@pytest.mark.parametrize("policy", POLICIES)
def test_the_policy_says_whether_a_group_may_be_converted(policy: str) -> None:
    limits = GroupLimits(migration_policy=policy)
    assert can_upgrade(stable(assignment(), limits=limits).group) is POLICIES[policy][0]


def test_a_group_that_is_too_large_cannot_be_converted() -> None:
    limits = GroupLimits(consumer_max_size=1)
    assert can_upgrade(stable(assignment(), limits=limits).group)
    assert not can_upgrade(stable(assignment(), assignment(), limits=limits).group)


@pytest.mark.parametrize(
    ("assigned", "fields"),
    [
        (b"\0", {}),
        (assignment(), {"protocols": {"range": b"not a subscription"}}),
        (assignment(), {"protocol_type": "connect"}),
    ],
    ids=["assignment", "subscription", "type"],
)
def test_what_is_no_group_of_consumers_cannot_be_converted(assigned: bytes, fields) -> None:
    assert not can_upgrade(stable(assigned, **fields).group)


# And back


def alone(limits: GroupLimits | None = None) -> tuple[Harness, ClassicConsumer]:
    """A group of the consumer protocol that only a classic member is left in."""
    harness = Harness(limits, orders=4)
    new = Consumer(harness, "new", "orders").join()
    old = ClassicConsumer(harness, "orders").join()
    settle(new, old)
    assert not harness.group.should_downgrade
    new.leave()
    return harness, old


@pytest.mark.parametrize("policy", POLICIES)
def test_the_policy_says_whether_a_group_is_converted_back(policy: str) -> None:
    harness, _ = alone(GroupLimits(migration_policy=policy))
    assert harness.group.should_downgrade is POLICIES[policy][1]


def test_a_group_that_would_be_too_large_stays_as_it_is() -> None:
    harness, _ = alone(GroupLimits(max_size=1))
    assert harness.group.should_downgrade
    ClassicConsumer(harness, "orders").join()
    assert not harness.group.should_downgrade


def test_an_empty_group_stays_as_it_is() -> None:
    harness, old = alone()
    old.leave()
    assert not harness.group.should_downgrade


def test_classic_members_that_are_alone_keep_what_they_have_until_they_join_again() -> None:
    harness, old = alone()
    classic = downgrade(harness.group, harness.now_ms, CLOCK)
    assert (classic.generation_id, classic.state.value) == (old.generation_id, "PreparingRebalance")
    (member,) = classic.members.values()
    assert (member.member_id, member.session_timeout_ms) == (old.member_id, old.session_ms)
    (topic,) = decode_versioned(ConsumerProtocolAssignment, member.assignment).assigned_partitions
    assert harness.orders(*topic.partitions) == old.owned
    with pytest.raises(RebalanceInProgress):
        classic.heartbeat(old.claim, harness.now_ms)


def test_in_the_log_the_end_of_the_one_comes_before_the_other_and_after_what_was_not_written_yet() -> None:
    harness, _ = alone()
    first = GroupRecord(GroupMetadataKey(group="g"), None)
    harness.group.add_write(Write((first,)))
    records = finish(downgrade(harness.group, harness.now_ms, CLOCK))
    assert records[0] is first
    ledger = Ledger("g")
    for record in [*harness.log, *records]:
        ledger.replay(record)
    assert (ledger.members, ledger.targets, ledger.group_epoch) == ({}, {}, 0)
    assert isinstance(records[-1].key, GroupMetadataKey)


def test_who_loads_the_group_before_its_members_joined_again_has_them_do_it() -> None:
    harness, old = alone()
    replay = Replay(Offsets(), GroupLimits(), harness.topics, str, CLOCK)
    for record in [*harness.log, *finish(downgrade(harness.group, harness.now_ms, CLOCK))]:
        replay.apply(record)
    (loaded,) = replay.groups(harness.now_ms).values()
    assert isinstance(loaded, ClassicGroup)
    assert (set(loaded.members), loaded.state.value) == ({old.member_id}, "Stable")
    with pytest.raises(IllegalGeneration):
        loaded.heartbeat(old.claim, harness.now_ms)
    reply: Reply[JoinResult] = Reply()
    attempt = join_attempt(old.member_id, protocols={"cooperative-sticky": old.subscription()})
    loaded.join(attempt, reply, harness.now_ms)
    assert reply.result().generation_id == old.generation_id + 2
