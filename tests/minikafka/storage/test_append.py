from __future__ import annotations

from dataclasses import replace

import pytest

from minikafka.config.topic import TopicConfig
from minikafka.errors import (
    CorruptMessage,
    InvalidRecord,
    InvalidTimestamp,
    KafkaError,
    MessageTooLarge,
    UnsupportedCompressionType,
)
from minikafka.records.batch import RecordBatch, TimestampType
from minikafka.records.builder import RecordBatchBuilder
from minikafka.records.compression import Compression
from minikafka.records.control import ControlType, EndTransactionMarker, marker_of
from minikafka.records.record import iter_records
from minikafka.storage.append import AppendOrigin, is_expensive, prepare, prepare_marker, prepare_own
from tests.support.storage import make_batch

CONFIG = TopicConfig()
NOW = 2_000


def test_a_good_batch_is_kept_as_it_is() -> None:
    batch = make_batch(b"a", b"b")
    made = prepare(batch, CONFIG, NOW)
    assert bytes(made.batch.view) == batch
    assert made.batch.view.obj is batch
    assert made.log_append_time_ms == -1


@pytest.mark.parametrize("buffer", [bytes, bytearray, memoryview])
def test_any_buffer_will_do(buffer: type[bytes]) -> None:
    assert prepare(buffer(make_batch(b"a")), CONFIG, NOW).batch.records_count == 1


@pytest.mark.parametrize(
    ("records", "error"),
    [
        (b"", InvalidRecord),
        (make_batch(b"a") + make_batch(b"b"), InvalidRecord),
        (make_batch(b"a") + b"x", InvalidRecord),
        (make_batch(b"a")[:-1], CorruptMessage),
        (make_batch(b"a")[:-1] + b"!", CorruptMessage),
        (make_batch(b"a", base_offset=1), InvalidRecord),
        (make_batch(b"a", timestamps_ms=(NOW + 3_600_001,)), InvalidTimestamp),
    ],
)
def test_a_bad_batch_is_refused(records: bytes, error: type[KafkaError]) -> None:
    with pytest.raises(error):
        prepare(records, CONFIG, NOW)


def test_a_damaged_record_is_refused_even_with_a_good_crc() -> None:
    builder = RecordBatchBuilder()
    builder.append(1, None, b"abc")
    builder._buffer[61] += 2  # the length of the first record
    with pytest.raises(InvalidRecord):
        prepare(builder.build(), CONFIG, NOW)


def test_a_batch_may_be_as_large_as_the_topic_says() -> None:
    batch = make_batch(bytes(100))
    prepare(batch, replace(CONFIG, max_message_bytes=len(batch)), NOW)
    with pytest.raises(MessageTooLarge, match=r"max\.message\.bytes"):
        prepare(batch, replace(CONFIG, max_message_bytes=len(batch) - 1), NOW)


def test_decompression_stops_at_the_budget() -> None:
    batch = make_batch(bytes(100_000), codec=Compression.ZSTD)
    with pytest.raises(InvalidRecord):
        prepare(batch, CONFIG, NOW, max_decompressed_bytes=99_999)


def test_a_compacted_topic_needs_keys() -> None:
    with pytest.raises(InvalidRecord):
        prepare(make_batch(b"a"), replace(CONFIG, cleanup_policy=frozenset({"compact"})), NOW)


def test_zstd_needs_a_request_that_knows_it() -> None:
    batch = make_batch(b"a", codec=Compression.ZSTD)
    prepare(batch, CONFIG, NOW)
    with pytest.raises(UnsupportedCompressionType):
        prepare(batch, CONFIG, NOW, zstd_allowed=False)
    prepare(make_batch(b"a", codec=Compression.LZ4), CONFIG, NOW, zstd_allowed=False)


def test_the_broker_dates_the_records_of_a_topic_with_log_append_time() -> None:
    batch = make_batch(b"a", b"b")
    made = prepare(batch, replace(CONFIG, message_timestamp_type="LogAppendTime"), NOW)
    assert made.log_append_time_ms == NOW
    assert made.batch.timestamp_type is TimestampType.LOG_APPEND_TIME
    assert made.batch.max_timestamp_ms == NOW
    made.batch.verify_crc()
    assert [record.timestamp_ms for record in iter_records(made.batch, budget_bytes=100)] == [NOW, NOW]
    assert RecordBatch.parse(memoryview(batch)).max_timestamp_ms == 1001


