r"""One pass of compaction over one log: of each key the last record stays.

It reads the part of the log that came since the last pass, and notes where each key is last; as far as the memory for
that goes.  Then it copies everything from the start of the log on, segment group by segment group, without the records
that a later one makes superfluous::

    |  clean: every key once  |  dirty: since the last pass  |  too new, active  |
    start                     first_dirty_offset             end_offset

    segments   [0    ][1  ][2][3      ][4        ][5         ][6       ][active ]
    groups     \_______________________/\_________/\_________/

Source: Kafka, core/log/LogCleaner.scala (Cleaner).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from minikafka.config.topic import TopicConfig
from minikafka.errors import KafkaError, StorageError
from minikafka.records.record_spans import find_spans
from minikafka.storage.batch_filter import BatchFilter, ProducerEnd
from minikafka.storage.batch_reader import read_batches
from minikafka.storage.cleaned_segment import CleanedSegment
from minikafka.storage.cleaned_transactions import CleanedTransactions
from minikafka.storage.filenames import (
    INDEX_SUFFIX,
    LOG_SUFFIX,
    TIME_INDEX_SUFFIX,
    TRANSACTION_INDEX_SUFFIX,
    segment_file,
)
from minikafka.storage.fs import File, FileSystem
from minikafka.storage.offset_index import MAX_RELATIVE_OFFSET
from minikafka.storage.offset_map import OffsetMap
from minikafka.storage.segment_swap import remove_cleaned
from minikafka.storage.transaction_index import AbortedTransaction

_MAX_GROUP = 100
"""So many files are open at a time, at most."""


class Source(NamedTuple):
    """A closed segment, as the pass needs to know it."""

    base_offset: int
    end_offset: int
    size: int


class Cleaned(NamedTuple):
    """A segment that has been written anew, and those that it is to replace."""

    sources: Sequence[Source]
    size: int

    @property
    def base_offset(self) -> int:
        """Of the first record that was ever there."""
        return self.sources[0].base_offset

    @property
    def end_offset(self) -> int:
        """The offset after the last record that was ever there."""
        return self.sources[-1].end_offset


@dataclass(frozen=True, slots=True)
class CompactionMeans:
    """What a pass may use."""

    dedupe_buffer_bytes: int
    """For the keys."""
    io_buffer_bytes: int
    """For what is read and written at a time."""
    max_decompressed_bytes: int
    """For the records of one batch."""
    spend: Callable[[int], None]
    """Told of the bytes that have been read or written, batch by batch; it may wait before it returns."""


class CompactionTicket:
    """A pass over one log, made by ``Log.begin_compaction``.

    :meth:`run` writes the next group of segments anew, and may run in another thread: it opens the files of closed
    segments, which nobody writes, and nothing else of the log.  ``Log.end_compaction`` puts what was written in its
    place.  Both are called in turns until ``is_done``; then :meth:`close`.

    Args:
        fs: The file system.
        directory: The partition's.
        config: The topic's.
        sources: The segments from the start of the log up to where it may be compacted.
        first_dirty_offset: What is below it was compacted before.
        aborted: The transactions of the log that were aborted.
        producers: Those that the log remembers, by id.
        now_ms: The present time.
        means: What it may use.
    """

    def __init__(
        self,
        fs: FileSystem,
        directory: Path,
        config: TopicConfig,
        sources: Sequence[Source],
        *,
        first_dirty_offset: int,
        aborted: Sequence[AbortedTransaction],
        producers: Mapping[int, ProducerEnd],
        now_ms: int,
        means: CompactionMeans,
    ) -> None:
        self.cleaned: Cleaned | None = None
        """What the last run has written, and has to be put in its place."""
        self.is_aborted = False
        """Whether the segments have changed: nothing of what is written may be used any more."""
        self.is_done = False
        """Whether no run is left."""
        self.bytes_read = 0
        self.bytes_written = 0
        self._fs = fs
        self._directory = directory
        self._config = config
        self._sources = sources
        self._first_dirty_offset = first_dirty_offset
        self._aborted = aborted
        self._producers = producers
        self._now_ms = now_ms
        self._means = means
        self._groups: Iterator[Sequence[Source]] | None = None
        self._transactions: CleanedTransactions
        self._filter: BatchFilter
        self._sizes: Mapping[str, int] = {}
        self._end_offset = first_dirty_offset
        self._files: list[File] = []

    @property
    def end_offset(self) -> int:
        """Once done: what is below it has been compacted; less than was asked for when the keys were too many."""
        return self._end_offset

    def abort(self) -> None:
        """Have :meth:`run` end soon; called by the log when its segments change."""
        self.is_aborted = True
        self.is_done = True

    def run(self) -> None:
        """Write the next group of segments anew; before the first one, find out where each key is last.

        Raises:
            StorageError: A file cannot be read or written, or ends within a batch.
            CorruptMessage: A batch is damaged.
            InvalidRecord: The records of a batch cannot be read.
        """
        self.close()
        try:
            if self._groups is None:
                self._prepare()
            self._write_groups()
        except _Aborted:
            self.is_done = True
        except KafkaError:
            self.is_done = True
            if not self.is_aborted:  # files that are cut or gone are no wonder then
                raise

    def close(self) -> None:
        """Close the files of the segments that have been read; may run in another thread.

        A file that has been removed is freed now, which takes its time when it is large.
        """
        while self._files:
            self._files.pop().close()

    def _prepare(self) -> None:
        # So that the recovery points are there when a power loss comes.  A start takes no gap for one that compaction
        # has made above them, nor may that loss take the record that made an earlier one superfluous.
        self._fs.sync_directory(self._directory.parent)
        last = OffsetMap(self._means.dedupe_buffer_bytes)
        self._fill(last)
        self._end_offset = max(last.latest_offset + 1, self._first_dirty_offset)
        self._transactions = CleanedTransactions(self._aborted)
        self._filter = BatchFilter(
            last,
            self._transactions,
            self._producers,
            now_ms=self._now_ms,
            delete_retention_ms=self._config.delete_retention_ms,
            max_decompressed_bytes=self._means.max_decompressed_bytes,
        )
        self._sizes = {entry.name: entry.size for entry in self._fs.list_directory(self._directory)}
        reached = [source for source in self._sources if source.base_offset < self._end_offset]
        self._groups = group(reached, self._sizes, self._config.segment_bytes, self._config.segment_index_bytes)
        self.close()

    def _fill(self, last: OffsetMap) -> None:
        transactions = CleanedTransactions(
            transaction for transaction in self._aborted if transaction.last_offset >= self._first_dirty_offset
        )
        for source in self._sources:
            if source.end_offset <= self._first_dirty_offset:
                continue
            for batch in read_batches(self._open(source), source.size, self._means.io_buffer_bytes):
                if batch.last_offset < self._first_dirty_offset:
                    continue
                if last.is_full:
                    return
                if batch.is_control:
                    transactions.marks_nothing(batch)
                elif not transactions.are_aborted(batch) and batch.records_count:
                    data = bytes(batch.records_bytes(self._means.max_decompressed_bytes))
                    spans = find_spans(data, batch.records_count)
                    last.add(spans.keys, [batch.base_offset + delta for delta in spans.offset_deltas])
                last.latest_offset = batch.last_offset
                self._spend(batch.size)
            last.latest_offset = source.end_offset - 1
            self.close()

    def _write_groups(self) -> None:
        """Write one group, or pass over groups that have nothing to lose, to the next one that has."""
        assert self._groups is not None
        for sources in self._groups:
            self.cleaned = self._write(sources)
            if self.cleaned is not None:
                return
        self.is_done = True

    def _write(self, sources: Sequence[Source]) -> Cleaned | None:
        """Write a group anew; None when that would change nothing."""
        base_offset = sources[0].base_offset
        segment = CleanedSegment(
            self._fs,
            self._directory,
            base_offset,
            index_interval_bytes=self._config.index_interval_bytes,
            buffer_bytes=self._means.io_buffer_bytes,
        )
        try:
            retained = len(self._transactions.retained)
            has_changed = self._copy(sources, segment) or len(sources) > 1
            if has_changed:
                segment.finish(self._transactions.retained[retained:] if self._had_aborted(sources) else None)
                return Cleaned(sources, segment.size)
        except KafkaError:
            segment.abandon()
            remove_cleaned(self._fs, self._directory, base_offset)
            raise
        segment.abandon()
        remove_cleaned(self._fs, self._directory, base_offset)
        return None

    def _copy(self, sources: Sequence[Source], segment: CleanedSegment) -> bool:
        has_changed = False
        left_bytes = sum(source.size for source in sources)
        for source in sources:
            for batch in read_batches(self._open(source), source.size, self._means.io_buffer_bytes):
                left_bytes -= batch.size
                kept = self._filter.keep(batch, ends_segment=left_bytes == 0)
                if kept is not batch.view:
                    has_changed = True
                if kept is not None:
                    segment.append(kept)
                self._spend(batch.size + (0 if kept is None else len(kept)))
        return has_changed

    def _had_aborted(self, sources: Sequence[Source]) -> bool:
        return any(segment_file(source.base_offset, TRANSACTION_INDEX_SUFFIX) in self._sizes for source in sources)

    def _open(self, source: Source) -> File:
        file = self._fs.open(self._directory / segment_file(source.base_offset, LOG_SUFFIX))
        self._files.append(file)
        return file

    def _spend(self, size: int) -> None:
        if self.is_aborted:
            raise _Aborted("the segments have changed")
        self._means.spend(size)


class _Aborted(StorageError):
    """The pass has nothing to work for any more."""


def group(
    sources: Sequence[Source], sizes: Mapping[str, int], max_bytes: int, max_index_bytes: int
) -> Iterator[Sequence[Source]]:
    """Put segments together that make one of ordinary size, so that they do not become many small ones.

    Args:
        sources: In order.
        sizes: Of the files in the directory, by name.
        max_bytes: The size of a segment.
        max_index_bytes: The size of each of its indexes.

    Source: Kafka, Cleaner.groupSegmentsBySize.
    """
    first = 0
    while first < len(sources):
        size = offsets_bytes = times_bytes = 0
        end = first
        while end < len(sources) and end - first < _MAX_GROUP:
            source = sources[end]
            size += source.size
            offsets_bytes += sizes.get(segment_file(source.base_offset, INDEX_SUFFIX), 0)
            times_bytes += sizes.get(segment_file(source.base_offset, TIME_INDEX_SUFFIX), 0)
            is_too_long = source.end_offset - 1 - sources[first].base_offset > MAX_RELATIVE_OFFSET
            if end > first and (size > max_bytes or max(offsets_bytes, times_bytes) > max_index_bytes or is_too_long):
                break
            end += 1
        yield sources[first:end]
        first = end
