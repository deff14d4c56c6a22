"""What a topic holds, condensed so that hundreds of thousands of records can be compared again and again."""

from __future__ import annotations

import hashlib
import struct
from array import array
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.interop.clients.client import Record

_FINGERPRINT_BYTES = 16
_PLACE_AND_SIZES = struct.Struct(">qqii")


@dataclass
class PartitionContent:
    """The records of a partition from ``first_offset`` on: a fingerprint and a timestamp of each."""

    first_offset: int
    fingerprints: bytearray = field(default_factory=bytearray)
    timestamps_ms: array[int] = field(default_factory=lambda: array("q"))

    def __len__(self) -> int:
        return len(self.timestamps_ms)

    def take(self, record: Record) -> None:
        """Add the next record, whose offset must follow."""
        assert record.offset == self.first_offset + len(self)
        key, value = record.key, record.value
        sizes = -1 if key is None else len(key), -1 if value is None else len(value)
        digest = hashlib.blake2b(digest_size=_FINGERPRINT_BYTES)
        digest.update(_PLACE_AND_SIZES.pack(record.offset, record.timestamp_ms, *sizes))
        digest.update((key or b"") + (value or b""))
        self.fingerprints += digest.digest()
        self.timestamps_ms.append(record.timestamp_ms)

    @property
    def span(self) -> range:
        """The offsets."""
        return range(self.first_offset, self.first_offset + len(self))

    def first_difference(self, other: PartitionContent) -> int | None:
        """The first offset whose records differ; both have to span the same."""
        if self.fingerprints == other.fingerprints:
            return None
        pairs = zip(_pieces(self.fingerprints), _pieces(other.fingerprints), strict=True)
        return self.first_offset + next(index for index, (mine, theirs) in enumerate(pairs) if mine != theirs)

    def since(self, offset: int) -> PartitionContent:
        """What lies from ``offset`` on."""
        skipped = offset - self.first_offset
        return PartitionContent(offset, self.fingerprints[skipped * _FINGERPRINT_BYTES :], self.timestamps_ms[skipped:])

    def offset_at(self, timestamp_ms: int) -> int | None:
        """The first offset of that time or later, where times never go back."""
        assert list(self.timestamps_ms) == sorted(self.timestamps_ms)
        found = bisect_left(self.timestamps_ms, timestamp_ms)
        return self.first_offset + found if found < len(self) else None


def _pieces(fingerprints: bytearray) -> list[bytes]:
    return [bytes(fingerprints[at : at + _FINGERPRINT_BYTES]) for at in range(0, len(fingerprints), _FINGERPRINT_BYTES)]


class Content:
    """The partitions of a topic, as a reader hands them over: ``reader.read(..., content.take)``."""

    def __init__(self) -> None:
        self.partitions: dict[int, PartitionContent] = {}

    def take(self, record: Record) -> None:
        """Add a record; within a partition, they must come in the order of their offsets, without a gap."""
        partition = self.partitions.get(record.partition)
        if partition is None:
            partition = self.partitions[record.partition] = PartitionContent(record.offset)
        partition.take(record)

    def __len__(self) -> int:
        return sum(map(len, self.partitions.values()))

    def assert_same(self, other: Content) -> None:
        """Fail, and say where they part, unless both hold the same records."""
        assert self.spans() == other.spans()
        for number, partition in self.partitions.items():
            place = partition.first_difference(other.partitions[number])
            assert place is None, f"partition {number} differs from offset {place} on"

    def spans(self) -> dict[int, range]:
        """The offsets that are there, in each partition."""
        return {number: partition.span for number, partition in sorted(self.partitions.items())}

    def since(self, offsets: Mapping[int, int]) -> Content:
        """What lies from an offset on, in each partition; empty partitions are left out."""
        rest = Content()
        parts = {number: partition.since(offsets[number]) for number, partition in self.partitions.items()}
        rest.partitions = {number: part for number, part in parts.items() if len(part)}
        return rest