@pytest.mark.parametrize("theirs", list(Compression))
@pytest.mark.parametrize("ours", ["uncompressed", "gzip", "snappy", "lz4", "zstd", "producer"])
def test_the_topic_may_ask_for_another_codec(theirs: Compression, ours: str) -> None:
    values = [b"value" * 20 + bytes([number]) for number in range(30)]
    batch = make_batch(*values, codec=theirs)
    made = prepare(batch, replace(CONFIG, compression_type=ours), NOW).batch
    expected = {"producer": theirs.config_name, "uncompressed": "none"}.get(ours, ours)
    assert made.compression.config_name == expected
    assert (bytes(made.view) == batch) == (expected == theirs.config_name)
    made.verify_crc()
    records = list(iter_records(made, budget_bytes=1 << 20))
    assert [record.value for record in records] == values
    assert [record.timestamp_ms for record in records] == list(range(1000, 1030))


def test_the_level_is_the_topics() -> None:
    text = b"".join(b"some words %d and some more, " % (number % 97) for number in range(4000))
    sizes = [
        prepare(
            make_batch(text), replace(CONFIG, compression_type="gzip", compression_gzip_level=level), NOW
        ).batch.size
        for level in (1, 9)
    ]
    assert sizes[0] > sizes[1]


def test_a_batch_that_grows_in_another_codec_may_become_too_large() -> None:
    batch = make_batch(bytes(10_000), codec=Compression.ZSTD)
    config = replace(CONFIG, compression_type="uncompressed", max_message_bytes=5_000)
    with pytest.raises(MessageTooLarge):
        prepare(batch, config, NOW)


def test_the_brokers_own_batches_are_not_questioned() -> None:
    batch = make_batch(b"a", producer=(7, 0, -1))
    with pytest.raises(InvalidRecord):
        prepare(batch, CONFIG, NOW)
    made = prepare_own(batch, CONFIG, NOW)
    assert bytes(made.batch.view) == batch
    assert (made.origin, made.marker) == (AppendOrigin.COORDINATOR, None)


def test_the_brokers_own_batches_are_what_the_topic_asks_for() -> None:
    batch = make_batch(b"a" * 1000)
    config = replace(CONFIG, compression_type="gzip", message_timestamp_type="LogAppendTime")
    made = prepare_own(batch, config, NOW)
    assert made.batch.compression is Compression.GZIP
    assert made.log_append_time_ms == made.batch.max_timestamp_ms == NOW
    with pytest.raises(MessageTooLarge):
        prepare_own(batch, replace(CONFIG, max_message_bytes=len(batch) - 1), NOW)


def test_a_marker_comes_with_what_it_says() -> None:
    marker = EndTransactionMarker(ControlType.ABORT, coordinator_epoch=4)
    made = prepare_marker(marker, producer_id=7, producer_epoch=2, now_ms=NOW, transaction_version=2)
    made.batch.verify_crc()
    assert made.marker == marker == marker_of(made.batch)
    assert (made.batch.producer_id, made.batch.producer_epoch, made.batch.max_timestamp_ms) == (7, 2, NOW)
    assert (made.origin, made.transaction_version) == (AppendOrigin.COORDINATOR, 2)


@pytest.mark.parametrize(
    ("size", "codec", "expected"),
    [(1000, Compression.GZIP, False), (100_000, Compression.NONE, False), (100_000, Compression.SNAPPY, True)],
)
def test_only_large_compressed_batches_are_expensive(size: int, codec: Compression, expected: bool) -> None:
    incompressible = bytes((n * n * 7 + n // 256) & 0xFF for n in range(size))
    batch = make_batch(incompressible, codec=codec) + bytes(64 * 1024 if expected else 0)
    assert is_expensive(batch) is expected
    assert is_expensive(memoryview(batch)) is expected


def test_what_is_too_short_is_not_expensive() -> None:
    assert not is_expensive(b"")
