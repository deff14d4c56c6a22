from __future__ import annotations

import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from minikafka.storage.offset_map import ENTRY_BYTES, OffsetMap

KEYS = st.none() | st.binary(max_size=3) | st.binary(min_size=18, max_size=60)


@given(st.lists(st.lists(KEYS, max_size=8), max_size=12))
def test_of_each_key_the_last_record_is_known(batches: list[list[bytes | None]]) -> None:
    found = OffsetMap(1 << 20)
    everything: list[bytes | None] = []
    for keys in batches:
        found.add(keys, range(len(everything), len(everything) + len(keys)))
        everything += keys
    last = {key: offset for offset, key in enumerate(everything) if key is not None}
    assert len(found) == len(last)
    expected = [key is not None and last[key] == offset for offset, key in enumerate(everything)]
    assert found.are_last(everything, range(len(everything))) == expected


def test_a_key_that_was_never_seen_is_the_last_of_its_kind() -> None:
    assert OffsetMap(1 << 20).are_last([b"new", b"n" * 100, None], [5, 6, 7]) == [True, True, False]


def test_long_keys_that_begin_alike_are_told_apart() -> None:
    found = OffsetMap(1 << 20)
    first, second = b"k" * 100, b"k" * 99 + b"x"
    found.add([first, second, first], [0, 1, 2])
    assert found.are_last([first, second, first], [0, 1, 2]) == [False, True, True]


def test_it_is_full_when_its_memory_is_used_up_and_takes_one_batch_at_least() -> None:
    found = OffsetMap(3 * ENTRY_BYTES)
    found.add([b"a", b"b"], [0, 1])
    assert not found.is_full
    found.add([b"c", b"d"], [2, 3])
    assert found.is_full
    assert not OffsetMap(0).is_full


def test_the_bound_holds_for_the_longest_entries() -> None:
    """What an entry takes: a digest or a short key, an offset, and its share of a table that is a third full."""
    count = 50_000
    keys = [b"%060d" % number for number in range(count)]
    tracemalloc.start()
    try:
        found = OffsetMap(1 << 30)
        for start in range(0, count, 500):
            found.add(keys[start : start + 500], range(start, start + 500))
        used, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert used < count * ENTRY_BYTES
