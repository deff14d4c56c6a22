from __future__ import annotations

import struct

import pytest

from minikafka.errors import CorruptMessage, ErrorCode, InvalidRecord, InvalidTimestamp, UnsupportedCompressionType
from minikafka.records.batch import HEADER_SIZE, RecordBatch, TimestampType
from minikafka.records.compression import Compression, compress
from minikafka.records.control import ControlType, EndTransactionMarker, build_marker
from minikafka.records.validation import InvalidRecords, parse_single_batch, validate_batch, validate_records
from minikafka.records.varint import encode_varint
from tests.minikafka.records.strategies import CODECS, Made, batch_of, build, parse, patched, raw_record, sized, uniform

NOW_MS = 1_700_000_000_000
HOUR_MS = 3_600_000
FOREVER_MS = 2**63 - 1
BUDGET = 2**20


def check(raw: bytes, *, before_ms: int = FOREVER_MS, after_ms: int = HOUR_MS, log_append_time: bool = False) -> None:
    batch = parse_single_batch(memoryview(raw))
    validate_batch(
        batch,
        now_ms=NOW_MS,
        timestamp_type=TimestampType(log_append_time),
        timestamp_before_max_ms=before_ms,
        timestamp_after_max_ms=after_ms,
    )
    validate_records(batch, BUDGET)


@pytest.mark.parametrize("codec", CODECS)
def test_an_honest_batch_is_accepted(codec: Compression) -> None:
    check(build([Made(NOW_MS + i, b"k", b"v" * i, (("h", None),)) for i in range(200)], codec))
    check(build([Made(-1, None, None)], codec))


def test_f10_exactly_one_batch_is_produced() -> None:
    raw = uniform(3)
    check(raw)
    for records in (b"", raw + raw, raw + b"\x00", raw + raw[:30]):
        with pytest.raises(InvalidRecord):
            check(records)


def test_f10_a_base_offset_other_than_0_is_refused() -> None:
    with pytest.raises(InvalidRecord, match="base offset"):
        check(patched(uniform(3), 0, ">q", 1))


@pytest.mark.parametrize(
    ("magic", "error"), [(0, InvalidRecord), (1, InvalidRecord), (3, CorruptMessage), (-1, CorruptMessage)]
)
def test_f10_other_magics_are_refused(magic: int, error: type[Exception]) -> None:
    with pytest.raises(error):
        check(patched(uniform(3), 16, ">b", magic))


def test_f11_one_wrong_bit_in_any_byte_is_refused() -> None:
    raw = uniform(2)
    for at in range(len(raw)):
        if 12 <= at < 16:
            continue  # the leader epoch: the leader writes its own
        broken = bytearray(raw)
        broken[at] ^= 0x10
        with pytest.raises((CorruptMessage, InvalidRecord)) as caught:
            check(bytes(broken))
        if at >= 17:
            assert caught.value.code is ErrorCode.CORRUPT_MESSAGE


@pytest.mark.parametrize("count", [0, -1, 2, 4, 2**31 - 1, -(2**31)])
def test_f12_a_count_that_lies_is_refused(count: int) -> None:
    with pytest.raises(InvalidRecord, match="records"):
        check(patched(uniform(3), 57, ">i", count))


@pytest.mark.parametrize("delta", [-1, 0, 1, 3, 2**31 - 1, -(2**31)])
def test_f12_a_last_offset_delta_that_lies_is_refused(delta: int) -> None:
    with pytest.raises(InvalidRecord):
        check(patched(uniform(3), 23, ">i", delta))


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("count", [1, 2, 4, 5000, 2**31 - 1])
def test_f12_a_count_is_compared_with_the_records_themselves(codec: Compression, count: int) -> None:
    raw = build([Made(NOW_MS, None, b"v")] * 3, codec)
    with pytest.raises(InvalidRecord):
        check(patched(patched(raw, 57, ">i", count), 23, ">i", count - 1))


def test_f12_control_batches_are_for_brokers_only() -> None:
    marker = build_marker(EndTransactionMarker(ControlType.COMMIT, 0), producer_id=1, producer_epoch=1, timestamp_ms=1)
    with pytest.raises(InvalidRecord, match="control"):
        check(marker)


@pytest.mark.parametrize(
    "fields",
    [
        {"producer_id": 5, "producer_epoch": 0, "base_sequence": -1},
        {"producer_id": 5, "producer_epoch": 0, "base_sequence": -2},
        {"producer_id": 5, "producer_epoch": -1, "base_sequence": 0},
        {"producer_id": -1, "attributes": 0x10},
        {"producer_id": -1, "attributes": 0x10, "producer_epoch": 0, "base_sequence": 0},
    ],
)
def test_f12_half_a_producer_is_refused(fields: dict[str, int]) -> None:
    with pytest.raises(InvalidRecord):
        check(batch_of(raw_record(), 1, **fields))


@pytest.mark.parametrize(
    "fields",
    [
        {"producer_id": 5, "producer_epoch": 0, "base_sequence": 0},
        {"producer_id": 5, "producer_epoch": 0, "base_sequence": 2**31 - 1, "attributes": 0x10},
        {"producer_id": -1, "producer_epoch": 0, "base_sequence": 0},  # as kafkajs does without idempotence
    ],
)
def test_a_whole_producer_or_none_is_accepted(fields: dict[str, int]) -> None:
    check(batch_of(raw_record(), 1, **fields))


