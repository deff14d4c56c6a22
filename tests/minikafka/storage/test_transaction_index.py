from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minikafka.storage.transaction_index import AbortedTransaction, TransactionIndex, decode, encode, overlapping
from tests.support.memory_fs import MemoryFileSystem
from tests.support.storage import DATA

PATH = DATA / f"{0:020d}.txnindex"


@pytest.fixture
def fs() -> MemoryFileSystem:
    made = MemoryFileSystem()
    made.make_directory(DATA)
    return made


def transactions(*last_offsets: int) -> list[AbortedTransaction]:
    return [AbortedTransaction(offset, offset - 1, offset, offset + 1) for offset in last_offsets]


def test_the_bytes_are_those_that_kafka_writes() -> None:
    assert encode(AbortedTransaction(0x1122334455667788, 5, 9, 10)) == bytes.fromhex(
        "0000 1122334455667788 0000000000000005 0000000000000009 000000000000000a"
    )


def test_what_is_appended_is_found_again(fs: MemoryFileSystem) -> None:
    index = TransactionIndex(fs, PATH)
    assert index.entries == []
    assert not fs.exists(PATH)
    for transaction in transactions(3, 7):
        assert index.append(transaction).path == PATH
    assert TransactionIndex(fs, PATH).entries == index.entries == transactions(3, 7)


def test_a_file_of_another_segment_of_the_name_does_not_count(fs: MemoryFileSystem) -> None:
    TransactionIndex(fs, PATH).append(transactions(3)[0])
    index = TransactionIndex(fs, PATH, may_exist=False)
    assert index.entries == []
    index.append(transactions(5)[0])
    assert TransactionIndex(fs, PATH).entries == transactions(5)


@given(st.integers(0, 10))
def test_markers_from_an_offset_on_are_forgotten(end_offset: int) -> None:
    fs = MemoryFileSystem()
    fs.make_directory(DATA)
    index = TransactionIndex(fs, PATH)
    for transaction in transactions(3, 5, 8):
        index.append(transaction)
    index.truncate_to(end_offset)
    assert (
        TransactionIndex(fs, PATH).entries == index.entries == [t for t in transactions(3, 5, 8) if t[2] < end_offset]
    )


def test_a_cut_is_on_the_disk_when_it_returns(fs: MemoryFileSystem) -> None:
    """Otherwise an entry could come back after a power loss, and be about other records."""
    index = TransactionIndex(fs, PATH)
    for transaction in transactions(3, 5):
        index.append(transaction)
    fs.calls.clear()
    index.truncate_to(4)
    assert [operation for operation, _ in fs.calls] == ["truncate", "fdatasync"]
    index.truncate_to(4)
    assert len(fs.calls) == 2


@pytest.mark.parametrize("rest", [bytes(20), bytes(34), bytes(70), encode(AbortedTransaction(1, 2, 3, 4))])
def test_what_a_crash_has_left_at_the_end_does_not_count(fs: MemoryFileSystem, rest: bytes) -> None:
    index = TransactionIndex(fs, PATH)
    for transaction in transactions(3, 7):
        index.append(transaction)
    fs.content(PATH).extend(rest)
    index = TransactionIndex(fs, PATH)
    assert index.entries == transactions(3, 7)
    index.append(transactions(9)[0])
    assert decode(bytes(fs.content(PATH))) == transactions(3, 7, 9)


def test_the_aborted_are_those_that_overlap() -> None:
    entries = [
        AbortedTransaction(1, 0, 10, 11),
        AbortedTransaction(2, 15, 20, 12),
        AbortedTransaction(3, 12, 30, 31),
        AbortedTransaction(4, 40, 50, 51),
    ]
    assert overlapping(entries, 0, 5) == ([entries[0]], True)
    assert overlapping(entries, 10, 16) == (entries[:3], True)
    assert overlapping(entries, 11, 15) == ([entries[2]], True)
    assert overlapping(entries, 21, 100) == (entries[2:], False)
    assert overlapping(entries, 51, 60) == ([], False)
