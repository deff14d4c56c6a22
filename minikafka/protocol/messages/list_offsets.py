"""ListOffsets (API key 2).

Source: https://kafka.apache.org/protocol#The_Messages_ListOffsets
"""

from __future__ import annotations

from minikafka.protocol.schema import INT8, INT16, INT32, INT64, STRING, Message, Request, array, field, message, struct


@struct
class ListOffsetsPartition:
    """List offsets partition."""

    partition_index: int = field(INT32)
    current_leader_epoch: int = field(INT32, "4+", default=-1, ignorable=True)
    timestamp: int = field(INT64)


@struct
class ListOffsetsTopic:
    """List offsets topic."""

    name: str = field(STRING)
    partitions: list[ListOffsetsPartition] = array(ListOffsetsPartition)


@message(api_key=2, valid="1-11", flexible="6+")
class ListOffsetsRequest(Request["ListOffsetsResponse"]):
    """List offsets request."""

    replica_id: int = field(INT32)
    isolation_level: int = field(INT8, "2+", default=0)
    topics: list[ListOffsetsTopic] = array(ListOffsetsTopic)
    timeout_ms: int = field(INT32, "10+", default=0, ignorable=True)


@struct
class ListOffsetsPartitionResponse:
    """List offsets partition response."""

    partition_index: int = field(INT32)
    error_code: int = field(INT16, default=0)
    timestamp: int = field(INT64, default=-1)
    offset: int = field(INT64, default=-1)
    leader_epoch: int = field(INT32, "4+", default=-1)


@struct
class ListOffsetsTopicResponse:
    """List offsets topic response."""

    name: str = field(STRING)
    partitions: list[ListOffsetsPartitionResponse] = array(ListOffsetsPartitionResponse)


@message(api_key=2, valid="1-11", flexible="6+")
class ListOffsetsResponse(Message):
    """List offsets response."""

    throttle_time_ms: int = field(INT32, "2+", default=0, ignorable=True)
    topics: list[ListOffsetsTopicResponse] = array(ListOffsetsTopicResponse)
