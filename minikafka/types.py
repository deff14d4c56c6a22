"""The vocabulary that every layer shares."""

from __future__ import annotations

import base64
import re
import uuid
from enum import IntEnum
from typing import NamedTuple

ZERO_UUID = bytes(16)
"""The topic id of a topic that has none; a UUID is its 16 bytes throughout, as on the wire."""

NO_OFFSET = -1
NO_TIMESTAMP = -1
NO_LEADER_EPOCH = -1
NO_PRODUCER_ID = -1
NO_PRODUCER_EPOCH = -1
NO_SEQUENCE = -1
NO_LEADER = -1

MAX_TOPIC_NAME_LENGTH = 249
GROUP_METADATA_TOPIC = "__consumer_offsets"
TRANSACTION_STATE_TOPIC = "__transaction_state"
INTERNAL_TOPICS = frozenset({GROUP_METADATA_TOPIC, TRANSACTION_STATE_TOPIC})

_LEGAL_TOPIC = re.compile(r"[a-zA-Z0-9._-]{1,249}")


class TopicPartition(NamedTuple):
    """One partition of a topic, by name."""

    topic: str
    partition: int

    def __str__(self) -> str:
        return f"{self.topic}-{self.partition}"


class ProducerIdAndEpoch(NamedTuple):
    """Who a producer is: of two with the same id the one of the higher epoch."""

    producer_id: int
    producer_epoch: int


class TimestampAndOffset(NamedTuple):
    """The answer to a look-up by time: -1 in both when nothing is that late."""

    timestamp_ms: int
    offset: int
    leader_epoch: int


class IsolationLevel(IntEnum):
    """What a fetch may see: everything below the high watermark, or only what is committed."""

    READ_UNCOMMITTED = 0
    READ_COMMITTED = 1


def is_legal_topic_name(name: str) -> bool:
    """Whether ``name`` may name a topic.

    Source: Kafka, clients/common/internals/Topic.java.
    """
    return name not in {".", ".."} and _LEGAL_TOPIC.fullmatch(name) is not None


def new_uuid() -> bytes:
    """A random id, never one whose text starts with '-', which command lines would take for an option."""
    while True:
        made = uuid.uuid4().bytes
        if made != ZERO_UUID and not uuid_text(made).startswith("-"):
            return made


def uuid_text(value: bytes) -> str:
    """A UUID as Kafka prints it: 22 characters of URL-safe base64.

    Source: Kafka, clients/common/Uuid.java.
    """
    return base64.urlsafe_b64encode(value).decode().rstrip("=")


def uuid_from_text(text: str) -> bytes:
    """The 16 bytes of a UUID that :func:`uuid_text` printed.

    Raises:
        ValueError: ``text`` is not 22 characters of URL-safe base64.
    """
    value = base64.urlsafe_b64decode(text + "==")
    if len(value) != 16:
        raise ValueError(f"{text!r} is not a UUID of 22 base64 characters")
    return value
