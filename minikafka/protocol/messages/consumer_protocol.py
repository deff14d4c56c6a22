"""ConsumerProtocol (API key None).

Source: https://kafka.apache.org/protocol#The_Messages_ConsumerProtocol
"""

from __future__ import annotations

from minikafka.protocol.schema import BYTES, INT32, STRING, Buffer, Message, array, field, message, struct


@struct
class TopicPartition:
    """Topic partition."""

    topic: str = field(STRING)
    partitions: list[int] = array(INT32)


@message(valid="0-3", flexible="none")
class ConsumerProtocolSubscription(Message):
    """Consumer protocol subscription."""

    topics: list[str] = array(STRING)
    user_data: Buffer | None = field(BYTES, nullable="0+", default=None)
    owned_partitions: list[TopicPartition] = array(TopicPartition, "1+", default_factory=list, ignorable=True)
    generation_id: int = field(INT32, "2+", default=-1, ignorable=True)
    rack_id: str | None = field(STRING, "3+", nullable="0+", default=None, ignorable=True)


@message(valid="0-3", flexible="none")
class ConsumerProtocolAssignment(Message):
    """Consumer protocol assignment."""

    assigned_partitions: list[TopicPartition] = array(TopicPartition)
    user_data: Buffer | None = field(BYTES, nullable="0+", default=None)
