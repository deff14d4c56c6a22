"""DeleteTopics (API key 20): remove topics and all they hold.

Versions:
    1   throttle_time_ms
    2   throttled requests are answered first and delayed afterwards (KIP-219)
    3   the error TOPIC_DELETION_DISABLED
    4   flexible encoding
    5   error_message, and the error THROTTLING_QUOTA_EXCEEDED (KIP-599)
    6   topics by id (KIP-516)

Source: https://kafka.apache.org/protocol#The_Messages_DeleteTopics
"""

from __future__ import annotations

from minikafka.protocol.schema import INT16, INT32, STRING, UUID, Message, Request, array, field, message, struct
from minikafka.types import ZERO_UUID


@struct
class DeleteTopicState:
    """A topic by name, or by id with a null name."""

    name: str | None = field(STRING, nullable="0+", default=None)
    topic_id: bytes = field(UUID)


@message(api_key=20, valid="1-6", flexible="4+")
class DeleteTopicsRequest(Request["DeleteTopicsResponse"]):
    """Names up to v5, names or ids since v6."""

    topics: list[DeleteTopicState] = array(DeleteTopicState, "6+", default_factory=list)
    topic_names: list[str] = array(STRING, "0-5", default_factory=list, ignorable=True)
    timeout_ms: int = field(INT32)


@struct
class DeletableTopicResult:
    """What became of one topic."""

    name: str | None = field(STRING, nullable="6+")
    topic_id: bytes = field(UUID, "6+", default=ZERO_UUID, ignorable=True)
    error_code: int = field(INT16, default=0)
    error_message: str | None = field(STRING, "5+", nullable="0+", default=None, ignorable=True)


@message(api_key=20, valid="1-6", flexible="4+")
class DeleteTopicsResponse(Message):
    """One result per topic."""

    throttle_time_ms: int = field(INT32, default=0)
    responses: list[DeletableTopicResult] = array(DeletableTopicResult)
