"""Fetch (API key 1): read record batches, as a consumer or as a follower replica.

Versions:
    4   isolation levels and batches of magic 2
    5   log_start_offset in request and response
    6   the error KAFKA_STORAGE_ERROR
    7   incremental fetch sessions (KIP-227)
    8   throttled requests are answered first and delayed afterwards (KIP-219)
    9   the leader epoch that the reader knows (KIP-320)
    10  batches may be compressed with zstd (KIP-110)
    11  rack_id and preferred_read_replica: fetch from the closest replica (KIP-392)
    12  flexible encoding; last_fetched_epoch and diverging_epoch (KIP-595)
    13  topic ids instead of names (KIP-516)
    14  the error OFFSET_MOVED_TO_TIERED_STORAGE (KIP-405)
    15  replica_state replaces replica_id (KIP-903)
    16  the endpoints of current leaders (KIP-951)
    17  the directory of the follower (KIP-853)
    18  the high watermark that the follower knows (KIP-1166)

Source: https://kafka.apache.org/protocol#The_Messages_Fetch
"""

from __future__ import annotations

from minikafka.protocol.schema import (
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
from minikafka.types import ZERO_UUID


@struct
class ReplicaState:
    """The follower that reads; -1 for a consumer."""

    replica_id: int = field(INT32, default=-1)
    replica_epoch: int = field(INT64, default=-1)


@struct
class FetchPartition:
    """From where to read one partition, and how much."""

    partition: int = field(INT32)
    current_leader_epoch: int = field(INT32, "9+", default=-1, ignorable=True)
    fetch_offset: int = field(INT64)
    last_fetched_epoch: int = field(INT32, "12+", default=-1)
    log_start_offset: int = field(INT64, "5+", default=-1, ignorable=True)  # the follower's own; consumers send -1
    partition_max_bytes: int = field(INT32)
    replica_directory_id: bytes = field(UUID, "17+", default=ZERO_UUID, tag=0, ignorable=True)
    high_watermark: int = field(INT64, "18+", default=0x7FFFFFFFFFFFFFFF, tag=1, ignorable=True)


@struct
class FetchTopic:
    """The partitions of one topic to read, by name up to v12, by id since v13."""

    topic: str = field(STRING, "0-12", default="", ignorable=True)
    topic_id: bytes = field(UUID, "13+", default=ZERO_UUID, ignorable=True)
    partitions: list[FetchPartition] = array(FetchPartition)


@struct
class ForgottenTopic:
    """Partitions that leave the fetch session."""

    topic: str = field(STRING, "0-12", default="", ignorable=True)
    topic_id: bytes = field(UUID, "13+", default=ZERO_UUID, ignorable=True)
    partitions: list[int] = array(INT32)


@message(api_key=1, valid="4-18", flexible="12+")
class FetchRequest(Request["FetchResponse"]):
    """What to read and how long to wait for it."""

    cluster_id: str | None = field(STRING, "12+", nullable="0+", default=None, tag=0, ignorable=True)
    replica_id: int = field(INT32, "0-14", default=-1)  # -1 for a consumer
    replica_state: ReplicaState = field(ReplicaState, "15+", default_factory=ReplicaState, tag=1)
    max_wait_ms: int = field(INT32)
    min_bytes: int = field(INT32)
    max_bytes: int = field(INT32, default=0x7FFFFFFF)
    isolation_level: int = field(INT8, default=0)  # 0 read uncommitted, 1 read committed
    session_id: int = field(INT32, "7+", default=0, ignorable=True)
    session_epoch: int = field(INT32, "7+", default=-1, ignorable=True)  # -1 without a session, 0 to open one
    topics: list[FetchTopic] = array(FetchTopic)
    forgotten_topics_data: list[ForgottenTopic] = array(ForgottenTopic, "7+", default_factory=list)
    rack_id: str = field(STRING, "11+", default="", ignorable=True)


@struct
class EpochEndOffset:
    """Where the follower's log departs from the leader's: the largest common epoch and its end."""

    epoch: int = field(INT32, default=-1)
    end_offset: int = field(INT64, default=-1)


@struct
class LeaderIdAndEpoch:
    """Who leads the partition now; -1 when that is not known."""

    leader_id: int = field(INT32, default=-1)
    leader_epoch: int = field(INT32, default=-1)


@struct
class SnapshotId:
    """The snapshot to load instead; only for the metadata log."""

    end_offset: int = field(INT64, default=-1)
    epoch: int = field(INT32, default=-1)


@struct
class AbortedTransaction:
    """A transaction whose records a read-committed reader must skip, from its first offset on."""

    producer_id: int = field(INT64)
    first_offset: int = field(INT64)


@struct
class PartitionData:
    """What was read from one partition."""

    partition_index: int = field(INT32)
    error_code: int = field(INT16, default=0)
    high_watermark: int = field(INT64)
    last_stable_offset: int = field(INT64, default=-1)
    log_start_offset: int = field(INT64, "5+", default=-1, ignorable=True)
    diverging_epoch: EpochEndOffset = field(EpochEndOffset, "12+", default_factory=EpochEndOffset, tag=0)
    current_leader: LeaderIdAndEpoch = field(LeaderIdAndEpoch, "12+", default_factory=LeaderIdAndEpoch, tag=1)
    snapshot_id: SnapshotId = field(SnapshotId, "12+", default_factory=SnapshotId, tag=2)
    aborted_transactions: list[AbortedTransaction] | None = array(
        AbortedTransaction, nullable="0+"
    )  # null unless read committed
    preferred_read_replica: int = field(INT32, "11+", default=-1)
    records: Records | None = field(
        RECORDS, nullable="0+"
    )  # empty, not null, when there is nothing: librdkafka refuses null


@struct
class FetchableTopicResponse:
    """What was read from one topic."""

    topic: str = field(STRING, "0-12", default="", ignorable=True)
    topic_id: bytes = field(UUID, "13+", default=ZERO_UUID, ignorable=True)
    partitions: list[PartitionData] = array(PartitionData)


@struct
class NodeEndpoint:
    """Where to reach a leader named in the response."""

    node_id: int = field(INT32)
    host: str = field(STRING)
    port: int = field(INT32)
    rack: str | None = field(STRING, nullable="0+", default=None)


@message(api_key=1, valid="4-18", flexible="12+")
class FetchResponse(Message):
    """Batches, left uncopied until they are sent."""

    throttle_time_ms: int = field(INT32, default=0)
    error_code: int = field(INT16, "7+", default=0, ignorable=True)
    session_id: int = field(INT32, "7+", default=0)
    responses: list[FetchableTopicResponse] = array(FetchableTopicResponse)
    node_endpoints: list[NodeEndpoint] = array(NodeEndpoint, "16+", default_factory=list, tag=0)
