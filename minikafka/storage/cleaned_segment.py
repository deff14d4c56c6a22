"""The segment that compaction writes, under a name that nobody looks for yet."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from minikafka.errors import StorageError
from minikafka.records.batch import RecordBatch
from minikafka.storage.filenames import CLEANED_SUFFIX, LOG_SUFFIX, TRANSACTION_INDEX_SUFFIX, segment_file
from minikafka.storage.fs import Buffer, FileSystem, write_fully
from minikafka.storage.segment_indexes import SegmentIndexes
from minikafka.storage.transaction_index import AbortedTransaction, encode

_MAX_BUFFERS = 512
"""The operating system takes no more than 1024 in one call."""


class CleanedSegment:
    """Batches in, a ``.cleaned`` file and its indexes out.

    Args:
        fs: The file system.
        directory: The partition's.
        base_offset: Of the segment.
        index_interval_bytes: How far apart index entries are, at least.
        buffer_bytes: How much is gathered before it is written.

    Raises:
        StorageError: The file cannot be made.
    """

    def __init__(
        self, fs: FileSystem, directory: Path, base_offset: int, *, index_interval_bytes: int, buffer_bytes: int
    ) -> None:
        self.size = 0
        """The length of the file once everything is written."""
        self._fs = fs
        self._transactions_path = directory / segment_file(base_offset, TRANSACTION_INDEX_SUFFIX + CLEANED_SUFFIX)
        if fs.exists(self._transactions_path):
            fs.unlink(self._transactions_path)
        path = directory / segment_file(base_offset, LOG_SUFFIX + CLEANED_SUFFIX)
        self._file = fs.open(path, create=True)
        self._file.truncate(0)
        self._indexes = SegmentIndexes(fs, directory, base_offset, index_interval_bytes, name_end=CLEANED_SUFFIX)
        self._buffer_bytes = buffer_bytes
        self._waiting: list[Buffer] = []
        self._waiting_bytes = 0

    def append(self, content: Buffer) -> None:
        """Add one batch.

        Raises:
            StorageError: It cannot be written.
        """
        batch = RecordBatch.parse(memoryview(content))
        self._indexes.add_batch(batch.last_offset, self.size, batch.size, batch.max_timestamp_ms)
        self.size += batch.size
        self._waiting.append(content)
        self._waiting_bytes += batch.size
        if self._waiting_bytes >= self._buffer_bytes or len(self._waiting) >= _MAX_BUFFERS:
            self._write()

    def finish(self, aborted: Sequence[AbortedTransaction] | None) -> None:
        """Write what is left, and the indexes; all of it is on the disk when this returns, but for the names.

        Args:
            aborted: The transactions whose abort markers are in it; None when there are none, and no old index of
                them that must not stay in its place.

        Raises:
            StorageError: It is not certain that the disk has it.
        """
        self._write()
        self._file.fdatasync()
        # An index without entries is a file too: the old one must not stay in its place.
        self._indexes.add_latest()
        for file in self._indexes.save_files():
            file.fdatasync()
            file.close()
        self._file.close()
        if aborted is not None:
            self._write_transactions(aborted)

    def abandon(self) -> None:
        """Close the file, whatever is in it."""
        self._waiting.clear()
        try:
            self._file.close()
        except StorageError:
            return

    def _write_transactions(self, aborted: Sequence[AbortedTransaction]) -> None:
        file = self._fs.open(self._transactions_path, create=True)
        if aborted:
            write_fully(file, list(map(encode, aborted)))
        file.fdatasync()
        file.close()

    def _write(self) -> None:
        if self._waiting:
            write_fully(self._file, self._waiting)
            self._waiting.clear()
            self._waiting_bytes = 0
