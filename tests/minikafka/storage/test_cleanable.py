from __future__ import annotations

from dataclasses import replace

import pytest

from minikafka.config.topic import TopicConfig
from minikafka.storage.cleanable import Cleanable, find_cleanable
from minikafka.storage.segment import Segment
from minikafka.storage.segment_cache import SegmentCache
from minikafka.storage.segments import Segments
from tests.support.memory_fs import MemoryFileSystem
from tests.support.storage import DATA, make_batch

NOW_MS = 1_000_000
SIZE = len(make_batch(bytes(100)))
CONFIG = replace(TopicConfig(), cleanup_policy=frozenset({"compact"}))


def segments(*timestamps_ms: int) -> Segments:
    """Segments of one record each; the last one is active."""
    fs = MemoryFileSystem()
    fs.make_directory(DATA)
    made = []
    for offset, timestamp_ms in enumerate(timestamps_ms):
        segment = Segment.create(fs, DATA, offset, 4096, now_ms=0)
        batch = make_batch(bytes(100), timestamps_ms=(timestamp_ms,), base_offset=offset)
        segment.append(batch[:16], batch[16:], len(batch), last_offset=offset, max_timestamp_ms=timestamp_ms)
        made.append(segment)
    return Segments(made, SegmentCache())


def find(found: Segments, config: TopicConfig = CONFIG, *, first_dirty: int = 0, end: int = 100) -> Cleanable:
    return find_cleanable(found, config, first_dirty, end, NOW_MS)


def test_all_but_the_active_segment_may_be_compacted() -> None:
    cleanable = find(segments(1, 2, 3, 4))
    assert [segment.base_offset for segment in cleanable.segments] == [0, 1, 2]
    assert (cleanable.clean_bytes, cleanable.dirty_bytes, cleanable.dirty_ratio) == (0, 3 * SIZE, 1.0)


def test_a_log_of_one_segment_has_nothing_to_compact() -> None:
    cleanable = find(segments(1))
    assert not cleanable.segments
    assert cleanable.dirty_ratio == 0
    assert not cleanable.is_due(replace(CONFIG, min_cleanable_dirty_ratio=0))


@pytest.mark.parametrize(("first_dirty", "ratio"), [(0, 1.0), (1, 0.75), (3, 0.25), (4, 0.0)])
def test_what_was_compacted_before_is_clean(first_dirty: int, ratio: float) -> None:
    cleanable = find(segments(1, 2, 3, 4, 5), first_dirty=first_dirty)
    assert len(cleanable.segments) == 4
    assert cleanable.dirty_ratio == ratio
    assert cleanable.first_dirty_offset == first_dirty


@pytest.mark.parametrize(("end", "count"), [(0, 0), (1, 1), (2, 2), (100, 3)])
def test_what_may_still_be_taken_back_is_left_alone(end: int, count: int) -> None:
    assert len(find(segments(1, 2, 3, 4), end=end).segments) == count


@pytest.mark.parametrize(("ratio", "is_due"), [(0.0, True), (0.49, True), (0.5, False), (1.0, False)])
def test_a_pass_is_worth_it_when_enough_is_dirty(ratio: float, is_due: bool) -> None:
    config = replace(CONFIG, min_cleanable_dirty_ratio=ratio)
    assert find(segments(1, 2, 3), config, first_dirty=1).is_due(config) is is_due


def test_records_are_kept_out_of_compaction_for_some_time() -> None:
    """``min.compaction.lag.ms``: the first segment whose latest record is too new ends what may be compacted."""
    config = replace(CONFIG, min_compaction_lag_ms=1_000)
    found = segments(NOW_MS - 1_001, NOW_MS - 1_000, NOW_MS - 999, NOW_MS - 5_000, NOW_MS)
    assert [segment.base_offset for segment in find(found, config).segments] == [0, 1]


def test_what_is_clean_is_never_too_new() -> None:
    config = replace(CONFIG, min_compaction_lag_ms=1_000)
    assert len(find(segments(NOW_MS, NOW_MS, NOW_MS - 1_000, NOW_MS), config, first_dirty=2).segments) == 3


def test_records_wait_no_longer_than_they_are_allowed_to() -> None:
    """``max.compaction.lag.ms``: a pass is due, however little is dirty."""
    config = replace(CONFIG, max_compaction_lag_ms=1_000, min_cleanable_dirty_ratio=1.0)
    assert find(segments(1, NOW_MS - 1_001, NOW_MS), config, first_dirty=1).is_due(config)
    assert not find(segments(1, NOW_MS - 1_000, NOW_MS), config, first_dirty=1).is_due(config)
    assert not find(segments(1, NOW_MS - 1_000, NOW_MS), config, first_dirty=2).is_due(config)


def test_records_without_times_are_never_overdue() -> None:
    config = replace(CONFIG, max_compaction_lag_ms=1_000, min_cleanable_dirty_ratio=1.0)
    assert not find(segments(-1, 1), config).is_overdue
