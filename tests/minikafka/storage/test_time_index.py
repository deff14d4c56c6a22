from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minikafka.storage.time_index import TimeIndex

BASE = 5_000
ENTRIES = st.lists(st.tuples(st.integers(0, 2**50), st.integers(0, 2**31 - 1)), max_size=30).map(
    lambda pairs: list(zip(sorted({t for t, _ in pairs}), sorted(o for _, o in pairs), strict=False))
)


def index_of(entries: list[tuple[int, int]]) -> TimeIndex:
    index = TimeIndex(BASE)
    for timestamp_ms, relative_offset in entries:
        index.maybe_append(timestamp_ms, BASE + relative_offset)
    return index


@given(ENTRIES, st.integers(-1, 2**51))
def test_lookup_finds_the_last_entry_at_or_before(entries: list[tuple[int, int]], timestamp_ms: int) -> None:
    expected = max((entry for entry in entries if entry[0] <= timestamp_ms), default=(-1, 0))
    assert index_of(entries).lookup(timestamp_ms) == (expected[0], BASE + expected[1])


@given(ENTRIES, st.integers(0, 2**31))
def test_truncation_keeps_what_is_below(entries: list[tuple[int, int]], relative_offset: int) -> None:
    index = index_of(entries)
    index.truncate_to(BASE + relative_offset)
    kept = [entry for entry in entries if entry[1] < relative_offset]
    assert [index.entry(n) for n in range(len(index))] == [(time, BASE + offset) for time, offset in kept]


@given(ENTRIES, st.integers(0, 30), st.binary(max_size=11))
def test_the_file_is_kafkas_and_is_read_back(entries: list[tuple[int, int]], first: int, torn: bytes) -> None:
    index = index_of(entries)
    content = b"".join(struct.pack(">qI", *entry) for entry in entries)
    assert index.to_bytes(min(first, len(entries))) == content[12 * first :]
    assert TimeIndex.from_bytes(BASE, content + torn).to_bytes() == content


@pytest.mark.parametrize("entries", [[(1, 5), (1, 6)], [(2, 5), (1, 6)], [(1, 6), (2, 5)]])
def test_a_file_out_of_order_is_refused(entries: list[tuple[int, int]]) -> None:
    with pytest.raises(ValueError, match="out of order"):
        TimeIndex.from_bytes(BASE, b"".join(struct.pack(">qI", *entry) for entry in entries))


def test_what_is_not_later_is_left_out() -> None:
    index = index_of([(100, 3)])
    index.maybe_append(100, BASE + 9)
    index.maybe_append(99, BASE + 9)
    assert len(index) == 1


def test_a_later_time_at_a_lower_offset_is_refused() -> None:
    with pytest.raises(ValueError, match="is before"):
        index_of([(100, 3)]).maybe_append(101, BASE + 2)
