from __future__ import annotations

import pytest

from minikafka.protocol.codec import decode, decode_prefix, encode, encode_buffers, source
from minikafka.protocol.errors import DecodeError, EncodeError
from minikafka.protocol.messages.fetch import FetchableTopicResponse, FetchResponse, PartitionData
from minikafka.protocol.messages.heartbeat import HeartbeatRequest, HeartbeatResponse
from minikafka.protocol.primitives import COPY_LIMIT
from minikafka.protocol.schema import Records


def fetched(*records: Records | None) -> FetchResponse:
    partitions = [
        PartitionData(partition_index=index, high_watermark=1, aborted_transactions=None, records=each)
        for index, each in enumerate(records)
    ]
    return FetchResponse(responses=[FetchableTopicResponse(topic="t", partitions=partitions)])


def encoded(message: FetchResponse, version: int) -> bytes:
    out = bytearray()
    encode(message, version, out)
    return bytes(out)


BATCH = bytes(range(256)) * 8
assert len(BATCH) > COPY_LIMIT


@pytest.mark.parametrize("version", [4, 11, 12])
def test_large_records_are_buffers_of_their_own(version: int) -> None:
    second = bytearray(BATCH)
    message = fetched(BATCH, b"small", second, None)
    buffers = encode_buffers(message, version)

    assert any(buffer is BATCH for buffer in buffers)
    assert any(buffer is second for buffer in buffers)
    assert len(buffers) == 5
    assert b"".join(buffers) == encoded(message, version)


def test_records_in_several_buffers_are_sent_one_after_the_other() -> None:
    message = fetched([BATCH[:100], memoryview(BATCH)[100:]])

    assert b"".join(encode_buffers(message, 12)) == encoded(fetched(BATCH), 12) == encoded(message, 12)
    assert [len(buffer) for buffer in encode_buffers(message, 12)][1:3] == [100, len(BATCH) - 100]


def test_the_head_comes_first_and_in_the_first_buffer() -> None:
    message = fetched(BATCH)
    head, *rest = encode_buffers(message, 12, b"head")

    assert bytes(head[:4]) == b"head"
    assert b"".join([head, *rest]) == b"head" + encoded(message, 12)
    assert encode_buffers(HeartbeatResponse(), 0, b"head") == [bytearray(b"head\0\0")]


def test_encoding_appends() -> None:
    out = bytearray(b"before")
    encode(HeartbeatResponse(error_code=27), 0, out)

    assert out == b"before\0\x1b"


def test_a_failed_encoding_leaves_nothing_behind() -> None:
    out = bytearray(b"before")
    with pytest.raises(EncodeError, match="HeartbeatRequest v0"):
        encode(HeartbeatRequest(group_id="g", generation_id=1 << 31, member_id="m"), 0, out)

    assert out == b"before"


def test_decoding_wants_every_byte() -> None:
    with pytest.raises(DecodeError, match="HeartbeatResponse v0: 1 bytes too many"):
        decode(HeartbeatResponse, 0, b"\0\0\0")


def test_decoding_starts_where_it_is_told() -> None:
    assert decode(HeartbeatResponse, 0, b"head\0\x1b", 4) == HeartbeatResponse(error_code=27)


def test_a_prefix_is_decoded_and_its_end_told() -> None:
    assert decode_prefix(HeartbeatResponse, 0, memoryview(b"\0\x1bmore")) == (HeartbeatResponse(error_code=27), 2)


@pytest.mark.parametrize("version", [-1, 5])
def test_a_version_that_does_not_exist_is_refused(version: int) -> None:
    with pytest.raises(DecodeError, match=f"HeartbeatResponse has no version {version}"):
        decode(HeartbeatResponse, version, b"\0\0")
    with pytest.raises(EncodeError, match=f"HeartbeatResponse has no version {version}"):
        encode(HeartbeatResponse(), version, bytearray())


def test_the_generated_code_can_be_read() -> None:
    text = source(HeartbeatResponse, 4)

    assert "def decode(buf, pos, end, room):" in text
    assert "o.throttle_time_ms, o.error_code, n = unpack_from_ihB(buf, pos)" in text
    assert "out += pack_ih(o.throttle_time_ms, o.error_code)" in text
