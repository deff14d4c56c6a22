from __future__ import annotations

import struct

import pytest
from aiokafka.record.default_records import DefaultRecordBatch as AiokafkaBatch
from kafka.record.default_records import DefaultRecordBatch as KafkaPythonBatch

from minikafka.errors import CorruptMessage, InvalidRecord, UnsupportedCompressionType
from minikafka.records.batch import (
    HEADER_SIZE,
    LOG_OVERHEAD,
    PREFIX_SIZE,
    RecordBatch,
    TimestampType,
    iter_batches,
    with_compression,
    with_log_append_time,
)
from minikafka.records.compression import Compression
from minikafka.records.record import iter_records
from tests.minikafka.records.strategies import CODECS, Made, batch_of, build, parse, patched, raw_record, uniform


def test_the_header_is_61_bytes_of_which_12_are_not_counted() -> None:
    assert (HEADER_SIZE, LOG_OVERHEAD, PREFIX_SIZE) == (61, 12, 16)


def test_each_field_is_where_other_clients_read_it() -> None:
    raw = batch_of(
        raw_record(),
        1,
        base_offset=11,
        partition_leader_epoch=12,
        attributes=0x10,
        last_offset_delta=13,
        base_timestamp=14,
        max_timestamp=15,
        producer_id=16,
        producer_epoch=17,
        base_sequence=18,
    )
    batch = parse(raw)
    other = KafkaPythonBatch(raw)
    assert batch.base_offset == other.base_offset == 11
    assert batch.size == other.size_in_bytes == len(raw) == batch.batch_length + 12
    assert batch.partition_leader_epoch == other.leader_epoch == 12
    assert batch.magic == other.magic == 2
    assert batch.crc == other.crc
    assert batch.attributes == other.attributes == 0x10
    assert batch.last_offset_delta == other.last_offset_delta == 13
    assert batch.base_timestamp_ms == other.first_timestamp == 14
    assert batch.max_timestamp_ms == other.max_timestamp == 15
    assert batch.producer_id == other.producer_id == 16
    assert batch.producer_epoch == other.producer_epoch == 17
    assert batch.base_sequence == other.base_sequence == 18
    assert batch.records_count == other.records_count == 1
    assert batch.last_offset == other.last_offset == 24
    assert batch.next_offset == other.next_offset == 25
    assert batch.last_sequence == other.last_sequence == 31
    assert other.validate_crc()
    batch.verify_crc()


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        (0x00, (TimestampType.CREATE_TIME, False, False, None)),
        (0x08, (TimestampType.LOG_APPEND_TIME, False, False, None)),
        (0x10, (TimestampType.CREATE_TIME, True, False, None)),
        (0x20, (TimestampType.CREATE_TIME, False, True, None)),
        (0x40, (TimestampType.CREATE_TIME, False, False, 1000)),
    ],
)
def test_each_attribute_bit_has_its_meaning(attributes: int, expected: tuple[object, ...]) -> None:
    batch = parse(batch_of(raw_record(), 1, attributes=attributes))
    assert (batch.timestamp_type, batch.is_transactional, batch.is_control, batch.delete_horizon_ms) == expected


def test_the_lowest_bits_are_the_codec_and_5_to_7_are_unknown() -> None:
    batches = [parse(batch_of(raw_record(), 1, attributes=0x30 | codec)) for codec in range(8)]
    assert [batch.compression for batch in batches[:5]] == CODECS
    assert [batch.is_compressed for batch in batches] == [False] + [True] * 7
    for batch in batches[5:]:
        with pytest.raises(UnsupportedCompressionType):
            batch.records_bytes(1000)


def test_sequence_numbers_start_again_at_0() -> None:
    batch = parse(batch_of(b"", 1, last_offset_delta=2, base_sequence=2**31 - 2, producer_id=1))
    assert batch.last_sequence == KafkaPythonBatch(bytes(batch.view)).last_sequence == 0
    assert parse(batch_of(b"", 1, last_offset_delta=2)).last_sequence == -1


def test_the_view_is_the_memory_that_was_given() -> None:
    raw = bytearray(uniform(3))
    batch = parse(raw)
    raw[-1] ^= 0xFF
    assert batch.view[-1] == raw[-1]
    assert batch.records_view.nbytes == len(raw) - HEADER_SIZE
    assert batch.records_bytes(0) == batch.records_view


def test_a_batch_is_found_at_its_position_and_no_further() -> None:
    first, second = uniform(2), uniform(3)
    view = memoryview(b"???" + first + second + b"?")
    assert RecordBatch.parse(view, 3).view == first
    assert RecordBatch.parse(view, 3 + len(first)).view == second


