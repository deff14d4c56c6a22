"""Finding records by time.

Source: Kafka, UnifiedLog.fetchOffsetByTimestamp, LogSegment.findOffsetByTimestamp.
"""

from __future__ import annotations

from collections.abc import Iterator

from minikafka.records.record import iter_records
from minikafka.storage.batch_headers import BatchHeader
from minikafka.storage.segment import Segment
from minikafka.storage.segments import Segments
from minikafka.types import NO_TIMESTAMP, TimestampAndOffset


class TimeSearch:
    """Searches a log by the times of its records.

    Args:
        segments: The log's.
        max_decompressed_bytes: The most that the records of one batch may take.
    """

    __slots__ = ("_max_decompressed_bytes", "_segments")

    def __init__(self, segments: Segments, max_decompressed_bytes: int) -> None:
        self._segments = segments
        self._max_decompressed_bytes = max_decompressed_bytes

    def first_at_or_after(self, timestamp_ms: int, start_offset: int, end_offset: int) -> TimestampAndOffset | None:
        """The first record that is not before ``timestamp_ms``.

        Args:
            timestamp_ms: In milliseconds since the epoch.
            start_offset: Records below it do not count.
            end_offset: Neither do records from it on.

        Raises:
            StorageError: The log cannot be read.
            InvalidRecord: A batch cannot be decoded.
        """
        for segment in self._segments:
            if segment.base_offset >= end_offset:
                break
            if segment.end_offset <= start_offset or segment.latest.timestamp_ms < timestamp_ms:
                continue
            for header in _candidates(segment, timestamp_ms):
                if header.base_offset >= end_offset:
                    return None
                if header.max_timestamp_ms >= timestamp_ms and header.last_offset >= start_offset:
                    found = self._first_in(segment, header, timestamp_ms, start_offset)
                    if found is not None:
                        return found if found.offset < end_offset else None
            self._segments.used(segment)
        return None

    def latest(self, start_offset: int, end_offset: int) -> TimestampAndOffset | None:
        """The record with the latest time, the first of them when there are several; None when none has a time."""
        best: Segment | None = None
        for segment in self._segments:
            if segment.end_offset <= start_offset or segment.base_offset >= end_offset:
                continue
            if segment.latest.timestamp_ms > (best.latest.timestamp_ms if best else NO_TIMESTAMP):
                best = segment
        if best is None:
            return None
        header = best.find_batch(best.latest.offset)
        if header is None or header.base_offset < start_offset or header.last_offset >= end_offset:
            return self._latest_by_walking(start_offset, end_offset)
        return self._first_in(best, header, header.max_timestamp_ms, start_offset)

    def _latest_by_walking(self, start_offset: int, end_offset: int) -> TimestampAndOffset | None:
        """As :meth:`latest`, when the latest record of a segment is not within the bounds."""
        best: TimestampAndOffset | None = None
        for segment in self._segments:
            if segment.end_offset <= start_offset or segment.base_offset >= end_offset:
                continue
            for header in segment.headers():
                if header.base_offset >= end_offset:
                    break
                if header.last_offset < start_offset or header.max_timestamp_ms <= (best.timestamp_ms if best else -1):
                    continue
                found = self._latest_in(segment, header, start_offset, end_offset)
                if best is None or (found is not None and found.timestamp_ms > best.timestamp_ms):
                    best = found
        return best

    def _latest_in(
        self, segment: Segment, header: BatchHeader, start_offset: int, end_offset: int
    ) -> TimestampAndOffset | None:
        batch = segment.read_batch(header)
        records = iter_records(batch, budget_bytes=self._max_decompressed_bytes)
        best = max(
            (record for record in records if start_offset <= record.offset < end_offset),
            key=lambda record: record.timestamp_ms,
            default=None,
        )
        return best and TimestampAndOffset(best.timestamp_ms, best.offset, batch.partition_leader_epoch)

    def _first_in(
        self, segment: Segment, header: BatchHeader, timestamp_ms: int, start_offset: int
    ) -> TimestampAndOffset | None:
        batch = segment.read_batch(header)
        for record in iter_records(batch, budget_bytes=self._max_decompressed_bytes):
            if record.timestamp_ms >= timestamp_ms and record.offset >= start_offset:
                return TimestampAndOffset(record.timestamp_ms, record.offset, batch.partition_leader_epoch)
        return None


def _candidates(segment: Segment, timestamp_ms: int) -> Iterator[BatchHeader]:
    """The headers from the first batch on that may hold a record of ``timestamp_ms`` or later."""
    entry = segment.indexes.times.lookup(timestamp_ms)
    if entry.timestamp_ms == NO_TIMESTAMP:
        return segment.headers()
    header = segment.find_batch(entry.offset)
    if header is None or header.max_timestamp_ms != entry.timestamp_ms:
        segment.rebuild_indexes()
        return segment.headers()
    return segment.headers(header.position)
