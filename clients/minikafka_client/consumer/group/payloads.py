"""What members of a classic group tell one another: bytes to the coordinator, which passes them on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from minikafka.protocol.payloads.consumer_protocol import (
    ConsumerProtocolAssignment,
    ConsumerProtocolSubscription,
)
from minikafka.protocol.payloads.consumer_protocol import TopicPartition as WirePartitions
from minikafka.protocol.payloads.versioned import decode_versioned, encode_versioned
from minikafka.protocol.schema import Buffer
from minikafka.types import TopicPartition
from minikafka_client.consumer.assignors.assignor import MemberSubscription

PROTOCOL_TYPE = "consumer"

_SUBSCRIPTION_VERSION = 3
_ASSIGNMENT_VERSION = 3


def encode_subscription(member: MemberSubscription) -> bytes:
    """What a member tells its leader."""
    told = ConsumerProtocolSubscription(
        topics=sorted(member.topics),
        user_data=member.user_data,
        owned_partitions=_to_wire(member.owned),
        generation_id=member.generation,
        rack_id=member.rack,
    )
    return encode_versioned(told, _SUBSCRIPTION_VERSION)


def decode_subscription(payload: Buffer, group_instance_id: str | None) -> MemberSubscription:
    """What a member told this one, its leader.

    Raises:
        DecodeError: It is no subscription of a consumer.
    """
    told = decode_versioned(ConsumerProtocolSubscription, payload)
    return MemberSubscription(
        frozenset(told.topics),
        _from_wire(told.owned_partitions),
        told.generation_id,
        None if told.user_data is None else bytes(told.user_data),
        group_instance_id,
        told.rack_id,
    )


def encode_assignment(partitions: Iterable[TopicPartition]) -> bytes:
    """What the leader tells a member."""
    told = ConsumerProtocolAssignment(assigned_partitions=_to_wire(partitions))
    return encode_versioned(told, _ASSIGNMENT_VERSION)


def decode_assignment(payload: Buffer) -> frozenset[TopicPartition]:
    """What the leader told this member; nothing, when it told nothing.

    Raises:
        DecodeError: It is no assignment of a consumer.
    """
    if not payload:
        return frozenset()
    return _from_wire(decode_versioned(ConsumerProtocolAssignment, payload).assigned_partitions)


def _to_wire(partitions: Iterable[TopicPartition]) -> list[WirePartitions]:
    by_topic: defaultdict[str, list[int]] = defaultdict(list)
    for partition in sorted(partitions):
        by_topic[partition.topic].append(partition.partition)
    return [WirePartitions(topic=topic, partitions=numbers) for topic, numbers in by_topic.items()]


def _from_wire(topics: Iterable[WirePartitions]) -> frozenset[TopicPartition]:
    return frozenset(TopicPartition(topic.topic, number) for topic in topics for number in topic.partitions)
