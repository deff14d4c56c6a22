"""The last offset of each key, in bounded memory: what a pass of compaction goes by.

Source: Kafka, storage/internals/log/SkimpyOffsetMap.java.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import blake2b

from minikafka.types import NO_OFFSET

ENTRY_BYTES = 256
"""The most that an entry takes, the free room in the table included."""

_DIGEST_SIZE = 20
"""Two keys would have to share 160 bits to be taken for one."""


class OffsetMap:
    """Keys, or digests of those that are long, to the offset of the last record that has them.

    It is filled batch by batch up to a bound: what comes after ``latest_offset`` is for the next pass.

    Args:
        memory_bytes: The bound; the keys of one batch may go beyond it, so that every pass gets on.
    """

    __slots__ = ("_max_entries", "_offsets", "latest_offset")

    def __init__(self, memory_bytes: int) -> None:
        self.latest_offset = NO_OFFSET
        """Every record up to this offset has been taken into account."""
        self._max_entries = max(1, memory_bytes // ENTRY_BYTES)
        self._offsets: dict[bytes | None, int] = {}

    def __len__(self) -> int:
        return len(self._offsets)

    @property
    def is_full(self) -> bool:
        """Whether no other batch is to be added."""
        return len(self._offsets) >= self._max_entries

    def add(self, keys: Sequence[bytes | None], offsets: Iterable[int]) -> None:
        """Note the keys of records that come after all of those before; records without a key do not count."""
        self._offsets.update(zip(_short(keys), offsets, strict=True))
        self._offsets.pop(None, None)

    def are_last(self, keys: Sequence[bytes | None], offsets: Sequence[int]) -> list[bool]:
        """Whether each of the records is the last that has its key; one without a key never is.

        The answer counts for records up to ``latest_offset``.
        """
        last = self._offsets.get
        return [
            key is not None and offset >= last(key, NO_OFFSET)
            for key, offset in zip(_short(keys), offsets, strict=True)
        ]


def _short(keys: Sequence[bytes | None]) -> Sequence[bytes | None]:
    """Keys of fewer bytes than a digest stand for themselves, so that a digest is never taken for a key."""
    if all(key is None or len(key) < _DIGEST_SIZE for key in keys):
        return keys
    return [
        key if key is None or len(key) < _DIGEST_SIZE else blake2b(key, digest_size=_DIGEST_SIZE).digest()
        for key in keys
    ]
