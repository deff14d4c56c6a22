"""What is left of a batch is what was asked for, under the numbers that it had."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minikafka.records.batch import RecordBatch, TimestampType
from minikafka.records.builder import RecordBatchBuilder
from minikafka.records.compacted import with_some_records, without_records
from minikafka.records.compression import Compression
from minikafka.records.record import Record, iter_records
from minikafka.records.record_spans import find_spans
from tests.minikafka.records.strategies import CODECS, Made, build, parse, record_lists

HORIZON_MS = 1_700_000_123_456


def read(batch: RecordBatch) -> list[Record]:
    return list(iter_records(batch, budget_bytes=1 << 20))


def some_of(batch: RecordBatch, kept: list[int], horizon_ms: int | None = None) -> RecordBatch:
    spans = find_spans(bytes(batch.records_bytes(1 << 20)), batch.records_count)
    left = parse(with_some_records(batch, spans, kept, horizon_ms))
    left.verify_crc()
    return left


def numbers_of(batch: RecordBatch) -> tuple[int, ...]:
    """What must never change."""
    return (
        batch.base_offset,
        batch.last_offset,
        batch.partition_leader_epoch,
        batch.producer_id,
        batch.producer_epoch,
        batch.base_sequence,
        batch.last_sequence,
    )


@given(record_lists(), st.sampled_from(CODECS), st.none() | st.integers(0, 2**45), st.data())
def test_the_records_that_stay_are_the_same(
    records: list[Made], codec: Compression, horizon_ms: int | None, data: st.DataObject
) -> None:
    batch = parse(build(records, codec))
    kept = sorted(data.draw(st.sets(st.integers(0, len(records) - 1), min_size=1, max_size=20)))
    left = some_of(batch, kept, horizon_ms)
    assert read(left) == [record for number, record in enumerate(read(batch)) if number in kept]
    assert numbers_of(left) == numbers_of(batch)
    assert left.compression is batch.compression
    assert left.max_timestamp_ms == max(records[number].timestamp_ms for number in kept)
    assert left.delete_horizon_ms == horizon_ms


def test_a_horizon_is_kept_when_records_go_later() -> None:
    batch = parse(build([Made(1000 + i, b"k%d" % i, None) for i in range(4)]))
    left = some_of(some_of(batch, [0, 1, 3], HORIZON_MS), [0, 2])
    assert left.delete_horizon_ms == HORIZON_MS
    assert [(record.offset, record.timestamp_ms) for record in read(left)] == [(0, 1000), (3, 1003)]


def test_the_broker_s_time_stays_that_of_the_batch() -> None:
    builder = RecordBatchBuilder(timestamp_type=TimestampType.LOG_APPEND_TIME)
    for number in range(3):
        builder.append(5_000 + number, b"k%d" % number, b"")
    batch = parse(builder.build())
    left = some_of(batch, [0], HORIZON_MS)
    assert left.timestamp_type is TimestampType.LOG_APPEND_TIME
    assert left.max_timestamp_ms == batch.max_timestamp_ms
    assert [record.timestamp_ms for record in read(left)] == [batch.max_timestamp_ms]


@pytest.mark.parametrize("codec", CODECS)
def test_an_empty_batch_still_says_which_numbers_were_used(codec: Compression) -> None:
    builder = RecordBatchBuilder(codec, producer_id=7, producer_epoch=2, base_sequence=40, is_transactional=True)
    for number in range(5):
        builder.append(1000 + number, b"k", b"v")
    batch = parse(builder.build(30, 4))
    left = parse(without_records(batch))
    left.verify_crc()
    assert left.size == 61
    assert left.records_count == 0
    assert read(left) == []
    assert numbers_of(left) == numbers_of(batch)
    assert left.max_timestamp_ms == batch.max_timestamp_ms
    assert left.is_transactional
    assert not left.is_compressed
