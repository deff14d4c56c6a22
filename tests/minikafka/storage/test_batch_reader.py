from __future__ import annotations

import pytest

from minikafka.errors import CorruptMessage, StorageError
from minikafka.storage.batch_headers import CorruptSegment
from minikafka.storage.batch_reader import read_batches
from minikafka.storage.fs import File
from tests.support.memory_fs import MemoryFileSystem
from tests.support.storage import DATA, make_batch

BATCHES = [make_batch(bytes(size), base_offset=offset) for offset, size in enumerate((0, 10, 900, 3, 4_000, 1))]
CONTENT = b"".join(BATCHES)


def file_of(content: bytes) -> tuple[MemoryFileSystem, File]:
    fs = MemoryFileSystem()
    fs.make_directory(DATA)
    file = fs.open(DATA / "segment", create=True)
    file.writev([content])
    return fs, file


@pytest.mark.parametrize("chunk_bytes", [1, 61, 70, 200, 1_000, 5_000, 1 << 20])
def test_every_batch_is_read_whatever_is_read_at_once(chunk_bytes: int) -> None:
    _, file = file_of(CONTENT)
    assert [bytes(batch.view) for batch in read_batches(file, len(CONTENT), chunk_bytes)] == BATCHES


def test_nothing_is_read_beyond_the_end_that_is_given() -> None:
    _, file = file_of(CONTENT + b"being written")
    assert len(list(read_batches(file, len(CONTENT), 1 << 20))) == len(BATCHES)
    assert list(read_batches(file, 0, 1 << 20)) == []


def test_a_large_piece_is_read_with_one_call() -> None:
    fs, file = file_of(CONTENT)
    before = fs.counts["pread"]
    assert len(list(read_batches(file, len(CONTENT), 1 << 20))) == len(BATCHES)
    assert fs.counts["pread"] == before + 1


@pytest.mark.parametrize("cut", [1, 30, 61, 70])
def test_a_batch_that_is_cut_off_is_refused(cut: int) -> None:
    _, file = file_of(CONTENT[:-cut])
    found = []
    with pytest.raises((CorruptSegment, CorruptMessage)):
        found += read_batches(file, len(CONTENT), 1 << 20)


def test_a_damaged_batch_is_refused_after_those_before_it() -> None:
    content = bytearray(CONTENT)
    content[len(BATCHES[0]) + 65] ^= 1
    _, file = file_of(bytes(content))
    batches = read_batches(file, len(content), 1 << 20)
    assert bytes(next(batches).view) == BATCHES[0]
    with pytest.raises(CorruptMessage):
        next(batches)


def test_an_error_of_the_disk_is_passed_on() -> None:
    fs, file = file_of(CONTENT)
    fs.fail("pread")
    with pytest.raises(StorageError):
        list(read_batches(file, len(CONTENT), 100))
