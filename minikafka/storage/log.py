"""The commit log of one partition."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from minikafka.config.topic import TopicConfig
from minikafka.errors import OffsetOutOfRange, StorageError
from minikafka.observability import events
from minikafka.observability.logging import get_logger
from minikafka.records.batch import PREFIX_SIZE, RecordBatch, iter_batches
from minikafka.records.control import EndTransactionMarker, marker_of
from minikafka.storage.append import LogAppendInfo, PreparedBatch, check_continues
from minikafka.storage.environment import LogEnvironment
from minikafka.storage.flush import FlushState, FlushTicket
from minikafka.storage.fs import failpoint
from minikafka.storage.log_compaction import LogCompaction
from minikafka.storage.log_producers import LogProducers
from minikafka.storage.log_truncation import LogTruncation
from minikafka.storage.reading import EMPTY_SLICE, FileSlice, LogReader
from minikafka.storage.recovery import LoadedLog
from minikafka.storage.retention import RetiredSegments, count_expired
from minikafka.storage.rolling import RollPolicy
from minikafka.storage.segment import Segment, TornSegment
from minikafka.storage.segments import Segments
from minikafka.storage.time_search import TimeSearch
from minikafka.storage.transaction_index import AbortedTransaction
from minikafka.types import NO_PRODUCER_ID, NO_TIMESTAMP, TimestampAndOffset, TopicPartition

if TYPE_CHECKING:
    from minikafka.storage.cleanable import Cleanable
    from minikafka.storage.compaction import CompactionMeans, CompactionTicket

_log = get_logger(__name__)

_UNSAVED_ENTRIES_LIMIT = 512
"""About 2 MiB of log: what a recovery may have to walk through to find the recovery point."""


class Log:
    """The records of one partition: appended at the end, read anywhere, removed at the beginning.

    Made by :mod:`minikafka.storage.opening`.  After an I/O error that leaves in doubt what the disk has, the log, or
    its whole data directory, is offline: everything raises :class:`StorageError`.

    Source: Kafka, core/log/UnifiedLog.scala, storage/internals/log/LocalLog.java.
    """

    def __init__(
        self,
        environment: LogEnvironment,
        topic_partition: TopicPartition,
        topic_id: bytes,
        *,
        directory: Path,
        config: TopicConfig,
        loaded: LoadedLog,
    ) -> None:
        self.topic_partition = topic_partition
        self.topic_id = topic_id
        self.directory = directory
        self.config = config
        self.leader_epochs = loaded.leader_epochs
        self.log_start_offset = loaded.log_start_offset
        self.log_end_offset = loaded.log_end_offset
        self.size_bytes = sum(segment.size for segment in loaded.segments)
        self.offline_reason: str | None = None
        """Why this log alone may not be used any more; None while all is well."""
        self.is_deleted = False
        self._fs = environment.fs
        self.clock = environment.clock
        self._home = environment.home
        self._segments = Segments(loaded.segments, environment.cache)
        self._reader = LogReader(self._segments)
        self._times = TimeSearch(self._segments, environment.max_decompressed_bytes)
        self._flush = FlushState(
            self._fs,
            loaded.recovery_point,
            files=loaded.unsynced_files,
            unflushed_bytes=loaded.unsynced_bytes,
            on_error=self._on_flush_error,
        )
        for path in loaded.unsynced_directories:
            self._flush.add_directory(path)
        self.producers = LogProducers(self._fs, directory, self._segments, self._flush, loaded.producers)
        self._compaction = LogCompaction(
            environment, topic_partition, directory, segments=self._segments, producers=self.producers
        )
        self._truncation = LogTruncation(
            environment,
            topic_partition,
            directory,
            segments=self._segments,
            flush=self._flush,
            leader_epochs=self.leader_epochs,
            producers=self.producers,
        )
        self._retired = RetiredSegments(topic_partition)
        self._rolling = RollPolicy(config, self.clock, self._segments.active)
        self._home.recovery_points[topic_partition] = loaded.recovery_point
        self._home.log_start_offsets[topic_partition] = loaded.log_start_offset

    def __repr__(self) -> str:
        return f"<Log {self.topic_partition} from {self.log_start_offset} to {self.log_end_offset}>"

    @property
    def flushed_end_offset(self) -> int:
        """The recovery point: every record below it is on the disk."""
        return self._flush.end_offset

    @property
    def unflushed_bytes(self) -> int:
        """What has been appended since a flush was begun last; files that wait for the next count for many bytes."""
        return self._flush.unflushed_bytes

    @property
    def has_retired(self) -> bool:
        """Whether files wait for :meth:`remove_retired`."""
        return bool(self._retired)

    @property
    def is_offline(self) -> bool:
        """Whether an I/O error or damage has put the log out of use."""
        return self.offline_reason is not None or self._home.offline_reason is not None

    def append_as_leader(self, prepared: PreparedBatch, leader_epoch: int) -> LogAppendInfo:
        """Give a batch the next offsets and write it; it is not forced to disk.

        One that its producer repeats is not written, and the answer is where it is.

        Raises:
            InvalidProducerEpoch, OutOfOrderSequenceNumber, InvalidTxnState, TransactionCoordinatorFenced: It is not the
                next batch of its producer, see :class:`ProducerStates`.
            RecordListTooLarge: The batch is larger than a segment may be.
            FencedLeaderEpoch: The log holds records of a newer epoch.
            StorageError: It could not be written, and nothing of it is in the log.
        """
        batch = prepared.batch
        if batch.producer_id > NO_PRODUCER_ID:
            self._check_online()
            if (known := self.producers.check(prepared)) is not None:
                return LogAppendInfo.of_known(known, self.log_start_offset)
        base_offset = self.log_end_offset
        if leader_epoch != self.leader_epochs.latest_epoch:
            self.leader_epochs.check_not_over(leader_epoch)
        last_offset = base_offset + batch.last_offset_delta
        self._append(batch, batch.stamped_prefix(base_offset, leader_epoch), base_offset, last_offset, prepared.marker)
        if leader_epoch != self.leader_epochs.latest_epoch:
            self._assign_epoch(leader_epoch, base_offset)
        end_offset, time_ms = last_offset + 1, prepared.log_append_time_ms
        return LogAppendInfo(base_offset, last_offset, end_offset, batch.size, time_ms, self.log_start_offset)

    def append_as_follower(self, records: memoryview) -> LogAppendInfo:
        """Write batches as the leader sent them; one that is cut off at the end is left out.

        Raises:
            CorruptMessage: A batch is damaged.
            StorageError: A batch could not be written, or does not go on where the log ends; those before it were.
        """
        base_offset, size_bytes = self.log_end_offset, 0
        for batch in iter_batches(records):
            batch.verify_crc()
            check_continues(batch, self.log_end_offset, self.leader_epochs.latest_epoch, self.config)
            prefix, marker = bytes(batch.view[:PREFIX_SIZE]), marker_of(batch) if batch.is_control else None
            self._append(batch, prefix, batch.base_offset, batch.last_offset, marker)
            self._assign_epoch(batch.partition_leader_epoch, batch.base_offset)
            size_bytes += batch.size
        end_offset = self.log_end_offset
        return LogAppendInfo(base_offset, end_offset - 1, end_offset, size_bytes, NO_TIMESTAMP, self.log_start_offset)

    def read(self, offset: int, max_bytes: int, end_offset: int, *, min_one_batch: bool) -> FileSlice:
        """Find the batches from the one that holds ``offset`` on; the slice reads them.

        Args:
            offset: Of the first record that is wanted; its batch may begin before it.
            max_bytes: How much to take at most.
            end_offset: Only batches that are wholly below it: the high watermark, or the end for followers.
            min_one_batch: Whether a first batch that is larger than ``max_bytes`` is taken all the same.

        Returns:
            Whole batches of one segment; nothing when there are none below ``end_offset``.

        Raises:
            OffsetOutOfRange: ``offset`` is before the start of the log or beyond its end.
            StorageError: The log is offline or damaged.
        """
        self._check_online()
        log_end_offset = self.log_end_offset
        if not self.log_start_offset <= offset <= log_end_offset:
            raise OffsetOutOfRange(
                f"offset {offset} of {self.topic_partition} is not within {self.log_start_offset} to {log_end_offset}"
            )
        if offset >= end_offset or offset == log_end_offset:
            return EMPTY_SLICE
        return self._reader.read(offset, max_bytes, end_offset, min_one_batch=min_one_batch)

    def find_aborted(self, offset: int, end_offset: int) -> list[AbortedTransaction]:
        """The aborted transactions that have records from ``offset`` on and below ``end_offset``.

        Raises:
            StorageError: The log is offline or damaged.
        """
        self._check_online()
        return self._reader.find_aborted(offset, end_offset)

    def find_by_timestamp(self, timestamp_ms: int, end_offset: int) -> TimestampAndOffset | None:
        """The first record below ``end_offset`` that is not before ``timestamp_ms``; None when there is none.

        Raises:
            StorageError: The log is offline or damaged.
        """
        self._check_online()
        return self._times.first_at_or_after(timestamp_ms, self.log_start_offset, end_offset)

    def find_max_timestamp(self, end_offset: int) -> TimestampAndOffset | None:
        """The record below ``end_offset`` with the latest time, the first of several; None when none has a time.

        Raises:
            StorageError: The log is offline or damaged.
        """
        self._check_online()
        return self._times.latest(self.log_start_offset, end_offset)

    def reconfigure(self, config: TopicConfig) -> None:
        """Go by another configuration from now on."""
        self.config = config
        self._rolling = RollPolicy(config, self.clock, self._segments.active)
        self._compaction.abort()

    def roll(self) -> None:
        """Begin a new segment; nothing happens when the present one is empty.

        The old one is forced to disk by the next flush, and the recovery point does not pass it before.

        Raises:
            StorageError: The new segment cannot be made; the old one goes on.
        """
        self._check_online()
        closed = self._segments.active
        if closed.size == 0:
            return
        segment = Segment.create(
            self._fs, self.directory, self.log_end_offset, self.config.index_interval_bytes, self.clock.now_ms()
        )
        self._flush.add_files((closed.file, *closed.save_indexes()), self.directory)
        self._segments.add(segment)
        self._rolling = RollPolicy(self.config, self.clock, segment)
        failpoint("log.after_roll")
        self.producers.rolled()
        events.record(events.SegmentRolled(*self.topic_partition, segment.base_offset))

    def begin_flush(self) -> FlushTicket | None:
        """Take down what is not on the disk yet; None when all of it is.

        ``run`` the ticket, in another thread if need be, then hand it to :meth:`end_flush`.

        Raises:
            StorageError: The log is offline.
        """
        self._check_online()
        active = self._segments.active
        has_news = self._flush.end_offset < self.log_end_offset and active.size > 0
        if has_news and active.indexes.unsaved_entries >= _UNSAVED_ENTRIES_LIMIT:
            self._flush.add_files(active.save_indexes(is_complete=False))
        self._write_epochs()
        self.producers.save_if_due(self.log_end_offset)
        return self._flush.begin(self.log_end_offset, active.file if has_news else None)

    def end_flush(self, ticket: FlushTicket) -> None:
        """Take note that a ticket has been run: its records are on the disk."""
        if self.is_deleted:
            return
        self._flush.end(ticket)
        self._home.recovery_points[self.topic_partition] = self._flush.end_offset
        events.record(events.LogFlushed(*self.topic_partition, self._flush.end_offset))

    def flush(self) -> None:
        """Force everything to disk before returning.

        Raises:
            StorageError: It is not certain that the disk has it; the log is offline.
        """
        if (ticket := self.begin_flush()) is not None:
            ticket.run()
            self.end_flush(ticket)

    def delete_records(self, before_offset: int) -> None:
        """Move the start of the log to ``before_offset``; that is on the disk when this returns.

        The segments that are wholly before it go with the next :meth:`retire_expired`.

        Raises:
            OffsetOutOfRange: ``before_offset`` is beyond the end of the log.
            StorageError: The start may not survive a crash; the log is as before.
        """
        self._check_online()
        if before_offset > self.log_end_offset:
            raise OffsetOutOfRange(f"offset {before_offset} of {self.topic_partition} is beyond {self.log_end_offset}")
        if before_offset <= self.log_start_offset:
            return
        self._home.raise_log_start_offset(self.topic_partition, before_offset)
        self._move_start(before_offset)

    def retire_expired(self, now_ms: int) -> int:
        """Move the start of the log to the first segment that has not had its time; the files are kept.

        The caller makes the start durable, for all logs of a directory at once, and calls :meth:`remove_retired`.  The
        segment that is written ends here when it is old.

        Returns:
            How many segments are no part of the log any more.

        Raises:
            StorageError: The log is offline, or a new segment cannot be made.
        """
        self._check_online()
        if self._rolling.is_old(self._segments.active, now_ms):
            self.roll()
        count = count_expired(self._segments, self.config, self.log_start_offset, self.size_bytes, now_ms)
        if count == 0:
            return 0
        if count == len(self._segments):
            self.roll()
            self._flush.sync_directories()  # a log without any segment would have lost its offsets
        self._compaction.abort()
        retired = self._segments.take_first(count)
        self._retired.add(retired)
        self.size_bytes -= sum(segment.size for segment in retired)
        self._reader.forget()
        self._move_start(max(self.log_start_offset, self._segments[0].base_offset))
        return count

    def remove_retired(self) -> None:
        """Remove the files of retired segments, the oldest first.

        Raises:
            StorageError: Some are still there; they are tried again the next time.
        """
        self._retired.remove()

    def find_cleanable(self, end_offset: int) -> Cleanable:
        """Measure what of the log may be compacted: closed segments that end at or below ``end_offset``.

        Raises:
            StorageError: The log is offline or damaged.
        """
        self._check_online()
        return self._compaction.find(self.config, self.log_start_offset, end_offset, self.clock.now_ms())

    def begin_compaction(self, end_offset: int, means: CompactionMeans) -> CompactionTicket | None:
        """Begin a pass over what the next start will know to be on the disk; None when nothing of that is new.

        ``run`` the ticket, in another thread if need be, then hand it to :meth:`end_compaction`, until it is done.
        Before that :meth:`flush` the log, and have its recovery point written down.

        Raises:
            StorageError: The log is offline or damaged.
        """
        cleanable = self.find_cleanable(min(end_offset, self._home.saved_recovery_point(self.topic_partition)))
        return self._compaction.begin(self.config, cleanable, self.clock.now_ms(), means)

    def end_compaction(self, ticket: CompactionTicket) -> None:
        """Put what a ticket's last run has written in its place; reads that are under way do not notice.

        Raises:
            StorageError: It is not known which segments the next start will find; the log is offline.
        """
        try:
            freed_bytes = self._compaction.end(ticket, self.config.index_interval_bytes)
        except StorageError as error:
            self.mark_offline(str(error))
            raise
        if freed_bytes is not None:
            self.size_bytes -= freed_bytes
            self._reader.forget()
            self._flush.add_directory(self.directory)

    def truncate_to(self, end_offset: int) -> None:
        """Remove the records from ``end_offset`` on, and those that share a batch with it.

        That is on the disk when this returns.

        Raises:
            StorageError: The log may or may not have been cut; it is offline.
        """
        self._check_online()
        if end_offset >= self.log_end_offset:
            return
        self._compaction.abort()
        try:
            self._truncation.cut(end_offset)
        except StorageError as error:
            self.mark_offline(str(error))
            raise
        active = self._segments.active
        self.log_end_offset = active.end_offset
        self.size_bytes = sum(segment.size for segment in self._segments)
        self._rolling = RollPolicy(self.config, self.clock, active)
        self._reader.forget()
        events.record(events.LogTruncated(*self.topic_partition, self.log_end_offset, "asked for"))

    def mark_offline(self, reason: str) -> None:
        """Put the log out of use until the broker restarts."""
        if self.offline_reason is None:
            self.offline_reason = reason
            self._compaction.abort()
            _log.error("log_offline", partition=str(self.topic_partition), reason=reason)
            events.record(events.LogOffline(*self.topic_partition, reason))

    def write_out(self) -> None:
        """Write to files what appends keep in memory: indexes, epochs and producers; nothing is forced to disk.

        Raises:
            StorageError: The epochs cannot be written, or the log is offline: memory may be ahead of the files.
        """
        self._check_online()
        active = self._segments.active
        if active.has_unsaved_indexes:
            self._flush.add_files(active.save_indexes())
        self._write_epochs()
        self.producers.save(self.log_end_offset)

    def close(self) -> None:
        """Force everything to disk, indexes included, and let go of the files.

        Raises:
            StorageError: It is not certain that the disk has it.
        """
        try:
            if not self.is_offline:
                self.write_out()
                self.flush()
        finally:
            self._compaction.close()
            self._segments.release()

    def delete(self) -> None:
        """Remove the log; its name is free for another when this returns.

        Raises:
            StorageError: Some of its files are still there, under a name that the next start clears away.
        """
        self.is_deleted = True
        self._compaction.close()
        self._segments.release()
        events.record(events.PartitionDeleted(*self.topic_partition, self.topic_id))
        self._home.remove_partition(self.topic_partition)

    def _append(
        self, batch: RecordBatch, prefix: bytes, base_offset: int, last_offset: int, marker: EndTransactionMarker | None
    ) -> None:
        if self.offline_reason is not None or self._home.offline_reason is not None:
            self._check_online()
        size, max_timestamp_ms = batch.size, batch.max_timestamp_ms
        segment = self._segments.active
        if self._rolling.must_roll(segment, size, last_offset, max_timestamp_ms):
            self.roll()
            segment = self._segments.active
        try:
            segment.append(prefix, batch.view[PREFIX_SIZE:], size, last_offset, max_timestamp_ms)
        except TornSegment as error:
            self._home.fail(str(error))
            self.mark_offline(str(error))
            raise
        self.log_end_offset = last_offset + 1
        self.size_bytes += size
        self._flush.unflushed_bytes += size
        failpoint("log.after_append")
        if batch.producer_id > NO_PRODUCER_ID:
            try:
                self.producers.appended(batch, base_offset, marker)
            except StorageError as error:
                self.mark_offline(str(error))
                raise

    def _check_online(self) -> None:
        if (reason := self.offline_reason or self._home.offline_reason) is not None:
            raise StorageError(f"{self.topic_partition} is offline: {reason}")

    def _assign_epoch(self, leader_epoch: int, start_offset: int) -> None:
        if leader_epoch > self.leader_epochs.latest_epoch:
            self.leader_epochs.assign(leader_epoch, start_offset)
            events.record(events.EpochAssigned(*self.topic_partition, leader_epoch, start_offset))

    def _write_epochs(self) -> None:
        if self.leader_epochs.is_dirty:
            self._flush.add_files((self.leader_epochs.save(self._fs, self.directory),), self.directory)

    def _move_start(self, offset: int) -> None:
        self.log_start_offset = offset
        self._home.log_start_offsets[self.topic_partition] = offset
        self.leader_epochs.truncate_from_start(offset)

    def _on_flush_error(self, error: StorageError) -> bool:
        if self.is_deleted:
            return False
        self._home.fail(str(error))
        self.mark_offline(str(error))
        return True
