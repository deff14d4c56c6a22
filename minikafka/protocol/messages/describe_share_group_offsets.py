"""DescribeShareGroupOffsets (API key 90).

Source: https://kafka.apache.org/protocol#The_Messages_DescribeShareGroupOffsets
"""

from __future__ import annotations

from minikafka.protocol.schema import INT16, INT32, INT64, STRING, UUID, Message, Request, array, field, message, struct


@struct
class DescribeShareGroupOffsetsRequestTopic:
    """Describe share group offsets request topic."""

    topic_name: str = field(STRING)
    partitions: list[int] = array(INT32)


@struct
class DescribeShareGroupOffsetsRequestGroup:
    """Describe share group offsets request group."""

    group_id: str = field(STRING)
    topics: list[DescribeShareGroupOffsetsRequestTopic] | None = array(
        DescribeShareGroupOffsetsRequestTopic, nullable="0+"
    )


@message(api_key=90, valid="0-1", flexible="0+")
class DescribeShareGroupOffsetsRequest(Request["DescribeShareGroupOffsetsResponse"]):
    """Describe share group offsets request."""

    groups: list[DescribeShareGroupOffsetsRequestGroup] = array(DescribeShareGroupOffsetsRequestGroup)


@struct
class DescribeShareGroupOffsetsResponsePartition:
    """Describe share group offsets response partition."""

    partition_index: int = field(INT32)
    start_offset: int = field(INT64)
    leader_epoch: int = field(INT32)
    lag: int = field(INT64, "1+", default=-1, ignorable=True)
    error_code: int = field(INT16, default=0)
    error_message: str | None = field(STRING, nullable="0+", default=None)


@struct
class DescribeShareGroupOffsetsResponseTopic:
    """Describe share group offsets response topic."""

    topic_name: str = field(STRING)
    topic_id: bytes = field(UUID)
    partitions: list[DescribeShareGroupOffsetsResponsePartition] = array(DescribeShareGroupOffsetsResponsePartition)


@struct
class DescribeShareGroupOffsetsResponseGroup:
    """Describe share group offsets response group."""

    group_id: str = field(STRING)
    topics: list[DescribeShareGroupOffsetsResponseTopic] = array(DescribeShareGroupOffsetsResponseTopic)
    error_code: int = field(INT16, default=0)
    error_message: str | None = field(STRING, nullable="0+", default=None)


@message(api_key=90, valid="0-1", flexible="0+")
class DescribeShareGroupOffsetsResponse(Message):
    """Describe share group offsets response."""

    throttle_time_ms: int = field(INT32, default=0)
    groups: list[DescribeShareGroupOffsetsResponseGroup] = array(DescribeShareGroupOffsetsResponseGroup)
