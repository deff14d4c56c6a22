"""OffsetCommit (API key 8): store the offsets that a consumer group has reached.

Versions:
    2   the retention time of the offsets
    3   throttle_time_ms
    4   throttled requests are answered first and delayed afterwards (KIP-219)
    5   the retention time goes: brokers decide
    6   the leader epoch of the committed record (KIP-320)
    7   group_instance_id: static members (KIP-345)
    8   flexible encoding
    9   members of the new group protocol (KIP-848)
    10  topic ids instead of names (KIP-848)

Source: https://kafka.apache.org/protocol#The_Messages_OffsetCommit
"""

from __future__ import annotations

from minikafka.protocol.schema import INT16, INT32, INT64, STRING, UUID, Message, Request, array, field, message, struct
from minikafka.types import ZERO_UUID


@struct
class OffsetCommitRequestPartition:
    """The offset of one partition: the next one to be read."""

    partition_index: int = field(INT32)
    committed_offset: int = field(INT64)
    committed_leader_epoch: int = field(INT32, "6+", default=-1, ignorable=True)
    committed_metadata: str | None = field(STRING, nullable="0+")


@struct
class OffsetCommitRequestTopic:
    """The partitions of one topic."""

    name: str = field(STRING, "0-9", default="", ignorable=True)
    topic_id: bytes = field(UUID, "10+", default=ZERO_UUID, ignorable=True)
    partitions: list[OffsetCommitRequestPartition] = array(OffsetCommitRequestPartition)


@message(api_key=8, valid="2-10", flexible="8+")
class OffsetCommitRequest(Request["OffsetCommitResponse"]):
    """A group's offsets, and the member that speaks for it."""

    group_id: str = field(STRING)
    generation_id_or_member_epoch: int = field(INT32, default=-1)  # -1 for a consumer outside of any group
    member_id: str = field(STRING)
    group_instance_id: str | None = field(STRING, "7+", nullable="0+", default=None)
    retention_time_ms: int = field(INT64, "0-4", default=-1, ignorable=True)
    topics: list[OffsetCommitRequestTopic] = array(OffsetCommitRequestTopic)


@struct
class OffsetCommitResponsePartition:
    """The result of one partition."""

    partition_index: int = field(INT32)
    error_code: int = field(INT16, default=0)


@struct
class OffsetCommitResponseTopic:
    """The results of one topic."""

    name: str = field(STRING, "0-9", default="", ignorable=True)
    topic_id: bytes = field(UUID, "10+", default=ZERO_UUID, ignorable=True)
    partitions: list[OffsetCommitResponsePartition] = array(OffsetCommitResponsePartition)


@message(api_key=8, valid="2-10", flexible="8+")
class OffsetCommitResponse(Message):
    """One result per partition."""

    throttle_time_ms: int = field(INT32, "3+", default=0, ignorable=True)
    topics: list[OffsetCommitResponseTopic] = array(OffsetCommitResponseTopic)
