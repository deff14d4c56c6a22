"""The producer's options, checked."""

from __future__ import annotations

from typing import Literal, TypedDict

from minikafka.clock import Clock
from minikafka.records.compression import Compression
from minikafka_client.producer.partitioner import Partitioner
from minikafka_client.serializers import Serializer

Acks = Literal["all", -1, 0, 1]
CompressionName = Literal["none", "gzip", "snappy", "lz4", "zstd"]


class ProducerOptions(TypedDict, total=False):
    """The options of :class:`~.producer.AsyncProducer`, which explains them."""

    client_id: str
    acks: Acks
    enable_idempotence: bool | None
    compression: CompressionName
    linger_ms: float
    batch_size: int
    max_request_size: int
    buffer_memory: int
    max_block_ms: int
    delivery_timeout_ms: int
    request_timeout_ms: int
    retry_backoff_ms: int
    retry_backoff_max_ms: int
    max_in_flight_requests_per_connection: int
    metadata_max_age_ms: int
    partitioner: Partitioner | None
    key_serializer: Serializer
    value_serializer: Serializer
    clock: Clock | None


_ACKS: dict[str | int, int] = {"all": -1, -1: -1, 0: 0, 1: 1, "0": 0, "1": 1, "-1": -1}


def acks_value(acks: str | int) -> int:
    """How many must have a record before it counts as stored: -1 for all in-sync replicas.

    Raises:
        ValueError: It is none of "all", -1, 0 and 1.
    """
    if acks not in _ACKS:
        raise ValueError(f'acks is "all", 1 or 0, not {acks!r}')
    return _ACKS[acks]


def compression_value(name: str) -> Compression:
    """The codec of a name.

    Raises:
        ValueError: There is none.
    """
    try:
        return Compression[name.upper()]
    except KeyError:
        names = ", ".join(codec.config_name for codec in Compression)
        raise ValueError(f"compression is one of {names}, not {name!r}") from None


def is_idempotent(enable_idempotence: bool | None, acks: int, max_in_flight: int) -> bool:
    """Whether the producer numbers its batches; when the caller does not say, if the other options allow it.

    Raises:
        ValueError: The caller asks for it, and another option rules it out.
    """
    possible = acks == -1 and max_in_flight <= 5
    if enable_idempotence and not possible:
        raise ValueError('enable_idempotence needs acks="all" and at most 5 requests in flight')
    return possible if enable_idempotence is None else enable_idempotence
