from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minikafka.storage import scan
from minikafka.storage.fs import write_fully
from minikafka.storage.scan import Scanner, end_of_data, find_later_batch
from tests.support.memory_fs import MemoryFile, MemoryFileSystem
from tests.support.storage import DATA, make_batch


def file_of(*parts: bytes) -> MemoryFile:
    fs = MemoryFileSystem()
    fs.make_directory(DATA)
    file = fs.open(DATA / "x.log", create=True)
    write_fully(file, parts)
    return file


def batches(*sizes: int, base_offset: int = 0, epoch: int = 0) -> list[bytes]:
    return [
        make_batch(bytes([65 + number]) * size, base_offset=base_offset + number, leader_epoch=epoch)
        for number, size in enumerate(sizes)
    ]


def scanner(file: MemoryFile, *, next_offset: int = 0, epoch: int = -1, allow_gaps: bool = False) -> Scanner:
    return Scanner(file, 0, file.size(), next_offset=next_offset, leader_epoch=epoch, allow_gaps=allow_gaps)


@given(st.lists(st.integers(0, 400), max_size=20), st.integers(100, 700))
def test_every_good_batch_is_found_whatever_is_read_at_once(sizes: list[int], chunk_bytes: int) -> None:
    file = file_of(*batches(*sizes))
    before = scan._CHUNK_BYTES
    scan._CHUNK_BYTES = chunk_bytes
    try:
        scanned = scanner(file)
        headers = list(scanned)
    finally:
        scan._CHUNK_BYTES = before
    assert [header.base_offset for header in headers] == list(range(len(sizes)))
    assert [header.end_position for header in headers[-1:]] == ([file.size()] if sizes else [])
    assert (scanned.next_offset, scanned.bad) == (len(sizes), None)


@given(st.integers(0, 2), st.data())
def test_any_changed_byte_ends_the_scan_there(number: int, data: st.DataObject) -> None:
    parts = [bytearray(batch) for batch in batches(50, 60, 70)]
    position = data.draw(st.integers(0, len(parts[number]) - 1).filter(lambda p: not 12 <= p < 16))
    parts[number][position] ^= data.draw(st.integers(1, 255))
    scanned = scanner(file_of(*map(bytes, parts)))
    assert len(list(scanned)) == number
    assert scanned.bad is not None
    assert scanned.bad.position == sum(map(len, parts[:number]))
    assert scanned.bad.expected_offset == scanned.next_offset == number


@given(st.integers(1, 120))
def test_a_torn_last_batch_ends_the_scan(cut: int) -> None:
    whole = b"".join(batches(50, 60))
    scanned = scanner(file_of(whole[:-cut]))
    assert [header.base_offset for header in scanned] == [0]
    assert scanned.bad is not None


@pytest.mark.parametrize(
    ("second", "reason"),
    [
        (make_batch(b"x", base_offset=2), "begins at offset 2, 1 is next"),
        (make_batch(b"x", base_offset=0), "begins at offset 0, 1 is next"),
        (make_batch(b"x", base_offset=1, leader_epoch=4), "epoch 4 comes after 5"),
    ],
)
def test_batches_must_follow_one_another(second: bytes, reason: str) -> None:
    scanned = scanner(file_of(make_batch(b"a", leader_epoch=5), second))
    assert len(list(scanned)) == 1
    assert scanned.bad is not None
    assert reason in scanned.bad.reason


def test_a_compacted_log_may_have_gaps_but_does_not_go_back() -> None:
    parts = [make_batch(b"a", base_offset=3), make_batch(b"b", base_offset=9), make_batch(b"c", base_offset=8)]
    scanned = scanner(file_of(*parts), allow_gaps=True)
    assert [header.base_offset for header in scanned] == [3, 9]
    assert scanned.bad is not None


def test_epochs_go_on_from_the_segment_before() -> None:
    scanned = scanner(file_of(make_batch(b"a", leader_epoch=2)), epoch=3)
    assert list(scanned) == []


@given(st.binary(max_size=40), st.integers(0, 300), st.integers(5, 50))
def test_zeros_at_the_end_are_no_data(content: bytes, zeros: int, chunk_bytes: int) -> None:
    file = file_of(content + bytes(zeros))
    before = scan._CHUNK_BYTES
    scan._CHUNK_BYTES = chunk_bytes
    try:
        assert end_of_data(file, 0, file.size()) == len(content.rstrip(b"\0"))
        assert end_of_data(file, file.size(), file.size()) == file.size()
    finally:
        scan._CHUNK_BYTES = before


@given(st.binary(min_size=1, max_size=300), st.integers(100, 400))
def test_a_batch_after_garbage_is_found(garbage: bytes, chunk_bytes: int) -> None:
    later = make_batch(bytes(150), base_offset=7)
    file = file_of(garbage, later, b"more")
    before = scan._CHUNK_BYTES
    scan._CHUNK_BYTES = chunk_bytes
    try:
        found = find_later_batch(file, 0, file.size(), after_offset=5)
    finally:
        scan._CHUNK_BYTES = before
    assert found is not None
    assert (found.position, found.base_offset) == (len(garbage), 7)


@given(st.binary(max_size=500))
def test_garbage_alone_holds_no_batch(garbage: bytes) -> None:
    file = file_of(b"x", garbage)
    assert find_later_batch(file, 0, file.size(), after_offset=5) is None


@pytest.mark.parametrize("offset", [5, 4, 0, 5000])
def test_a_batch_that_cannot_follow_does_not_count(offset: int) -> None:
    file = file_of(b"xyz", make_batch(b"a", base_offset=offset))
    assert find_later_batch(file, 0, file.size(), after_offset=5) is None


def test_offsets_that_differ_in_their_upper_half_are_found() -> None:
    edge = 2**32
    file = file_of(b"xyz", make_batch(b"a", base_offset=edge + 3))
    assert find_later_batch(file, 0, file.size(), after_offset=edge - 5) is not None


def test_a_damaged_batch_does_not_count() -> None:
    batch = bytearray(make_batch(b"abc", base_offset=7))
    batch[-1] ^= 1
    file = file_of(b"xyz", bytes(batch), struct.pack(">qi", 8, 2**31 - 1), bytes(4), b"\x02")
    assert find_later_batch(file, 0, file.size(), after_offset=5) is None
