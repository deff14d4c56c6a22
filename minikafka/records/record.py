"""One record, and the way from the bytes of a batch to its records.

::

    length           varint    of everything after itself
    attributes       i8        unused
    timestamp_delta  varlong   to the batch's base timestamp, in ms
    offset_delta     varint    to the batch's base offset
    key_length       varint    -1: no key
    key
    value_length     varint    -1: no value
    value
    headers_count    varint
    headers          (key_length varint, key, value_length varint, value)...   value_length -1: no value

Source: Kafka, clients/common/record/DefaultRecord.java.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from minikafka.errors import InvalidRecord
from minikafka.records.batch import RecordBatch, TimestampType
from minikafka.records.varint import decode_varint, decode_zigzag


class Header(NamedTuple):
    """A header of a record; the same key may stand there more than once."""

    key: str
    value: bytes | None


class Record(NamedTuple):
    """A record as an application sees it; a tuple, for it is made a million times a second."""

    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: tuple[Header, ...] = ()


def iter_records(batch: RecordBatch, *, budget_bytes: int) -> Iterator[Record]:
    """Decode the records of a batch one by one, decompressing them first.

    Compaction leaves gaps, so that offsets need not be consecutive.  With log append time every record is dated
    by the batch.

    Args:
        batch: Its CRC should have been verified.
        budget_bytes: The most that the records may take when decompressed.

    Raises:
        InvalidRecord: A record lies about its length or about its parts, or the records exceed the budget; the
            records before it have been yielded.
        UnsupportedCompressionType: The codec is unknown.
    """
    if batch.records_count == 0:
        return
    append_time = batch.max_timestamp_ms if batch.timestamp_type is TimestampType.LOG_APPEND_TIME else None
    yield from _decode(batch, bytes(batch.records_bytes(budget_bytes)), append_time)


def _decode(batch: RecordBatch, data: bytes, append_time_ms: int | None) -> Iterator[Record]:  # noqa: C901, PLR0912, PLR0915
    # A call costs as much as five of these lines, so that varints of one and two bytes are decoded in line.
    new = tuple.__new__
    base_offset = batch.base_offset
    base_timestamp = batch.base_timestamp_ms
    no_headers: tuple[Header, ...] = ()
    pos = index = 0
    try:
        for index in range(batch.records_count):
            length = data[pos]
            pos += 1
            if length > 0x7F:
                if (following := data[pos]) > 0x7F:
                    length, pos = decode_zigzag(data, pos - 1, 32)
                else:
                    length = length & 0x7F | following << 7
                    pos += 1
            end = pos + (length >> 1)

            pos += 1  # the attributes
            timestamp = data[pos]
            pos += 1
            if timestamp > 0x7F:
                if (following := data[pos]) > 0x7F:
                    timestamp, pos = decode_zigzag(data, pos - 1, 64)
                else:
                    timestamp = timestamp & 0x7F | following << 7
                    pos += 1

            offset = data[pos]
            pos += 1
            if offset > 0x7F:
                if (following := data[pos]) > 0x7F:
                    offset, pos = decode_zigzag(data, pos - 1, 32)
                else:
                    offset = offset & 0x7F | following << 7
                    pos += 1

            key = value = None
            size = data[pos]
            pos += 1
            if size != 1:
                if size > 0x7F:
                    if (following := data[pos]) > 0x7F:
                        size, pos = decode_zigzag(data, pos - 1, 32)
                    else:
                        size = size & 0x7F | following << 7
                        pos += 1
                key = data[pos : (pos := pos + (size >> 1))]
                if size & 1:
                    raise InvalidRecord(f"the length of the key of record {index} is negative")

            size = data[pos]
            pos += 1
            if size != 1:
                if size > 0x7F:
                    if (following := data[pos]) > 0x7F:
                        size, pos = decode_zigzag(data, pos - 1, 32)
                    else:
                        size = size & 0x7F | following << 7
                        pos += 1
                value = data[pos : (pos := pos + (size >> 1))]
                if size & 1:
                    raise InvalidRecord(f"the length of the value of record {index} is negative")

            headers = no_headers
            if data[pos]:
                headers, pos = _decode_headers(data, pos, end)
            else:
                pos += 1
            if pos != end or (length | offset) & 1:
                raise InvalidRecord(f"record {index} does not end where its length says")
            if append_time_ms is None:
                timestamp = base_timestamp + ((timestamp >> 1) ^ -(timestamp & 1))
            else:
                timestamp = append_time_ms
            yield new(Record, (base_offset + (offset >> 1), timestamp, key, value, headers))
    except IndexError:
        raise InvalidRecord(f"record {index} goes on after the end of its batch") from None
    if pos != len(data):
        raise InvalidRecord(f"{len(data) - pos} bytes follow the last record of a batch")


class _Headers(NamedTuple):
    headers: tuple[Header, ...]
    end: int


def _decode_headers(data: bytes, pos: int, end: int) -> _Headers:
    count, pos = decode_varint(data, pos)
    if not 0 <= count <= end - pos:
        raise InvalidRecord(f"a record claims {count} headers, {end - pos} bytes are left")
    headers = []
    for _ in range(count):
        size, pos = decode_varint(data, pos)
        key = data[pos : pos + size]
        if size < 0 or pos + size > end:
            raise InvalidRecord(f"the key of a header claims {size} bytes, {end - pos} are left")
        size, pos = decode_varint(data, pos + size)
        if size < -1 or pos + size > end:
            raise InvalidRecord(f"the value of a header claims {size} bytes, {end - pos} are left")
        headers.append(Header(_decode_key(key), data[pos : pos + size] if size >= 0 else None))
        pos += max(size, 0)
    return _Headers(tuple(headers), pos)


def _decode_key(key: bytes) -> str:
    try:
        return key.decode()
    except UnicodeDecodeError:
        raise InvalidRecord("the key of a header is not UTF-8") from None
