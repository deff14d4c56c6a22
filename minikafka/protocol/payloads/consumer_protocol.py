"""What the members of a classic consumer group tell one another inside JoinGroup and SyncGroup.

Versions:
    1   the partitions that a member already owns (KIP-429)
    2   the generation it owns them in (KIP-792)
    3   the rack it reads from (KIP-881)

Both are written after their version as an int16, and a reader ignores what a later version appends.

Source: Kafka, ConsumerProtocolSubscription.json and ConsumerProtocolAssignment.json.
"""

from __future__ import annotations

from minikafka.protocol.schema import BYTES, INT32, STRING, Buffer, Message, array, field, message, struct


@struct
class TopicPartition:
    """Partitions of one topic."""

    topic: str = field(STRING)
    partitions: list[int] = array(INT32)


@message(valid="0-3", flexible="none")
class ConsumerProtocolSubscription(Message):
    """A member to the leader of its group: the topics it wants."""

    topics: list[str] = array(STRING)
    user_data: Buffer | None = field(BYTES, nullable="0+", default=None)
    owned_partitions: list[TopicPartition] = array(TopicPartition, "1+", default_factory=list, ignorable=True)
    generation_id: int = field(INT32, "2+", default=-1, ignorable=True)
    rack_id: str | None = field(STRING, "3+", nullable="0+", default=None, ignorable=True)


@message(valid="0-3", flexible="none")
class ConsumerProtocolAssignment(Message):
    """The leader to a member: the partitions it gets."""

    assigned_partitions: list[TopicPartition] = array(TopicPartition)
    user_data: Buffer | None = field(BYTES, nullable="0+", default=None)
