from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minikafka.errors import StorageError
from minikafka.storage.batch_headers import read_header
from minikafka.storage.fs import write_fully
from minikafka.storage.segment_indexes import SegmentIndexes
from tests.support.memory_fs import MemoryFile, MemoryFileSystem
from tests.support.storage import DATA, make_batch

INDEX = DATA / "00000000000000000007.index"
TIMES = DATA / "00000000000000000007.timeindex"
BATCHES = st.lists(st.tuples(st.integers(0, 120), st.integers(0, 30)), min_size=1, max_size=25)


def file_system() -> MemoryFileSystem:
    fs = MemoryFileSystem()
    fs.make_directory(DATA)
    return fs


def segment(fs: MemoryFileSystem, batches: list[tuple[int, int]]) -> MemoryFile:
    file = fs.open(DATA / "00000000000000000007.log", create=True)
    write_fully(
        file,
        [
            make_batch(bytes(size), timestamps_ms=(timestamp_ms,), base_offset=7 + number)
            for number, (size, timestamp_ms) in enumerate(batches)
        ],
    )
    return file


def built(fs: MemoryFileSystem, file: MemoryFile, interval_bytes: int = 150) -> SegmentIndexes:
    return SegmentIndexes.rebuild(fs, DATA, 7, interval_bytes, log=file, size=file.size())


def contents(indexes: SegmentIndexes) -> tuple[bytes, bytes]:
    return indexes.offsets.to_bytes(), indexes.times.to_bytes()


@given(BATCHES)
def test_entries_are_sparse_and_true(batches: list[tuple[int, int]]) -> None:
    fs = file_system()
    file = segment(fs, batches)
    indexes = built(fs, file)
    before = 0
    for number in range(len(indexes.offsets)):
        entry = indexes.offsets.entry(number)
        assert entry.position - before > 150
        assert read_header(file, entry.position, file.size()).last_offset == entry.offset
        before = entry.position
    for number in range(len(indexes.times)):
        timestamp_ms, offset = indexes.times.entry(number)
        assert batches[offset - 7][1] == timestamp_ms == max(time for _, time in batches[: offset - 6])
    assert indexes.latest.timestamp_ms == max(time for _, time in batches)


@given(BATCHES, st.data())
def test_reindexing_from_an_entry_changes_nothing(batches: list[tuple[int, int]], data: st.DataObject) -> None:
    fs = file_system()
    file = segment(fs, batches)
    indexes, expected = built(fs, file), built(fs, file)
    numbers = st.integers(-1, len(indexes.offsets) - 1)
    number = data.draw(numbers)
    position = indexes.offsets.entry(number).position if number >= 0 else 0
    indexes.truncate_to(read_header(file, position, file.size()))
    while position < file.size():
        header = read_header(file, position, file.size())
        indexes.add_batch(header.last_offset, position, header.size, header.max_timestamp_ms)
        position = header.end_position
    assert contents(indexes) == contents(expected)
    assert indexes.latest == expected.latest


@given(BATCHES, st.lists(st.integers(0, 25), max_size=3))
def test_saving_in_pieces_makes_the_same_files(batches: list[tuple[int, int]], stops: list[int]) -> None:
    fs = file_system()
    indexes = SegmentIndexes(fs, DATA, 7, 150, has_files=False)
    position = 0
    for number, (size, timestamp_ms) in enumerate(batches):
        indexes.add_batch(7 + number, position, 70 + size, timestamp_ms)
        position += 70 + size
        if number in stops:
            indexes.save()
    indexes.save_all()
    assert indexes.is_saved
    assert (bytes(fs.content(INDEX)), bytes(fs.content(TIMES))) == contents(indexes)
    loaded = SegmentIndexes.load(fs, DATA, 7, 150)
    assert contents(loaded) == contents(indexes)
    assert loaded.latest == indexes.latest
    assert loaded.is_saved


def test_files_of_before_a_truncation_are_replaced() -> None:
    fs = file_system()
    file = segment(fs, [(100, 5)] * 9)
    built(fs, file).save_all()
    indexes = SegmentIndexes.load(fs, DATA, 7, 150)
    indexes.truncate_to(read_header(file, 0, file.size()))
    assert not indexes.is_saved
    indexes.save_all()
    assert fs.content(INDEX) == b""
    assert fs.content(TIMES) == b""


def test_a_file_with_half_an_entry_is_replaced() -> None:
    fs = file_system()
    file = segment(fs, [(100, number) for number in range(9)])
    built(fs, file).save_all()
    whole = bytes(fs.content(INDEX))
    fs.content(INDEX).extend(b"abc")
    indexes = SegmentIndexes.load(fs, DATA, 7, 150)
    assert not indexes.is_saved
    indexes.save_all()
    assert bytes(fs.content(INDEX)) == whole


def test_a_file_that_cannot_be_written_is_removed() -> None:
    fs = file_system()
    indexes = built(fs, segment(fs, [(100, number) for number in range(9)]))
    fs.fail("writev", path_part=".index", short=5)
    fs.fail("writev", path_part=".index", nth=2, reason="No space left on device")
    with pytest.raises(StorageError, match="No space"):
        indexes.save_all()
    assert not fs.exists(INDEX)
    indexes.save_all()
    assert bytes(fs.content(INDEX)) == indexes.offsets.to_bytes()


@pytest.mark.parametrize("path", [INDEX, TIMES])
def test_a_missing_file_is_an_error(path: object) -> None:
    fs = file_system()
    built(fs, segment(fs, [(1, 1)])).save_all()
    fs.unlink(INDEX if path is INDEX else TIMES)
    with pytest.raises(StorageError):
        SegmentIndexes.load(fs, DATA, 7, 150)


def test_full_indexes_ask_for_a_new_segment() -> None:
    fs = file_system()
    indexes = built(fs, segment(fs, [(100, 1)] * 9))
    assert (len(indexes.offsets), len(indexes.times)) == (8, 1)
    assert indexes.room(9 * 8) == 1
    assert indexes.room(9 * 8 - 1) == 0
    fs = file_system()
    indexes = built(fs, segment(fs, [(100, number) for number in range(9)]))
    assert (len(indexes.offsets), len(indexes.times)) == (8, 8)
    assert indexes.room(10 * 12) == 1
    assert indexes.room(10 * 12 - 1) == 0


def test_records_without_times_leave_the_time_index_empty() -> None:
    fs = file_system()
    indexes = built(fs, segment(fs, [(100, -1)] * 9))
    indexes.save_all()
    assert len(indexes.times) == 0
    assert indexes.latest.timestamp_ms == -1
    assert indexes.is_saved
