"""WriteTxnMarkers (API key 27): write the ends of transactions into their partitions.

Versions:
    1   flexible encoding
    2   the version of the transaction protocol (KIP-1228)

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
    """The partitions of one topic."""

    name: str = field(STRING)
    partition_indexes: list[int] = array(INT32)


@struct
class WritableTxnMarker:
    """The end of one transaction."""

    producer_id: int = field(INT64)
    producer_epoch: int = field(INT16)
    transaction_result: bool = field(BOOL)
    topics: list[WritableTxnMarkerTopic] = array(WritableTxnMarkerTopic)
    coordinator_epoch: int = field(INT32)
    transaction_version: int = field(INT8, "2+", default=0, ignorable=True)


@message(api_key=27, valid="1-2", flexible="0+")
class WriteTxnMarkersRequest(Request["WriteTxnMarkersResponse"]):
    """The ends to write."""

    markers: list[WritableTxnMarker] = array(WritableTxnMarker)


@struct
class WritableTxnMarkerPartitionResult:
    """The result of one partition."""

    partition_index: int = field(INT32)
    error_code: int = field(INT16, default=0)


@struct
class WritableTxnMarkerTopicResult:
    """The results of one topic."""

    name: str = field(STRING)
    partitions: list[WritableTxnMarkerPartitionResult] = array(WritableTxnMarkerPartitionResult)


@struct
class WritableTxnMarkerResult:
    """The results of one transaction."""

    producer_id: int = field(INT64)
    topics: list[WritableTxnMarkerTopicResult] = array(WritableTxnMarkerTopicResult)


@message(api_key=27, valid="1-2", flexible="0+")
class WriteTxnMarkersResponse(Message):
    """One result per transaction."""

    markers: list[WritableTxnMarkerResult] = array(WritableTxnMarkerResult)
