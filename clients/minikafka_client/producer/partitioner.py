"""Which partition a record goes to, when its sender does not say.

Source: Kafka, clients/common/utils/Utils.java (murmur2), clients/producer/RoundRobinPartitioner.java.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from itertools import count
from random import Random
from typing import Protocol

_SEED = 0x9747B28C
_M = 0x5BD1E995
_MASK = 0xFFFFFFFF

# Applications use few keys many times; what they hash to is remembered, for murmur2 takes microseconds in Python.
_REMEMBERED_KEYS = 65_536


class Partitioner(Protocol):
    """Chooses partitions.  Called from whatever thread sends."""

    def partition(self, topic: str, key: bytes | None, partition_count: int) -> int:
        """A number of 0 to ``partition_count - 1``."""
        ...


class RoundRobinPartitioner:
    """Records with a key by the key's hash, as every Java client does it; records without one to each in turn.

    Equal keys meet in one partition, whatever client sent them, as long as the number of partitions stays.  The first
    record without a key goes to a partition chosen by chance, so that many short-lived producers spread too.
    """

    def __init__(self) -> None:
        self._random = Random()
        self._turns: dict[str, Iterator[int]] = {}
        self._hashes: dict[bytes, int] = {}

    def partition(self, topic: str, key: bytes | None, partition_count: int) -> int:
        """See :class:`Partitioner`."""
        if key is None:
            turns = self._turns.get(topic)
            if turns is None:
                turns = self._turns.setdefault(topic, count(self._random.randrange(1 << 30)))
            return next(turns) % partition_count
        hashed = self._hashes.get(key)
        if hashed is None:
            if len(self._hashes) >= _REMEMBERED_KEYS:
                self._hashes.clear()
            hashed = self._hashes[key] = murmur2(key) & 0x7FFFFFFF
        return hashed % partition_count


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
