"""What compaction leaves of each batch.

Source: Kafka, core/log/LogCleaner.scala (Cleaner.cleanInto, shouldRetainRecord).
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import compress
from typing import NamedTuple

from minikafka.config.definition import MAX_LONG
from minikafka.records.batch import RecordBatch
from minikafka.records.compacted import with_some_records, without_records
from minikafka.records.record_spans import find_spans
from minikafka.storage.cleaned_transactions import CleanedTransactions
from minikafka.storage.fs import Buffer
from minikafka.storage.offset_map import OffsetMap


class ProducerEnd(NamedTuple):
    """What a log remembers of a producer, and a start has to find again."""

    last_offset: int | None
    """Of its last batch of records; None when only a marker is known of its epoch."""
    epoch: int


class BatchFilter:
    """Keeps the last record of each key, and tombstones and markers until consumers have had the time to see them.

    It is shown every batch of the log, in order.

    Args:
        last: Which records are the last of their key; batches beyond its reach stay as they are.
        transactions: Whose records do not count.
        producers: By id.  The last batch of each stays, emptied if need be: it holds the sequence number that the
            producer goes on from, or the epoch.
        now_ms: The present time.
        delete_retention_ms: How long a tombstone or a marker stays after the first pass that met it.
        max_decompressed_bytes: The most that the records of one batch may take.
    """

    __slots__ = ("_delete_horizon_ms", "_last", "_max_decompressed_bytes", "_now_ms", "_producers", "_transactions")

    def __init__(
        self,
        last: OffsetMap,
        transactions: CleanedTransactions,
        producers: Mapping[int, ProducerEnd],
        *,
        now_ms: int,
        delete_retention_ms: int,
        max_decompressed_bytes: int,
    ) -> None:
        self._last = last
        self._transactions = transactions
        self._producers = producers
        self._now_ms = now_ms
        self._delete_horizon_ms = min(now_ms + delete_retention_ms, MAX_LONG)
        self._max_decompressed_bytes = max_decompressed_bytes

    def keep(self, batch: RecordBatch, *, ends_segment: bool) -> Buffer | None:
        """What stays of a batch: ``batch.view`` itself when that is all of it, None when it is nothing.

        Args:
            batch: Its CRC has been verified.
            ends_segment: Whether no other batch follows.  Such a batch stays, emptied if need be, so that a segment
                goes on where the one before it ends, and no offset is given a second time.

        Raises:
            InvalidRecord: The records cannot be read.
            UnsupportedCompressionType: The codec is unknown.
        """
        kept = self._keep_marker(batch) if batch.is_control else self._keep_records(batch)
        if kept is not None:
            return kept
        if ends_segment or self._ends_producer(batch):
            return batch.view if batch.records_count == 0 else without_records(batch)
        return None

    def _keep_marker(self, batch: RecordBatch) -> Buffer | None:
        if not self._transactions.marks_nothing(batch):
            return batch.view
        horizon_ms = batch.delete_horizon_ms
        if batch.records_count == 0 or (horizon_ms is not None and self._now_ms >= horizon_ms):
            return None
        if horizon_ms is not None:
            return batch.view
        spans = find_spans(bytes(batch.records_bytes(self._max_decompressed_bytes)), batch.records_count)
        return with_some_records(batch, spans, range(len(spans)), self._delete_horizon_ms)

    def _keep_records(self, batch: RecordBatch) -> Buffer | None:
        if self._transactions.are_aborted(batch) or batch.records_count == 0:
            return None
        if batch.last_offset > self._last.latest_offset:
            return batch.view
        return self._keep_last_records(batch)

    def _keep_last_records(self, batch: RecordBatch) -> Buffer | None:
        spans = find_spans(bytes(batch.records_bytes(self._max_decompressed_bytes)), batch.records_count)
        stays = self._last.are_last(spans.keys, [batch.base_offset + delta for delta in spans.offset_deltas])
        horizon_ms = batch.delete_horizon_ms
        if horizon_ms is not None and self._now_ms >= horizon_ms:
            for number in spans.tombstones:
                stays[number] = False
        kept = list(compress(range(len(stays)), stays))
        if not kept:
            return None
        is_new_horizon = horizon_ms is None and any(stays[number] for number in spans.tombstones)
        if len(kept) == len(stays) and not is_new_horizon:
            return batch.view
        return with_some_records(batch, spans, kept, self._delete_horizon_ms if is_new_horizon else None)

    def _ends_producer(self, batch: RecordBatch) -> bool:
        producer = self._producers.get(batch.producer_id)
        if producer is None:
            return False
        if producer.last_offset is None:
            return batch.is_control and batch.producer_epoch == producer.epoch
        return batch.last_offset == producer.last_offset
