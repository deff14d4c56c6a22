"""DeleteRecords (API key 21): move the start of partitions forward.

Versions:
    1   throttled requests are answered first and delayed afterwards (KIP-219)
    2   flexible encoding

Source: https://kafka.apache.org/protocol#The_Messages_DeleteRecords
"""

from __future__ import annotations

from minikafka.protocol.schema import INT16, INT32, INT64, STRING, Message, Request, array, field, message, struct


@struct
class DeleteRecordsPartition:
    """The new start of one partition."""

    partition_index: int = field(INT32)
    offset: int = field(INT64)  # -1 stands for the high watermark


@struct
class DeleteRecordsTopic:
    """The partitions of one topic."""

    name: str = field(STRING)
    partitions: list[DeleteRecordsPartition] = array(DeleteRecordsPartition)


@message(api_key=21, valid="0-2", flexible="2+")
class DeleteRecordsRequest(Request["DeleteRecordsResponse"]):
    """What to delete, and how long to wait for followers."""

    topics: list[DeleteRecordsTopic] = array(DeleteRecordsTopic)
    timeout_ms: int = field(INT32)


@struct
class DeleteRecordsPartitionResult:
    """The start of one partition on all its replicas, -1 after an error."""

    partition_index: int = field(INT32)
    low_watermark: int = field(INT64)
    error_code: int = field(INT16, default=0)


@struct
class DeleteRecordsTopicResult:
    """The results of one topic."""

    name: str = field(STRING)
    partitions: list[DeleteRecordsPartitionResult] = array(DeleteRecordsPartitionResult)


@message(api_key=21, valid="0-2", flexible="2+")
class DeleteRecordsResponse(Message):
    """One result per partition."""

    throttle_time_ms: int = field(INT32, default=0)
    topics: list[DeleteRecordsTopicResult] = array(DeleteRecordsTopicResult)
