from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minikafka.protocol import primitives
from minikafka.protocol.errors import DecodeError
from minikafka.protocol.primitives import Cut, interleave, put_records, records_size


def uvarint(value: int) -> bytes:
    out = bytearray()
    primitives.write_uvarint(out, value)
    return bytes(out)


@given(st.integers(0, 0xFFFFFFFF))
def test_unsigned_varints_round_trip(value: int) -> None:
    encoded = uvarint(value)

    assert primitives.read_uvarint(memoryview(b"x" + encoded + b"x"), 1) == (value, 1 + len(encoded))


@pytest.mark.parametrize(
    ("value", "encoded"), [(0, "00"), (127, "7f"), (128, "8001"), (300, "ac02"), (1 << 31, "8080808008")]
)
def test_the_lowest_seven_bits_come_first(value: int, encoded: str) -> None:
    assert uvarint(value).hex() == encoded


@pytest.mark.parametrize("encoded", ["ffffffffff01", "808080808001", "ffffffff7f", "8080808010"])
def test_a_varint_of_more_than_five_bytes_or_32_bits_is_refused(encoded: str) -> None:
    with pytest.raises(DecodeError, match="varint"):
        primitives.read_uvarint(memoryview(bytes.fromhex(encoded)), 0)


def test_a_varint_that_is_cut_off_ends_the_buffer() -> None:
    with pytest.raises(IndexError):
        primitives.read_uvarint(memoryview(b"\xff\xff"), 0)


def test_a_string_longer_than_kafka_allows_is_refused() -> None:
    longest = uvarint(0x7FFF + 1)

    assert primitives.read_string_uvarint(memoryview(longest), 0) == (0x8000, 3)
    with pytest.raises(DecodeError, match="32768 bytes"):
        primitives.read_string_uvarint(memoryview(uvarint(0x8000 + 1)), 0)


def tags(*fields: tuple[int, bytes]) -> bytes:
    return uvarint(len(fields)) + b"".join(uvarint(tag) + uvarint(len(data)) + data for tag, data in fields)


def skip(encoded: bytes) -> int:
    return primitives.skip_tags(memoryview(encoded), 0, len(encoded))


def test_unknown_tagged_fields_are_stepped_over() -> None:
    encoded = tags((0, b""), (3, b"abc"), (200, b"x" * 300))

    assert skip(encoded) == len(encoded)
    assert skip(tags() + b"more") == 1


@pytest.mark.parametrize("encoded", [tags((1, b""), (1, b"")), tags((2, b""), (1, b""))])
def test_tags_must_ascend(encoded: bytes) -> None:
    with pytest.raises(DecodeError, match="after tag"):
        skip(encoded)


def test_a_tagged_field_ends_with_the_structure_around_it() -> None:
    with pytest.raises(DecodeError, match="tagged field of 4 bytes"):
        skip(b"\x01\x00\x04abc")


def test_more_tagged_fields_than_the_bytes_can_hold_are_refused() -> None:
    with pytest.raises(DecodeError, match="3 tagged fields in 4 bytes"):
        skip(b"\x03\x00\x00\x01\x00")


def test_more_than_a_thousand_tagged_fields_are_refused() -> None:
    at_most = tags(*((tag, b"") for tag in range(1_000)))
    too_many = tags(*((tag, b"") for tag in range(1_001)))

    assert skip(at_most) == len(at_most)
    with pytest.raises(DecodeError, match="1001 tagged fields"):
        skip(too_many)


def test_twenty_million_tagged_fields_leave_nothing_behind() -> None:
    encoded = memoryview(uvarint(20_000_000) + bytes(1_000_000))
    tracemalloc.start()
    with pytest.raises(DecodeError):
        primitives.skip_tags(encoded, 0, len(encoded))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 16_384


def test_array_structs_do_not_grow_with_their_count() -> None:
    tracemalloc.start()
    made = primitives.array_struct("i", 25_000_000)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert made.size == 100_000_000
    assert peak < 16_384


def test_records_count_all_their_buffers() -> None:
    assert records_size(memoryview(b"abc")) == 3
    assert records_size([b"abc", bytearray(b"de"), memoryview(b"f")]) == 6


LARGE = b"r" * (primitives.COPY_LIMIT + 1)


def test_small_records_are_copied() -> None:
    out, cuts = bytearray(b"head"), list[Cut]()
    put_records(out, cuts, [b"ab", b"c"], 3)
    put_records(out, cuts, b"d", 1)

    assert (out, cuts) == (b"headabcd", [])


def test_large_records_are_left_where_they_are() -> None:
    out, cuts = bytearray(b"head"), list[Cut]()
    put_records(out, cuts, LARGE, len(LARGE))

    assert (out, cuts) == (b"head", [Cut(4, LARGE)])


def test_large_records_are_copied_when_nobody_collects_cuts() -> None:
    out = bytearray()
    put_records(out, None, LARGE, len(LARGE))

    assert out == LARGE


def test_records_are_put_between_the_encoded_bytes() -> None:
    buffers = interleave(bytearray(b"abcd"), [Cut(1, b"1"), Cut(3, [b"2", b"3"])])

    assert [bytes(buffer) for buffer in buffers] == [b"a", b"1", b"bc", b"2", b"3", b"d"]


def test_no_empty_buffer_follows_records_at_the_end() -> None:
    assert [bytes(buffer) for buffer in interleave(bytearray(b"ab"), [Cut(2, b"1")])] == [b"ab", b"1"]
    assert interleave(bytearray(b"ab"), []) == [b"ab"]
