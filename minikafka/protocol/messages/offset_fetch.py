"""OffsetFetch (API key 9): read the committed offsets of consumer groups.

Versions:
    1   offsets come from Kafka, no longer from ZooKeeper
    2   null asks for all topics; a top-level error
    3   throttle_time_ms
    4   throttled requests are answered first and delayed afterwards (KIP-219)
    5   the leader epoch of the committed record (KIP-320)
    6   flexible encoding
    7   require_stable: wait for transactions that commit offsets (KIP-447)
    8   several groups in one request (KIP-709)
    9   members of the new group protocol (KIP-848)
    10  topic ids instead of names (KIP-848)

Source: https://kafka.apache.org/protocol#The_Messages_OffsetFetch
"""

from __future__ import annotations

from minikafka.protocol.schema import (
    BOOL,
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
from minikafka.types import ZERO_UUID


@struct
class OffsetFetchRequestTopic:
    """Partitions asked for, up to v7."""

    name: str = field(STRING)
    partition_indexes: list[int] = array(INT32)


@struct
class OffsetFetchRequestTopics:
    """Partitions asked for, since v8."""

    name: str = field(STRING, "0-9", default="", ignorable=True)
    topic_id: bytes = field(UUID, "10+", default=ZERO_UUID, ignorable=True)
    partition_indexes: list[int] = array(INT32)


@struct
class OffsetFetchRequestGroup:
    """One group and the partitions asked for; null asks for all it has."""

    group_id: str = field(STRING)
    member_id: str | None = field(STRING, "9+", nullable="0+", default=None, ignorable=True)
    member_epoch: int = field(INT32, "9+", default=-1, ignorable=True)
    topics: list[OffsetFetchRequestTopics] | None = array(OffsetFetchRequestTopics, nullable="0+")


@message(api_key=9, valid="1-10", flexible="6+")
class OffsetFetchRequest(Request["OffsetFetchResponse"]):
    """One group up to v7, several since v8."""

    group_id: str = field(STRING, "0-7", default="")
    topics: list[OffsetFetchRequestTopic] | None = array(
        OffsetFetchRequestTopic, "0-7", nullable="2+", default_factory=list
    )
    groups: list[OffsetFetchRequestGroup] = array(OffsetFetchRequestGroup, "8+", default_factory=list)
    require_stable: bool = field(BOOL, "7+", default=False)


@struct
class OffsetFetchResponsePartition:
    """A committed offset, -1 when there is none; up to v7."""

    partition_index: int = field(INT32)
    committed_offset: int = field(INT64)
    committed_leader_epoch: int = field(INT32, "5+", default=-1, ignorable=True)
    metadata: str | None = field(STRING, nullable="0+")
    error_code: int = field(INT16, default=0)


@struct
class OffsetFetchResponseTopic:
    """The offsets of one topic, up to v7."""

    name: str = field(STRING)
    partitions: list[OffsetFetchResponsePartition] = array(OffsetFetchResponsePartition)


@struct
class OffsetFetchResponsePartitions:
    """A committed offset, -1 when there is none; since v8."""

    partition_index: int = field(INT32)
    committed_offset: int = field(INT64)
    committed_leader_epoch: int = field(INT32, default=-1)
    metadata: str | None = field(STRING, nullable="0+")
    error_code: int = field(INT16, default=0)


@struct
class OffsetFetchResponseTopics:
    """The offsets of one topic, since v8."""

    name: str = field(STRING, "0-9", default="", ignorable=True)
    topic_id: bytes = field(UUID, "10+", default=ZERO_UUID, ignorable=True)
    partitions: list[OffsetFetchResponsePartitions] = array(OffsetFetchResponsePartitions)


@struct
class OffsetFetchResponseGroup:
    """The offsets of one group."""

    group_id: str = field(STRING)
    topics: list[OffsetFetchResponseTopics] = array(OffsetFetchResponseTopics)
    error_code: int = field(INT16, default=0)


@message(api_key=9, valid="1-10", flexible="6+")
class OffsetFetchResponse(Message):
    """One group's offsets up to v7, several groups' since v8."""

    throttle_time_ms: int = field(INT32, "3+", default=0, ignorable=True)
    topics: list[OffsetFetchResponseTopic] = array(OffsetFetchResponseTopic, "0-7", default_factory=list)
    error_code: int = field(INT16, "2-7", default=0, ignorable=True)
    groups: list[OffsetFetchResponseGroup] = array(OffsetFetchResponseGroup, "8+", default_factory=list)
