"""The consumer's options, checked."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, TypedDict

from minikafka.types import IsolationLevel
from minikafka_client.consumer.positions import Start
from minikafka_client.serializers import Deserializer

AutoOffsetReset = Literal["earliest", "latest", "none"]
IsolationLevelName = Literal["read_uncommitted", "read_committed"]

_STARTS: dict[str, Start | None] = {"earliest": Start.EARLIEST, "latest": Start.LATEST, "none": None}


class ConsumerOptions(TypedDict, total=False):
    """The options of :class:`~.consumer.AsyncConsumer`, which explains them."""

    topics: Iterable[str]
    client_id: str
    auto_offset_reset: AutoOffsetReset
    fetch_min_bytes: int
    fetch_max_wait_ms: int
    fetch_max_bytes: int
    max_partition_fetch_bytes: int
    max_poll_records: int
    check_crcs: bool
    request_timeout_ms: int
    retry_backoff_ms: int
    retry_backoff_max_ms: int
    metadata_max_age_ms: int
    allow_auto_create_topics: bool
    isolation_level: IsolationLevelName
    key_deserializer: Deserializer | None
    value_deserializer: Deserializer | None


def start_value(auto_offset_reset: str) -> Start | None:
    """Where to begin without a position; None: nowhere, that is an error.

    Raises:
        ValueError: It is none of the names.
    """
    if auto_offset_reset not in _STARTS:
        raise ValueError(f"auto_offset_reset is one of {', '.join(_STARTS)}, not {auto_offset_reset!r}")
    return _STARTS[auto_offset_reset]


def isolation_level_value(name: str) -> IsolationLevel:
    """Kafka's number of an isolation level.

    Raises:
        ValueError: There is no such level.
    """
    try:
        return IsolationLevel[name.upper()]
    except KeyError:
        names = ", ".join(level.name.lower() for level in IsolationLevel)
        raise ValueError(f"isolation_level is one of {names}, not {name!r}") from None
