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

import sys
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import chain, repeat
from struct import Struct
from typing import Any, NamedTuple, TypeVar

from minikafka.errors import InvalidRecord
from minikafka.records.batch import RecordBatch, TimestampType
from minikafka.records.record_columns import WALK_AT_ONCE, Run, find_run
from minikafka.records.varint import decode_varint, decode_varlong, decode_zigzag

RecordT = TypeVar("RecordT", bound=tuple[Any, ...])

_SLICED_AT_ONCE = 64


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
    """Decode the records of a batch a few at a time, decompressing them first.

    Compaction leaves gaps, so that offsets need not be consecutive.  With log append time every record is dated
    by the batch.

    Args:
        batch: Its CRC should have been verified.
        budget_bytes: The most that the records may take when decompressed.

    Raises:
        InvalidRecord: A record lies about its length or about its parts, or the records exceed the budget; some
            of the records before it may have been yielded.
        UnsupportedCompressionType: The codec is unknown.
    """
    return iter_records_as(Record, (), batch, budget_bytes=budget_bytes)


def iter_records_as(
    kind: type[RecordT], prefix: tuple[object, ...], batch: RecordBatch, *, budget_bytes: int
) -> Iterator[RecordT]:
    """As :func:`iter_records`, with more in front of each record.

    Args:
        kind: The tuples to be made: named ones, with the fields of a :class:`Record` at their end.
        prefix: What comes before those.
        batch: See there.
        budget_bytes: See there.
    """
    return chain.from_iterable(_iter_pieces(kind, prefix, batch, budget_bytes))


def _iter_pieces(
    kind: type[RecordT], prefix: tuple[object, ...], batch: RecordBatch, budget_bytes: int
) -> Iterator[Iterator[RecordT]]:
    """The records, some at a time: an iterator in C for many of them costs less than going through a generator."""
    if batch.records_count == 0:
        return
    data = bytes(batch.records_bytes(budget_bytes))
    count = batch.records_count
    pos = index = 0
    while index < count:
        run = find_run(data, pos, index, count - index)
        if run is None:
            end_index = min(count, index + WALK_AT_ONCE)
            records, pos = _decode_walking(batch, data, pos, range(index, end_index))
            yield map(tuple.__new__, repeat(kind), map(prefix.__add__, records) if prefix else records)
        else:
            end_index = index + run.length
            fields = _decode_run(batch, data, pos, index, run)
            yield map(tuple.__new__, repeat(kind), zip(*map(repeat, prefix), *fields, strict=False))
            pos += run.length * run.shape.stride
        index = end_index
    if pos != len(data):
        raise InvalidRecord(f"{len(data) - pos} bytes follow the last record of a batch")


def _decode_run(batch: RecordBatch, data: bytes, pos: int, index: int, run: Run) -> list[Iterable[object]]:
    """The fields of the records, column by column; those that are the same in all of them have no end."""
    shape = run.shape
    end = pos + run.length * shape.stride
    dated_by_broker = batch.timestamp_type is TimestampType.LOG_APPEND_TIME
    return [
        range(batch.base_offset + index, batch.base_offset + index + run.length),
        repeat(batch.max_timestamp_ms) if dated_by_broker else _timestamps_of_run(batch, data, pos, run),
        _slices(data, range(pos + shape.key_at, end, shape.stride), shape.key_size),
        _slices(data, range(pos + shape.value_at, end, shape.stride), shape.value_size),
        repeat(()),
    ]


def _slices(data: bytes, starts: range, size: int) -> Iterable[bytes | None]:
    if size < 0:
        return repeat(None)
    end = len(starts) - len(starts) % _SLICED_AT_ONCE
    rest = [data[start : start + size] for start in starts[end:]]
    if not end:
        return rest
    many = map(_slicer(size, starts.step).unpack_from, repeat(data), starts[:end:_SLICED_AT_ONCE])
    return chain.from_iterable(chain(many, (rest,)))


@lru_cache
def _slicer(size: int, stride: int) -> Struct:
    """Makes many slices with one call, each in a fraction of the time that it takes in Python."""
    gap = stride - size
    return Struct(f"{size}s{gap}x" * (_SLICED_AT_ONCE - 1) + f"{size}s")


