"""WriteTxnMarkers (API key 27).

Source: https://kafka.apache.org/protocol#The_Messages_WriteTxnMarkers
"""

from __future__ import annotations

from minikafka.protocol.schema import (
    BOOL,
    INT8,
    INT16,
    INT32,
    INT64,
    STRING,
    Message,
    Request,
    array,
    field,
    message,
    struct,
)


@struct
class WritableTxnMarkerTopic:
    """Writable txn marker topic."""

    name: str = field(STRING)
    partition_indexes: list[int] = array(INT32)


@struct
class WritableTxnMarker:
    """Writable txn marker."""

    producer_id: int = field(INT64)
    producer_epoch: int = field(INT16)
    transaction_result: bool = field(BOOL)
    topics: list[WritableTxnMarkerTopic] = array(WritableTxnMarkerTopic)
    coordinator_epoch: int = field(INT32)
    transaction_version: int = field(INT8, "2+", default=0, ignorable=True)


@message(api_key=27, valid="1-2", flexible="0+")
class WriteTxnMarkersRequest(Request["WriteTxnMarkersResponse"]):
    """Write txn markers request."""

    markers: list[WritableTxnMarker] = array(WritableTxnMarker)


@struct
class WritableTxnMarkerPartitionResult:
    """Writable txn marker partition result."""

    partition_index: int = field(INT32)
    error_code: int = field(INT16, default=0)


@struct
class WritableTxnMarkerTopicResult:
    """Writable txn marker topic result."""

    name: str = field(STRING)
    partitions: list[WritableTxnMarkerPartitionResult] = array(WritableTxnMarkerPartitionResult)


@struct
class WritableTxnMarkerResult:
    """Writable txn marker result."""

    producer_id: int = field(INT64)
    topics: list[WritableTxnMarkerTopicResult] = array(WritableTxnMarkerTopicResult)


@message(api_key=27, valid="1-2", flexible="0+")
class WriteTxnMarkersResponse(Message):
    """Write txn markers response."""

    markers: list[WritableTxnMarkerResult] = array(WritableTxnMarkerResult)
