"""A message, as a consumer hands it out."""

from __future__ import annotations

from typing import Any, NamedTuple

from minikafka.records.record import Header


class Message(NamedTuple):
    """One record and where it stood; a tuple, for it is made a million times a second.

    ``timestamp_ms`` is when its producer says it came about, or, if the topic has log append time, when the broker
    received it.  ``key`` and ``value`` are bytes, or None where there are none, unless the consumer was given
    deserializers: then they are what these make of them.
    """

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: Any
    value: Any
    headers: tuple[Header, ...] = ()
