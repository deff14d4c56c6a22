from __future__ import annotations

from minikafka.storage.segment import Segment
from minikafka.storage.segment_cache import SegmentCache
from minikafka.storage.segments import Segments
from tests.support.memory_fs import MemoryFileSystem
from tests.support.storage import DATA


def segments(*base_offsets: int) -> tuple[Segments, SegmentCache]:
    fs = MemoryFileSystem()
    fs.make_directory(DATA)
    cache = SegmentCache()
    made = [Segment.create(fs, DATA, base_offset, 100, now_ms=0) for base_offset in base_offsets]
    return Segments(made, cache), cache


def test_an_offset_is_in_the_last_segment_that_begins_at_or_below_it() -> None:
    found, _ = segments(10, 20, 30)
    bases = [segment and segment.base_offset for segment in map(found.at, (9, 10, 19, 20, 35))]
    assert bases == [None, 10, 10, 20, 30]


def test_segments_follow_one_another() -> None:
    found, _ = segments(10, 20)
    assert found.after(found[0]) is found[1]
    assert found.after(found[1]) is None
    assert [segment.base_offset for segment in found] == [10, 20]


def test_the_segments_since_an_offset_begin_with_the_one_that_holds_it() -> None:
    found, _ = segments(10, 20, 30)
    bases = [[segment.base_offset for segment in found.since(offset)] for offset in (0, 10, 25, 99)]
    assert bases == [[10, 20, 30], [10, 20, 30], [20, 30], [30]]


def test_only_closed_segments_go_through_the_cache() -> None:
    found, cache = segments(10, 20)
    found.used(found.active)
    assert len(cache) == 0
    found.used(found[0])
    assert len(cache) == 1


def test_a_new_segment_closes_the_one_before() -> None:
    found, cache = segments(10)
    other, _ = segments(20)
    found.add(other.active)
    assert found.active is other.active
    assert len(cache) == 1
    assert len(found) == 2


def test_the_oldest_are_taken_away() -> None:
    found, cache = segments(10, 20, 30)
    found.used(found[0])
    assert [segment.base_offset for segment in found.take_first(2)] == [10, 20]
    assert len(cache) == 0
    assert found.at(15) is None
    assert found.active.base_offset == 30


def test_the_one_before_the_last_is_written_again_when_that_is_taken_away() -> None:
    found, cache = segments(10, 20)
    found.used(found[0])
    assert found.take_last().base_offset == 20
    assert found.active.base_offset == 10
    assert len(cache) == 0
    assert found.at(25) is found.active


def test_released_segments_come_back_when_they_are_needed() -> None:
    found, cache = segments(10, 20)
    found.used(found[0])
    found.release()
    assert len(cache) == 0
    assert found.active.file.size() == 0
