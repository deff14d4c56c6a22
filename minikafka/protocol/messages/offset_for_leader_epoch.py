"""OffsetForLeaderEpoch (API key 23): where a leader epoch ends, to notice a log that was truncated.

Versions:
    2   the leader epoch that the asker knows; throttle_time_ms (KIP-320)
    3   replica_id, -2 for a consumer that may see beyond the high watermark (KIP-392)
    4   flexible encoding

Source: https://kafka.apache.org/protocol#The_Messages_OffsetForLeaderEpoch
"""

from __future__ import annotations

from minikafka.protocol.schema import INT16, INT32, INT64, STRING, Message, Request, array, field, message, struct


@struct
class OffsetForLeaderPartition:
    """The epoch asked for."""

    partition: int = field(INT32)
    current_leader_epoch: int = field(INT32, default=-1)
    leader_epoch: int = field(INT32)


@struct
class OffsetForLeaderTopic:
    """The partitions of one topic."""

    topic: str = field(STRING)
    partitions: list[OffsetForLeaderPartition] = array(OffsetForLeaderPartition)


@message(api_key=23, valid="2-4", flexible="4+")
class OffsetForLeaderEpochRequest(Request["OffsetForLeaderEpochResponse"]):
    """The epochs asked for."""

    replica_id: int = field(INT32, "3+", default=-2, ignorable=True)
    topics: list[OffsetForLeaderTopic] = array(OffsetForLeaderTopic)


@struct
class EpochEndOffset:
    """The largest epoch not above the one asked for, and the offset after its last record; -1 when unknown."""

    error_code: int = field(INT16, default=0)
    partition: int = field(INT32)
    leader_epoch: int = field(INT32, default=-1)
    end_offset: int = field(INT64, default=-1)


@struct
class OffsetForLeaderTopicResult:
    """The results of one topic."""

    topic: str = field(STRING)
    partitions: list[EpochEndOffset] = array(EpochEndOffset)


@message(api_key=23, valid="2-4", flexible="4+")
class OffsetForLeaderEpochResponse(Message):
    """One result per partition."""

    throttle_time_ms: int = field(INT32, default=0)
    topics: list[OffsetForLeaderTopicResult] = array(OffsetForLeaderTopicResult)
