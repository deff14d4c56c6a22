"""DeleteRecords (API key 21).

Source: https://kafka.apache.org/protocol#The_Messages_DeleteRecords
"""

from __future__ import annotations

from minikafka.protocol.schema import INT16, INT32, INT64, STRING, Message, Request, array, field, message, struct


@struct
class DeleteRecordsPartition:
    """Delete records partition."""

    partition_index: int = field(INT32)
    offset: int = field(INT64)


@struct
class DeleteRecordsTopic:
    """Delete records topic."""

    name: str = field(STRING)
    partitions: list[DeleteRecordsPartition] = array(DeleteRecordsPartition)


@message(api_key=21, valid="0-2", flexible="2+")
class DeleteRecordsRequest(Request["DeleteRecordsResponse"]):
    """Delete records request."""

    topics: list[DeleteRecordsTopic] = array(DeleteRecordsTopic)
    timeout_ms: int = field(INT32)


@struct
class DeleteRecordsPartitionResult:
    """Delete records partition result."""

    partition_index: int = field(INT32)
    low_watermark: int = field(INT64)
    error_code: int = field(INT16, default=0)


@struct
class DeleteRecordsTopicResult:
    """Delete records topic result."""

    name: str = field(STRING)
    partitions: list[DeleteRecordsPartitionResult] = array(DeleteRecordsPartitionResult)


@message(api_key=21, valid="0-2", flexible="2+")
class DeleteRecordsResponse(Message):
    """Delete records response."""

    throttle_time_ms: int = field(INT32, default=0)
    topics: list[DeleteRecordsTopicResult] = array(DeleteRecordsTopicResult)
