"""ConsumerGroupHeartbeat (API key 68): join, stay in and leave a consumer group of the new protocol (KIP-848).

Versions:
    1   subscriptions by regular expression; members choose their own id (KIP-1082)

Fields that have not changed since the last heartbeat are null or -1, in both directions.

Source: https://kafka.apache.org/protocol#The_Messages_ConsumerGroupHeartbeat
"""

from __future__ import annotations

from minikafka.protocol.schema import INT16, INT32, STRING, UUID, Message, Request, array, field, message, struct


@struct
class TopicPartitions:
    """Partitions of one topic."""

    topic_id: bytes = field(UUID)
    partitions: list[int] = array(INT32)


@message(api_key=68, valid="0-1", flexible="0+")
class ConsumerGroupHeartbeatRequest(Request["ConsumerGroupHeartbeatResponse"]):
    """The member, what it subscribes to and what it owns."""

    group_id: str = field(STRING)
    member_id: str = field(STRING)
    member_epoch: int = field(INT32)  # 0 to join, -1 to leave, -2 to leave as a static member
    instance_id: str | None = field(STRING, nullable="0+", default=None)
    rack_id: str | None = field(STRING, nullable="0+", default=None)
    rebalance_timeout_ms: int = field(INT32, default=-1)
    subscribed_topic_names: list[str] | None = array(STRING, nullable="0+", default=None)
    subscribed_topic_regex: str | None = field(STRING, "1+", nullable="0+", default=None)
    server_assignor: str | None = field(STRING, nullable="0+", default=None)
    topic_partitions: list[TopicPartitions] | None = array(TopicPartitions, nullable="0+", default=None)


@struct
class Assignment:
    """All the partitions that the member shall own."""

    topic_partitions: list[TopicPartitions] = array(TopicPartitions)


@message(api_key=68, valid="0-1", flexible="0+")
class ConsumerGroupHeartbeatResponse(Message):
    """The epoch the member is in, and its assignment when that changed."""

    throttle_time_ms: int = field(INT32, default=0)
    error_code: int = field(INT16, default=0)
    error_message: str | None = field(STRING, nullable="0+", default=None)
    member_id: str | None = field(STRING, nullable="0+", default=None)
    member_epoch: int = field(INT32)
    heartbeat_interval_ms: int = field(INT32)
    assignment: Assignment | None = field(Assignment, nullable="0+", default=None)
