from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minikafka.protocol import header
from minikafka.protocol.api_keys import ApiKey
from minikafka.protocol.errors import DecodeError, EncodeError


def request(text: str) -> header.RequestHeader:
    return header.decode_request_header(memoryview(bytes.fromhex(text)))


def test_version_1_ends_with_the_client_id() -> None:
    read = request("0000 0003 00000007 0002 6d65 ffff")

    assert read == header.RequestHeader(ApiKey.PRODUCE, 3, 7, "me", 12)


def test_version_2_keeps_the_classic_client_id_and_adds_tags() -> None:
    assert request("0000 0009 00000007 0002 6d65 00").body_position == 13
    assert request("0000 0009 00000007 0002 6d65 01 00 02 ffff").body_position == 17


def test_the_client_id_may_be_null_or_empty() -> None:
    assert request("0000 0003 00000007 ffff").client_id is None
    assert request("0000 0003 00000007 0000").client_id == ""


def test_an_unknown_api_has_a_header_of_version_1() -> None:
    assert request("7fff 0009 00000007 0000 ff") == header.RequestHeader(0x7FFF, 9, 7, "", 10)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0000 0003 00000007",
        "0000 0003 00000007 0005 6d65",
        "0000 0003 00000007 fffe",
        "0000 0003 00000007 0001 ff",
        "0000 0009 00000007 0002 6d65",
        "0000 0009 00000007 0000 ff",
        "0000 0009 00000007 0000 02 01 00 00 00",
        "0000 0009 00000007 0000 01 00 05 00",
    ],
)
def test_what_is_not_a_header_is_refused(text: str) -> None:
    with pytest.raises(DecodeError):
        request(text)


def test_millions_of_tagged_fields_leave_nothing_behind() -> None:
    frame = memoryview(bytes.fromhex("0000 0009 00000007 0000 80dac409") + bytes(2_000_000))
    tracemalloc.start()
    with pytest.raises(DecodeError, match="20000000 tagged fields"):
        header.decode_request_header(frame)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 16_384


@given(st.binary(max_size=64))
def test_random_bytes_raise_nothing_but_the_decode_error(frame: bytes) -> None:
    try:
        read = header.decode_request_header(memoryview(frame))
    except DecodeError:
        return
    assert 10 <= read.body_position <= len(frame)


@given(
    st.sampled_from(list(ApiKey)),
    st.integers(0, 20),
    st.integers(-(2**31), 2**31 - 1),
    st.none() | st.text(max_size=200),
)
def test_request_headers_round_trip(api_key: int, version: int, correlation_id: int, client_id: str | None) -> None:
    encoded = header.encode_request_header(api_key, version, correlation_id, client_id)
    read = header.decode_request_header(memoryview(bytes(encoded) + b"body"))

    assert read == header.RequestHeader(api_key, version, correlation_id, client_id, len(encoded))


def test_a_client_id_too_long_for_its_length_is_refused() -> None:
    with pytest.raises(EncodeError, match="32768 bytes"):
        header.encode_request_header(0, 3, 1, "x" * 0x8000)


@pytest.mark.parametrize(
    ("api_key", "api_version", "request_version", "response_version"),
    [
        (ApiKey.PRODUCE, 8, 1, 0),
        (ApiKey.PRODUCE, 9, 2, 1),
        (ApiKey.SASL_HANDSHAKE, 1, 1, 0),
        (ApiKey.OFFSET_DELETE, 0, 1, 0),
        (ApiKey.API_VERSIONS, 2, 1, 0),
        (ApiKey.API_VERSIONS, 3, 2, 0),  # the client cannot know yet what the broker speaks
        (ApiKey.API_VERSIONS, 4, 2, 0),
        (0x7FFF, 0, 1, 0),
    ],
)
def test_the_header_version_follows_from_the_api_version(
    api_key: ApiKey, api_version: int, request_version: int, response_version: int
) -> None:
    assert header.request_header_version(api_key, api_version) == request_version
    assert header.response_header_version(api_key, api_version) == response_version


@pytest.mark.parametrize(("version", "expected"), [(8, "00000007"), (9, "0000000700")])
def test_response_headers_round_trip(version: int, expected: str) -> None:
    encoded = header.encode_response_header(ApiKey.PRODUCE, version, 7)

    assert encoded.hex() == expected
    assert header.decode_response_header(memoryview(encoded + b"body"), 0, version) == (7, len(encoded))


@pytest.mark.parametrize("text", ["", "000000", "00000007", "00000007 01"])
def test_what_is_not_a_response_header_is_refused(text: str) -> None:
    with pytest.raises(DecodeError):
        header.decode_response_header(memoryview(bytes.fromhex(text)), ApiKey.PRODUCE, 9)
