"""Counts, lengths and varints that do not say what follows, and those that do and are far too large (F7-F9)."""

from __future__ import annotations

import struct
from collections.abc import Callable

import pytest

from minikafka.errors import ErrorCode
from minikafka.protocol.api_keys import ApiKey
from minikafka.protocol.header import encode_request_header
from minikafka.protocol.messages.api_versions import ApiVersionsRequest
from minikafka.protocol.messages.metadata import MetadataRequest
from tests.abuse.healthy import BRIEF_S, MIB, healthy_client
from tests.abuse.victim import Victim
from tests.abuse.wire import frame_of, raw_client, refused, sized

TOO_LARGE = b"\xff\xff\xff\xff\x0f"
"""The varint of 2^32-1."""

SIX_BYTES = b"\x80\x80\x80\x80\x80\x01"
ELEVEN_BYTES = b"\x80" * 10 + b"\x01"


def head(api_key: ApiKey, version: int) -> bytes:
    return bytes(encode_request_header(api_key, version, 1, "abuse"))


def int32(value: int) -> bytes:
    return struct.pack(">i", value)


def string(text: bytes) -> bytes:
    return struct.pack(">h", len(text)) + text


METADATA_1 = head(ApiKey.METADATA, 1)
METADATA_12 = head(ApiKey.METADATA, 12)
FETCH_4 = head(ApiKey.FETCH, 4) + struct.pack(">iiiib", -1, 0, 0, 1 << 20, 0)
FETCH_12 = head(ApiKey.FETCH, 12) + struct.pack(">iiibii", 0, 0, 1 << 20, 0, 0, -1)
PRODUCE_8 = head(ApiKey.PRODUCE, 8) + struct.pack(">hhi", -1, 1, 1000)
CREATE_2 = head(ApiKey.CREATE_TOPICS, 2)
CREATE_5 = head(ApiKey.CREATE_TOPICS, 5)
ONE_TOPIC = int32(1) + string(b"t")


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(METADATA_1 + int32(-2), id="count -2"),
        pytest.param(METADATA_1 + int32(2**31 - 1), id="count 2^31-1"),
        pytest.param(METADATA_1 + int32(2**31 - 1) + bytes(MIB), id="count 2^31-1 and a megabyte"),
        pytest.param(METADATA_1 + int32(3) + string(b"a"), id="count above what is left"),
        pytest.param(FETCH_4 + ONE_TOPIC + int32(-2), id="nested count -2"),
        pytest.param(FETCH_4 + ONE_TOPIC + int32(2**31 - 1) + bytes(64), id="nested count 2^31-1"),
        pytest.param(PRODUCE_8 + int32(1) + string(b"t") + int32(1) + int32(0) + int32(-2), id="records length -2"),
        pytest.param(PRODUCE_8 + ONE_TOPIC + int32(1) + int32(0) + int32(2**31 - 1), id="records length 2^31-1"),
        pytest.param(CREATE_2 + ONE_TOPIC + struct.pack(">ihiii", 1, 1, 1, 0, 2**31 - 1), id="count of brokers 2^31-1"),
        pytest.param(METADATA_12 + SIX_BYTES, id="compact count of six bytes"),
        pytest.param(METADATA_12 + TOO_LARGE, id="compact count 2^32-1"),
        pytest.param(METADATA_12 + b"\xff\xff\xff\xff\x7f", id="compact count above 32 bits"),
        pytest.param(FETCH_12 + b"\x02\x02t" + TOO_LARGE + bytes(64), id="nested compact count 2^32-1"),
        pytest.param(CREATE_5 + b"\x02\x02t" + bytes(6) + TOO_LARGE + bytes(64), id="doubly nested compact count"),
    ],
)
async def test_f07_array_counts_that_lie_close_the_connection(victim: Victim, payload: bytes) -> None:
    async with healthy_client(victim, growth_mib=8):
        await refused(victim, sized(payload))


def of_many_partitions(count: int) -> bytes:
    return FETCH_4 + ONE_TOPIC + int32(count) + struct.pack(">iqi", 0, 0, 1) * count


def of_many_topics(count: int) -> bytes:
    return METADATA_1 + int32(count) + string(b"") * count


def of_many_empty_arrays(count: int) -> bytes:
    return FETCH_4 + int32(count) + (string(b"") + int32(0)) * count


def of_many_numbers(count: int) -> bytes:
    return CREATE_2 + ONE_TOPIC + struct.pack(">ihiii", 1, 1, 1, 0, count) + int32(0) * count + int32(0) + bytes(5)


def of_many_tagged_fields(count: int) -> bytes:
    """A thousand in each of many topics: no structure has too many."""
    tags = b"\xe8\x07" + b"".join(uvarint(number) + b"\0" for number in range(1_000))
    topics = count // 1_000
    return METADATA_12 + uvarint(topics + 1) + (bytes(16) + b"\x02t" + tags) * topics + b"\0\0\0"


def uvarint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


