"""ShareGroupHeartbeat (API key 76): join, stay in and leave a share group (KIP-932).

Fields that have not changed since the last heartbeat are null, in both directions.

Source: https://kafka.apache.org/protocol#The_Messages_ShareGroupHeartbeat
"""

from __future__ import annotations

from minikafka.protocol.schema import INT16, INT32, STRING, UUID, Message, Request, array, field, message, struct


@message(api_key=76, valid="1", flexible="0+")
class ShareGroupHeartbeatRequest(Request["ShareGroupHeartbeatResponse"]):
    """The member and what it subscribes to."""

    group_id: str = field(STRING)
    member_id: str = field(STRING)
    member_epoch: int = field(INT32)  # 0 to join, -1 to leave
    rack_id: str | None = field(STRING, nullable="0+", default=None)
    subscribed_topic_names: list[str] | None = array(STRING, nullable="0+", default=None)


@struct
class TopicPartitions:
    """Partitions of one topic."""

    topic_id: bytes = field(UUID)
    partitions: list[int] = array(INT32)


@struct
class Assignment:
    """The partitions that the member may fetch from."""

    topic_partitions: list[TopicPartitions] = array(TopicPartitions)


@message(api_key=76, valid="1", flexible="0+")
class ShareGroupHeartbeatResponse(Message):
    """The epoch the member is in, and its assignment when that changed."""

    throttle_time_ms: int = field(INT32, default=0)
    error_code: int = field(INT16, default=0)
    error_message: str | None = field(STRING, nullable="0+", default=None)
    member_id: str | None = field(STRING, nullable="0+", default=None)
    member_epoch: int = field(INT32)
    heartbeat_interval_ms: int = field(INT32)
    assignment: Assignment | None = field(Assignment, nullable="0+", default=None)
