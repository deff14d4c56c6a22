"""The two indexes of a segment, and the way between memory and their files.

Both are in memory while their segment is written, and whenever it is read; they are hints that a walk through the
segment can replace at any time.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from minikafka.errors import StorageError
from minikafka.storage import offset_index, time_index
from minikafka.storage.batch_headers import BatchHeader, walk_headers
from minikafka.storage.filenames import INDEX_SUFFIX, TIME_INDEX_SUFFIX, segment_file
from minikafka.storage.fs import File, FileSystem, read_file, write_fully
from minikafka.storage.offset_index import OffsetIndex, OffsetPosition
from minikafka.storage.time_index import TimeIndex, TimestampOffset
from minikafka.types import NO_TIMESTAMP

_REBUILD_WINDOW_BYTES = 256 * 1024


class SegmentIndexes:
    """The offset index and the time index of one segment, which grow together.

    An entry is added for the first batch that comes more than ``interval_bytes`` after the one of the last entry.

    Args:
        fs: The file system.
        directory: Where the files are.
        base_offset: The segment's.
        interval_bytes: How far apart entries are, at least.
        has_files: Whether there may be files, to be replaced; False for a new segment.
        name_end: What the names of the files end with while the segment is not part of the log.

    Source: Kafka, storage/internals/log/LogSegment.append.
    """

    __slots__ = (
        "_bytes_since_entry",
        "_directory",
        "_fs",
        "_name_end",
        "_saved_offsets",
        "_saved_times",
        "interval_bytes",
        "latest",
        "offsets",
        "times",
    )

    def __init__(
        self,
        fs: FileSystem,
        directory: Path,
        base_offset: int,
        interval_bytes: int,
        *,
        has_files: bool = True,
        name_end: str = "",
    ) -> None:
        self.interval_bytes = interval_bytes
        self.offsets = OffsetIndex(base_offset)
        self.times = TimeIndex(base_offset)
        self.latest = TimestampOffset(NO_TIMESTAMP, base_offset)
        """The latest record of the segment, by the last offset of its batch."""
        self._fs = fs
        self._directory = directory
        self._name_end = name_end
        self._bytes_since_entry = 0
        # -1: there may be files, but what is in them does not count
        self._saved_offsets = self._saved_times = -1 if has_files else 0

    @classmethod
    def load(cls, fs: FileSystem, directory: Path, base_offset: int, interval_bytes: int) -> SegmentIndexes:
        """The indexes as they stand in their files.

        Raises:
            StorageError: A file is missing or cannot be read.
            ValueError: A file holds no index.
        """
        indexes = cls(fs, directory, base_offset, interval_bytes)
        content = read_file(fs, indexes._path(INDEX_SUFFIX))
        indexes.offsets = OffsetIndex.from_bytes(base_offset, content)
        indexes._saved_offsets = len(indexes.offsets) if len(content) % offset_index.ENTRY_SIZE == 0 else -1
        content = read_file(fs, indexes._path(TIME_INDEX_SUFFIX))
        indexes.times = TimeIndex.from_bytes(base_offset, content)
        indexes._saved_times = len(indexes.times) if len(content) % time_index.ENTRY_SIZE == 0 else -1
        if indexes.times:
            indexes.latest = indexes.times.entry(-1)
        return indexes

    @classmethod
    def rebuild(
        cls, fs: FileSystem, directory: Path, base_offset: int, interval_bytes: int, *, log: File, size: int
    ) -> SegmentIndexes:
        """The indexes made anew from the segment itself, and nothing on disk yet.

        Raises:
            CorruptSegment: The batches do not follow one another up to ``size``.
        """
        indexes = cls(fs, directory, base_offset, interval_bytes)
        for header in walk_headers(log, 0, size, _REBUILD_WINDOW_BYTES):
            indexes.add_batch(header.last_offset, header.position, header.size, header.max_timestamp_ms)
        return indexes

    @staticmethod
    def read_last_entry(fs: FileSystem, directory: Path, base_offset: int) -> OffsetPosition | None:
        """The last entry of the offset index in its file, without reading the others; None when there is none.

        Raises:
            StorageError: The file is missing or cannot be read.
        """
        path = directory / segment_file(base_offset, INDEX_SUFFIX)
        index = OffsetIndex.from_bytes(base_offset, _read_last(fs, path, offset_index.ENTRY_SIZE))
        return index.entry(-1) if index else None

    @staticmethod
    def read_latest(fs: FileSystem, directory: Path, base_offset: int) -> TimestampOffset:
        """The latest record that the time index in its file knows, without reading the rest.

        Raises:
            StorageError: The file is missing or cannot be read.
        """
        path = directory / segment_file(base_offset, TIME_INDEX_SUFFIX)
        index = TimeIndex.from_bytes(base_offset, _read_last(fs, path, time_index.ENTRY_SIZE))
        return index.entry(-1) if index else TimestampOffset(NO_TIMESTAMP, base_offset)

    @property
    def memory_bytes(self) -> int:
        """What the entries take, in memory as on disk."""
        return len(self.offsets) * offset_index.ENTRY_SIZE + len(self.times) * time_index.ENTRY_SIZE

    def room(self, max_index_bytes: int) -> int:
        """How many more batches may be added before one of the two files is full; at most one entry is for each."""
        return min(
            max_index_bytes // offset_index.ENTRY_SIZE - len(self.offsets),
            max_index_bytes // time_index.ENTRY_SIZE - 1 - len(self.times),
        )

    def add_batch(self, last_offset: int, position: int, size: int, max_timestamp_ms: int) -> None:
        """Take note of a batch at the end of the segment."""
        if max_timestamp_ms > self.latest.timestamp_ms:
            self.latest = TimestampOffset(max_timestamp_ms, last_offset)
        if self._bytes_since_entry > self.interval_bytes:
            self.offsets.append(last_offset, position)
            self.add_latest()
            self._bytes_since_entry = 0
        self._bytes_since_entry += size

    def truncate_to(self, header: BatchHeader) -> None:
        """Forget the batch at ``header``, which has an entry or is the first, and everything after it.

        The batch itself has to be added again: its entry may be the one that made an earlier latest record known.
        """
        self.offsets.truncate_to(header.position)
        self.times.truncate_to(header.base_offset)
        self.latest = self.times.entry(-1) if self.times else TimestampOffset(NO_TIMESTAMP, self.offsets.base_offset)
        # so that the batch gets its entry back
        self._bytes_since_entry = self.interval_bytes + 1 if header.position else 0
        self._saved_offsets = self._saved_times = -1

    def save(self) -> Sequence[File]:
        """Append to the files what they do not have yet; nothing is forced to disk.

        Returns:
            Those that hold something.

        Raises:
                StorageError: The file that failed is removed then.
        """
        return [file for file, index in zip(self.save_files(), (self.offsets, self.times), strict=True) if index]

    def save_files(self) -> Sequence[File]:
        """As :meth:`save`, but returns both files, an empty one too."""
        offsets = self._save(INDEX_SUFFIX, self.offsets, self._saved_offsets, offset_index.ENTRY_SIZE)
        self._saved_offsets = len(self.offsets)
        times = self._save(TIME_INDEX_SUFFIX, self.times, self._saved_times, time_index.ENTRY_SIZE)
        self._saved_times = len(self.times)
        return offsets, times

    def save_all(self) -> Sequence[File]:
        """As :meth:`save`, when no batch will follow: the latest record gets its entry.

        Raises:
            StorageError: As there.
        """
        self.add_latest()
        return self.save()

    @property
    def is_saved(self) -> bool:
        """Whether the files have everything, the entry of the latest record included."""
        return (
            self._saved_offsets == len(self.offsets)
            and self._saved_times == len(self.times)
            and self.latest.timestamp_ms == (self.times.entry(-1).timestamp_ms if self.times else NO_TIMESTAMP)
        )

    @property
    def unsaved_entries(self) -> int:
        """How many entries of the offset index are not in its file yet."""
        return len(self.offsets) - max(self._saved_offsets, 0)

    def add_latest(self) -> None:
        """Give the latest record its entry: no batch will follow, or the offset index gets one too."""
        if self.latest.timestamp_ms > NO_TIMESTAMP:
            self.times.maybe_append(*self.latest)

    def _save(self, suffix: str, index: OffsetIndex | TimeIndex, saved_entries: int, entry_size: int) -> File:
        path = self._path(suffix)
        file = self._fs.open(path, create=True)
        if saved_entries < 0 or file.size() != saved_entries * entry_size:
            file.truncate(0)
            saved_entries = 0
        if len(index) > saved_entries:
            try:
                write_fully(file, (index.to_bytes(saved_entries),))
            except StorageError:
                self._fs.unlink(path)
                raise
        return file

    def _path(self, suffix: str) -> Path:
        return self._directory / segment_file(self.offsets.base_offset, suffix + self._name_end)


def _read_last(fs: FileSystem, path: Path, entry_size: int) -> bytes:
    file = fs.open(path)
    try:
        count = file.size() // entry_size
        return file.pread(entry_size, (count - 1) * entry_size) if count else b""
    finally:
        file.close()
