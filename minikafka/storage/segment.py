"""A segment: one file of record batches, with its indexes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from minikafka.errors import StorageError
from minikafka.observability.logging import get_logger
from minikafka.records.batch import RecordBatch
from minikafka.storage.batch_headers import BatchHeader, CorruptSegment, read_header, walk_headers
from minikafka.storage.filenames import LOG_SUFFIX, SEGMENT_SUFFIXES, TRANSACTION_INDEX_SUFFIX, segment_file
from minikafka.storage.fs import Buffer, File, FileSystem, write_fully
from minikafka.storage.offset_index import OffsetPosition
from minikafka.storage.segment_indexes import SegmentIndexes
from minikafka.storage.time_index import TimestampOffset
from minikafka.storage.transaction_index import AbortedTransaction, TransactionIndex

_log = get_logger(__name__)


class TornSegment(StorageError):
    """An append failed, and so did taking it back: the end of the file is not known any more."""


class Cut(NamedTuple):
    """A place between two batches, and the offset from which on it is to be read."""

    position: int
    next_offset: int


class Segment:
    """A file of batches, whose first offset is ``base_offset``, the indexes into it, and that of aborted transactions.

    Files and indexes are opened when they are first needed.  :meth:`release` lets go of them; whoever still holds the
    file, a reader or a flush, keeps it open.

    Source: Kafka, storage/internals/log/LogSegment.java.
    """

    __slots__ = (
        "_directory",
        "_file",
        "_first_timestamp_ms",
        "_fs",
        "_has_aborted",
        "_indexes",
        "_interval_bytes",
        "_latest",
        "_transactions",
        "base_offset",
        "created_ms",
        "end_offset",
        "size",
    )

    def __init__(
        self,
        fs: FileSystem,
        directory: Path,
        base_offset: int,
        *,
        size: int,
        index_interval_bytes: int,
        created_ms: int,
    ) -> None:
        self.base_offset = base_offset
        self.end_offset = base_offset
        """The offset after the last record."""
        self.size = size
        self.created_ms = created_ms
        """When the segment was made or found."""
        self._fs = fs
        self._directory = directory
        self._interval_bytes = index_interval_bytes
        self._file: File | None = None
        self._indexes: SegmentIndexes | None = None
        self._latest: TimestampOffset | None = None
        self._first_timestamp_ms: int | None = None
        self._transactions: TransactionIndex | None = None
        self._has_aborted: bool | None = None

    @classmethod
    def create(
        cls, fs: FileSystem, directory: Path, base_offset: int, index_interval_bytes: int, now_ms: int
    ) -> Segment:
        """A new, empty segment; its name is not forced to disk yet.

        Raises:
            StorageError: It exists, or cannot be made.
        """
        segment = cls(fs, directory, base_offset, size=0, index_interval_bytes=index_interval_bytes, created_ms=now_ms)
        segment._file = fs.open(segment.path, exclusive=True)
        segment._indexes = SegmentIndexes(fs, directory, base_offset, index_interval_bytes, has_files=False)
        segment._has_aborted = False
        return segment

    def __repr__(self) -> str:
        return f"<Segment {self.path} of {self.size} bytes up to {self.end_offset}>"

    @property
    def path(self) -> Path:
        """The file of the batches."""
        return self._directory / segment_file(self.base_offset, LOG_SUFFIX)

    @property
    def file(self) -> File:
        """The file of the batches, opened if need be."""
        if self._file is None:
            self._file = self._fs.open(self.path)
        return self._file

    @property
    def indexes(self) -> SegmentIndexes:
        """The indexes, loaded from their files if need be, or rebuilt where those are missing or wrong."""
        if self._indexes is None:
            try:
                return self.load_indexes()
            except (StorageError, ValueError):
                return self.rebuild_indexes()
        return self._indexes

    @property
    def latest(self) -> TimestampOffset:
        """The latest record's time, -1 when none has one, and the last offset of its batch."""
        if self._indexes is not None:
            return self._indexes.latest
        if self._latest is None:
            try:
                self._latest = SegmentIndexes.read_latest(self._fs, self._directory, self.base_offset)
            except StorageError:
                self._latest = self.indexes.latest
        return self._latest

    @property
    def first_timestamp_ms(self) -> int:
        """The latest time in the first batch, from which the age of the segment is counted; -1 without any."""
        if self._first_timestamp_ms is None and self.size > 0:
            self._first_timestamp_ms = read_header(self.file, 0, self.size).max_timestamp_ms
        return -1 if self._first_timestamp_ms is None else self._first_timestamp_ms

    @property
    def modified_ms(self) -> int:
        """When the file was last written to."""
        return self.file.modified_ms()

    @property
    def aborted(self) -> Sequence[AbortedTransaction]:
        """The aborted transactions whose markers are in the segment, in their order.

        Raises:
            StorageError: Their file cannot be read.
        """
        if self._has_aborted is None:
            self._has_aborted = self._fs.exists(self._transactions_path)
        return self._transaction_index.entries if self._has_aborted else ()

    @property
    def memory_bytes(self) -> int:
        """What :meth:`release` would free."""
        return 0 if self._indexes is None else self._indexes.memory_bytes

    def append(self, prefix: bytes, rest: Buffer, size: int, last_offset: int, max_timestamp_ms: int) -> None:
        """Write one batch at the end, in one call.

        Args:
            prefix: The first bytes of the batch.
            rest: The others.
            size: Of both.
            last_offset: Of the batch as it is written.
            max_timestamp_ms: Of the batch.

        Raises:
            TornSegment: The write failed, and what was written of it could not be taken back.
            StorageError: The write failed; the segment is as it was.
        """
        file = self._file or self.file
        indexes = self._indexes or self.indexes  # loading may fail, and must not do so after the write
        position = self.size
        try:
            if file.writev((prefix, rest)) != size:
                self._finish_write(file, position, prefix, rest)
        except StorageError:
            self._take_back(file, position)
            raise
        self.size = position + size
        self.end_offset = last_offset + 1
        if position == 0:
            self._first_timestamp_ms = max_timestamp_ms
        indexes.add_batch(last_offset, position, size, max_timestamp_ms)

    def _finish_write(self, file: File, position: int, prefix: bytes, rest: Buffer) -> None:
        written = file.size() - position
        write_fully(file, (memoryview(b"".join((prefix, rest)))[written:],))

    def _take_back(self, file: File, position: int) -> None:
        try:
            file.truncate(position)
        except StorageError as error:
            raise TornSegment(str(error)) from error

    def find_batch(self, offset: int) -> BatchHeader | None:
        """The batch that holds ``offset``, or the first one after it; None at the end of the segment.

        Raises:
            CorruptSegment: The batches do not follow one another.
        """
        entry = self.indexes.offsets.lookup(offset)
        if entry.position and self.batch_at(entry) is None:
            entry = self.rebuild_indexes().offsets.lookup(offset)
        for header in walk_headers(self.file, entry.position, self.size):
            if header.last_offset >= offset:
                return header
        return None

    def end_before(self, header: BatchHeader) -> int:
        """The offset after the batch before the one at ``header``; that of the segment when there is none before.

        Raises:
            CorruptSegment: The batches do not follow one another.
        """
        entry = self.indexes.offsets.last_up_to(header.position - 1)
        if entry.position and self.batch_at(entry) is None:
            entry = self.rebuild_indexes().offsets.last_up_to(header.position - 1)
        end_offset = self.base_offset
        for before in walk_headers(self.file, entry.position, header.position):
            end_offset = before.last_offset + 1
        return end_offset

    def batch_at(self, entry: OffsetPosition) -> BatchHeader | None:
        """The batch that an entry of the offset index is about; None when the entry is wrong."""
        try:
            header = read_header(self.file, entry.position, self.size)
        except CorruptSegment:
            return None
        return header if header.last_offset == entry.offset else None

    def cut(self, position: int, limit_position: int) -> Cut | None:
        """The last place after ``position`` and up to ``limit_position`` where a batch begins that the index knows.

        Where it knows none, the batches are walked through; None when the first one is too long.

        Args:
            position: The beginning of a batch.
            limit_position: At most this; below the end of the segment.

        Raises:
            CorruptSegment: The batches do not follow one another.
        """
        entry = self.indexes.offsets.last_up_to(limit_position)
        if entry.position > position:
            known = self.batch_at(entry)
            if known is not None:
                return Cut(known.position, known.base_offset)
            self.rebuild_indexes()
            return self.cut(position, limit_position)
        cut = None
        for header in walk_headers(self.file, position, self.size):
            if header.end_position > limit_position:
                break
            cut = Cut(header.end_position, header.last_offset + 1)
        return cut

    def headers(self, position: int = 0) -> Iterator[BatchHeader]:
        """The headers of the batches from ``position`` to the end."""
        return walk_headers(self.file, position, self.size)

    def read_batch(self, header: BatchHeader) -> RecordBatch:
        """The batch itself.

        Raises:
            CorruptMessage: It is not there any more.
        """
        return RecordBatch.parse(memoryview(self.file.pread(header.size, header.position)))

    def last_batch(self) -> BatchHeader:
        """The last batch of a segment that has one.

        Raises:
            CorruptSegment: The batches do not follow one another.
        """
        known = None
        if self.size > self._interval_bytes:
            with suppress(StorageError):
                entry = SegmentIndexes.read_last_entry(self._fs, self._directory, self.base_offset)
                known = entry and self.batch_at(entry)
        header = known or read_header(self.file, 0, self.size)
        if header.end_position < self.size:
            *_, header = self.headers(header.end_position)
        return header

    def load_indexes(self) -> SegmentIndexes:
        """Read the indexes from their files.

        Raises:
            StorageError: A file is missing or cannot be read.
            ValueError: A file holds no index.
        """
        return self._take(SegmentIndexes.load(self._fs, self._directory, self.base_offset, self._interval_bytes))

    def clear_indexes(self) -> SegmentIndexes:
        """Begin with empty indexes, to which every batch is to be added."""
        return self._take(SegmentIndexes(self._fs, self._directory, self.base_offset, self._interval_bytes))

    def rebuild_indexes(self) -> SegmentIndexes:
        """Make the indexes anew from the batches.

        Raises:
            CorruptSegment: The batches do not follow one another.
        """
        return self._take(
            SegmentIndexes.rebuild(
                self._fs, self._directory, self.base_offset, self._interval_bytes, log=self.file, size=self.size
            )
        )

    @property
    def has_unsaved_indexes(self) -> bool:
        """Whether the files of the indexes lack something."""
        return self._indexes is not None and not self._indexes.is_saved

    def save_indexes(self, *, is_complete: bool = True) -> Sequence[File]:
        """Write the indexes out; not being able to is no fault, for they can be rebuilt.

        Args:
            is_complete: Whether no batch will follow.

        Returns:
            Their files, not forced to disk yet.
        """
        try:
            return self.indexes.save_all() if is_complete else self.indexes.save()
        except StorageError as error:
            _log.warning("indexes_not_saved", segment=str(self.path), error=str(error))
            return ()

    @property
    def aborted_file(self) -> File | None:
        """The file of the aborted transactions, None without any.

        Raises:
            StorageError: It cannot be opened.
        """
        return self._transaction_index.file if self.aborted else None

    def add_aborted(self, transaction: AbortedTransaction) -> File:
        """Note that a transaction was aborted by a marker that is the last batch so far.

        Returns:
            The file that says so, not forced to disk yet.

        Raises:
            StorageError: It could not be written.
        """
        file = self._transaction_index.append(transaction)
        self._has_aborted = True
        return file

    def forget_aborted(self, end_offset: int) -> None:
        """Take back what was noted of markers at ``end_offset`` or above.

        Raises:
            StorageError: The file may still say so.
        """
        if self.aborted:
            self._transaction_index.truncate_to(end_offset)

    @property
    def _transactions_path(self) -> Path:
        return self._directory / segment_file(self.base_offset, TRANSACTION_INDEX_SUFFIX)

    @property
    def _transaction_index(self) -> TransactionIndex:
        if self._transactions is None:
            self._transactions = TransactionIndex(
                self._fs, self._transactions_path, may_exist=self._has_aborted is not False
            )
        return self._transactions

    def _take(self, indexes: SegmentIndexes) -> SegmentIndexes:
        self._indexes = indexes
        self._latest = None
        return indexes

    def truncate_to(self, header: BatchHeader) -> None:
        """Cut off the batch at ``header`` and all after it, as :meth:`cut_off` does, and in the indexes too.

        Raises:
            StorageError: Some of it may still be there.
        """
        self.cut_off(header.position)
        self.end_offset = self.base_offset
        before = self.indexes.offsets.last_up_to(max(self.size - 1, 0))
        self.reindex_from(next(self.headers(before.position), header))

    def cut_off(self, position: int) -> None:
        """Cut the file, for good: what was there does not come back after a power loss, between newer batches.

        The caller sees to the end offset and to the indexes.

        Raises:
            StorageError: Some of it may still be there.
        """
        self.file.truncate(position)
        self.file.fdatasync()
        self.size = position
        if position == 0:
            self._first_timestamp_ms = None

    def reindex_from(self, header: BatchHeader) -> None:
        """Make the indexes and the end anew from the batch at ``header`` on, keeping what they say about those before.

        Raises:
            CorruptSegment: The batches do not follow one another.
        """
        self.indexes.truncate_to(header)
        for batch in self.headers(header.position):
            self.indexes.add_batch(batch.last_offset, batch.position, batch.size, batch.max_timestamp_ms)
            self.end_offset = batch.last_offset + 1

    def release(self) -> None:
        """Let go of the files and the indexes; they come back when they are needed."""
        if self._indexes is not None:
            self._latest = self._indexes.latest
        self._file = None
        self._indexes = None
        self._transactions = None

    def unlink(self) -> None:
        """Remove the files; a reader that has the segment open does not notice.

        Raises:
            StorageError: Some of them are still there.
        """
        self.release()
        for suffix in SEGMENT_SUFFIXES:
            path = self._directory / segment_file(self.base_offset, suffix)
            if self._fs.exists(path):
                self._fs.unlink(path)
