"""What compaction leaves of each batch.

Source: Kafka, core/log/LogCleaner.scala (Cleaner.cleanInto, shouldRetainRecord).
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import compress

from minikafka.config.definition import MAX_LONG
from minikafka.records.batch import RecordBatch
from minikafka.records.compacted import with_some_records, without_records
from minikafka.records.record_spans import find_spans
from minikafka.storage.fs import Buffer
from minikafka.storage.offset_map import OffsetMap

_PRODUCER_EXPIRATION_MS = 24 * 3_600_000
"""After so long without a record a producer is forgotten; the default of Kafka's ``producer.id.expiration.ms``."""


class BatchFilter:
    """Keeps the last record of each key, and tombstones until consumers have had the time to see them.

    Args:
        last: Which records are the last of their key; batches beyond its reach stay as they are.
        producer_ends: Producer id to the last offset of its last batch.  That batch stays, emptied if need be: it
            holds the sequence number that the producer goes on from.
        now_ms: The present time.
        delete_retention_ms: How long a tombstone stays after the first pass that met it.
        max_decompressed_bytes: The most that the records of one batch may take.
    """

    __slots__ = ("_delete_horizon_ms", "_last", "_max_decompressed_bytes", "_now_ms", "_producer_ends")

    def __init__(
        self,
        last: OffsetMap,
        producer_ends: Mapping[int, int],
        *,
        now_ms: int,
        delete_retention_ms: int,
        max_decompressed_bytes: int,
    ) -> None:
        self._last = last
        self._producer_ends = producer_ends
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
        if batch.last_offset > self._last.latest_offset or batch.is_control:
            return batch.view
        if batch.records_count > 0:
            kept = self._keep_records(batch)
            if kept is not None:
                return kept
        if ends_segment or self._ends_producer(batch):
            return batch.view if batch.records_count == 0 else without_records(batch)
        return None

    def _keep_records(self, batch: RecordBatch) -> Buffer | None:
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
        return (
            batch.has_producer_id
            and self._producer_ends.get(batch.producer_id) == batch.last_offset
            and batch.max_timestamp_ms > self._now_ms - _PRODUCER_EXPIRATION_MS
        )
