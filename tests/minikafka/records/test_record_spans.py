from __future__ import annotations

import pytest
from hypothesis import given

from minikafka.errors import InvalidRecord
from minikafka.records.batch import HEADER_SIZE
from minikafka.records.record import iter_records
from minikafka.records.record_spans import find_spans
from minikafka.records.varint import decode_varint
from tests.minikafka.records.strategies import Made, build, parse, raw_record, record_lists, sized, uniform


def data_of(records: list[Made]) -> bytes:
    return build(records)[HEADER_SIZE:]


@given(record_lists())
def test_spans_are_where_the_records_are(records: list[Made]) -> None:
    data = data_of(records)
    spans = find_spans(data, len(records))
    assert len(spans) == len(records)
    assert spans.keys == [record.key for record in records]
    assert spans.offset_deltas == list(range(len(records)))
    assert spans.tombstones == [number for number, record in enumerate(records) if record.value is None]
    assert b"".join(map(spans.slice, range(len(records)))) == data
    for number, record in enumerate(records):
        length, body = decode_varint(spans.slice(number), 0)
        assert length == len(spans.slice(number)) - body
        assert spans.timestamp_delta(number) == record.timestamp_ms - records[0].timestamp_ms


@given(record_lists())
def test_a_shifted_record_has_the_same_time_to_another_base(records: list[Made]) -> None:
    spans = find_spans(data_of(records), len(records))
    for number in range(len(records)):
        shifted = spans.shifted(number, 1_000_000)
        again = find_spans(shifted, 1)
        assert again.timestamp_delta(0) == spans.timestamp_delta(number) + 1_000_000
        assert again.keys == [spans.keys[number]]
        assert again.offset_deltas == [number]


def test_gaps_between_the_offsets_are_seen() -> None:
    data = raw_record(0, key=sized(b"a")) + raw_record(3, key=sized(b"b"), value=b"\x01") + raw_record(90)
    spans = find_spans(data, 3)
    assert spans.offset_deltas == [0, 3, 90]
    assert spans.keys == [b"a", b"b", None]
    assert spans.tombstones == [1]


def test_long_runs_are_found_by_columns_like_any_others() -> None:
    batch = uniform(500, key=b"key")
    spans = find_spans(batch[HEADER_SIZE:], 500)
    assert spans.keys == [record.key for record in iter_records(parse(batch), budget_bytes=0)]


def test_what_follows_the_last_record_is_refused() -> None:
    with pytest.raises(InvalidRecord, match="follow the last record"):
        find_spans(raw_record() + b"x", 1)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x0c",
        raw_record()[:-1],
        raw_record(length=8),
        raw_record(length=6),
        raw_record(length=-1),
        raw_record(key=b"\x05"),
        raw_record(key=sized(b"key", 40)),
        raw_record(value=sized(b"value", 5 + 1)),
        raw_record(value=b"\x03"),
    ],
    ids=[
        "nothing",
        "only a length",
        "cut off",
        "length too large",
        "length too small",
        "length below zero",
        "key of -3 bytes",
        "key beyond the record",
        "value beyond the record",
        "value of -2 bytes",
    ],
)
def test_a_record_that_lies_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidRecord):
        find_spans(data, 1)
