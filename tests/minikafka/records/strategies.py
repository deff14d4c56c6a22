"""What the tests of this package have in common: made-up records, and a slow reader that is plainly right."""

from __future__ import annotations

import struct
from typing import NamedTuple

from hypothesis import strategies as st

from minikafka.records.batch import HEADER, HEADER_SIZE, RecordBatch, write_crc
from minikafka.records.builder import RecordBatchBuilder
from minikafka.records.compression import Compression
from minikafka.records.varint import encode_varint, encode_varlong

CODECS = list(Compression)

timestamps = st.integers(0, 2**45)
contents = st.none() | st.binary(max_size=150)
headers = st.lists(st.tuples(st.text(max_size=6), st.none() | st.binary(max_size=9)), max_size=3).map(tuple)


class Made(NamedTuple):
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = ()


made_records = st.builds(Made, timestamps, contents, contents, headers)


@st.composite
def record_lists(draw: st.DrawFn) -> list[Made]:
    """Records of any shape, among them runs of one shape, as producers write them."""
    groups = draw(
        st.lists(st.tuples(made_records, st.sampled_from([1, 1, 2, 15, 16, 17, 70, 150])), min_size=1, max_size=4)
    )
    return [
        Made(record.timestamp_ms + i, record.key, record.value, record.headers)
        for record, count in groups
        for i in range(count)
    ]


def build(records: list[Made], codec: Compression = Compression.NONE) -> bytes:
    builder = RecordBatchBuilder(codec)
    for record in records:
        builder.append(*record)
    return builder.build()


def parse(raw: bytes | bytearray) -> RecordBatch:
    return RecordBatch.parse(memoryview(raw))


def uniform(count: int, *, size: int = 20, key: bytes | None = None, step_ms: int = 1) -> bytes:
    return build([Made(1_700_000_000_000 + i * step_ms, key, b"v" * size) for i in range(count)])


def raw_record(
    offset_delta: int = 0,
    *,
    time: bytes = b"\x00",
    key: bytes = b"\x01",
    value: bytes = b"\x02v",
    headers: bytes = b"\x00",
    length: int | None = None,
) -> bytes:
    """One record from its encoded parts, each of which may lie."""
    body = b"\x00" + time + encode_varint(offset_delta) + key + value + headers
    return encode_varint(len(body) if length is None else length) + body


def sized(content: bytes, claim: int | None = None) -> bytes:
    return encode_varlong(len(content) if claim is None else claim) + content


def batch_of(records: bytes, count: int, **fields: int) -> bytes:
    """A batch around ``records`` with a right CRC; ``fields`` overrides what the header says."""
    values = {
        "base_offset": 0,
        "batch_length": HEADER_SIZE - 12 + len(records),
        "partition_leader_epoch": -1,
        "magic": 2,
        "crc": 0,
        "attributes": 0,
        "last_offset_delta": count - 1,
        "base_timestamp": 1000,
        "max_timestamp": 1000,
        "producer_id": -1,
        "producer_epoch": -1,
        "base_sequence": -1,
        "records_count": count,
    }
    assert fields.keys() <= values.keys()
    raw = bytearray(HEADER.pack(*(values | fields).values()) + records)
    write_crc(raw)
    return bytes(raw)


class Malformed(Exception):
    """What :func:`check_slowly` says of records that are not well-formed."""


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.pos = 0

    def take(self, size: int) -> bytes:
        if not 0 <= size <= len(self.data) - self.pos:
            raise Malformed
        self.pos += size
        return self.data[self.pos - size : self.pos]

    def number(self, bits: int = 32) -> int:
        zigzag = 0
        for i in range(5 if bits == 32 else 10):
            (byte,) = self.take(1)
            zigzag += (byte % 128) * 128**i
            if byte < 128:
                if zigzag >= 2**bits:
                    raise Malformed
                return zigzag // 2 if zigzag % 2 == 0 else -(zigzag + 1) // 2
        raise Malformed

    def nullable(self) -> bytes | None:
        size = self.number()
        return None if size == -1 else self.take(size)


def check_slowly(data: bytes, count: int) -> list[int]:
    """Indices of the records without a key, of ``count`` records that take up all of ``data``.

    Raises:
        Malformed: They are something else.
    """
    batch = _Reader(data)
    keyless = []
    for index in range(count):
        record = _Reader(batch.take(batch.number()))
        record.take(1)
        record.number(64)
        if record.number() != index:
            raise Malformed
        if record.nullable() is None:
            keyless.append(index)
        record.nullable()
        header_count = record.number()
        if header_count < 0:
            raise Malformed
        for _ in range(header_count):
            record.take(record.number())
            record.nullable()
        if record.pos != len(record.data):
            raise Malformed
    if batch.pos != len(data):
        raise Malformed
    return keyless


def patched(raw: bytes, at: int, form: str, value: int) -> bytes:
    """``raw`` with one field of the header replaced and the CRC computed anew."""
    copy = bytearray(raw)
    struct.pack_into(form, copy, at, value)
    write_crc(copy)
    return bytes(copy)
