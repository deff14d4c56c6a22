from __future__ import annotations

from typing import NamedTuple

import pytest
from aiokafka.record.default_records import DefaultRecordBatchBuilder as AiokafkaBuilder
from hypothesis import given
from hypothesis import strategies as st
from kafka.record.default_records import DefaultRecordBatch as KafkaPythonBatch
from kafka.record.default_records import DefaultRecordBatchBuilder as KafkaPythonBuilder

from minikafka.errors import InvalidRecord, UnsupportedCompressionType
from minikafka.records.batch import RecordBatch
from minikafka.records.compression import Compression
from minikafka.records.record import Header, Record, iter_records, iter_records_as
from minikafka.records.varint import encode_varint, encode_varlong
from tests.minikafka.records.strategies import (
    CODECS,
    Made,
    batch_of,
    build,
    parse,
    patched,
    raw_record,
    record_lists,
    sized,
    uniform,
)

BUDGET = 2**22


def decoded(batch: RecordBatch) -> list[Record]:
    return list(iter_records(batch, budget_bytes=BUDGET))


def expected(records: list[Made], base_offset: int = 0) -> list[Record]:
    return [
        Record(
            base_offset + i, record.timestamp_ms, record.key, record.value, tuple(Header(*h) for h in record.headers)
        )
        for i, record in enumerate(records)
    ]


@given(record_lists(), st.sampled_from(CODECS), st.integers(0, 2**50))
def test_what_was_appended_comes_back(records: list[Made], codec: Compression, base_offset: int) -> None:
    raw = build(records, codec)
    batch = parse(parse(raw).stamped_prefix(base_offset, 0) + raw[16:])
    assert decoded(batch) == expected(records, base_offset)


class Placed(NamedTuple):
    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: tuple[Header, ...]


@given(record_lists())
def test_records_can_be_made_with_more_in_front(records: list[Made]) -> None:
    placed = list(iter_records_as(Placed, ("orders", 3), parse(build(records)), budget_bytes=BUDGET))
    assert placed == [Placed("orders", 3, *record) for record in expected(records)]
    assert {type(record) for record in placed} == {Placed}


@given(record_lists(), st.sampled_from(CODECS))
def test_what_aiokafka_wrote_is_read(records: list[Made], codec: Compression) -> None:
    builder = AiokafkaBuilder(2, int(codec), False, -1, -1, -1, 2**30)
    for offset, record in enumerate(records):
        builder.append(offset, record.timestamp_ms, record.key, record.value, list(record.headers))
    batch = parse(builder.build())
    batch.verify_crc()
    assert decoded(batch) == expected(records)


@given(record_lists(), st.sampled_from([Compression.NONE, Compression.GZIP]))
def test_what_kafka_python_wrote_is_read(records: list[Made], codec: Compression) -> None:
    builder = KafkaPythonBuilder(2, int(codec), False, -1, -1, -1, 2**30)
    for offset, record in enumerate(records):
        builder.append(offset, record.timestamp_ms, record.key, record.value, list(record.headers))
    batch = parse(builder.build())
    batch.verify_crc()
    assert decoded(batch) == expected(records)


@pytest.mark.parametrize("step_ms", [0, 1, -1, 3_000, -3_000, 10_000_000])
@pytest.mark.parametrize("key", [None, b"", b"key"])
def test_a_long_run_of_one_shape_is_what_kafka_python_reads(step_ms: int, key: bytes | None) -> None:
    raw = uniform(9000, key=key, step_ms=step_ms)
    theirs = [Record(r.offset, r.timestamp, r.key, r.value) for r in KafkaPythonBatch(raw)]
    assert decoded(parse(raw)) == theirs


@pytest.mark.parametrize("count", [63, 64, 65, 128, 200, 1_300])
@pytest.mark.parametrize("size", [4, 1_000])
def test_each_record_of_a_long_run_has_its_own_key_and_value(count: int, size: int) -> None:
    made = [Made(1_700_000_000_000, b"%04d" % i, (b"%4d" % i).ljust(size)) for i in range(count)]
    decoded = iter_records(parse(build(made)), budget_bytes=0)
    assert [(record.offset, record.key, record.value) for record in decoded] == [
        (offset, record.key, record.value) for offset, record in enumerate(made)
    ]


