"""The producers as a log sees them: what it remembers, and the files that hold it.

There is a snapshot at the start of each segment, one or two within the active one, so that a start after a crash reads
hardly more than it has to check, and after a clean stop one at the end of the log.  A segment has an index of the
transactions that were aborted in it.

Source: Kafka, storage/internals/log/UnifiedLog.java, ProducerStateManager.java.
"""

from __future__ import annotations

from pathlib import Path

from minikafka.records.batch import CONTROL_FLAG, TRANSACTIONAL_FLAG, RecordBatch
from minikafka.records.control import EndTransactionMarker
from minikafka.storage import producer_recovery, producer_snapshot
from minikafka.storage.append import AppendOrigin, PreparedBatch
from minikafka.storage.flush import FlushState
from minikafka.storage.fs import FileSystem
from minikafka.storage.producer_recovery import KnownProducers
from minikafka.storage.producer_state import BatchMetadata
from minikafka.storage.segments import Segments

SNAPSHOT_INTERVAL_BYTES = 32 * 1024 * 1024
"""How much may be appended before a flush takes a snapshot."""


class LogProducers:
    """What a log knows of its producers.

    Args:
        fs: The file system.
        directory: Of the log.
        segments: Of the log.
        flush: Of the log; told of the files that are not on the disk yet.
        known: What is remembered as of the end of the log, and the snapshots that there are.
    """

    __slots__ = ("_directory", "_flush", "_fs", "_interim", "_position", "_segments", "_snapshot_offset", "states")

    def __init__(
        self, fs: FileSystem, directory: Path, segments: Segments, flush: FlushState, known: KnownProducers
    ) -> None:
        self._fs = fs
        self._directory = directory
        self._segments = segments
        self._flush = flush
        self._snapshot_offset = 0
        self._position = 0
        self._interim: list[int] = []
        self.states = known.states
        self._take_over(known)

    def check(self, prepared: PreparedBatch) -> BatchMetadata | None:
        """Check that a batch with a producer id may be appended as the next one.

        Returns:
            The batch in the log that it repeats; None when it is new.

        Raises:
            InvalidProducerEpoch, OutOfOrderSequenceNumber, InvalidTxnState: As :class:`ProducerStates` has it.
            TransactionCoordinatorFenced: It is the marker of a coordinator that has been replaced.
        """
        batch = prepared.batch
        if prepared.origin is AppendOrigin.CLIENT:
            return self.states.check_batch(batch, prepared.guard)
        marker = prepared.marker
        if marker is None:
            self.states.check_transaction(batch, prepared.guard)
        else:
            self.states.check_marker(
                batch.producer_id,
                batch.producer_epoch,
                marker.coordinator_epoch,
                transaction_version=prepared.transaction_version,
            )
        return None

    def appended(self, batch: RecordBatch, base_offset: int, marker: EndTransactionMarker | None) -> None:
        """Take note of a batch with a producer id, which the log has at ``base_offset`` now.

        Args:
            batch: The batch.
            base_offset: Of the batch.
            marker: What it says; None unless it is a control batch, and one about transactions.

        Raises:
            StorageError: It has aborted a transaction, and the index of those could not be written.
        """
        attributes = batch.attributes
        if attributes & CONTROL_FLAG:
            if marker is not None:
                self._marker_appended(batch, base_offset, marker)
            return
        self.states.add_batch(
            batch.producer_id,
            batch.producer_epoch,
            batch.base_sequence,
            base_offset=base_offset,
            last_offset=base_offset + batch.last_offset_delta,
            timestamp_ms=batch.max_timestamp_ms,
            is_transactional=attributes & TRANSACTIONAL_FLAG != 0,
        )

    def save(self, end_offset: int) -> None:
        """Have a snapshot at the end of the log."""
        if end_offset > self._snapshot_offset:
            files = producer_snapshot.save(self._fs, self._directory, end_offset, self.states.all)
            self._flush.add_files(files, self._directory)
            self._snapshot_offset = end_offset
            self._position = self._segments.active.size
            if end_offset != self._segments.active.base_offset:
                self._interim.append(end_offset)

    def save_if_due(self, end_offset: int) -> None:
        """Have a snapshot at the end of the log, if much has been appended since the last one."""
        if self._segments.active.size - self._position >= SNAPSHOT_INTERVAL_BYTES:
            self.save(end_offset)
            self._remove_interim(keep=2)

    def rolled(self) -> None:
        """Have a snapshot at the start of the new active segment, and none within the one before it."""
        base_offset = self._segments.active.base_offset
        self.save(base_offset)
        self._interim = [offset for offset in self._interim if offset < base_offset]
        self._remove_interim(keep=0)
        self._position = 0

    def truncate(self, end_offset: int) -> None:
        """Before the log is cut to ``end_offset``: remove the snapshots of what it will not have any more.

        Raises:
            StorageError: Some are still there.
        """
        producer_recovery.remove_snapshots_above(self._fs, self._directory, self._list_snapshots(), end_offset)

    def truncated(self) -> None:
        """After the log was cut: go back to what was known where it ends now.

        Raises:
            StorageError: That cannot be read.
        """
        known = producer_recovery.load_producers(
            self._fs, self._directory, list(self._segments), self._list_snapshots()
        )
        self._take_over(known)

    def _take_over(self, known: KnownProducers) -> None:
        active = self._segments.active
        self.states = known.states
        self._snapshot_offset = known.snapshots[-1] if known.snapshots else self._segments[0].base_offset
        self._interim = [offset for offset in known.snapshots if offset > active.base_offset]
        self._position = active.size if self._snapshot_offset == active.end_offset else 0

    def _list_snapshots(self) -> list[int]:
        return producer_snapshot.offsets_in(entry.name for entry in self._fs.list_directory(self._directory))

    def _marker_appended(self, batch: RecordBatch, offset: int, marker: EndTransactionMarker) -> None:
        aborted = self.states.add_marker(
            batch.producer_id, batch.producer_epoch, marker, offset=offset, timestamp_ms=batch.max_timestamp_ms
        )
        if aborted is not None:
            self._flush.add_files((self._segments.active.add_aborted(aborted),), self._directory)

    def _remove_interim(self, keep: int) -> None:
        """Remove the oldest snapshots within the active segment; the newest is not on the disk yet."""
        while len(self._interim) > keep:
            producer_snapshot.remove(self._fs, self._directory, self._interim.pop(0))
