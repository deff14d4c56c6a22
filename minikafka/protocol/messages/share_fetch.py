"""ShareFetch (API key 78): acquire records as a member of a share group, and acknowledge earlier ones (KIP-932).

Versions:
    1   the first stable version
    2   acquire modes (KIP-1206) and renewal of acquisitions (KIP-1222)

Source: https://kafka.apache.org/protocol#The_Messages_ShareFetch
"""

from __future__ import annotations

from minikafka.protocol.schema import (
    BOOL,
    INT8,
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


@struct
class AcknowledgementBatch:
    """What became of a range of records; one type for all of them, or one for each."""

    first_offset: int = field(INT64)
    last_offset: int = field(INT64)
    acknowledge_types: list[int] = array(INT8)  # 0 gap, 1 accept, 2 release, 3 reject, 4 renew


@struct
class FetchPartition:
    """One partition to fetch from."""

    partition_index: int = field(INT32)
    acknowledgement_batches: list[AcknowledgementBatch] = array(AcknowledgementBatch)


@struct
class FetchTopic:
    """The partitions of one topic."""

    topic_id: bytes = field(UUID)
    partitions: list[FetchPartition] = array(FetchPartition)


@struct
class ForgottenTopic:
    """Partitions that leave the session."""

    topic_id: bytes = field(UUID)
    partitions: list[int] = array(INT32)


@message(api_key=78, valid="1-2", flexible="0+")
class ShareFetchRequest(Request["ShareFetchResponse"]):
    """What to acquire and what to acknowledge."""

    group_id: str | None = field(STRING, nullable="0+", default=None)
    member_id: str | None = field(STRING, nullable="0+")
    share_session_epoch: int = field(INT32)  # 0 opens a session, -1 closes it
    max_wait_ms: int = field(INT32)
    min_bytes: int = field(INT32)
    max_bytes: int = field(INT32, default=0x7FFFFFFF)
    max_records: int = field(INT32)
    batch_size: int = field(INT32)
    share_acquire_mode: int = field(INT8, "2+", default=0)  # 0 whole batches, 1 no more than max_records
    is_renew_ack: bool = field(BOOL, "2+", default=False)
    topics: list[FetchTopic] = array(FetchTopic)
    forgotten_topics_data: list[ForgottenTopic] = array(ForgottenTopic)


@struct
class LeaderIdAndEpoch:
    """Who leads the partition now; -1 when that is not known."""

    leader_id: int = field(INT32)
    leader_epoch: int = field(INT32)


@struct
class AcquiredRecords:
    """A range of records that the member now holds."""

    first_offset: int = field(INT64)
    last_offset: int = field(INT64)
    delivery_count: int = field(INT16)


@struct
class PartitionData:
    """What was acquired from one partition."""

    partition_index: int = field(INT32)
    error_code: int = field(INT16, default=0)
    error_message: str | None = field(STRING, nullable="0+", default=None)
    acknowledge_error_code: int = field(INT16)
    acknowledge_error_message: str | None = field(STRING, nullable="0+", default=None)
    current_leader: LeaderIdAndEpoch = field(LeaderIdAndEpoch)
    records: Records = field(RECORDS)
    acquired_records: list[AcquiredRecords] = array(AcquiredRecords)


@struct
class ShareFetchableTopicResponse:
    """What was acquired from one topic."""

    topic_id: bytes = field(UUID)
    partitions: list[PartitionData] = array(PartitionData)


@struct
class NodeEndpoint:
    """Where to reach a leader named in the response."""

    node_id: int = field(INT32)
    host: str = field(STRING)
    port: int = field(INT32)
    rack: str | None = field(STRING, nullable="0+", default=None)


@message(api_key=78, valid="1-2", flexible="0+")
class ShareFetchResponse(Message):
    """Batches, and which of their records the member holds."""

    throttle_time_ms: int = field(INT32, default=0)
    error_code: int = field(INT16, default=0)
    error_message: str | None = field(STRING, nullable="0+", default=None)
    acquisition_lock_timeout_ms: int = field(INT32)
    responses: list[ShareFetchableTopicResponse] = array(ShareFetchableTopicResponse)
    node_endpoints: list[NodeEndpoint] = array(NodeEndpoint)
