"""The time index of a segment: where to begin to look for a time."""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_left, bisect_right
from operator import ge, gt
from typing import NamedTuple

from minikafka.types import NO_TIMESTAMP

ENTRY_SIZE = 12


class TimestampOffset(NamedTuple):
    """The latest time of any record so far, and the last offset of the batch that it is in."""

    timestamp_ms: int
    offset: int


class TimeIndex:
    """Sparse map from time to offset for one segment, held in memory.

    File: entries of 12 bytes, sorted by both columns, no header, no checksum, big-endian; a hint, rebuilt when it is
    missing or wrong::

        | timestamp_ms i64 | relative_offset u32 |

    A record that is later than ``timestamp_ms`` comes after ``relative_offset`` (to the base offset of the segment).

    Source: Kafka, storage/internals/log/TimeIndex.java.
    """

    __slots__ = ("_relative_offsets", "_timestamps_ms", "base_offset")

    def __init__(self, base_offset: int) -> None:
        self.base_offset = base_offset
        self._timestamps_ms = array("q")
        self._relative_offsets = array("I")

    @classmethod
    def from_bytes(cls, base_offset: int, content: bytes) -> TimeIndex:
        """The index that a file holds; a last entry that is cut off is left out.

        Raises:
            ValueError: Its entries are out of order.
        """
        words = array("I", content[: len(content) - len(content) % ENTRY_SIZE])
        timestamps = array("I", bytes(len(words) // 3 * 8))
        if sys.byteorder == "little":
            words.byteswap()
            timestamps[0::2], timestamps[1::2] = words[1::3], words[0::3]
        else:
            timestamps[0::2], timestamps[1::2] = words[0::3], words[1::3]
        index = cls(base_offset)
        index._timestamps_ms = array("q", timestamps.tobytes())
        index._relative_offsets = words[2::3]
        if any(map(ge, index._timestamps_ms, index._timestamps_ms[1:])) or any(
            map(gt, index._relative_offsets, index._relative_offsets[1:])
        ):
            raise ValueError("the entries of a time index are out of order")
        return index

    def __len__(self) -> int:
        return len(self._timestamps_ms)

    def entry(self, number: int) -> TimestampOffset:
        """One entry, by its number; negative numbers count from the end."""
        return TimestampOffset(self._timestamps_ms[number], self.base_offset + self._relative_offsets[number])

    def maybe_append(self, timestamp_ms: int, offset: int) -> None:
        """Add an entry if it is later than the last one.

        Raises:
            ValueError: It is later in time, but its offset is below the last one's.
            OverflowError: The offset does not fit into its column.
        """
        relative_offset = offset - self.base_offset
        if self._timestamps_ms:
            if timestamp_ms <= self._timestamps_ms[-1]:
                return
            if relative_offset < self._relative_offsets[-1]:
                raise ValueError(f"time index entry ({timestamp_ms}, {offset}) is before {self.entry(-1)}")
        self._relative_offsets.append(relative_offset)
        self._timestamps_ms.append(timestamp_ms)

    def lookup(self, timestamp_ms: int) -> TimestampOffset:
        """The last entry at or before ``timestamp_ms``; ``(-1, base_offset)`` when there is none."""
        number = bisect_right(self._timestamps_ms, timestamp_ms)
        return self.entry(number - 1) if number else TimestampOffset(NO_TIMESTAMP, self.base_offset)

    def truncate_to(self, offset: int) -> None:
        """Forget what is at or after ``offset``."""
        number = bisect_left(self._relative_offsets, offset - self.base_offset)
        del self._timestamps_ms[number:]
        del self._relative_offsets[number:]

    def to_bytes(self, first: int = 0) -> bytes:
        """The entries from number ``first`` on, as they stand in the file."""
        words = array("I", bytes(ENTRY_SIZE * (len(self) - first)))
        timestamps = array("I", self._timestamps_ms[first:].tobytes())
        high, low = (1, 0) if sys.byteorder == "little" else (0, 1)
        words[0::3], words[1::3], words[2::3] = timestamps[high::2], timestamps[low::2], self._relative_offsets[first:]
        if sys.byteorder == "little":
            words.byteswap()
        return words.tobytes()
