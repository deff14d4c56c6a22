"""What a group of the consumer protocol is, as records, and back.

Source: Kafka, GroupCoordinatorRecordHelpers (newConsumerGroup...).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from minikafka.coordinator.group.consumer.member import ClassicMembership, Member
from minikafka.coordinator.group.consumer.partitions import Partitions, from_record, to_record
from minikafka.coordinator.group.consumer.states import member_state
from minikafka.coordinator.group.values import ClassicProtocol, Client, GroupRecord
from minikafka.protocol.payloads.group_records import (
    ClassicMemberMetadata,
    ConsumerGroupCurrentMemberAssignmentKey,
    ConsumerGroupCurrentMemberAssignmentValue,
    ConsumerGroupMemberMetadataKey,
    ConsumerGroupMemberMetadataValue,
    ConsumerGroupMetadataKey,
    ConsumerGroupMetadataValue,
    ConsumerGroupRegularExpressionKey,
    ConsumerGroupRegularExpressionValue,
    ConsumerGroupTargetAssignmentMemberKey,
    ConsumerGroupTargetAssignmentMemberValue,
    ConsumerGroupTargetAssignmentMetadataKey,
    ConsumerGroupTargetAssignmentMetadataValue,
)
from minikafka.protocol.payloads.group_records import ClassicProtocol as ClassicProtocolRecord
from minikafka.types import NO_TIMESTAMP


def group_epoch(group_id: str, epoch: int, metadata_hash: int) -> GroupRecord:
    """The group's epoch, and what the topics looked like when it began."""
    return GroupRecord(
        ConsumerGroupMetadataKey(group_id=group_id),
        ConsumerGroupMetadataValue(epoch=epoch, metadata_hash=metadata_hash),
    )


def subscription(group_id: str, member: Member) -> GroupRecord:
    """Who a member is and what it subscribes to."""
    classic = None
    if member.classic is not None:
        classic = ClassicMemberMetadata(
            session_timeout_ms=member.classic.session_timeout_ms,
            supported_protocols=[
                ClassicProtocolRecord(name=p.name, metadata=p.metadata) for p in member.classic.protocols
            ],
        )
    return GroupRecord(
        ConsumerGroupMemberMetadataKey(group_id=group_id, member_id=member.member_id),
        ConsumerGroupMemberMetadataValue(
            instance_id=member.instance_id,
            rack_id=member.rack_id,
            client_id=member.client.client_id,
            client_host=member.client.host,
            subscribed_topic_names=list(member.subscribed_topic_names),
            subscribed_topic_regex=member.subscribed_topic_regex,
            rebalance_timeout_ms=member.rebalance_timeout_ms,
            server_assignor=member.server_assignor,
            classic_member_metadata=classic,
        ),
    )


def current_assignment(group_id: str, member: Member) -> GroupRecord:
    """What a member has now."""
    return GroupRecord(
        ConsumerGroupCurrentMemberAssignmentKey(group_id=group_id, member_id=member.member_id),
        ConsumerGroupCurrentMemberAssignmentValue(
            member_epoch=member.epoch,
            previous_member_epoch=member.previous_epoch,
            state=member.state,
            assigned_partitions=to_record(member.assigned),
            partitions_pending_revocation=to_record(member.pending_revocation),
        ),
    )


def target_assignment(group_id: str, member_id: str, partitions: Partitions) -> GroupRecord:
    """What a member shall have."""
    return GroupRecord(
        ConsumerGroupTargetAssignmentMemberKey(group_id=group_id, member_id=member_id),
        ConsumerGroupTargetAssignmentMemberValue(topic_partitions=to_record(partitions)),
    )


def target_epoch(group_id: str, epoch: int) -> GroupRecord:
    """The group epoch that the target assignment was made for."""
    return GroupRecord(
        ConsumerGroupTargetAssignmentMetadataKey(group_id=group_id),
        ConsumerGroupTargetAssignmentMetadataValue(assignment_epoch=epoch),
    )


def regular_expression(group_id: str, expression: str, topics: Iterable[str], version: int) -> GroupRecord:
    """The topics that an expression matches.

    The time is left out: Kafka only keeps it so as not to look through all topics too often.
    """
    return GroupRecord(
        ConsumerGroupRegularExpressionKey(group_id=group_id, regular_expression=expression),
        ConsumerGroupRegularExpressionValue(topics=sorted(topics), version=version, timestamp=NO_TIMESTAMP),
    )


def regular_expression_tombstone(group_id: str, expression: str) -> GroupRecord:
    """Nobody subscribes by the expression any more."""
    return GroupRecord(ConsumerGroupRegularExpressionKey(group_id=group_id, regular_expression=expression), None)


def member_tombstones(group_id: str, member_id: str) -> tuple[GroupRecord, ...]:
    """A member is gone: first what it has, then what it shall have, then itself."""
    return (
        GroupRecord(ConsumerGroupCurrentMemberAssignmentKey(group_id=group_id, member_id=member_id), None),
        GroupRecord(ConsumerGroupTargetAssignmentMemberKey(group_id=group_id, member_id=member_id), None),
        GroupRecord(ConsumerGroupMemberMetadataKey(group_id=group_id, member_id=member_id), None),
    )


def group_tombstones(group_id: str) -> tuple[GroupRecord, ...]:
    """A group without members is gone."""
    return (
        GroupRecord(ConsumerGroupTargetAssignmentMetadataKey(group_id=group_id), None),
        GroupRecord(ConsumerGroupMetadataKey(group_id=group_id), None),
    )


def with_subscription(member: Member, value: ConsumerGroupMemberMetadataValue) -> Member:
    """A member as its subscription record has it."""
    classic = None
    if (metadata := value.classic_member_metadata) is not None:
        protocols = tuple(ClassicProtocol(p.name, bytes(p.metadata)) for p in metadata.supported_protocols)
        classic = ClassicMembership(metadata.session_timeout_ms, protocols)
    return replace(
        member,
        instance_id=value.instance_id,
        rack_id=value.rack_id,
        client=Client(value.client_id, value.client_host),
        subscribed_topic_names=tuple(sorted(set(value.subscribed_topic_names))),
        subscribed_topic_regex=value.subscribed_topic_regex or None,
        rebalance_timeout_ms=value.rebalance_timeout_ms,
        server_assignor=value.server_assignor,
        classic=classic,
    )


def with_current_assignment(member: Member, value: ConsumerGroupCurrentMemberAssignmentValue) -> Member:
    """A member as the record of its current assignment has it."""
    return replace(
        member,
        epoch=value.member_epoch,
        previous_epoch=value.previous_member_epoch,
        state=member_state(value.state),
        assigned=from_record(value.assigned_partitions),
        pending_revocation=from_record(value.partitions_pending_revocation),
    )
