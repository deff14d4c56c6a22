"""Produce (API key 0): append record batches to partitions that this broker leads.

Versions:
    3   record batches of magic 2, and the transactional id
    4   the error KAFKA_STORAGE_ERROR
    5   log_start_offset in the response
    7   batches may be compressed with zstd (KIP-110)
    8   record_errors and error_message: which records made the batch fail (KIP-467)
    9   flexible encoding
    10  the current leader and its endpoint beside NOT_LEADER_OR_FOLLOWER (KIP-951)
    11  the error TRANSACTION_ABORTABLE (KIP-890)
    12  a transactional batch may add its partition to the transaction (KIP-890)
    13  topic ids instead of names (KIP-516)

Versions 0-2 carried message sets and left Kafka in 4.0.

Source: https://kafka.apache.org/protocol#The_Messages_Produce
"""

from __future__ import annotations

from minikafka.protocol.schema import (
    INT16,
    INT32,
    INT64,
    RECORDS,
    STRING,
    UUID,
    Message,
    Records,
    Request,
    array,
    field,
    message,
    struct,
)
from minikafka.types import ZERO_UUID


@struct
class PartitionProduceData:
    """The batches for one partition; they stay in the frame and are never copied."""

    index: int = field(INT32)
    records: Records | None = field(RECORDS, nullable="0+")


@struct
class TopicProduceData:
    """The partitions of one topic, by name up to v12, by id since v13."""

    name: str = field(STRING, "0-12", default="", ignorable=True)
    topic_id: bytes = field(UUID, "13+", default=ZERO_UUID, ignorable=True)
    partition_data: list[PartitionProduceData] = array(PartitionProduceData)


@message(api_key=0, valid="3-13", flexible="9+")
class ProduceRequest(Request["ProduceResponse"]):
    """Batches to append, and how many replicas must have them before the answer."""

    transactional_id: str | None = field(STRING, nullable="0+", default=None)
    acks: int = field(INT16)  # -1 all in-sync replicas, 0 none and no answer either, 1 the leader
    timeout_ms: int = field(INT32)
    topic_data: list[TopicProduceData] = array(TopicProduceData)


@struct
class BatchIndexAndErrorMessage:
    """A record that made its batch fail, by its position in the batch."""

    batch_index: int = field(INT32)
    batch_index_error_message: str | None = field(STRING, nullable="0+", default=None)


@struct
class LeaderIdAndEpoch:
    """Who leads the partition now; -1 when that is not known."""

    leader_id: int = field(INT32, default=-1)
    leader_epoch: int = field(INT32, default=-1)


@struct
class PartitionProduceResponse:
    """Where one partition's batch went, or why it did not."""

    index: int = field(INT32)
    error_code: int = field(INT16, default=0)
    base_offset: int = field(INT64)
    log_append_time_ms: int = field(INT64, default=-1)  # -1 unless the topic stamps LogAppendTime
    log_start_offset: int = field(INT64, "5+", default=-1, ignorable=True)
    record_errors: list[BatchIndexAndErrorMessage] = array(
        BatchIndexAndErrorMessage, "8+", default_factory=list, ignorable=True
    )
    error_message: str | None = field(STRING, "8+", nullable="0+", default=None, ignorable=True)
    current_leader: LeaderIdAndEpoch = field(LeaderIdAndEpoch, "10+", default_factory=LeaderIdAndEpoch, tag=0)


@struct
class TopicProduceResponse:
    """The results of one topic."""

    name: str = field(STRING, "0-12", default="", ignorable=True)
    topic_id: bytes = field(UUID, "13+", default=ZERO_UUID, ignorable=True)
    partition_responses: list[PartitionProduceResponse] = array(PartitionProduceResponse)


@struct
class NodeEndpoint:
    """Where to reach a leader named in the response."""

    node_id: int = field(INT32)
    host: str = field(STRING)
    port: int = field(INT32)
    rack: str | None = field(STRING, nullable="0+", default=None)


@message(api_key=0, valid="3-13", flexible="9+")
class ProduceResponse(Message):
    """One result per partition."""

    responses: list[TopicProduceResponse] = array(TopicProduceResponse)
    throttle_time_ms: int = field(INT32, default=0)
    node_endpoints: list[NodeEndpoint] = array(NodeEndpoint, "10+", default_factory=list, tag=0)
