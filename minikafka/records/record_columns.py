"""Checking many records of one shape at once.

Producers often write record after record of the same size.  When record i is ``stride`` bytes long, record i + 1
starts ``stride`` bytes after it; where its length then says the same, so does the one after it.  The n-th byte of
every record of such a run is one strided slice, a column, and a column is compared with what it must be at the speed
of C::

    length | attributes | timestamp | offset | key length | key | value length | value | headers
    =first    any         as long     =index     =first      any       =first      any      =0

By induction this proves of every record of the run exactly what a walk from record to record would; it is no
estimate.  A shape that is not understood here (headers, overlong varints) is no error: the caller walks.
"""

from __future__ import annotations

from typing import NamedTuple

from minikafka.errors import InvalidRecord
from minikafka.records.varint import decode_varint, decode_zigzag

MIN_RUN = 16
"""Below it walking is as fast."""

WALK_AT_ONCE = 64
"""So many records are walked where no run starts, before looking for one again."""

_MAX_RUN = 1024
"""So many records are looked at together: enough for the speed, and few enough that a run which ends early, as a
malicious producer may have it, has cost little."""

_NOT_LAST = bytes(range(0x80, 0x100))
_LAST = bytes(range(0x80))
"""The bytes of a varint that another follows, and those that end one."""

_PERIOD = 64 * 128
"""After so many records the two lower bytes of an offset delta start again."""

# The first, second and third byte of the offset deltas 0, 1, 2, ...: zigzag makes i into 2 * i.
_LOW = bytes(range(0, 128, 2))
_LOW_NOT_LAST = bytes(range(0x80, 0x100, 2)) * 128
_MIDDLE = b"".join(bytes((i,)) * 64 for i in range(0x80))
_MIDDLE_NOT_LAST = b"".join(bytes((i,)) * 64 for i in range(0x80, 0x100))
_MAX_INDEX = _PERIOD * 128
"""From here on an offset delta has four bytes; no batch of ordinary size gets there."""


class Shape(NamedTuple):
    """Where things are in a record without headers, counted from its start; a size of -1 stands for null."""

    stride: int
    time_at: int
    offset_at: int
    key_size_at: int
    key_at: int
    key_size: int
    value_size_at: int
    value_at: int
    value_size: int


class Run(NamedTuple):
    """Records of one shape, one after another, all of them checked."""

    length: int
    shape: Shape


def find_run(data: bytes, pos: int, index: int, limit: int) -> Run | None:
    """Check as many records of one shape as there are from ``pos`` on.

    Args:
        data: All records of the batch, not compressed.
        pos: Where the first record starts.
        index: Its index in the batch, which its offset delta must be.
        limit: How many records are left.

    Returns:
        A run of at least ``MIN_RUN`` records; None when there is none, or none that is understood here.
    """
    if limit < MIN_RUN:
        return None
    shape = _shape_at(data, pos)
    if shape is None:
        return None
    stride = shape.stride
    count = min(limit, _MAX_RUN, (len(data) - pos) // stride, _records_before_offsets_grow(index))
    for at in (
        *range(shape.time_at - 1),  # its last byte is the attributes
        *range(shape.key_size_at, shape.key_at),
        *range(shape.value_size_at, shape.value_at),
        stride - 1,
    ):
        if count < MIN_RUN:
            return None
        count = _count_same(data[pos + at : pos + count * stride : stride])
    count = _count_same_time_size(data, pos, shape, count)
    if count < MIN_RUN or not _offsets_count_up(data, pos, shape, index, count):
        return None
    return Run(count, shape)


def _shape_at(data: bytes, pos: int) -> Shape | None:
    try:
        length, body = decode_zigzag(data, pos, 32)
        stride = body - pos + (length >> 1)
        if data[pos : pos + stride * MIN_RUN : stride] != data[pos : pos + 1] * MIN_RUN:
            return None
        time = body + 1
        _, offset = decode_zigzag(data, time, 64)
        _, key_size_at = decode_zigzag(data, offset, 32)
        key_size, key = decode_varint(data, key_size_at)
        value_size_at = key + max(key_size, 0)
        value_size, value = decode_varint(data, value_size_at)
    except (IndexError, InvalidRecord):
        return None
    headers_at = value + max(value_size, 0)
    if length & 1 or min(key_size, value_size) < -1 or headers_at != pos + stride - 1 or data[headers_at] != 0:
        return None
    return Shape(
        stride=stride,
        time_at=time - pos,
        offset_at=offset - pos,
        key_size_at=key_size_at - pos,
        key_at=key - pos,
        key_size=key_size,
        value_size_at=value_size_at - pos,
        value_at=value - pos,
        value_size=value_size,
    )


def _records_before_offsets_grow(index: int) -> int:
    if index < len(_LOW):
        return len(_LOW) - index
    return _PERIOD - index % _PERIOD if index < _MAX_INDEX else 0


def _count_same(column: bytes) -> int:
    """How many bytes at the start are the first."""
    first = column[:1]
    if column == first * len(column):
        return len(column)
    return len(column) - len(column.lstrip(first))


def _count_same_time_size(data: bytes, pos: int, shape: Shape, count: int) -> int:
    """How many timestamp deltas, of up to ``count``, are as long as the first."""
    end = pos + count * shape.stride
    last = shape.offset_at - 1
    if last - shape.time_at >= 9:
        return 0  # ten bytes: whether that is too large for 64 bits is the walk's to tell
    for at in range(shape.time_at, last):
        column = data[pos + at : end : shape.stride]
        count = min(count, len(column) - len(column.lstrip(_NOT_LAST)))
    column = data[pos + last : end : shape.stride]
    if column.isascii():
        return count
    return min(count, len(column) - len(column.lstrip(_LAST)))


def _offsets_count_up(data: bytes, pos: int, shape: Shape, index: int, count: int) -> bool:
    """Whether the offset deltas are ``index``, ``index + 1``, ..., each in as few bytes as it needs."""
    columns = [
        data[pos + at : pos + count * shape.stride : shape.stride] for at in range(shape.offset_at, shape.key_size_at)
    ]
    if index < len(_LOW):
        return columns == [_LOW[index : index + count]]
    start = index % _PERIOD
    low = _LOW_NOT_LAST[start : start + count]
    if index < _PERIOD:
        return columns == [low, _MIDDLE[start : start + count]]
    return columns == [low, _MIDDLE_NOT_LAST[start : start + count], bytes((index // _PERIOD,)) * count]
