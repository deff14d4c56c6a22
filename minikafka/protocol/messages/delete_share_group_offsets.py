"""DeleteShareGroupOffsets (API key 92): forget the offsets of topics that a share group no longer reads (KIP-932).

Source: https://kafka.apache.org/protocol#The_Messages_DeleteShareGroupOffsets
"""

from __future__ import annotations

from minikafka.protocol.schema import INT16, INT32, STRING, UUID, Message, Request, array, field, message, struct


@struct
class DeleteShareGroupOffsetsRequestTopic:
    """A topic to forget."""

    topic_name: str = field(STRING)


@message(api_key=92, valid="0", flexible="0+")
class DeleteShareGroupOffsetsRequest(Request["DeleteShareGroupOffsetsResponse"]):
    """The group and what it shall forget."""

    group_id: str = field(STRING)
    topics: list[DeleteShareGroupOffsetsRequestTopic] = array(DeleteShareGroupOffsetsRequestTopic)


@struct
class DeleteShareGroupOffsetsResponseTopic:
    """The result of one topic."""

    topic_name: str = field(STRING)
    topic_id: bytes = field(UUID)
    error_code: int = field(INT16, default=0)
    error_message: str | None = field(STRING, nullable="0+", default=None)


@message(api_key=92, valid="0", flexible="0+")
class DeleteShareGroupOffsetsResponse(Message):
    """One result per topic."""

    throttle_time_ms: int = field(INT32, default=0)
    error_code: int = field(INT16, default=0)
    error_message: str | None = field(STRING, nullable="0+", default=None)
    responses: list[DeleteShareGroupOffsetsResponseTopic] = array(DeleteShareGroupOffsetsResponseTopic)
