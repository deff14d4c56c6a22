"""AlterShareGroupOffsets (API key 91): set where an empty share group starts reading (KIP-932).

Source: https://kafka.apache.org/protocol#The_Messages_AlterShareGroupOffsets
"""

from __future__ import annotations

from minikafka.protocol.schema import INT16, INT32, INT64, STRING, UUID, Message, Request, array, field, message, struct


@struct
class AlterShareGroupOffsetsRequestPartition:
    """The start of one partition."""

    partition_index: int = field(INT32)
    start_offset: int = field(INT64)


@struct
class AlterShareGroupOffsetsRequestTopic:
    """The partitions of one topic."""

    topic_name: str = field(STRING)
    partitions: list[AlterShareGroupOffsetsRequestPartition] = array(AlterShareGroupOffsetsRequestPartition)


@message(api_key=91, valid="0", flexible="0+")
class AlterShareGroupOffsetsRequest(Request["AlterShareGroupOffsetsResponse"]):
    """The group and its new starts."""

    group_id: str = field(STRING)
    topics: list[AlterShareGroupOffsetsRequestTopic] = array(AlterShareGroupOffsetsRequestTopic)


@struct
class AlterShareGroupOffsetsResponsePartition:
    """The result of one partition."""

    partition_index: int = field(INT32)
    error_code: int = field(INT16, default=0)
    error_message: str | None = field(STRING, nullable="0+", default=None)


@struct
class AlterShareGroupOffsetsResponseTopic:
    """The results of one topic."""

    topic_name: str = field(STRING)
    topic_id: bytes = field(UUID)
    partitions: list[AlterShareGroupOffsetsResponsePartition] = array(AlterShareGroupOffsetsResponsePartition)


@message(api_key=91, valid="0", flexible="0+")
class AlterShareGroupOffsetsResponse(Message):
    """One result per partition."""

    throttle_time_ms: int = field(INT32, default=0)
    error_code: int = field(INT16, default=0)
    error_message: str | None = field(STRING, nullable="0+", default=None)
    responses: list[AlterShareGroupOffsetsResponseTopic] = array(AlterShareGroupOffsetsResponseTopic)
