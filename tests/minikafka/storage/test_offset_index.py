from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minikafka.storage.offset_index import OffsetIndex

BASE = 1_000_000_000_000


def growing(count: st.SearchStrategy[int]) -> st.SearchStrategy[list[tuple[int, int]]]:
    """Entries that grow in both columns."""

    def of(n: int) -> st.SearchStrategy[list[tuple[int, int]]]:
        column = st.lists(st.integers(0, 2**31 - 1), min_size=n, max_size=n, unique=True).map(sorted)
        return st.tuples(column, column).map(lambda columns: list(zip(*columns, strict=True)))

    return count.flatmap(of)


ENTRIES = growing(st.integers(0, 30))


def index_of(entries: list[tuple[int, int]]) -> OffsetIndex:
    index = OffsetIndex(BASE)
    for relative_offset, position in entries:
        index.append(BASE + relative_offset, position)
    return index


@given(ENTRIES, st.integers(-5, 2**32))
def test_lookup_finds_the_last_entry_at_or_below(entries: list[tuple[int, int]], relative_offset: int) -> None:
    expected = max((entry for entry in entries if entry[0] <= relative_offset), default=(0, 0))
    assert index_of(entries).lookup(BASE + relative_offset) == (BASE + expected[0], expected[1])


@given(ENTRIES, st.integers(0, 2**32))
def test_positions_are_looked_up_too(entries: list[tuple[int, int]], position: int) -> None:
    expected = max((entry for entry in entries if entry[1] <= position), default=(0, 0))
    assert index_of(entries).last_up_to(position) == (BASE + expected[0], expected[1])


@given(ENTRIES, st.integers(0, 2**31))
def test_truncation_keeps_what_is_before(entries: list[tuple[int, int]], position: int) -> None:
    index = index_of(entries)
    index.truncate_to(position)
    kept = [entry for entry in entries if entry[1] < position]
    assert [index.entry(n) for n in range(len(index))] == [(BASE + offset, at) for offset, at in kept]


@given(ENTRIES, st.integers(0, 30))
def test_the_file_is_kafkas(entries: list[tuple[int, int]], first: int) -> None:
    content = index_of(entries).to_bytes(min(first, len(entries)))
    assert content == b"".join(struct.pack(">II", *entry) for entry in entries[first:])


@given(ENTRIES, st.binary(max_size=7))
def test_a_file_is_read_back_without_a_last_entry_that_is_cut_off(entries: list[tuple[int, int]], torn: bytes) -> None:
    content = index_of(entries).to_bytes()
    index = OffsetIndex.from_bytes(BASE, content + torn)
    assert index.to_bytes() == content


@pytest.mark.parametrize("entries", [[(1, 5), (1, 6)], [(1, 5), (2, 5)], [(2, 5), (1, 6)], [(0, 0), (0, 0)]])
def test_a_file_out_of_order_is_refused(entries: list[tuple[int, int]]) -> None:
    with pytest.raises(ValueError, match="out of order"):
        OffsetIndex.from_bytes(BASE, b"".join(struct.pack(">II", *entry) for entry in entries))


@pytest.mark.parametrize("entry", [(BASE + 7, 101), (BASE + 8, 100), (BASE, 0)])
def test_entries_must_grow(entry: tuple[int, int]) -> None:
    index = index_of([(7, 100)])
    with pytest.raises(ValueError, match="is not above"):
        index.append(*entry)
    assert len(index) == 1


def test_an_offset_that_does_not_fit_is_refused() -> None:
    with pytest.raises(OverflowError):
        OffsetIndex(0).append(2**32, 0)
