"""What is left of a batch when compaction takes records out of it.

Its first and last offset, its producer and its sequence numbers stay what they were, so that nobody who counts on
them sees a difference; the offsets of the records that are gone are simply not there any more.

Source: Kafka, clients/common/record/MemoryRecords.filterTo, DefaultRecordBatch.writeEmptyHeader.
"""

from __future__ import annotations

from collections.abc import Sequence

from minikafka.records.batch import (
    CODEC_MASK,
    DELETE_HORIZON_FLAG,
    HEADER,
    HEADER_SIZE,
    LOG_OVERHEAD,
    RecordBatch,
    TimestampType,
    write_crc,
)
from minikafka.records.compression import compress
from minikafka.records.record_spans import RecordSpans
from minikafka.types import NO_TIMESTAMP


def with_some_records(
    batch: RecordBatch, spans: RecordSpans, kept: Sequence[int], delete_horizon_ms: int | None = None
) -> bytearray:
    """The batch with some of its records only, compressed as it was.

    Args:
        batch: As it is.
        spans: Its records.
        kept: The numbers of those that stay, in order; at least one.
        delete_horizon_ms: When its tombstones may go (KIP-534), if that is to be noted in it.  The note takes the
            place of the base timestamp, to which the times of the records are encoded anew.
    """
    attributes, base_timestamp_ms = batch.attributes, batch.base_timestamp_ms
    if batch.timestamp_type is TimestampType.LOG_APPEND_TIME:
        max_timestamp_ms = batch.max_timestamp_ms
    else:
        max_timestamp_ms = base_timestamp_ms + max(map(spans.timestamp_delta, kept))
    if delete_horizon_ms is None:
        records = b"".join(map(spans.slice, kept))
    else:
        shift_ms = base_timestamp_ms - delete_horizon_ms
        records = b"".join(spans.shifted(number, shift_ms) for number in kept)
        attributes, base_timestamp_ms = attributes | DELETE_HORIZON_FLAG, delete_horizon_ms
    content = compress(batch.compression, records)
    return _batch(
        batch,
        content,
        attributes=attributes,
        base_timestamp_ms=base_timestamp_ms,
        max_timestamp_ms=max_timestamp_ms,
        count=len(kept),
    )


def without_records(batch: RecordBatch) -> bytearray:
    """The header of the batch alone: it still says which offsets and which sequence numbers have been used."""
    attributes = batch.attributes & ~(CODEC_MASK | DELETE_HORIZON_FLAG)
    return _batch(
        batch,
        b"",
        attributes=attributes,
        base_timestamp_ms=NO_TIMESTAMP,
        max_timestamp_ms=batch.max_timestamp_ms,
        count=0,
    )


def _batch(
    batch: RecordBatch,
    content: bytes,
    *,
    attributes: int,
    base_timestamp_ms: int,
    max_timestamp_ms: int,
    count: int,
) -> bytearray:
    made = bytearray(HEADER_SIZE)
    made += content
    HEADER.pack_into(
        made,
        0,
        batch.base_offset,
        len(made) - LOG_OVERHEAD,
        batch.partition_leader_epoch,
        batch.magic,
        0,
        attributes,
        batch.last_offset_delta,
        base_timestamp_ms,
        max_timestamp_ms,
        batch.producer_id,
        batch.producer_epoch,
        batch.base_sequence,
        count,
    )
    write_crc(made)
    return made