def _timestamps_of_run(batch: RecordBatch, data: bytes, pos: int, run: Run) -> Iterable[int]:
    shape = run.shape
    end = pos + run.length * shape.stride
    columns = [data[pos + at : end : shape.stride] for at in range(shape.time_at, shape.offset_at)]
    base = batch.base_timestamp_ms
    if len(columns) > _PAIR:
        return [base + decode_varlong(bytes(delta), 0)[0] for delta in zip(*columns, strict=True)]
    # Side by side the two bytes of a delta are one number, of which there are few different ones: times repeat.
    pairs = bytearray(_PAIR * run.length)
    for at, column in enumerate(columns):
        pairs[at::_PAIR] = column
    numbers = memoryview(pairs).cast("H").tolist()
    times = {number: base + _DELTAS[number] for number in set(numbers)}
    return map(times.__getitem__, numbers)


class _Deltas(dict[int, int]):
    """By the two bytes of a timestamp delta, the second of which is 0 if it has one: what it is."""

    def __missing__(self, number: int) -> int:
        delta = self[number] = decode_varlong(number.to_bytes(_PAIR, sys.byteorder), 0)[0]
        return delta


_PAIR = 2
_DELTAS = _Deltas()


class _Walked(NamedTuple):
    records: list[tuple[int, int, bytes | None, bytes | None, tuple[Header, ...]]]
    end: int


def _decode_walking(batch: RecordBatch, data: bytes, pos: int, indices: range) -> _Walked:  # noqa: C901, PLR0912, PLR0915
    # A call costs as much as five of these lines, so that varints of one and two bytes are decoded in line.
    base_offset = batch.base_offset
    base_timestamp = batch.base_timestamp_ms
    append_time = batch.max_timestamp_ms
    dated_by_broker = batch.timestamp_type is TimestampType.LOG_APPEND_TIME
    no_headers: tuple[Header, ...] = ()
    records: list[tuple[int, int, bytes | None, bytes | None, tuple[Header, ...]]] = []
    index = indices.start
    try:
        for index in indices:
            length = data[pos]
            if length < 0x80:
                pos += 1
            elif (following := data[pos + 1]) < 0x80:
                length += (following << 7) - 0x80  # less the bit that says that another byte follows
                pos += 2
            else:
                length, pos = decode_zigzag(data, pos, 32)
            end = pos + (length >> 1)

            pos += 1  # the attributes
            timestamp = data[pos]
            if timestamp < 0x80:
                pos += 1
            elif (following := data[pos + 1]) < 0x80:
                timestamp += (following << 7) - 0x80
                pos += 2
            else:
                timestamp, pos = decode_zigzag(data, pos, 64)

            offset = data[pos]
            if offset < 0x80:
                pos += 1
            elif (following := data[pos + 1]) < 0x80:
                offset += (following << 7) - 0x80
                pos += 2
            else:
                offset, pos = decode_zigzag(data, pos, 32)

            size = data[pos]
            if size < 0x80:
                pos += 1
            elif (following := data[pos + 1]) < 0x80:
                size += (following << 7) - 0x80
                pos += 2
            else:
                size, pos = decode_zigzag(data, pos, 32)
            if size & 1:
                if size != 1:
                    raise InvalidRecord(f"the length of the key of record {index} is negative")
                key = None
            else:
                key = data[pos : (pos := pos + (size >> 1))]

            size = data[pos]
            if size < 0x80:
                pos += 1
            elif (following := data[pos + 1]) < 0x80:
                size += (following << 7) - 0x80
                pos += 2
            else:
                size, pos = decode_zigzag(data, pos, 32)
            if size & 1:
                if size != 1:
                    raise InvalidRecord(f"the length of the value of record {index} is negative")
                value = None
            else:
                value = data[pos : (pos := pos + (size >> 1))]

            headers = no_headers
            if data[pos]:
                headers, pos = _decode_headers(data, pos, end)
            else:
                pos += 1
            if pos != end or (length | offset) & 1:
                raise InvalidRecord(f"record {index} does not end where its length says")
            timestamp = append_time if dated_by_broker else base_timestamp + ((timestamp >> 1) ^ -(timestamp & 1))
            records.append((base_offset + (offset >> 1), timestamp, key, value, headers))
    except IndexError:
        raise InvalidRecord(f"record {index} goes on after the end of its batch") from None
    return _Walked(records, pos)


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
