"""OffsetForLeaderEpoch (API key 23).

Source: https://kafka.apache.org/protocol#The_Messages_OffsetForLeaderEpoch
"""

from __future__ import annotations

from minikafka.protocol.schema import INT16, INT32, INT64, STRING, Message, Request, array, field, message, struct


@struct
class OffsetForLeaderPartition:
    """Offset for leader partition."""

    partition: int = field(INT32)
    current_leader_epoch: int = field(INT32, default=-1)
    leader_epoch: int = field(INT32)


@struct
class OffsetForLeaderTopic:
    """Offset for leader topic."""

    topic: str = field(STRING)
    partitions: list[OffsetForLeaderPartition] = array(OffsetForLeaderPartition)


@message(api_key=23, valid="2-4", flexible="4+")
class OffsetForLeaderEpochRequest(Request["OffsetForLeaderEpochResponse"]):
    """Offset for leader epoch request."""

    replica_id: int = field(INT32, "3+", default=-2, ignorable=True)
    topics: list[OffsetForLeaderTopic] = array(OffsetForLeaderTopic)


@struct
class EpochEndOffset:
    """Epoch end offset."""

    error_code: int = field(INT16, default=0)
    partition: int = field(INT32)
    leader_epoch: int = field(INT32, default=-1)
    end_offset: int = field(INT64, default=-1)


@struct
class OffsetForLeaderTopicResult:
    """Offset for leader topic result."""

    topic: str = field(STRING)
    partitions: list[EpochEndOffset] = array(EpochEndOffset)


@message(api_key=23, valid="2-4", flexible="4+")
class OffsetForLeaderEpochResponse(Message):
    """Offset for leader epoch response."""

    throttle_time_ms: int = field(INT32, default=0)
    topics: list[OffsetForLeaderTopicResult] = array(OffsetForLeaderTopicResult)
