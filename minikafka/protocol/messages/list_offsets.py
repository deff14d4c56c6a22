"""ListOffsets (API key 2): find offsets by timestamp, or the ends of a partition.

Versions:
    1   one offset and its timestamp for each partition
    2   isolation levels: the latest offset may be the last stable one
    3   throttled requests are answered first and delayed afterwards (KIP-219)
    4   leader epochs, in both directions (KIP-320)
    5   the error OFFSET_NOT_AVAILABLE
    6   flexible encoding
    7   timestamp -3: the offset of the largest timestamp (KIP-734)
    8   timestamp -4: the earliest offset on local disk (KIP-405)
    9   timestamp -5: the last offset in tiered storage (KIP-1005)
    10  timeout_ms for look-ups in tiered storage (KIP-1075)
    11  timestamp -6: the earliest offset not yet uploaded (KIP-1023)

Source: https://kafka.apache.org/protocol#The_Messages_ListOffsets
"""

from __future__ import annotations

from minikafka.protocol.schema import INT8, INT16, INT32, INT64, STRING, Message, Request, array, field, message, struct


@struct
class ListOffsetsPartition:
    """One look-up."""

    partition_index: int = field(INT32)
    current_leader_epoch: int = field(INT32, "4+", default=-1, ignorable=True)
    timestamp: int = field(INT64)  # -1 latest, -2 earliest, others in the versions above


@struct
class ListOffsetsTopic:
    """The look-ups in one topic."""

    name: str = field(STRING)
    partitions: list[ListOffsetsPartition] = array(ListOffsetsPartition)


@message(api_key=2, valid="1-11", flexible="6+")
class ListOffsetsRequest(Request["ListOffsetsResponse"]):
    """Look-ups, and whose view of the log they are made with."""

    replica_id: int = field(INT32)  # -1 for a consumer
    isolation_level: int = field(INT8, "2+", default=0)  # 0 read uncommitted, 1 read committed
    topics: list[ListOffsetsTopic] = array(ListOffsetsTopic)
    timeout_ms: int = field(INT32, "10+", default=0, ignorable=True)


@struct
class ListOffsetsPartitionResponse:
    """The first offset whose timestamp is not below the one asked for; -1 when there is none."""

    partition_index: int = field(INT32)
    error_code: int = field(INT16, default=0)
    timestamp: int = field(INT64, default=-1)
    offset: int = field(INT64, default=-1)
    leader_epoch: int = field(INT32, "4+", default=-1)


@struct
class ListOffsetsTopicResponse:
    """The results of one topic."""

    name: str = field(STRING)
    partitions: list[ListOffsetsPartitionResponse] = array(ListOffsetsPartitionResponse)


@message(api_key=2, valid="1-11", flexible="6+")
class ListOffsetsResponse(Message):
    """One result per look-up."""

    throttle_time_ms: int = field(INT32, "2+", default=0, ignorable=True)
    topics: list[ListOffsetsTopicResponse] = array(ListOffsetsTopicResponse)
