"""OffsetDelete (API key 47).

Source: https://kafka.apache.org/protocol#The_Messages_OffsetDelete
"""

from __future__ import annotations

from minikafka.protocol.schema import INT16, INT32, STRING, Message, Request, array, field, message, struct


@struct
class OffsetDeleteRequestPartition:
    """Offset delete request partition."""

    partition_index: int = field(INT32)


@struct
class OffsetDeleteRequestTopic:
    """Offset delete request topic."""

    name: str = field(STRING)
    partitions: list[OffsetDeleteRequestPartition] = array(OffsetDeleteRequestPartition)


@message(api_key=47, valid="0", flexible="none")
class OffsetDeleteRequest(Request["OffsetDeleteResponse"]):
    """Offset delete request."""

    group_id: str = field(STRING)
    topics: list[OffsetDeleteRequestTopic] = array(OffsetDeleteRequestTopic)


@struct
class OffsetDeleteResponsePartition:
    """Offset delete response partition."""

    partition_index: int = field(INT32)
    error_code: int = field(INT16, default=0)


@struct
class OffsetDeleteResponseTopic:
    """Offset delete response topic."""

    name: str = field(STRING)
    partitions: list[OffsetDeleteResponsePartition] = array(OffsetDeleteResponsePartition)


@message(api_key=47, valid="0", flexible="none")
class OffsetDeleteResponse(Message):
    """Offset delete response."""

    error_code: int = field(INT16, default=0)
    throttle_time_ms: int = field(INT32, default=0)
    topics: list[OffsetDeleteResponseTopic] = array(OffsetDeleteResponseTopic)
