from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minikafka.errors import InvalidRecord
from minikafka.records.varint import VARINTS, decode_varint, decode_varlong, encode_varint, encode_varlong

INT32 = st.integers(-(2**31), 2**31 - 1)
INT64 = st.integers(-(2**63), 2**63 - 1)


@pytest.mark.parametrize(
    ("value", "encoded"),
    [
        (0, "00"),
        (-1, "01"),
        (1, "02"),
        (63, "7e"),
        (-64, "7f"),
        (64, "8001"),
        (-65, "8101"),
        (8192, "808001"),
        (2**31 - 1, "feffffff0f"),
        (-(2**31), "ffffffff0f"),
    ],
)
def test_small_magnitudes_take_few_bytes(value: int, encoded: str) -> None:
    assert encode_varint(value) == encode_varlong(value) == bytes.fromhex(encoded)


@given(INT32, st.binary(max_size=3), st.binary(max_size=3))
def test_every_32_bit_integer_comes_back(value: int, before: bytes, after: bytes) -> None:
    encoded = encode_varint(value)
    assert decode_varint(before + encoded + after, len(before)) == (value, len(before + encoded))
    assert len(encoded) <= 5


@given(INT64)
def test_every_64_bit_integer_comes_back(value: int) -> None:
    encoded = encode_varlong(value)
    assert decode_varlong(memoryview(encoded), 0) == (value, len(encoded))
    assert len(encoded) <= 10


@given(INT64)
def test_a_cut_integer_ends_the_buffer(value: int) -> None:
    for size in range(len(encode_varlong(value))):
        with pytest.raises(IndexError):
            decode_varlong(encode_varlong(value)[:size], 0)


@pytest.mark.parametrize(("decode", "size"), [(decode_varint, 5), (decode_varlong, 10)])
def test_an_integer_that_goes_on_for_too_long_is_refused(decode, size: int) -> None:
    assert decode(b"\x80" * (size - 1) + b"\x00", 0) == (0, size)
    with pytest.raises(InvalidRecord):
        decode(b"\x80" * size + b"\x00", 0)


@pytest.mark.parametrize(("decode", "last", "size"), [(decode_varint, 0x0F, 5), (decode_varlong, 0x01, 10)])
def test_an_integer_of_too_many_bits_is_refused(decode, last: int, size: int) -> None:
    decode(b"\xff" * (size - 1) + bytes((last,)), 0)
    with pytest.raises(InvalidRecord):
        decode(b"\xff" * (size - 1) + bytes((last + 1,)), 0)


@pytest.mark.parametrize(
    ("encode", "value"),
    [(encode_varint, 2**31), (encode_varint, -(2**31) - 1), (encode_varlong, 2**63), (encode_varlong, -(2**63) - 1)],
)
def test_what_does_not_fit_is_not_encoded(encode, value: int) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        encode(value)


@given(INT64)
def test_what_is_remembered_is_what_is_encoded(value: int) -> None:
    assert VARINTS[value] == VARINTS[value] == encode_varlong(value)
