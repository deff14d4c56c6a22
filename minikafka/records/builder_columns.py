"""Encoding many records at once, column by column.

A record without headers is a handful of byte strings, most of which are one of a few::

    end of the record before, start of this one | timestamp | offset | key length, key | value length, value

So each of these makes a column: what is in that place in one record after another, looked up in tables by functions
that run in C, or the same in all of them.  The columns are interleaved, and one ``join`` makes all records of them.
It takes a fraction of the time of a Python function for each record.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from itertools import repeat
from operator import add
from typing import Final, NamedTuple, TypeAlias, cast

from minikafka.records.varint import encode_varlong

_REMEMBERED_SIZES = 16_384
_MAX_RECORDS = 8_192
"""Batches are rarely larger; up to here an offset delta has one or two bytes."""
_LONG_OFFSET = 64
"""From here on it has two."""

_NULL = b"\x01"
"""The length of a key that is not there: -1 as a varint."""

_Column: TypeAlias = bytes | Sequence[bytes]
"""What a place holds in each record; mere bytes hold in all of them."""


class _Varints(dict[int, bytes]):
    """Encoded varints, remembered when small: batches are full of the same few numbers."""

    def __missing__(self, value: int) -> bytes:
        encoded = encode_varlong(value)
        if 0 <= value < _REMEMBERED_SIZES:
            self[value] = encoded
        return encoded


VARINTS: Final = _Varints()


class _Starts(dict[int, bytes]):
    """By the size of a record's key and value: "no headers" for the record before, its own length, its attributes.

    ``other_bytes`` is how much there is beside key, value and length.
    """

    def __init__(self, other_bytes: int) -> None:
        self._other_bytes = other_bytes

    def __missing__(self, size: int) -> bytes:
        start = b"\x00" + VARINTS[self._other_bytes + size] + b"\x00"
        if size < _REMEMBERED_SIZES:
            self[size] = start
        return start


class _WholeSizes(dict[int, int]):
    """How many bytes a key or value of some size takes together with its length."""

    def __missing__(self, size: int) -> int:
        whole = size + len(VARINTS[size])
        if size < _REMEMBERED_SIZES:
            self[size] = whole
        return whole


_STARTS: Final = [_Starts(other_bytes) for other_bytes in range(1 + 10 + 2 + 1 + 1 + 1)]
"""By ``other_bytes``: attributes, timestamp, offset, a null key, count of headers."""
_WHOLE_SIZES: Final = _WholeSizes()
_OFFSETS: Final = [encode_varlong(offset) for offset in range(_MAX_RECORDS)]


class _Run(NamedTuple):
    """Records ``first`` to ``end`` - 1 have the same timestamp, and offset deltas of the same length."""

    first: int
    end: int


def encode_columns(
    first_offset_delta: int,
    base_timestamp_ms: int,
    timestamps_ms: Sequence[int],
    keys: Sequence[bytes | None],
    values: Sequence[bytes | None],
) -> list[bytes] | None:
    """Records without headers, one after another, in many pieces.

    None when they are not understood here: values, or some of the keys, are null, timestamps go back, or there are
    very many.
    """
    if first_offset_delta + len(values) > _MAX_RECORDS or timestamps_ms != sorted(timestamps_ms):
        return None
    has_keys = keys.count(None) < len(keys)
    try:  # whether none is null shows when they are measured
        value_sizes = list(map(len, values))  # type: ignore[arg-type]  # null is the except's
        key_sizes = list(map(len, keys)) if has_keys else []  # type: ignore[arg-type]
    except TypeError:
        return None
    sizes = _look_up(_WHOLE_SIZES, value_sizes)
    if has_keys:
        sizes = list(map(add, sizes, _look_up(_WHOLE_SIZES, key_sizes)))
    pieces: list[bytes] = []
    for first, end in _runs(first_offset_delta, timestamps_ms):
        here = slice(first, end)
        timestamp = VARINTS[timestamps_ms[first] - base_timestamp_ms]
        offsets = _OFFSETS[first_offset_delta + first : first_offset_delta + end]
        other_bytes = 1 + len(timestamp) + len(offsets[0]) + (0 if has_keys else len(_NULL)) + 1
        columns: list[_Column] = [_column(_STARTS[other_bytes], sizes[here]), timestamp, offsets]
        columns += [_column(VARINTS, key_sizes[here]), _present(keys[here])] if has_keys else [_NULL]
        columns += [_column(VARINTS, value_sizes[here]), _present(values[here])]
        pieces += _interleaved(columns, end - first)
    pieces[0] = pieces[0][1:]  # there is no record before the first
    pieces.append(b"\x00")
    return pieces


def _runs(first_offset_delta: int, timestamps_ms: Sequence[int]) -> Iterator[_Run]:
    first = 0
    while first < len(timestamps_ms):
        end = bisect_right(timestamps_ms, timestamps_ms[first], lo=first)
        if first < _LONG_OFFSET - first_offset_delta < end:
            end = _LONG_OFFSET - first_offset_delta
        yield _Run(first, end)
        first = end


def _present(column: Sequence[bytes | None]) -> Sequence[bytes]:
    return cast("Sequence[bytes]", column)  # all of them were measured


def _look_up(table: Mapping[int, int], sizes: Sequence[int]) -> Sequence[int]:
    if sizes.count(sizes[0]) == len(sizes):
        return [table[sizes[0]]] * len(sizes)
    return list(map(table.__getitem__, sizes))


def _column(table: Mapping[int, bytes], sizes: Sequence[int]) -> _Column:
    if sizes.count(sizes[0]) == len(sizes):
        return table[sizes[0]]
    return list(map(table.__getitem__, sizes))


def _interleaved(columns: Sequence[_Column], count: int) -> list[bytes]:
    """The first of every column, then the second of every column, and so on; what never changes is joined first."""
    joined: list[_Column] = []
    for column in columns:
        if joined and isinstance(column, bytes) and isinstance(joined[-1], bytes):
            joined[-1] += column
        else:
            joined.append(column)
    pieces = [b""] * (len(joined) * count)
    for number, column in enumerate(joined):
        pieces[number :: len(joined)] = repeat(column, count) if isinstance(column, bytes) else column
    return pieces