def test_keys_and_values_are_bytes_whatever_the_batch_lies_in() -> None:
    (record,) = decoded(parse(bytearray(build([Made(1, b"k", b"v")]))))
    assert isinstance(record.key, bytes)
    assert isinstance(record.value, bytes)


@pytest.mark.parametrize("count", [2, 200])
def test_gaps_left_by_compaction_stay_gaps(count: int) -> None:
    records = b"".join(raw_record(3 * i) for i in range(count))
    batch = parse(batch_of(records, count, base_offset=100, last_offset_delta=3 * count))
    assert [record.offset for record in decoded(batch)] == list(range(100, 100 + 3 * count, 3))


def test_a_batch_emptied_by_compaction_has_no_records() -> None:
    assert decoded(parse(batch_of(b"", 0, last_offset_delta=9, attributes=Compression.ZSTD))) == []


@pytest.mark.parametrize("count", [1, 100])
def test_with_log_append_time_the_batch_dates_its_records(count: int) -> None:
    raw = patched(patched(uniform(count), 21, ">h", 8), 35, ">q", 42)
    assert {record.timestamp_ms for record in decoded(parse(raw))} == {42}


@pytest.mark.parametrize("delta", [0, -1, 63, -64, 8191, 8192, 2**31, -(2**40), 2**62])
@pytest.mark.parametrize("count", [1, 40])
def test_timestamp_deltas_of_every_size_are_added(delta: int, count: int) -> None:
    records = b"".join(raw_record(i, time=encode_varlong(delta)) for i in range(count))
    assert {record.timestamp_ms for record in decoded(parse(batch_of(records, count)))} == {1000 + delta}


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("count", [0, 1, 2, 50])
def test_the_count_must_be_right(codec: Compression, count: int) -> None:
    raw = patched(build([Made(i, None, b"v") for i in range(49)], codec), 57, ">i", count)
    if count:
        with pytest.raises(InvalidRecord):
            decoded(parse(raw))
    else:
        assert decoded(parse(raw)) == []


MALFORMED = {
    "length too long": raw_record(length=8),
    "length too short": raw_record(length=6),
    "length negative": raw_record(length=-8),
    "length of five bytes": b"\xfe\xff\xff\xff\x0f" + raw_record()[1:],
    "key negative": raw_record(key=encode_varint(-2)),
    "key beyond the end": raw_record(key=sized(b"k", 2000)),
    "value negative": raw_record(value=encode_varint(-2)),
    "value beyond the end": raw_record(value=sized(b"v", 2**31 - 1)),
    "header count negative": raw_record(headers=encode_varint(-1)),
    "more headers than bytes": raw_record(headers=encode_varint(2**31 - 1)),
    "header key negative": raw_record(headers=encode_varint(1) + encode_varint(-1) + b"\x00"),
    "header key beyond the end": raw_record(headers=encode_varint(1) + sized(b"h", 50) + b"\x00"),
    "header value negative": raw_record(headers=encode_varint(1) + sized(b"h") + encode_varint(-2)),
    "header value beyond the end": raw_record(headers=encode_varint(1) + sized(b"h") + sized(b"x", 50)),
    "header missing": raw_record(headers=encode_varint(1)),
    "varint too long": raw_record(key=b"\x81\x80\x80\x80\x80\x00"),
    "timestamp too long": raw_record(time=b"\x80" * 10 + b"\x00"),
    "nothing": b"",
}


@pytest.mark.parametrize("malformed", MALFORMED.values(), ids=MALFORMED)
@pytest.mark.parametrize("before", [0, 70])
def test_a_malformed_record_is_refused(malformed: bytes, before: int) -> None:
    records = b"".join(map(raw_record, range(before)))
    with pytest.raises(InvalidRecord):
        decoded(parse(batch_of(records + malformed, before + 1)))


def test_a_header_key_that_is_no_text_is_refused() -> None:
    record = raw_record(headers=encode_varint(1) + sized(b"\xff") + b"\x01")
    with pytest.raises(InvalidRecord, match="UTF-8"):
        decoded(parse(batch_of(record, 1)))


def test_an_unknown_codec_is_refused() -> None:
    with pytest.raises(UnsupportedCompressionType):
        decoded(parse(batch_of(raw_record(), 1, attributes=6)))


def test_records_beyond_the_budget_are_refused() -> None:
    batch = parse(build([Made(1, None, bytes(10_000))], Compression.ZSTD))
    with pytest.raises(InvalidRecord):
        list(iter_records(batch, budget_bytes=10_000))