@pytest.mark.parametrize(
    ("request_of", "count"),
    [
        (of_many_partitions, 2_000_000),
        (of_many_topics, 16_000_000),
        (of_many_empty_arrays, 5_000_000),
        (of_many_numbers, 8_000_000),
        (of_many_tagged_fields, 14_000_000),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
async def test_f07_millions_of_elements_are_not_read_to_their_end(
    victim: Victim, request_of: Callable[[int], bytes], count: int
) -> None:
    frame = sized(request_of(count))
    assert len(frame) <= 40 * MIB
    async with healthy_client(victim, growth_mib=144) as healthy, raw_client(victim) as client:
        await refused(victim, frame)
        await healthy.served()
        assert healthy.slowest_s < BRIEF_S
        await client.send(sized(request_of(2_000)))  # which is all right but for its size
        assert await client.answer()


UNTAGGED = METADATA_12[:-1]
TWENTY_MILLION = uvarint(20_000_000)


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(UNTAGGED + TWENTY_MILLION, id="20 M claimed"),
        pytest.param(UNTAGGED + TWENTY_MILLION + b"\0\0" * 20_000_000, id="20 M sent"),
        pytest.param(UNTAGGED + TWENTY_MILLION + b"".join(b"%c\0" % n for n in range(128)) * 9, id="20 M begun"),
        pytest.param(UNTAGGED + TOO_LARGE + bytes(MIB), id="2^32-1 claimed"),
        pytest.param(UNTAGGED + b"\x02\x05\x01x\x05\x01x\x01\0\0\0", id="twice"),
        pytest.param(UNTAGGED + b"\x02\x05\x01x\x04\x01x\x01\0\0\0", id="descending"),
        pytest.param(UNTAGGED + b"\x01\x05\x7fx\x01\0\0\0", id="larger than what is left"),
        pytest.param(UNTAGGED + b"\x01\x05" + TOO_LARGE + b"x\x01\0\0\0", id="of 2^32-1 bytes"),
        pytest.param(UNTAGGED + b"\x01" + SIX_BYTES + b"\0\x01\0\0\0", id="number of six bytes"),
        pytest.param(METADATA_12 + b"\x01\0\0" + TWENTY_MILLION + bytes(MIB), id="in the body"),
    ],
)
async def test_f08_tagged_fields_that_lie_close_the_connection(victim: Victim, payload: bytes) -> None:
    async with healthy_client(victim, growth_mib=8 + 3 * len(payload) // MIB) as healthy:
        await refused(victim, sized(payload))
        await healthy.served()
        assert healthy.slowest_s < BRIEF_S


async def test_f08_tagged_fields_that_nobody_knows_are_stepped_over(victim: Victim) -> None:
    tags = uvarint(1_000) + b"".join(uvarint(number) + b"\x02hi" for number in range(9_000, 10_000))
    async with healthy_client(victim, growth_mib=8), raw_client(victim) as client:
        await client.send(sized(UNTAGGED + tags + b"\x01\0\0" + tags))
        assert (await client.response(MetadataRequest(topics=[]), 12)).topics == []


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(METADATA_12 + b"\x80", id="varint cut"),
        pytest.param(METADATA_12 + b"\x02" + bytes(15), id="uuid cut"),
        pytest.param(METADATA_12 + b"\x02" + bytes(16) + SIX_BYTES, id="string length of six bytes"),
        pytest.param(METADATA_12 + b"\x02" + bytes(16) + ELEVEN_BYTES, id="string length of eleven bytes"),
        pytest.param(METADATA_12 + b"\x02" + bytes(16) + b"\x03\xff\xfe\0\0\0\0", id="string not UTF-8"),
        pytest.param(METADATA_12 + b"\x02" + bytes(16) + b"\x04\xed\xa0\x80\0\0\0\0", id="lone surrogate"),
        pytest.param(METADATA_12 + b"\x02" + bytes(16) + uvarint(32_769) + b"a" * 32_768, id="string too long"),
        pytest.param(METADATA_1 + int32(1) + struct.pack(">h", -5), id="string length -5"),
        pytest.param(METADATA_1 + int32(1) + struct.pack(">h", -1), id="null where none may be"),
        pytest.param(struct.pack(">hhih", 3, 1, 1, -2), id="client id of -2 bytes"),
        pytest.param(struct.pack(">hhih", 3, 1, 1, 32_767) + b"short", id="client id longer than the frame"),
        pytest.param(struct.pack(">hhih", 3, 1, 1, 2) + b"\xff\xff" + bytes(4), id="client id not UTF-8"),
        pytest.param(struct.pack(">hhi", 3, 1, 1), id="no client id"),
        pytest.param(b"\0", id="one byte"),
    ],
)
async def test_f09_varints_and_texts_that_are_none_close_the_connection(victim: Victim, payload: bytes) -> None:
    async with healthy_client(victim, growth_mib=8):
        await refused(victim, sized(payload))


@pytest.mark.parametrize(
    "client_id", ["x" * 32_767, "nul\0", "\x1b[31mred\nnew line\rback", "\u202eltr", "ünï", "", None]
)
async def test_f09_strange_client_ids_are_served_and_fake_no_log_lines(victim: Victim, client_id: str | None) -> None:
    async with healthy_client(victim, growth_mib=8), raw_client(victim) as client:
        asked = ApiVersionsRequest(client_software_name="abuse", client_software_version="1")
        await client.send(frame_of(asked, 3, client_id=client_id))
        assert (await client.response(asked, 3)).error_code == 0
        await client.send(sized(frame_of(asked, 3, client_id=client_id)[4:] + b"too much"))
        assert await client.until_closed() == b""
        lines = victim.log_since()
        assert all(len(line) < 2_000 and line.isprintable() for line in lines)


@pytest.mark.parametrize("name", ["", "new\nline", "\x1b[31m", "nul\0", "-x", "x" * 300])
async def test_f09_strange_software_names_are_refused_and_fake_no_log_lines(victim: Victim, name: str) -> None:
    async with healthy_client(victim, growth_mib=8), raw_client(victim) as client:
        asked = ApiVersionsRequest(client_software_name=name, client_software_version=name)
        await client.send(frame_of(asked, 3))
        answer = await client.response(asked, 3)
        assert answer.error_code == (0 if name == "x" * 300 else ErrorCode.INVALID_REQUEST)
        assert all(line.isprintable() for line in victim.log_since())
