"""What a leader checks before it takes a producer's batch.

The header and the CRC come first, then every record.  Each check raises the error that a producer is sent by Apache
Kafka.

Source: Kafka, ProduceRequest.validateRecords, UnifiedLog.analyzeAndValidateRecords, LogValidator.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from minikafka.errors import InvalidRecord, InvalidTimestamp
from minikafka.records.batch import CODEC_MASK, HEADER_SIZE, RecordBatch, TimestampType
from minikafka.records.record_columns import MIN_RUN, WALK_AT_ONCE, find_run
from minikafka.records.record_walk import walk_records
from minikafka.types import NO_PRODUCER_ID, NO_TIMESTAMP

_CHEAP_COPY_BYTES = 64 * 1024


class RecordError(NamedTuple):
    """Why one record of a batch was refused (Produce v8+)."""

    batch_index: int
    message: str


class InvalidRecords(InvalidRecord):
    """INVALID_RECORD (87) with the records to blame, which a producer may then leave out."""

    def __init__(self, record_errors: Sequence[RecordError]) -> None:
        super().__init__(f"one or more records have been rejected: {len(record_errors)} in total")
        self.record_errors = record_errors


def parse_single_batch(records: memoryview) -> RecordBatch:
    """The batch that a Produce request (v3 or later) carries for a partition: exactly one.

    Raises:
        InvalidRecord: There is none, an incomplete one, something after it, or one of an old format.
        CorruptMessage: Its length is impossible, or its magic is none of Kafka's.
    """
    if not records:
        raise InvalidRecord("a produce request must hold a record batch for each partition")
    batch = RecordBatch.parse(records)
    if batch.size != len(records):
        raise InvalidRecord("a produce request must hold exactly one record batch for each partition")
    return batch


def validate_batch(
    batch: RecordBatch,
    *,
    now_ms: int,
    timestamp_type: TimestampType = TimestampType.CREATE_TIME,
    timestamp_before_max_ms: int,
    timestamp_after_max_ms: int,
) -> None:
    """Check the header of a producer's batch, and its CRC.

    Timestamps are those of the header: of the first record and of the latest.

    Args:
        batch: As parsed; its records are not looked at.
        now_ms: The broker's time.
        timestamp_type: The topic's; with log append time the producer's own timestamps do not matter.
        timestamp_before_max_ms: How old a record may be.
        timestamp_after_max_ms: How far in the future a record may be.

    Raises:
        CorruptMessage: The CRC is wrong.
        InvalidRecord: The header contradicts itself, or holds what only a broker may write.
        UnsupportedCompressionType: The codec is unknown.
        InvalidTimestamp: The records are too old or too far in the future.
    """
    if batch.base_offset != 0:
        raise InvalidRecord(f"the base offset of a produced batch is 0, not {batch.base_offset}")
    batch.verify_crc()
    if batch.records_count <= 0 or batch.records_count != batch.last_offset_delta + 1:
        raise _wrong_count(batch)
    if batch.attributes:
        _check_attributes(batch)
    if batch.producer_id > NO_PRODUCER_ID:
        _check_producer(batch)
    # Without a producer id, epoch and sequence mean nothing: some clients leave 0 in them.
    if timestamp_type is TimestampType.CREATE_TIME:
        earliest_ms, latest_ms = now_ms - timestamp_before_max_ms, now_ms + timestamp_after_max_ms
        least_ms = max(earliest_ms, NO_TIMESTAMP)
        if not (least_ms <= batch.base_timestamp_ms <= latest_ms >= batch.max_timestamp_ms >= least_ms):
            _check_timestamps(batch, earliest_ms, latest_ms)


def validate_records(batch: RecordBatch, budget_bytes: int, require_keys: bool = False) -> None:
    """Check every record of a batch whose header :func:`validate_batch` has accepted.

    Args:
        batch: The batch; its count is what the records are compared with.
        budget_bytes: The most that its records may take when decompressed.
        require_keys: Whether the topic is compacted, so that each record needs a key.

    Raises:
        InvalidRecord: A record lies about its length, its parts or its offset, their count is not the batch's, or
            they do not decompress within the budget.
        InvalidRecords: Records have no key though they need one.
        UnsupportedCompressionType: The codec is unknown.
    """
    keyless: list[int] | None = [] if require_keys else None
    records = batch.records_bytes(budget_bytes) if batch.attributes & CODEC_MASK else batch.view[HEADER_SIZE:]
    check_records(records, batch.records_count, keyless)
    if keyless:
        raise InvalidRecords([RecordError(i, "compacted topic cannot accept message without key") for i in keyless])


def check_records(records: bytes | memoryview, count: int, keyless: list[int] | None) -> None:
    """Check that ``records`` is ``count`` well-formed records, numbered from 0, and nothing else.

    Args:
        records: Not compressed.
        count: As the header of their batch has it.
        keyless: Where to note the indices of records that have no key; None when nobody asks.

    Raises:
        InvalidRecord: It is not.
    """
    if count < MIN_RUN:
        data = records if len(records) > _CHEAP_COPY_BYTES else bytes(records)  # an index into bytes takes half as long
        end = walk_records(data, 0, 0, count, keyless)
    else:
        end = _check_many(bytes(records), count, keyless)  # strided slices of bytes are eight times as fast
    if end != len(records):
        raise InvalidRecord(f"{len(records) - end} bytes follow the last record of a batch")


def _check_many(data: bytes, count: int, keyless: list[int] | None) -> int:
    pos = index = 0
    while index < count:
        run = find_run(data, pos, index, count - index)
        if run is None:
            end_index = min(count, index + WALK_AT_ONCE)
            pos = walk_records(data, pos, index, end_index, keyless)
        else:
            end_index = index + run.length
            pos += run.length * run.shape.stride
            if keyless is not None and run.shape.key_size < 0:
                keyless.extend(range(index, end_index))
        index = end_index
    return pos


def _wrong_count(batch: RecordBatch) -> InvalidRecord:
    if batch.records_count <= 0:
        return InvalidRecord(f"a batch claims {batch.records_count} records")
    return InvalidRecord(f"a batch claims {batch.records_count} records and offsets up to {batch.last_offset_delta}")


def _check_timestamps(batch: RecordBatch, earliest_ms: int, latest_ms: int) -> None:
    for timestamp_ms in (batch.base_timestamp_ms, batch.max_timestamp_ms):
        if not NO_TIMESTAMP <= timestamp_ms <= latest_ms or NO_TIMESTAMP < timestamp_ms < earliest_ms:
            raise InvalidTimestamp(f"timestamp {timestamp_ms} is out of range [{earliest_ms}, {latest_ms}]")


def _check_attributes(batch: RecordBatch) -> None:
    if batch.is_control:
        raise InvalidRecord("clients are not allowed to write control records")
    if batch.timestamp_type is TimestampType.LOG_APPEND_TIME:
        raise InvalidTimestamp("a producer does not set the timestamp type LogAppendTime")
    _ = batch.compression  # raises when it is unknown
    if batch.is_transactional and not batch.has_producer_id:
        raise InvalidRecord("transactional records need a producer id")


def _check_producer(batch: RecordBatch) -> None:
    if batch.base_sequence < 0:
        raise InvalidRecord(f"sequence number {batch.base_sequence} with producer id {batch.producer_id}")
    if batch.producer_epoch < 0:
        raise InvalidRecord(f"producer epoch {batch.producer_epoch} with producer id {batch.producer_id}")
