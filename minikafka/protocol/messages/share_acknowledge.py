"""ShareAcknowledge (API key 79).

Source: https://kafka.apache.org/protocol#The_Messages_ShareAcknowledge
"""

from __future__ import annotations

from minikafka.protocol.schema import (
    BOOL,
    INT8,
    INT16,
    INT32,
    INT64,
    STRING,
    UUID,
    Message,
    Request,
    array,
    field,
    message,
    struct,
)


@struct
class AcknowledgementBatch:
    """Acknowledgement batch."""

    first_offset: int = field(INT64)
    last_offset: int = field(INT64)
    acknowledge_types: list[int] = array(INT8)


@struct
class AcknowledgePartition:
    """Acknowledge partition."""

    partition_index: int = field(INT32)
    acknowledgement_batches: list[AcknowledgementBatch] = array(AcknowledgementBatch)


@struct
class AcknowledgeTopic:
    """Acknowledge topic."""

    topic_id: bytes = field(UUID)
    partitions: list[AcknowledgePartition] = array(AcknowledgePartition)


@message(api_key=79, valid="1-2", flexible="0+")
class ShareAcknowledgeRequest(Request["ShareAcknowledgeResponse"]):
    """Share acknowledge request."""

    group_id: str | None = field(STRING, nullable="0+", default=None)
    member_id: str | None = field(STRING, nullable="0+")
    share_session_epoch: int = field(INT32)
    is_renew_ack: bool = field(BOOL, "2+", default=False)
    topics: list[AcknowledgeTopic] = array(AcknowledgeTopic)


@struct
class LeaderIdAndEpoch:
    """Leader id and epoch."""

    leader_id: int = field(INT32)
    leader_epoch: int = field(INT32)


@struct
class PartitionData:
    """Partition data."""

    partition_index: int = field(INT32)
    error_code: int = field(INT16, default=0)
    error_message: str | None = field(STRING, nullable="0+", default=None)
    current_leader: LeaderIdAndEpoch = field(LeaderIdAndEpoch)


@struct
class ShareAcknowledgeTopicResponse:
    """Share acknowledge topic response."""

    topic_id: bytes = field(UUID)
    partitions: list[PartitionData] = array(PartitionData)


@struct
class NodeEndpoint:
    """Node endpoint."""

    node_id: int = field(INT32)
    host: str = field(STRING)
    port: int = field(INT32)
    rack: str | None = field(STRING, nullable="0+", default=None)


@message(api_key=79, valid="1-2", flexible="0+")
class ShareAcknowledgeResponse(Message):
    """Share acknowledge response."""

    throttle_time_ms: int = field(INT32, default=0)
    error_code: int = field(INT16, default=0)
    error_message: str | None = field(STRING, nullable="0+", default=None)
    acquisition_lock_timeout_ms: int = field(INT32, "2+", default=0, ignorable=True)
    responses: list[ShareAcknowledgeTopicResponse] = array(ShareAcknowledgeTopicResponse)
    node_endpoints: list[NodeEndpoint] = array(NodeEndpoint)
