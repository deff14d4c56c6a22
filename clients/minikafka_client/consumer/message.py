"""A message, as a consumer hands it out."""

from __future__ import annotations

from typing import NamedTuple

from minikafka.records.record import Header


class Message(NamedTuple):
    """One record and where it stood; a tuple, for it is made a million times a second.

    ``timestamp_ms`` is when its producer says it came about, or, if the topic has log append time, when the broker
    received it.
    """

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: tuple[Header, ...] = ()
