"""The parts of the wire format that a :class:`struct.Struct` cannot say: varints, lengths and tagged fields.

An unsigned varint holds seven bits a byte, the lowest first, the top bit set on all but the last; here at most five
bytes and 32 bits.  Compact lengths are varints of the length plus one, so that 0 can mean null.  Tagged fields end
every structure of a flexible version, and an unknown one is stepped over:

    | count: varint | tag: varint | size: varint | size bytes | tag ...      tags ascend

The compiled codecs read a first byte below 128, the usual case, by themselves and call these functions for the rest.
Nothing here allocates what a length merely claims.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from minikafka.protocol.errors import DecodeError
from minikafka.protocol.schema import Buffer, Records

MAX_TAGGED_FIELDS: Final = 1_000
"""In one structure.  Kafka 4.3 knows at most four; a frame may claim millions before anybody has logged in."""

MAX_STRING_BYTES: Final = 0x7FFF
"""Compact strings could be longer, but Kafka refuses what the classic int16 length could not have held."""

COPY_LIMIT: Final = 1_024
"""Records up to this size are copied into the message: cheaper than one more buffer in a ``writev``."""


class Tag(NamedTuple):
    """One tagged field: its number, and where its content starts and ends."""

    number: int
    start: int
    end: int


def write_uvarint(out: bytearray, value: int) -> None:
    """Append ``value``, which must not be negative."""
    while value > 0x7F:
        out.append((value & 0x7F) | 0x80)
        value >>= 7
    out.append(value)


def read_uvarint(buf: memoryview, pos: int) -> tuple[int, int]:
    """The value at ``pos`` and the position after it.

    Raises:
        DecodeError: it is longer than five bytes, or than 32 bits.
        IndexError: the buffer ends inside it.
    """
    value = buf[pos]
    if value > 0x7F and (byte := buf[pos + 1]) < 0x80:
        return value + (byte << 7) - 0x80, pos + 2  # less the bit that says that another byte follows
    value = shift = 0
    while True:
        byte = buf[pos]
        pos += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if value > 0xFFFFFFFF:
                raise DecodeError(f"unsigned varint of more than 32 bits before {pos}")
            return value, pos
        shift += 7
        if shift > 28:
            raise DecodeError(f"unsigned varint longer than 5 bytes before {pos}")


def read_string_uvarint(buf: memoryview, pos: int) -> tuple[int, int]:
    """Like :func:`read_uvarint`, for the compact length of a string."""
    value, pos = read_uvarint(buf, pos)
    if value > MAX_STRING_BYTES + 1:
        raise DecodeError(f"string of {value - 1} bytes, {MAX_STRING_BYTES} are allowed")
    return value, pos


def read_tag_count(buf: memoryview, pos: int, end: int, room: int = MAX_TAGGED_FIELDS) -> tuple[int, int]:
    """How many tagged fields follow, and where the first one starts.

    Raises:
        DecodeError: they are too many, more than the message has ``room`` for, or more than fit in before ``end``.
    """
    count, pos = read_uvarint(buf, pos)
    if count > MAX_TAGGED_FIELDS or count * 2 > end - pos:
        raise DecodeError(f"{count} tagged fields in {end - pos} bytes")
    if count > room:
        raise too_many("tagged fields")
    return count, pos


def read_tag(buf: memoryview, pos: int, previous: int, end: int) -> Tag:
    """The tagged field at ``pos``; ``previous`` is the number of the one before, -1 at first.

    Raises:
        DecodeError: the number does not ascend, or the content does not end before ``end``.
    """
    number, pos = read_uvarint(buf, pos)
    size, pos = read_uvarint(buf, pos)
    if number <= previous:
        raise DecodeError(f"tag {number} after tag {previous}")
    if size > end - pos:
        raise DecodeError(f"tagged field of {size} bytes at {pos}, {end - pos} left")
    return Tag(number, pos, pos + size)


def skip_tags(buf: memoryview, pos: int, end: int) -> int:
    """The position after the tagged fields whose count is at ``pos``; nothing of them is kept."""
    count, pos = read_tag_count(buf, pos, end)
    return skip_counted_tags(buf, pos, end, count)


def skip_counted_tags(buf: memoryview, pos: int, end: int, count: int) -> int:
    """The position after ``count`` tagged fields, the first of which is at ``pos``."""
    number = -1
    for _ in range(count):
        number, _, pos = read_tag(buf, pos, number, end)
    return pos


@lru_cache(maxsize=256)
def array_struct(code: str, count: int) -> struct.Struct:
    """The struct of ``count`` fixed-size elements; its size in memory does not depend on ``count``."""
    return struct.Struct(f">{count}{code}")


def records_size(records: Records) -> int:
    """Bytes in all buffers of ``records``."""
    if isinstance(records, bytes | bytearray | memoryview):
        return len(records)
    return sum(map(len, records))


def put_records(out: bytearray, cuts: list[Cut] | None, records: Records, size: int) -> None:
    """Copy ``records`` to ``out`` when they are small or ``cuts`` is None, else note where they belong."""
    if cuts is not None and size > COPY_LIMIT:
        cuts.append(Cut(len(out), records))
    elif isinstance(records, bytes | bytearray | memoryview):
        out += records
    else:
        for buffer in records:
            out += buffer


class Cut(NamedTuple):
    """Records left out of the encoded bytes, and the position there before which they are to be sent."""

    position: int
    records: Records


def interleave(encoded: bytearray, cuts: Sequence[Cut]) -> list[Buffer]:
    """The buffers of a message in order: ``encoded``, with the records of ``cuts`` where they belong."""
    if not cuts:
        return [encoded]
    view = memoryview(encoded)
    buffers: list[Buffer] = []
    start = 0
    for position, records in cuts:
        buffers.append(view[start:position])
        if isinstance(records, bytes | bytearray | memoryview):
            buffers.append(records)
        else:
            buffers.extend(records)
        start = position
    if start < len(encoded):
        buffers.append(view[start:])
    return buffers


def too_short(what: str, wanted: int, pos: int, end: int) -> DecodeError:
    """The error of a length that is negative, or larger than what is left."""
    return DecodeError(f"{what}: length {wanted} at {pos}, {end - pos} bytes left")


def too_many(what: str) -> DecodeError:
    """The error of a message with more elements than its reader allows."""
    return DecodeError(f"{what}: more elements than a message may have")
