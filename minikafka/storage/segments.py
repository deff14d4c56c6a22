"""The segments of one log, in order."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence

from minikafka.storage.segment import Segment
from minikafka.storage.segment_cache import SegmentCache


class Segments:
    """A log's segments, oldest first; the last one, ``active``, is the one that is written.

    There is always at least one.  Closed ones that are read go through the cache, which closes their files again.
    """

    __slots__ = ("_all", "_base_offsets", "_cache", "active")

    def __init__(self, segments: Sequence[Segment], cache: SegmentCache) -> None:
        self._all = list(segments)
        self._base_offsets = [segment.base_offset for segment in segments]
        self._cache = cache
        self.active = self._all[-1]

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[Segment]:
        return iter(self._all)

    def __getitem__(self, number: int) -> Segment:
        return self._all[number]

    def at(self, offset: int) -> Segment | None:
        """The segment that holds ``offset`` if any does; None before the first."""
        number = bisect_right(self._base_offsets, offset) - 1
        return self._all[number] if number >= 0 else None

    def after(self, segment: Segment) -> Segment | None:
        """The segment that follows."""
        number = bisect_right(self._base_offsets, segment.base_offset)
        return self._all[number] if number < len(self._all) else None

    def since(self, offset: int) -> Sequence[Segment]:
        """The segments from the one that holds ``offset`` on; all of them for an offset before the first."""
        return self._all[max(bisect_right(self._base_offsets, offset) - 1, 0) :]

    def used(self, segment: Segment) -> None:
        """Note that a segment has been read."""
        if segment is not self.active:
            self._cache.touch(segment)

    def add(self, segment: Segment) -> None:
        """Begin a new active segment; the one before it is closed from now on."""
        closed = self.active
        self._all.append(segment)
        self._base_offsets.append(segment.base_offset)
        self.active = segment
        self._cache.touch(closed)

    def take_first(self, count: int) -> list[Segment]:
        """Take the oldest segments away, not all of them."""
        taken = self._all[:count]
        del self._all[:count], self._base_offsets[:count]
        for segment in taken:
            self._cache.discard(segment)
        return taken

    def replace(self, count: int, segment: Segment) -> list[Segment]:
        """Put one segment in the place of ``count`` closed ones, of which the first has the same base offset."""
        first = bisect_left(self._base_offsets, segment.base_offset)
        taken = self._all[first : first + count]
        self._all[first : first + count] = [segment]
        self._base_offsets[first : first + count] = [segment.base_offset]
        for old in taken:
            self._cache.discard(old)
            old.release()
        return taken

    def take_last(self) -> Segment:
        """Take the active segment away: the one before it is written again."""
        self._base_offsets.pop()
        taken = self._all.pop()
        if self._all:
            self.active = self._all[-1]
            self._cache.discard(self.active)
        return taken

    def cut(self, end_offset: int) -> None:
        """Remove what is at or after ``end_offset``, and what shares a batch with it, the newest segments first.

        Raises:
            StorageError: Some of it may still be there.
        """
        while len(self) > 1 and self.active.base_offset >= end_offset:
            self.take_last().unlink()
        header = self.active.find_batch(end_offset)
        if header is not None:
            self.active.truncate_to(header)

    def release(self) -> None:
        """Close every file, but for those that somebody still reads."""
        for segment in self._all:
            self._cache.discard(segment)
            segment.release()
