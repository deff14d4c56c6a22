from __future__ import annotations

from dataclasses import replace

import pytest

from minikafka.errors import OffsetOutOfRange, StorageError
from minikafka.records.batch import iter_batches
from minikafka.storage.filenames import LOG_SUFFIX
from minikafka.storage.log import Log
from minikafka.storage.reading import EMPTY_SLICE
from tests.support.memory_fs import MemoryFileSystem
from tests.support.storage import SMALL, LogHarness, append, apply_retention, make_batch, values_from


def filled(batches: int = 30, *, harness: LogHarness | None = None) -> LogHarness:
    """Each batch has two records of 16 bytes."""
    harness = harness or LogHarness(MemoryFileSystem())
    for number in range(batches):
        append(harness.log, b"%016d" % (2 * number), b"%016d" % (2 * number + 1))
    return harness


def fetch(log: Log, offset: int, max_bytes: int = 10_000, end_offset: int | None = None, **options: bool) -> list[int]:
    end = log.log_end_offset if end_offset is None else end_offset
    content = log.read(offset, max_bytes, end, min_one_batch=options.get("min_one_batch", True)).read()
    return [batch.base_offset for batch in iter_batches(memoryview(content))]


def test_a_read_ends_with_its_segment() -> None:
    log = filled().log
    first_segment = log._segments[0]
    assert fetch(log, 0) == list(range(0, first_segment.end_offset, 2))
    assert fetch(log, first_segment.end_offset)[0] == first_segment.end_offset


def test_an_offset_within_a_batch_gets_the_whole_batch() -> None:
    assert fetch(filled().log, 5)[0] == 4


def test_no_batch_is_cut_in_two() -> None:
    log = filled().log
    size = log.read(0, 1, 2, min_one_batch=True).size
    for max_bytes in range(4 * size):
        content = log.read(0, max_bytes, log.log_end_offset, min_one_batch=False)
        assert content.size <= max_bytes
        assert content.size % size == 0


def test_a_read_tells_the_offset_after_its_last_batch() -> None:
    log = filled().log
    for max_bytes in range(100, 2000, 70):
        for end_offset in (log.log_end_offset, 7, 4):
            content = log.read(0, max_bytes, end_offset, min_one_batch=True)
            *_, last = iter_batches(memoryview(content.read()))
            assert last.next_offset <= content.end_offset <= last.next_offset + 1


def test_a_batch_that_is_too_large_comes_alone_if_it_must() -> None:
    log = filled().log
    assert fetch(log, 0, 10, min_one_batch=True) == [0]
    assert fetch(log, 0, 10, min_one_batch=False) == []
    assert fetch(log, 0, 0, min_one_batch=False) == []


@pytest.mark.parametrize("end_offset", range(61))
def test_nothing_at_or_above_the_bound_is_read(end_offset: int) -> None:
    log = filled().log
    bases = fetch(log, 0, end_offset=end_offset)
    assert bases == [base for base in range(0, log._segments[0].end_offset, 2) if base + 2 <= end_offset]


def test_the_bound_holds_for_a_first_batch_too() -> None:
    log = filled().log
    assert fetch(log, 0, 1, end_offset=1) == []
    assert fetch(log, 2, 1, end_offset=3) == []


def test_at_the_end_there_is_nothing_and_beyond_it_an_error() -> None:
    log = filled().log
    assert log.read(60, 1000, 60, min_one_batch=True) is EMPTY_SLICE
    assert log.read(60, 1000, 70, min_one_batch=True) is EMPTY_SLICE
    assert EMPTY_SLICE.read() == b""
    with pytest.raises(OffsetOutOfRange, match="61"):
        log.read(61, 1000, 60, min_one_batch=True)


def test_before_the_start_is_an_error() -> None:
    log = filled().log
    log.delete_records(7)
    with pytest.raises(OffsetOutOfRange, match="6"):
        log.read(6, 1000, 60, min_one_batch=True)
    assert fetch(log, 7)[0] == 6


def test_a_reader_in_sequence_searches_only_once() -> None:
    harness = filled()
    assert isinstance(harness.fs, MemoryFileSystem)
    log = harness.log
    harness.fs.counts.clear()
    offset = 0
    reads = 0
    while offset < 60:
        content = log.read(offset, 10_000, 60, min_one_batch=True).read()
        offset = [batch.next_offset for batch in iter_batches(memoryview(content))][-1]
        reads += 1
    # one for the slice; a search, at the beginning of a segment, costs one more
    assert harness.fs.counts["pread"] <= 2 * reads


def test_a_reader_at_the_tail_finds_new_records_without_a_search() -> None:
    harness = filled(3)
    assert isinstance(harness.fs, MemoryFileSystem)
    values_from(harness.log)
    append(harness.log, b"new")
    harness.fs.counts.clear()
    assert fetch(harness.log, 6) == [6]
    assert harness.fs.counts["pread"] == 1


def test_a_reader_at_the_tail_goes_on_in_the_new_segment() -> None:
    harness = filled(3)
    assert fetch(harness.log, 0)[-1] == 4
    harness.log.roll()
    append(harness.log, b"new")
    assert fetch(harness.log, 6) == [6]


def test_a_reader_behind_the_high_watermark_goes_on() -> None:
    log = filled(5).log
    assert fetch(log, 0, end_offset=4) == [0, 2]
    assert fetch(log, 4, end_offset=4) == []
    assert fetch(log, 4, end_offset=6) == [4]
    assert fetch(log, 6, end_offset=10) == [6, 8]


def test_many_readers_do_not_pile_up() -> None:
    log = filled(120).log
    for offset in range(240):
        fetch(log, offset, 200)
    assert len(log._reader._cursors) <= 64


def test_a_slice_stays_readable_when_its_segment_is_deleted() -> None:
    harness = LogHarness(MemoryFileSystem(), replace(SMALL, retention_bytes=0))
    log = filled(harness=harness).log
    taken = log.read(0, 10_000, 60, min_one_batch=True)
    apply_retention(log, 0)
    assert isinstance(harness.fs, MemoryFileSystem)
    assert not harness.fs.exists(harness.directory / f"{0:020d}{LOG_SUFFIX}")
    assert len(taken.read()) == taken.size > 0


def test_a_file_that_lost_its_end_is_an_error() -> None:
    harness = filled(3)
    assert isinstance(harness.fs, MemoryFileSystem)
    taken = harness.log.read(0, 10_000, 6, min_one_batch=True)
    del harness.fs.content(harness.directory / f"{0:020d}{LOG_SUFFIX}")[-1:]
    with pytest.raises(StorageError, match="ends before"):
        taken.read()


def test_a_gap_left_by_compaction_is_skipped() -> None:
    log = LogHarness(MemoryFileSystem(), replace(SMALL, cleanup_policy=frozenset({"compact"}))).log
    for base_offset in (0, 10, 11, 40):
        log.append_as_follower(memoryview(make_batch(bytes(400), base_offset=base_offset)))
    assert [segment.base_offset for segment in log._segments] == [0, 11]
    assert fetch(log, 1) == [10]
    assert fetch(log, 12) == [40]
    log.roll()
    log.append_as_follower(memoryview(make_batch(b"x", base_offset=60)))
    assert fetch(log, 41) == [60]
    assert fetch(log, 60) == [60]
