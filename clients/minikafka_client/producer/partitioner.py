"""Which partition a record goes to, when its sender does not say.

Source: Kafka, clients/common/utils/Utils.java (murmur2), clients/producer/RoundRobinPartitioner.java.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from random import Random
from typing import Protocol

_SEED = 0x9747B28C
_M = 0x5BD1E995
_MASK = 0xFFFFFFFF

# Applications use few keys many times; what they hash to is remembered, for murmur2 takes microseconds in Python.
_REMEMBERED_KEYS = 65_536


PartitionFunction = Callable[[str, bytes | None, int], int]
"""Chooses a partition: makes of topic, key and count of partitions a number of 0 to count - 1."""


class Partitioner(Protocol):
    """Chooses partitions.  Called from whatever thread sends; a plain :data:`PartitionFunction` will do as well."""

    def partition(self, topic: str, key: bytes | None, partition_count: int) -> int:
        """A number of 0 to ``partition_count - 1``."""
        ...


class _KeyPartitioner:
    """Records with a key by the key's hash, as every Java client does.

    Equal keys meet in one partition, whatever client sent them, as long as the number of partitions stays.
    """

    def __init__(self) -> None:
        self._random = Random()
        self._hashes: dict[bytes, int] = {}

    def _partition_for_key(self, key: bytes, partition_count: int) -> int:
        hashed = self._hashes.get(key)
        if hashed is None:
            if len(self._hashes) >= _REMEMBERED_KEYS:
                self._hashes.clear()
            hashed = self._hashes[key] = murmur2(key) & 0x7FFFFFFF
        return hashed % partition_count


class RoundRobinPartitioner(_KeyPartitioner):
    """By the key's murmur2 hash; records without a key go to each partition in turn.

    The first of them goes to a partition chosen by chance, so that many short-lived producers spread too.
    """

    def __init__(self) -> None:
        super().__init__()
        self._turns: dict[str, int] = {}

    def take_turns(self, topic: str, record_count: int) -> int:
        """Turns for so many records without a key: the remainder of the first is the first one's partition."""
        turn = self._turns.get(topic)
        if turn is None:
            turn = self._random.randrange(1 << 30)
        self._turns[topic] = turn + record_count
        return turn

    def partition(self, topic: str, key: bytes | None, partition_count: int) -> int:
        """See :class:`Partitioner`."""
        if key is None:
            return self.take_turns(topic, 1) % partition_count
        return self._partition_for_key(key, partition_count)


class StickyPartitioner(_KeyPartitioner):
    """By the key's murmur2 hash; records without a key stay with one partition until its batch leaves.

    Then another partition is chosen by chance.  Batches are larger than with turns, and requests fewer, for which
    records are spread evenly only in the long run (KIP-480).
    """

    def __init__(self) -> None:
        super().__init__()
        self._chosen: dict[str, int] = {}
        self._counts: dict[str, int] = {}

    def partition(self, topic: str, key: bytes | None, partition_count: int) -> int:
        """See :class:`Partitioner`."""
        if key is not None:
            return self._partition_for_key(key, partition_count)
        self._counts[topic] = partition_count
        chosen = self._chosen.get(topic)
        if chosen is None or chosen >= partition_count:
            chosen = self._chosen[topic] = self._random.randrange(partition_count)
        return chosen

    def batch_closed(self, topic: str, partition: int) -> None:
        """A batch takes no more records: stick to another partition from now on, if it was this one."""
        partition_count = self._counts.get(topic, 1)
        if self._chosen.get(topic) == partition and partition_count > 1:
            self._chosen[topic] = (partition + 1 + self._random.randrange(partition_count - 1)) % partition_count


def partition_for_key(key: bytes, partition_count: int) -> int:
    """The partition that Java's, and this client's, default partitioner gives a key.

    >>> partition_for_key(b"UA", 3)
    1
    """
    return (murmur2(key) & 0x7FFFFFFF) % partition_count


def murmur2(data: bytes) -> int:
    """The 32-bit MurmurHash2 of ``data`` with Kafka's seed, unsigned."""
    length = len(data)
    words = length >> 2
    hashed = _SEED ^ length
    for word in struct.unpack_from(f"<{words}I", data):
        mixed = word * _M & _MASK
        hashed = hashed * _M & _MASK ^ (mixed ^ mixed >> 24) * _M & _MASK
    if length & 3:
        hashed = (hashed ^ int.from_bytes(data[words << 2 :], "little")) * _M & _MASK
    hashed = (hashed ^ hashed >> 13) * _M & _MASK
    return hashed ^ hashed >> 15
