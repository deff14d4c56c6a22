from __future__ import annotations

import pytest
from aiokafka.record.default_records import DefaultRecordBatch as AiokafkaBatch
from aiokafka.record.default_records import DefaultRecordBatchBuilder as AiokafkaBuilder
from hypothesis import given
from hypothesis import strategies as st
from kafka.record.default_records import DefaultRecordBatch as KafkaPythonBatch

from minikafka.records.batch import HEADER_SIZE, TimestampType
from minikafka.records.builder import RecordBatchBuilder, record_size_bound
from minikafka.records.compression import Compression
from tests.minikafka.records.strategies import CODECS, Made, build, made_records, parse, record_lists


def as_made(batch: AiokafkaBatch | KafkaPythonBatch) -> list[Made]:
    return [Made(r.timestamp, r.key, r.value, tuple(r.headers)) for r in batch]


@given(record_lists(), st.sampled_from(CODECS))
def test_aiokafka_reads_what_was_appended(records: list[Made], codec: Compression) -> None:
    batch = AiokafkaBatch(build(records, codec))
    assert batch.validate_crc()
    assert as_made(batch) == records


# kafka-python needs further libraries for the other codecs
@given(record_lists(), st.sampled_from([Compression.NONE, Compression.GZIP]))
def test_kafka_python_reads_what_was_appended(records: list[Made], codec: Compression) -> None:
    batch = KafkaPythonBatch(build(records, codec))
    assert batch.validate_crc()
    assert as_made(batch) == records


@given(record_lists())
def test_aiokafka_writes_the_same_bytes(records: list[Made]) -> None:
    other = AiokafkaBuilder(2, 0, False, -1, -1, -1, 2**30)
    for offset, record in enumerate(records):
        other.append(offset, record.timestamp_ms, record.key, record.value, list(record.headers))
    theirs = parse(other.build())
    ours = parse(build(records))
    assert ours.records_view == theirs.records_view
    assert ours.view[21:] == theirs.view[21:]  # some writers leave 0 for the leader epoch, which a leader overwrites


def test_the_producer_and_its_flags_are_written() -> None:
    builder = RecordBatchBuilder(is_transactional=True, timestamp_type=TimestampType.LOG_APPEND_TIME)
    assert [builder.append(5, None, b"a"), builder.append(3, None, b"b")] == [0, 1]
    builder.producer_id, builder.producer_epoch, builder.base_sequence = 2**40, 3, 4
    batch = parse(builder.build(base_offset=50, leader_epoch=6))
    batch.verify_crc()
    assert (batch.producer_id, batch.producer_epoch, batch.base_sequence, batch.last_sequence) == (2**40, 3, 4, 5)
    assert (batch.base_offset, batch.last_offset, batch.partition_leader_epoch) == (50, 51, 6)
    assert batch.is_transactional
    assert not batch.is_control
    assert batch.timestamp_type is TimestampType.LOG_APPEND_TIME
    assert (batch.base_timestamp_ms, batch.max_timestamp_ms) == (5, 5)


def test_a_batch_can_be_built_again_after_more_records() -> None:
    builder = RecordBatchBuilder(Compression.ZSTD)
    builder.append(1, None, b"a")
    first = builder.build()
    assert builder.build() == first
    builder.append(9, None, b"b")
    batch = parse(builder.build())
    assert (len(builder), batch.records_count, batch.max_timestamp_ms) == (2, 2, builder.max_timestamp_ms)
    assert parse(first).records_count == 1


@given(record_lists(), st.sampled_from(CODECS))
def test_a_batch_built_in_place_is_the_same(records: list[Made], codec: Compression) -> None:
    builder = RecordBatchBuilder(codec)
    for record in records:
        builder.append(*record)
    expected = builder.build()
    assert builder.build_in_place() == expected
    assert builder.build() == expected


def test_a_batch_that_is_in_use_in_place_takes_no_more_records() -> None:
    builder = RecordBatchBuilder()
    builder.append(1, None, b"a")
    built = builder.build_in_place()
    with pytest.raises(BufferError):
        builder.append(1, None, b"b")
    assert parse(bytes(built)).records_count == 1


def test_an_empty_batch_is_not_built() -> None:
    with pytest.raises(ValueError, match="at least one record"):
        RecordBatchBuilder().build()


@given(made_records)
def test_the_size_grows_by_no_more_than_the_bound(record: Made) -> None:
    builder = RecordBatchBuilder()
    builder.append(0, None, None)
    size = builder.size_bytes
    builder.append(*record)
    assert size < builder.size_bytes <= size + record_size_bound(record.key, record.value, record.headers)
    assert len(builder.build()) == builder.size_bytes


def test_the_size_of_an_empty_builder_is_its_header() -> None:
    assert RecordBatchBuilder().size_bytes == HEADER_SIZE


def test_the_compression_level_is_the_codecs_own() -> None:
    built = []
    for level in (1, 9, 9):
        builder = RecordBatchBuilder(Compression.GZIP, compression_level=level)
        builder.append(0, None, b"".join(b"%d" % (i * i) for i in range(3000)))
        built.append(builder.build())
    assert built[0] != built[1] == built[2]