@pytest.mark.parametrize("length", [-(2**31), -1, 0, 13, 14, 48])
def test_f10_a_length_that_no_batch_can_have_is_corrupt(length: int) -> None:
    raw = bytearray(uniform(3))
    struct.pack_into(">i", raw, 8, length)
    with pytest.raises(CorruptMessage, match=f"length {length}"):
        parse(raw)


@pytest.mark.parametrize("more", [1, 1000, 2**31 - 1 - 200])
def test_f10_a_length_beyond_the_buffer_is_corrupt(more: int) -> None:
    raw = bytearray(uniform(3))
    struct.pack_into(">i", raw, 8, len(raw) - 12 + more)
    with pytest.raises(CorruptMessage, match="follow"):
        parse(raw)


def test_f10_a_batch_cut_anywhere_is_corrupt() -> None:
    raw = uniform(2)
    for size in range(len(raw)):
        with pytest.raises(CorruptMessage):
            parse(raw[:size])


@pytest.mark.parametrize(
    ("magic", "error"), [(0, InvalidRecord), (1, InvalidRecord), (3, CorruptMessage), (-1, CorruptMessage)]
)
def test_f10_only_magic_2_is_read(magic: int, error: type[Exception]) -> None:
    raw = bytearray(uniform(3))
    struct.pack_into(">b", raw, 16, magic)
    with pytest.raises(error, match="magic"):
        parse(raw)


def test_f10_a_small_message_of_an_old_format_is_told_from_a_cut_batch() -> None:
    message = struct.pack(">qiIbb", 0, 22, 0, 1, 0) + struct.pack(">qii", 0, -1, -1)
    with pytest.raises(InvalidRecord, match="magic 1"):
        parse(message)


def test_f11_one_wrong_bit_anywhere_under_the_crc_is_found() -> None:
    raw = bytearray(build([Made(5, b"key", b"value", (("h", b"x"),))]))
    for at in range(17, len(raw)):
        for bit in range(8):
            raw[at] ^= 1 << bit
            with pytest.raises(CorruptMessage):
                parse(raw).verify_crc()
            raw[at] ^= 1 << bit
    parse(raw).verify_crc()


def test_the_stamped_prefix_leaves_the_crc_valid() -> None:
    raw = uniform(3)
    stamped = parse(raw).stamped_prefix(2**40, 7) + raw[PREFIX_SIZE:]
    batch = parse(stamped)
    batch.verify_crc()
    assert (batch.base_offset, batch.partition_leader_epoch, batch.size) == (2**40, 7, len(raw))
    assert AiokafkaBatch(stamped).validate_crc()


@pytest.mark.parametrize("codec", CODECS)
def test_log_append_time_dates_all_records_and_keeps_the_rest(codec: Compression) -> None:
    raw = build([Made(i, b"k", b"v" * 30) for i in range(40)], codec)
    dated = with_log_append_time(parse(raw), 123456)
    batch = parse(dated)
    batch.verify_crc()
    assert batch.timestamp_type is TimestampType.LOG_APPEND_TIME
    assert (batch.max_timestamp_ms, batch.base_timestamp_ms) == (123456, 0)
    assert {record.timestamp_ms for record in iter_records(batch, budget_bytes=10_000)} == {123456}
    assert {record.timestamp for record in AiokafkaBatch(dated)} == {123456}
    assert bytes(batch.records_view) == raw[HEADER_SIZE:]


@pytest.mark.parametrize("before", CODECS)
@pytest.mark.parametrize("after", CODECS)
def test_a_batch_changes_its_codec_and_nothing_else(before: Compression, after: Compression) -> None:
    raw = patched(build([Made(i, b"k", b"v" * 30) for i in range(40)], before), 43, ">q", 99)
    batch = parse(with_compression(parse(raw), after, 10_000))
    batch.verify_crc()
    assert (batch.compression, batch.producer_id, batch.records_count) == (after, 99, 40)
    assert batch.records_bytes(10_000) == parse(raw).records_bytes(10_000)


def test_batches_are_iterated_up_to_a_cut_one() -> None:
    batches = [uniform(1), uniform(200), uniform(3)]
    whole = b"".join(batches)
    for cut in (*range(len(batches[2])),):
        found = list(iter_batches(memoryview(whole)[: len(whole) - len(batches[2]) + cut]))
        assert [bytes(batch.view) for batch in found] == batches[:2]
    assert len(list(iter_batches(memoryview(whole)))) == 3


def test_garbage_between_batches_is_not_skipped() -> None:
    raw = uniform(3)
    batches = iter_batches(memoryview(raw + bytes(200) + raw))
    assert next(batches).size == len(raw)
    with pytest.raises(CorruptMessage):
        next(batches)