MALFORMED = {
    "length lies": raw_record(3, length=8),
    "key length negative": raw_record(3, key=encode_varint(-2)),
    "value length negative": raw_record(3, value=encode_varint(-2)),
    "header key length negative": raw_record(3, headers=b"\x02" + encode_varint(-1) + b"\x00"),
    "header value length negative": raw_record(3, headers=b"\x02" + sized(b"h") + encode_varint(-2)),
    "more headers than bytes": raw_record(3, headers=encode_varint(1000)),
    "offset delta repeated": raw_record(2),
    "offset delta skipped": raw_record(4),
    "offset delta negative": raw_record(-3),
    "bytes after it": raw_record(3) + b"\x00",
    "missing": b"",
}


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("malformed", MALFORMED.values(), ids=MALFORMED)
def test_f13_a_malformed_record_is_refused_compressed_or_not(malformed: bytes, codec: Compression) -> None:
    records = b"".join(map(raw_record, range(3))) + malformed
    with pytest.raises(InvalidRecord):
        check(batch_of(compress(codec, records), 4, attributes=codec))


@pytest.mark.parametrize("codec", [5, 6, 7])
def test_f14_an_unknown_codec_is_refused(codec: int) -> None:
    with pytest.raises(UnsupportedCompressionType):
        check(batch_of(raw_record(), 1, attributes=codec))


@pytest.mark.parametrize("codec", CODECS[1:])
def test_f14_a_corrupt_stream_with_a_right_crc_is_refused(codec: Compression) -> None:
    raw = build([Made(NOW_MS, None, b"v" * 1000)] * 3, codec)
    cut = batch_of(raw[HEADER_SIZE:-10], 3, attributes=codec)
    for broken in (cut, batch_of(raw_record() * 3, 3, attributes=codec), batch_of(b"", 3, attributes=codec)):
        with pytest.raises(InvalidRecord):
            check(broken)


@pytest.mark.parametrize("codec", CODECS[1:])
def test_f14_a_bomb_is_refused(codec: Compression) -> None:
    with pytest.raises(InvalidRecord):
        check(build([Made(NOW_MS, None, bytes(BUDGET))], codec))


@pytest.mark.parametrize("timestamp_ms", [-5, -2, -(2**63), 2**63 - 1, NOW_MS + HOUR_MS + 1])
@pytest.mark.parametrize("field", [27, 35])
def test_f15_a_timestamp_that_cannot_be_is_refused(timestamp_ms: int, field: int) -> None:
    raw = patched(build([Made(NOW_MS, None, b"v")]), field, ">q", timestamp_ms)
    with pytest.raises(InvalidTimestamp, match=str(timestamp_ms)):
        check(raw)
    check(raw, log_append_time=True)


def test_f15_the_limits_themselves_are_allowed() -> None:
    check(build([Made(NOW_MS - 10, None, b"v"), Made(NOW_MS + 20, None, b"v")]), before_ms=10, after_ms=20)
    for records in ([Made(NOW_MS - 11, None, b"v")], [Made(NOW_MS, None, b"v"), Made(NOW_MS + 21, None, b"v")]):
        with pytest.raises(InvalidTimestamp):
            check(build(records), before_ms=10, after_ms=20)


def test_a_batch_without_timestamps_is_never_too_old() -> None:
    check(build([Made(-1, None, b"v")]), before_ms=10)


@pytest.mark.parametrize("log_append_time", [False, True])
def test_only_the_broker_sets_log_append_time(log_append_time: bool) -> None:
    with pytest.raises(InvalidTimestamp, match="LogAppendTime"):
        check(batch_of(raw_record(), 1, attributes=8), log_append_time=log_append_time)


def keyless_of(batch: RecordBatch) -> list[int]:
    with pytest.raises(InvalidRecords) as caught:
        validate_records(batch, BUDGET, require_keys=True)
    assert caught.value.code is ErrorCode.INVALID_RECORD
    assert all("key" in error.message for error in caught.value.record_errors)
    return [error.batch_index for error in caught.value.record_errors]


@pytest.mark.parametrize("codec", CODECS)
def test_a_compacted_topic_learns_which_records_lack_a_key(codec: Compression) -> None:
    keys = [b"k", None, b"", None] + [b"k"] * 100 + [None] * 100
    batch = parse(build([Made(NOW_MS, key, b"v") for key in keys], codec))
    assert keyless_of(batch) == [i for i, key in enumerate(keys) if key is None]
    validate_records(batch, BUDGET)


def test_keys_on_all_records_satisfy_a_compacted_topic() -> None:
    validate_records(parse(uniform(100, key=b"")), BUDGET, require_keys=True)


def test_a_malformed_batch_is_malformed_before_it_lacks_keys() -> None:
    with pytest.raises(InvalidRecord) as caught:
        validate_records(parse(batch_of(raw_record() + b"\x00", 1)), BUDGET, require_keys=True)
    assert not isinstance(caught.value, InvalidRecords)


def test_what_is_checked_may_be_longer_than_its_batch() -> None:
    raw = uniform(3)
    (length,) = struct.unpack_from(">i", raw, 8)
    batch = RecordBatch.parse(memoryview(raw + raw))
    assert batch.size == length + 12
    validate_records(batch, BUDGET)
