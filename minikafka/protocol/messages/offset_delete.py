"""OffsetDelete (API key 47): forget the offsets of topics that a group no longer reads.

Source: https://kafka.apache.org/protocol#The_Messages_OffsetDelete
"""

from __future__ import annotations

from minikafka.protocol.schema import INT16, INT32, STRING, Message, Request, array, field, message, struct


@struct
class OffsetDeleteRequestPartition:
    """A partition to forget."""

    partition_index: int = field(INT32)


@struct
class OffsetDeleteRequestTopic:
    """The partitions of one topic."""

    name: str = field(STRING)
    partitions: list[OffsetDeleteRequestPartition] = array(OffsetDeleteRequestPartition)


@message(api_key=47, valid="0", flexible="none")
class OffsetDeleteRequest(Request["OffsetDeleteResponse"]):
    """The group and what it shall forget."""

    group_id: str = field(STRING)
    topics: list[OffsetDeleteRequestTopic] = array(OffsetDeleteRequestTopic)


@struct
class OffsetDeleteResponsePartition:
    """The result of one partition."""

    partition_index: int = field(INT32)
    error_code: int = field(INT16, default=0)


@struct
class OffsetDeleteResponseTopic:
    """The results of one topic."""

    name: str = field(STRING)
    partitions: list[OffsetDeleteResponsePartition] = array(OffsetDeleteResponsePartition)


@message(api_key=47, valid="0", flexible="none")
class OffsetDeleteResponse(Message):
    """One result per partition."""

    error_code: int = field(INT16, default=0)
    throttle_time_ms: int = field(INT32, default=0)
    topics: list[OffsetDeleteResponseTopic] = array(OffsetDeleteResponseTopic)
