"""DescribeShareGroupOffsets (API key 90): where share groups start reading (KIP-932).

Versions:
    1   the lag of the group (KIP-1226)

Source: https://kafka.apache.org/protocol#The_Messages_DescribeShareGroupOffsets
"""

from __future__ import annotations

from minikafka.protocol.schema import INT16, INT32, INT64, STRING, UUID, Message, Request, array, field, message, struct


@struct
class DescribeShareGroupOffsetsRequestTopic:
    """The partitions of one topic."""

    topic_name: str = field(STRING)
    partitions: list[int] = array(INT32)


@struct
class DescribeShareGroupOffsetsRequestGroup:
    """A group and its partitions; null asks for all."""

    group_id: str = field(STRING)
    topics: list[DescribeShareGroupOffsetsRequestTopic] | None = array(
        DescribeShareGroupOffsetsRequestTopic, nullable="0+"
    )


@message(api_key=90, valid="0-1", flexible="0+")
class DescribeShareGroupOffsetsRequest(Request["DescribeShareGroupOffsetsResponse"]):
    """The groups asked for."""

    groups: list[DescribeShareGroupOffsetsRequestGroup] = array(DescribeShareGroupOffsetsRequestGroup)


@struct
class DescribeShareGroupOffsetsResponsePartition:
    """The first offset that the group has not finished; -1 when unknown."""

    partition_index: int = field(INT32)
    start_offset: int = field(INT64)
    leader_epoch: int = field(INT32)
    lag: int = field(INT64, "1+", default=-1, ignorable=True)
    error_code: int = field(INT16, default=0)
    error_message: str | None = field(STRING, nullable="0+", default=None)


@struct
class DescribeShareGroupOffsetsResponseTopic:
    """The offsets of one topic."""

    topic_name: str = field(STRING)
    topic_id: bytes = field(UUID)
    partitions: list[DescribeShareGroupOffsetsResponsePartition] = array(DescribeShareGroupOffsetsResponsePartition)


@struct
class DescribeShareGroupOffsetsResponseGroup:
    """The offsets of one group."""

    group_id: str = field(STRING)
    topics: list[DescribeShareGroupOffsetsResponseTopic] = array(DescribeShareGroupOffsetsResponseTopic)
    error_code: int = field(INT16, default=0)
    error_message: str | None = field(STRING, nullable="0+", default=None)


@message(api_key=90, valid="0-1", flexible="0+")
class DescribeShareGroupOffsetsResponse(Message):
    """One result per group."""

    throttle_time_ms: int = field(INT32, default=0)
    groups: list[DescribeShareGroupOffsetsResponseGroup] = array(DescribeShareGroupOffsetsResponseGroup)
