"""ShareAcknowledge (API key 79): say what became of acquired records (KIP-932).

Versions:
    1   the first stable version
    2   renewal of acquisitions (KIP-1222)

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
    """What became of a range of records; one type for all of them, or one for each."""

    first_offset: int = field(INT64)
    last_offset: int = field(INT64)
    acknowledge_types: list[int] = array(INT8)  # 0 gap, 1 accept, 2 release, 3 reject, 4 renew


@struct
class AcknowledgePartition:
    """The acknowledgements of one partition."""

    partition_index: int = field(INT32)
    acknowledgement_batches: list[AcknowledgementBatch] = array(AcknowledgementBatch)


@struct
class AcknowledgeTopic:
    """The acknowledgements of one topic."""

    topic_id: bytes = field(UUID)
    partitions: list[AcknowledgePartition] = array(AcknowledgePartition)


@message(api_key=79, valid="1-2", flexible="0+")
class ShareAcknowledgeRequest(Request["ShareAcknowledgeResponse"]):
    """The acknowledgements of one member."""

    group_id: str | None = field(STRING, nullable="0+", default=None)
    member_id: str | None = field(STRING, nullable="0+")
    share_session_epoch: int = field(INT32)  # -1 closes the session
    is_renew_ack: bool = field(BOOL, "2+", default=False)
    topics: list[AcknowledgeTopic] = array(AcknowledgeTopic)


@struct
class LeaderIdAndEpoch:
    """Who leads the partition now; -1 when that is not known."""

    leader_id: int = field(INT32)
    leader_epoch: int = field(INT32)


@struct
class PartitionData:
    """The result of one partition."""

    partition_index: int = field(INT32)
    error_code: int = field(INT16, default=0)
    error_message: str | None = field(STRING, nullable="0+", default=None)
    current_leader: LeaderIdAndEpoch = field(LeaderIdAndEpoch)


@struct
class ShareAcknowledgeTopicResponse:
    """The results of one topic."""

    topic_id: bytes = field(UUID)
    partitions: list[PartitionData] = array(PartitionData)


@struct
class NodeEndpoint:
    """Where to reach a leader named in the response."""

    node_id: int = field(INT32)
    host: str = field(STRING)
    port: int = field(INT32)
    rack: str | None = field(STRING, nullable="0+", default=None)


@message(api_key=79, valid="1-2", flexible="0+")
class ShareAcknowledgeResponse(Message):
    """One result per partition."""

    throttle_time_ms: int = field(INT32, default=0)
    error_code: int = field(INT16, default=0)
    error_message: str | None = field(STRING, nullable="0+", default=None)
    acquisition_lock_timeout_ms: int = field(INT32, "2+", default=0, ignorable=True)
    responses: list[ShareAcknowledgeTopicResponse] = array(ShareAcknowledgeTopicResponse)
    node_endpoints: list[NodeEndpoint] = array(NodeEndpoint)
