"""DescribeProducers (API key 61): the producers that a partition remembers.

Source: https://kafka.apache.org/protocol#The_Messages_DescribeProducers
"""

from __future__ import annotations

from minikafka.protocol.schema import INT16, INT32, INT64, STRING, Message, Request, array, field, message, struct


@struct
class TopicRequest:
    """The partitions of one topic."""

    name: str = field(STRING)
    partition_indexes: list[int] = array(INT32)


@message(api_key=61, valid="0", flexible="0+")
class DescribeProducersRequest(Request["DescribeProducersResponse"]):
    """The partitions asked for."""

    topics: list[TopicRequest] = array(TopicRequest)


@struct
class ProducerState:
    """One producer; -1 for what is not known."""

    producer_id: int = field(INT64)
    producer_epoch: int = field(INT32)
    last_sequence: int = field(INT32, default=-1)
    last_timestamp: int = field(INT64, default=-1)
    coordinator_epoch: int = field(INT32)
    current_txn_start_offset: int = field(INT64, default=-1)


@struct
class PartitionResponse:
    """The producers of one partition."""

    partition_index: int = field(INT32)
    error_code: int = field(INT16, default=0)
    error_message: str | None = field(STRING, nullable="0+", default=None)
    active_producers: list[ProducerState] = array(ProducerState)


@struct
class TopicResponse:
    """The producers of one topic."""

    name: str = field(STRING)
    partitions: list[PartitionResponse] = array(PartitionResponse)


@message(api_key=61, valid="0", flexible="0+")
class DescribeProducersResponse(Message):
    """One result per partition."""

    throttle_time_ms: int = field(INT32, default=0)
    topics: list[TopicResponse] = array(TopicResponse)
