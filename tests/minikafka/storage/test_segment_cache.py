from __future__ import annotations

from pathlib import Path

from minikafka.storage.segment import Segment
from minikafka.storage.segment_cache import SegmentCache
from tests.support.memory_fs import MemoryFileSystem
from tests.support.storage import make_batch


def closed_segments(count: int) -> tuple[MemoryFileSystem, list[Segment]]:
    fs = MemoryFileSystem()
    segments = []
    for number in range(count):
        directory = Path(f"/data/t-{number}")
        fs.make_directory(directory)
        segment = Segment.create(fs, directory, 0, 50, now_ms=0)
        for offset in range(10):
            batch = make_batch(bytes(100), base_offset=offset)
            segment.append(batch[:16], batch[16:], len(batch), last_offset=offset, max_timestamp_ms=offset)
        segment.save_indexes()
        segment.release()
        segments.append(segment)
    return fs, segments


def is_open(segment: Segment) -> bool:
    return segment._file is not None


def test_the_segment_read_longest_ago_is_released() -> None:
    _, segments = closed_segments(4)
    cache = SegmentCache(max_segments=2)
    for number in (0, 1, 0, 2):
        segments[number].find_batch(5)
        cache.touch(segments[number])
    assert [is_open(segment) for segment in segments] == [True, False, True, False]
    assert len(cache) == 2


def test_indexes_are_bounded_in_bytes() -> None:
    _, segments = closed_segments(3)
    segments[0].find_batch(5)
    cache = SegmentCache(max_segments=100, max_index_bytes=2 * segments[0].memory_bytes)
    for segment in segments:
        segment.find_batch(5)
        cache.touch(segment)
    assert [is_open(segment) for segment in segments] == [False, True, True]


def test_indexes_that_were_loaded_later_count_too() -> None:
    _, segments = closed_segments(2)
    cache = SegmentCache(max_segments=100, max_index_bytes=1)
    cache.touch(segments[0])
    cache.touch(segments[1])
    assert len(cache) == 2
    segments[1].find_batch(5)
    cache.touch(segments[1])
    assert len(cache) == 1


def test_a_discarded_segment_is_not_released() -> None:
    _, segments = closed_segments(2)
    cache = SegmentCache(max_segments=1)
    segments[0].find_batch(5)
    cache.touch(segments[0])
    cache.discard(segments[0])
    cache.discard(segments[0])
    cache.touch(segments[1])
    assert is_open(segments[0])


def test_a_released_segment_is_read_again() -> None:
    _, segments = closed_segments(1)
    latest = segments[0].latest
    segments[0].release()
    assert segments[0].latest == latest == (9, 9)
    header = segments[0].find_batch(5)
    assert header is not None
    assert header.base_offset == 5
