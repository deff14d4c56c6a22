"""Which closed segments are open at the moment: a bound on descriptors and on memory."""

from __future__ import annotations

from collections import OrderedDict

from minikafka.storage.segment import Segment


class SegmentCache:
    """The closed segments read last, of all the logs of a broker; the others are released.

    Args:
        max_segments: How many may be open.
        max_index_bytes: How much their indexes may take together.
    """

    __slots__ = ("_index_bytes", "_max_index_bytes", "_max_segments", "_segments")

    def __init__(self, max_segments: int = 256, max_index_bytes: int = 16 * 1024 * 1024) -> None:
        self._max_segments = max_segments
        self._max_index_bytes = max_index_bytes
        self._segments: OrderedDict[Segment, int] = OrderedDict()
        self._index_bytes = 0

    def __len__(self) -> int:
        return len(self._segments)

    def touch(self, segment: Segment) -> None:
        """Note that a closed segment has been read just now, and release those that were not for the longest time."""
        memory_bytes = segment.memory_bytes
        self._index_bytes += memory_bytes - self._segments.get(segment, 0)
        self._segments[segment] = memory_bytes
        self._segments.move_to_end(segment)
        while len(self._segments) > self._max_segments or (
            self._index_bytes > self._max_index_bytes and len(self._segments) > 1
        ):
            oldest, freed_bytes = self._segments.popitem(last=False)
            self._index_bytes -= freed_bytes
            oldest.release()

    def discard(self, segment: Segment) -> None:
        """Forget a segment that is gone or that is written again."""
        self._index_bytes -= self._segments.pop(segment, 0)
