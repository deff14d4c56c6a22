"""Valid requests of every API in every version that is served: what mutations start from.

They are random, but name topics, partitions and settings that there are, so that they get past the first check.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from random import Random
from typing import Any, NamedTuple

from minikafka.broker.routes import ROUTES
from minikafka.protocol.api_keys import ApiKey, request_class
from minikafka.protocol.schema import Field, Message
from minikafka.records.compression import Compression
from minikafka.types import ZERO_UUID
from tests.abuse.wire import payload_of
from tests.support.data_plane import NOW_MS, batch_of
from tests.wire.values import random_message

TOPICS = ("abuse-0", "abuse-1")
PARTITIONS = 2

_BATCHES: Sequence[bytes | None] = (
    None,
    batch_of(b"one"),
    batch_of(*[b"value %d" % number for number in range(20)], key=b"key"),
    batch_of(*[b"idempotent"] * 5, producer_id=7),
    *(batch_of(*[b"compressed"] * 50, compression=codec) for codec in Compression),
)
_CONFIGS = ("retention.ms", "cleanup.policy", "max.message.bytes", "message.max.bytes", "no.such.key")

_CHOICES: Mapping[str, Sequence[Any]] = {
    "acks": (-1, 0, 1),
    "allow_auto_topic_creation": (False,),
    "cluster_id": (None,),
    "config_operation": (0, 1, 2, 3),
    "count": (-1, 1, 3),
    "current_leader_epoch": (-1, 0, 1),
    "fetch_offset": (0, 1, 10, 1 << 40),
    "index": (0, 1, PARTITIONS),
    "isolation_level": (0, 1),
    "key": ("group", "", "transaction"),
    "key_type": (0, 1, 2),
    "last_fetched_epoch": (-1, 0),
    "leader_epoch": (-1, 0, 1),
    "max_bytes": (0, 1 << 10, 1 << 20, 1 << 30),
    "max_wait_ms": (0, 20, 200),
    "min_bytes": (0, 1, 1 << 20),
    "name": (*TOPICS, "nowhere"),
    "num_partitions": (-1, 1, 3),
    "offset": (-1, 0, 1),
    "partition": (0, 1, PARTITIONS),
    "partition_index": (0, 1, PARTITIONS),
    "partition_max_bytes": (0, 1 << 10, 1 << 20),
    "producer_id": (-1, 7),
    "records": _BATCHES,
    "replica_id": (-1,),
    "replication_factor": (-1, 1),
    "resource_name": (*TOPICS, "", "0", "1"),
    "resource_type": (2, 4, 8),
    "session_epoch": (-1, 0, 1),
    "session_id": (0, 0, 1),
    "timeout_ms": (0, 1_000),
    "timestamp": (-1, -2, -3, -4, -5, NOW_MS),
    "topic": (*TOPICS, "nowhere"),
    "topic_name": (*TOPICS, "nowhere"),
    "transaction_timeout_ms": (1_000, 60_000),
    "transactional_id": (None, None, "transaction"),
    "value": ("1000", "delete", None),
}
_LISTS: Mapping[str, Sequence[Any]] = {
    "broker_ids": (0, 1),
    "configuration_keys": _CONFIGS,
    "coordinator_keys": ("group", "transaction", ""),
    "partitions": (0, 1, PARTITIONS),
    "topic_names": (*TOPICS, "nowhere"),
}


class Sample(NamedTuple):
    """A request without its size."""

    api_key: ApiKey
    version: int
    payload: bytes


def corpus(random: Random, topic_ids: Sequence[bytes], *, per_version: int) -> Iterator[Sample]:
    """Requests of everything that is served."""
    for route in ROUTES:
        for version in range(route.first_parsed, route.last_version + 1):
            for _ in range(per_version):
                yield Sample(route.api_key, version, sample(route.api_key, version, random, topic_ids))


def sample(
    api_key: ApiKey,
    version: int,
    random: Random,
    topic_ids: Sequence[bytes] = (ZERO_UUID,),
    *,
    wildness: float = 0,
) -> bytes:
    """One request; ``wildness`` is the share of its fields that hold anything at all."""

    def choose(cls: type, declared: Field, random: Random) -> Any:
        spec, name = declared.spec, declared.name
        if random.random() < wildness:
            return NotImplemented
        if spec.is_array and spec.struct is None and name in _LISTS:
            return random.sample(_LISTS[name], random.randint(0, len(_LISTS[name])))
        if spec.is_array or spec.struct is not None:
            return NotImplemented
        if name == "topic_id":
            return random.choice(topic_ids)
        if name == "name" and "Config" in cls.__name__:
            return random.choice(_CONFIGS)
        if name not in _CHOICES:
            return NotImplemented
        value = random.choice(_CHOICES[name])
        return value if value is not None or version in spec.nullable else NotImplemented

    message: Message = random_message(request_class(api_key), version, random, choose)
    return payload_of(message, version)
