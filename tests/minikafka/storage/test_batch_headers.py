from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minikafka.records.batch import TRANSACTIONAL_FLAG
from minikafka.storage.batch_headers import CorruptSegment, read_header, walk_headers
from minikafka.storage.fs import write_fully
from tests.support.memory_fs import MemoryFile, MemoryFileSystem
from tests.support.storage import DATA, make_batch


def file_of(*parts: bytes) -> MemoryFile:
    fs = MemoryFileSystem()
    fs.make_directory(DATA)
    file = fs.open(DATA / "x.log", create=True)
    write_fully(file, parts)
    return file


def test_a_header_tells_what_the_log_needs() -> None:
    batch = make_batch(b"a", b"b", timestamps_ms=(70, 60), base_offset=5, leader_epoch=3)
    header = read_header(file_of(b"xyz", batch), 3, 3 + len(batch))
    assert header == (3, len(batch), 5, 6, 3, 0, 70, -1, -1, -1)
    assert header.end_position == 3 + len(batch)


def test_a_header_tells_whose_batch_it_is() -> None:
    batch = make_batch(b"a", producer=(7, 2, 40), is_transactional=True)
    header = read_header(file_of(batch), 0, len(batch))
    assert (header.producer_id, header.producer_epoch, header.base_sequence) == (7, 2, 40)
    assert header.attributes == TRANSACTIONAL_FLAG


@given(st.lists(st.integers(0, 300), min_size=1, max_size=20), st.integers(57, 400))
def test_a_walk_visits_every_batch_whatever_is_read_at_once(sizes: list[int], window_bytes: int) -> None:
    batches = [make_batch(bytes(size), base_offset=offset) for offset, size in enumerate(sizes)]
    file = file_of(*batches)
    headers = list(walk_headers(file, 0, file.size(), window_bytes))
    assert [header.base_offset for header in headers] == list(range(len(sizes)))
    assert [header.size for header in headers] == [len(batch) for batch in batches]


@given(st.integers(1, 160))
def test_a_walk_that_ends_within_a_batch_is_noticed(cut: int) -> None:
    batches = [make_batch(bytes(100)), make_batch(bytes(100), base_offset=1)]
    file = file_of(b"".join(batches)[:-cut])
    with pytest.raises(CorruptSegment, match="position"):
        list(walk_headers(file, 0, file.size()))


def test_offsets_that_go_back_are_noticed() -> None:
    file = file_of(make_batch(b"a", b"b", base_offset=5), make_batch(b"c", base_offset=6))
    with pytest.raises(CorruptSegment, match="goes back to offset 6"):
        list(walk_headers(file, 0, file.size()))


@pytest.mark.parametrize("position", [8, 11, 16, 23])
def test_a_header_that_cannot_be_is_noticed(position: int) -> None:
    batch = bytearray(make_batch(b"a"))
    batch[position] = 0xFF if position != 11 else 0
    with pytest.raises(CorruptSegment):
        read_header(file_of(bytes(batch)), 0, len(batch))
