"""From a classic group to one of the consumer protocol, and back, while its members carry on (KIP-848).

The first member that speaks the consumer protocol makes a group of classic consumers a group of that protocol; when the
last one has left, it becomes a classic group again.  Members keep what they have in both directions.

Source: Kafka, GroupMetadataManager (convertToConsumerGroup, convertToClassicGroup, validateOnlineUpgrade).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from minikafka.clock import Clock
from minikafka.coordinator.group.classic.group import ClassicGroup
from minikafka.coordinator.group.classic.member import Member as ClassicMember
from minikafka.coordinator.group.consumer.classic_members import (
    PROTOCOL_TYPE,
    assignment_bytes,
    parse_subscription,
)
from minikafka.coordinator.group.consumer.group import ConsumerGroup
from minikafka.coordinator.group.consumer.member import ClassicMembership
from minikafka.coordinator.group.consumer.member import Member as ConsumerMember
from minikafka.coordinator.group.consumer.partitions import Partitions, TopicIdPartition, gather
from minikafka.coordinator.group.values import TopicsView, Write
from minikafka.errors import KafkaError, RebalanceInProgress
from minikafka.protocol.errors import DecodeError
from minikafka.protocol.payloads.consumer_protocol import ConsumerProtocolAssignment, ConsumerProtocolSubscription
from minikafka.protocol.payloads.versioned import decode_versioned, version_of

_UPGRADING: Final = frozenset({"bidirectional", "upgrade"})
"""Values of ``group.consumer.migration.policy``."""


def can_upgrade(group: ClassicGroup) -> bool:
    """Whether a member that speaks the consumer protocol may join this group, which has members of the classic one."""
    is_allowed = group.limits.migration_policy in _UPGRADING and len(group.members) <= group.limits.consumer_max_size
    if not is_allowed or group.protocol_type != PROTOCOL_TYPE:
        return False
    try:
        for member in group.members.values():
            _subscription(group, member)
            _assignment(member)
    except (KafkaError, DecodeError):
        return False
    return True


def upgrade(group: ClassicGroup, topics: TopicsView, now_ms: float) -> ConsumerGroup:
    """A group of the consumer protocol in the place of a classic one that :func:`can_upgrade`.

    The classic group stays as it is until the first write of the new one is durable; then whoever waits there is told
    to join again.  So if the member that wants the new group is refused, the old one can be kept.
    """
    new = ConsumerGroup(group.group_id, group.limits, topics, group.new_member_id)
    records = new.adopt(group.generation_id, _consumer_members(group, topics), now_ms)

    def done(error: KafkaError | None) -> None:
        if error is None:
            group.close(RebalanceInProgress("the group has changed its protocol: join again"))

    new.add_write(Write((*group.tombstones(), *records), done))
    return new


def downgrade(group: ConsumerGroup, now_ms: float, clock: Clock) -> ClassicGroup:
    """A classic group in the place of one that :attr:`~ConsumerGroup.should_downgrade`.

    Its members are to join again, and keep what they have until they do.  Whoever loads the group before that finds it
    stable, but one generation on, so that they have to join again there, too.
    """
    members = [
        ClassicMember(
            member.member_id,
            member.instance_id,
            member.client,
            classic.protocols,
            session_timeout_ms=classic.session_timeout_ms,
            rebalance_timeout_ms=member.rebalance_timeout_ms,
            assignment=assignment_bytes(member.assigned, group.topics, version_of(classic.protocols[0].metadata)),
        )
        for member in group.members.values()
        if (classic := member.classic) is not None
    ]
    earlier, epoch = group.take_writes(), group.target_epoch
    new = ClassicGroup.of_consumers(
        group.group_id, epoch, members, group.limits, group.new_member_id, now_ms=now_ms, clock=clock
    )
    for write in (*earlier, Write((*group.tombstones(), new.record(epoch + 1)))):
        new.add_write(write)
    new.start_rebalance("the last member that spoke the consumer protocol has left", now_ms)
    return new


def _consumer_members(group: ClassicGroup, topics: TopicsView) -> Iterator[ConsumerMember]:
    taken: set[TopicIdPartition] = set()
    for member in group.members.values():
        subscription = _subscription(group, member)
        assigned = _assigned(member, topics, taken)
        yield ConsumerMember(
            member_id=member.member_id,
            client=member.client,
            instance_id=member.group_instance_id,
            rack_id=subscription.rack_id,
            rebalance_timeout_ms=member.rebalance_timeout_ms,
            subscribed_topic_names=tuple(sorted(set(subscription.topics))),
            classic=ClassicMembership(member.session_timeout_ms, member.protocols),
            epoch=group.generation_id,
            previous_epoch=group.generation_id,
            assigned=assigned,
        )


def _assigned(member: ClassicMember, topics: TopicsView, taken: set[TopicIdPartition]) -> Partitions:
    """What a member was given, of topics that are still there; a partition that was given to two is the first one's."""
    mine = [
        TopicIdPartition(topic_id, partition)
        for topic in _assignment(member).assigned_partitions
        if (topic_id := topics.topic_id(topic.topic)) is not None
        for partition in topic.partitions
    ]
    free = [pair for pair in mine if pair not in taken]
    taken.update(free)
    return gather(free)


def _subscription(group: ClassicGroup, member: ClassicMember) -> ConsumerProtocolSubscription:
    """What a member subscribes to, by the protocol of the generation, or of the one that is about to begin."""
    return parse_subscription(member.metadata(group.protocol_name) or member.protocols[0].metadata)


def _assignment(member: ClassicMember) -> ConsumerProtocolAssignment:
    if not member.assignment:
        return ConsumerProtocolAssignment(assigned_partitions=[])
    return decode_versioned(ConsumerProtocolAssignment, member.assignment)
