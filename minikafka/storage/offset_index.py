"""The offset index of a segment: where to begin to look for an offset."""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_left, bisect_right
from operator import ge
from typing import NamedTuple

ENTRY_SIZE = 8
MAX_RELATIVE_OFFSET = 0x7FFF_FFFF
"""The largest distance of a record from the base offset of its segment: Kafka reads a signed i32."""


class OffsetPosition(NamedTuple):
    """The last offset of a batch, and the position in the file where that batch begins."""

    offset: int
    position: int


class OffsetIndex:
    """Sparse map from offset to file position for one segment, held in memory.

    File: entries of 8 bytes, sorted by offset, no header, no checksum, big-endian; a hint, rebuilt when it is missing
    or wrong::

        | relative_offset u32 | position u32 |

    ``relative_offset`` is the last offset of a batch less the base offset of the segment, ``position`` is where that
    batch begins: every batch up to it has only offsets at or below that one.

    Source: Kafka, storage/internals/log/OffsetIndex.java.
    """

    __slots__ = ("_positions", "_relative_offsets", "base_offset")

    def __init__(self, base_offset: int) -> None:
        self.base_offset = base_offset
        self._relative_offsets = array("I")
        self._positions = array("I")

    @classmethod
    def from_bytes(cls, base_offset: int, content: bytes) -> OffsetIndex:
        """The index that a file holds; a last entry that is cut off is left out.

        Raises:
            ValueError: Its entries do not grow in both columns.
        """
        numbers = array("I", content[: len(content) - len(content) % ENTRY_SIZE])
        if sys.byteorder == "little":
            numbers.byteswap()
        index = cls(base_offset)
        index._relative_offsets = numbers[0::2]
        index._positions = numbers[1::2]
        if not _grows(index._relative_offsets) or not _grows(index._positions):
            raise ValueError("the entries of an offset index are out of order")
        return index

    def __len__(self) -> int:
        return len(self._positions)

    def entry(self, number: int) -> OffsetPosition:
        """One entry, by its number; negative numbers count from the end."""
        return OffsetPosition(self.base_offset + self._relative_offsets[number], self._positions[number])

    def append(self, offset: int, position: int) -> None:
        """Add an entry, growing in both columns.

        Raises:
            ValueError: One of them does not grow.
            OverflowError: One of them does not fit into its column.
        """
        relative_offset = offset - self.base_offset
        if self._positions and (relative_offset <= self._relative_offsets[-1] or position <= self._positions[-1]):
            raise ValueError(f"index entry ({offset}, {position}) is not above {self.entry(-1)}")
        self._relative_offsets.append(relative_offset)
        self._positions.append(position)

    def lookup(self, offset: int) -> OffsetPosition:
        """The last entry at or below ``offset``; ``(base_offset, 0)`` when there is none."""
        number = bisect_right(self._relative_offsets, offset - self.base_offset)
        return self.entry(number - 1) if number else OffsetPosition(self.base_offset, 0)

    def last_up_to(self, position: int) -> OffsetPosition:
        """The last entry whose position is at or below ``position``; ``(base_offset, 0)`` when there is none."""
        number = bisect_right(self._positions, position)
        return self.entry(number - 1) if number else OffsetPosition(self.base_offset, 0)

    def truncate_to(self, position: int) -> None:
        """Forget the batches that begin at or after ``position``."""
        number = bisect_left(self._positions, position)
        del self._relative_offsets[number:]
        del self._positions[number:]

    def to_bytes(self, first: int = 0) -> bytes:
        """The entries from number ``first`` on, as they stand in the file."""
        numbers = array("I", bytes(ENTRY_SIZE * (len(self) - first)))
        numbers[0::2] = self._relative_offsets[first:]
        numbers[1::2] = self._positions[first:]
        if sys.byteorder == "little":
            numbers.byteswap()
        return numbers.tobytes()


def _grows(column: array[int]) -> bool:
    return not any(map(ge, column, column[1:]))
