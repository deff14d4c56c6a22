"""Reading a log: which bytes of which file hold what a fetch asks for."""

from __future__ import annotations

from typing import NamedTuple

from minikafka.errors import StorageError
from minikafka.storage.fs import File
from minikafka.storage.segment import Segment
from minikafka.storage.segments import Segments
from minikafka.storage.transaction_index import AbortedTransaction, overlapping

_MAX_CURSORS = 64


class FileSlice:
    """Whole batches, as a piece of a file; nothing is read before :meth:`read`.

    It stays readable when its segment is deleted meanwhile.
    """

    __slots__ = ("_file", "_position", "end_offset", "size")

    def __init__(self, file: File | None, position: int, size: int, end_offset: int) -> None:
        self.size = size
        """How many bytes it holds."""
        self.end_offset = end_offset
        """No record in it has this offset or a later one."""
        self._file = file
        self._position = position

    def read(self) -> bytes:
        """The batches, read in one call.

        Raises:
            StorageError: The disk does not give them.
        """
        if self._file is None:
            return b""
        content = self._file.pread(self.size, self._position)
        if len(content) != self.size:
            raise StorageError(f"{self._file.path} ends before position {self._position + self.size}")
        return content

    def read_into(self, target: memoryview) -> None:
        """Read the batches into ``target``, which is as long as they are.

        Raises:
            StorageError: The disk does not give them; what ``target`` holds means nothing.
        """
        if self._file is not None and self._file.pread_into(target, self._position) != self.size:
            raise StorageError(f"{self._file.path} ends before position {self._position + self.size}")


EMPTY_SLICE = FileSlice(None, 0, 0, 0)


class Place(NamedTuple):
    """The beginning of a batch, or the end of a segment."""

    segment: Segment
    position: int


class LogReader:
    """Finds batches by offset, and remembers where the last reads ended: most reads go on there.

    Args:
        segments: The log's.
    """

    __slots__ = ("_cursors", "_segments")

    def __init__(self, segments: Segments) -> None:
        self._segments = segments
        self._cursors: dict[int, Place] = {}

    def read(self, offset: int, max_bytes: int, end_offset: int, *, min_one_batch: bool) -> FileSlice:
        """The batches from the one that holds ``offset`` on, of one segment at most.

        Args:
            offset: Within the log, and below ``end_offset``.
            max_bytes: How much to take at most.
            end_offset: Only batches that are wholly below it.
            min_one_batch: Whether a first batch that is larger than ``max_bytes`` is taken all the same.

        Raises:
            CorruptSegment: The batches do not follow one another.
        """
        place = self._find(offset)
        if place is None:
            return EMPTY_SLICE
        segment, position = place
        end = segment.size
        next_offset = segment.end_offset
        if end_offset < next_offset:
            end, next_offset = self._position_of(end_offset, segment), end_offset
        if end - position > max_bytes:
            cut = segment.cut(position, position + max_bytes)
            if cut is None and min_one_batch:
                first = next(segment.headers(position))
                end, next_offset = min(first.end_position, end), first.last_offset + 1
            elif cut is None:
                return EMPTY_SLICE
            else:
                end, next_offset = cut
        if end <= position:
            return EMPTY_SLICE
        self._remember(next_offset, Place(segment, end))
        return FileSlice(segment.file, position, end - position, next_offset)

    def find_aborted(self, offset: int, end_offset: int) -> list[AbortedTransaction]:
        """The aborted transactions that have records from ``offset`` on and below ``end_offset``.

        Raises:
            StorageError: An index of them cannot be read.
        """
        found: list[AbortedTransaction] = []
        for segment in self._segments.since(offset):
            if segment.aborted:
                self._segments.used(segment)
                some, is_complete = overlapping(segment.aborted, offset, end_offset)
                found += some
                if is_complete:
                    break
        return found

    def forget(self) -> None:
        """Forget where reads ended: segments have been cut or taken away."""
        self._cursors.clear()

    def _find(self, offset: int) -> Place | None:
        """Where the batch begins that holds ``offset``, or the next one when compaction has removed it."""
        place = self._cursors.get(offset)
        if place is not None and place.position < place.segment.size:
            self._segments.used(place.segment)
            return place
        segment = self._segments.at(offset)
        while segment is not None:
            header = segment.find_batch(offset) if segment.size else None
            self._segments.used(segment)
            if header is not None:
                place = Place(segment, header.position)
                self._remember(offset, place)  # for those who ask again because nothing could be taken
                return place
            segment = self._segments.after(segment)
        return None

    def _position_of(self, end_offset: int, segment: Segment) -> int:
        """The end of the batches of ``segment`` that are wholly below ``end_offset``."""
        place = self._cursors.get(end_offset)
        if place is not None and place.segment is segment:
            return place.position
        header = segment.find_batch(end_offset)
        if header is None:
            return segment.size
        if header.base_offset == end_offset:
            self._remember(end_offset, Place(segment, header.position))
        return header.position

    def _remember(self, offset: int, place: Place) -> None:
        cursors = self._cursors
        if len(cursors) >= _MAX_CURSORS and offset not in cursors:
            del cursors[next(iter(cursors))]
        cursors[offset] = place
