"""The producer's options, checked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias, TypedDict

from minikafka.clock import Clock
from minikafka.records.compression import Compression
from minikafka_client.producer.partitioner import (
    Partitioner,
    PartitionFunction,
    RoundRobinPartitioner,
    StickyPartitioner,
)
from minikafka_client.serializers import Serializer

Acks = Literal["all", -1, 0, 1]
CompressionName = Literal["none", "gzip", "snappy", "lz4", "zstd"]
PartitionerOption: TypeAlias = Literal["round_robin", "sticky"] | Partitioner | PartitionFunction


class ProducerOptions(TypedDict, total=False):
    """The options of :class:`~.producer.AsyncProducer`, which explains them."""

    client_id: str
    acks: Acks
    enable_idempotence: bool | None
    transactional_id: str | None
    transaction_timeout_ms: int
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
    partitioner: PartitionerOption
    key_serializer: Serializer
    value_serializer: Serializer
    clock: Clock | None


_ACKS: dict[str | int, int] = {"all": -1, -1: -1, 0: 0, 1: 1, "0": 0, "1": 1, "-1": -1}

_PARTITIONERS: dict[str, Callable[[], Partitioner]] = {
    "round_robin": RoundRobinPartitioner,
    "sticky": StickyPartitioner,
}


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


class _OwnPartitioner:
    """A function as a partitioner."""

    def __init__(self, function: PartitionFunction) -> None:
        self.partition = function


def partitioner_value(option: PartitionerOption) -> Partitioner:
    """The partitioner of a name, or of one's own.

    Raises:
        ValueError: There is none of that name.
    """
    if isinstance(option, str):
        if option not in _PARTITIONERS:
            raise ValueError(f"partitioner is one of {', '.join(_PARTITIONERS)}, or your own, not {option!r}")
        return _PARTITIONERS[option]()
    return option if hasattr(option, "partition") else _OwnPartitioner(option)


def is_idempotent(enable_idempotence: bool | None, acks: int, max_in_flight: int) -> bool:
    """Whether the producer numbers its batches; when the caller does not say, if the other options allow it.

    Raises:
        ValueError: The caller asks for it, and another option rules it out.
    """
    possible = acks == -1 and max_in_flight <= 5
    if enable_idempotence and not possible:
        raise ValueError('enable_idempotence needs acks="all" and at most 5 requests in flight')
    return possible if enable_idempotence is None else enable_idempotence
