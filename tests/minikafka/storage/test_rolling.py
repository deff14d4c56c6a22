from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from minikafka.config.topic import TopicConfig
from minikafka.errors import RecordListTooLarge
from minikafka.storage.rolling import RollPolicy
from minikafka.storage.segment import Segment
from tests.support.clock import ManualClock
from tests.support.memory_fs import MemoryFileSystem
from tests.support.storage import DATA, make_batch

CONFIG = replace(TopicConfig(), segment_bytes=1000, segment_ms=500)


def segment_of(*timestamps_ms: int, clock: ManualClock, directory: Path = DATA) -> Segment:
    fs = MemoryFileSystem()
    fs.make_directory(directory)
    segment = Segment.create(fs, directory, 0, 50, now_ms=clock.now_ms())
    for offset, timestamp_ms in enumerate(timestamps_ms):
        batch = make_batch(bytes(30), timestamps_ms=(timestamp_ms,), base_offset=offset)
        segment.append(batch[:16], batch[16:], len(batch), last_offset=offset, max_timestamp_ms=timestamp_ms)
    return segment


def must_roll(
    segment: Segment,
    clock: ManualClock,
    *,
    config: TopicConfig = CONFIG,
    size: int = 10,
    last_offset: int = 9,
    max_timestamp_ms: int = 100,
) -> bool:
    return RollPolicy(config, clock, segment).must_roll(segment, size, last_offset, max_timestamp_ms)


def test_a_segment_is_filled_to_its_limit() -> None:
    clock = ManualClock()
    segment = segment_of(100, clock=clock)
    assert not must_roll(segment, clock, size=1000 - segment.size)
    assert must_roll(segment, clock, size=1001 - segment.size)


def test_a_batch_that_fits_into_no_segment_is_refused() -> None:
    clock = ManualClock()
    with pytest.raises(RecordListTooLarge, match=r"segment\.bytes"):
        must_roll(segment_of(clock=clock), clock, size=1001)


def test_the_age_is_counted_in_the_time_of_the_records() -> None:
    clock = ManualClock()
    segment = segment_of(100, 110, clock=clock)
    clock.advance(10_000_000)
    assert not must_roll(segment, clock, max_timestamp_ms=600)
    assert must_roll(segment, clock, max_timestamp_ms=601)


def test_records_without_times_age_by_the_clock() -> None:
    clock = ManualClock()
    segment = segment_of(-1, clock=clock)
    clock.advance(500)
    assert not must_roll(segment, clock, max_timestamp_ms=-1)
    clock.advance(1)
    assert must_roll(segment, clock, max_timestamp_ms=-1)


def test_an_empty_segment_never_rolls() -> None:
    clock = ManualClock()
    segment = segment_of(clock=clock)
    clock.advance(10_000_000)
    assert not must_roll(segment, clock, config=replace(CONFIG, segment_index_bytes=4))


def test_a_full_index_ends_a_segment() -> None:
    clock = ManualClock()
    segment = segment_of(100, 100, 100, 100, clock=clock)
    assert not must_roll(segment, clock, config=replace(CONFIG, segment_index_bytes=36))
    assert must_roll(segment, clock, config=replace(CONFIG, segment_index_bytes=16))


def test_offsets_stay_within_the_reach_of_the_index() -> None:
    clock = ManualClock()
    segment = segment_of(100, clock=clock)
    assert not must_roll(segment, clock, last_offset=2**31 - 1)
    assert must_roll(segment, clock, last_offset=2**31)


def test_jitter_shortens_the_age_differently_for_each_log() -> None:
    clock = ManualClock()
    config = replace(CONFIG, segment_jitter_ms=400)
    limits = set()
    for number in range(20):
        segment = segment_of(0, clock=clock, directory=DATA / f"t-{number}")
        limit = next(ms for ms in range(600) if must_roll(segment, clock, config=config, max_timestamp_ms=ms))
        assert 100 < limit <= 501
        limits.add(limit)
    assert len(limits) > 5


@pytest.mark.parametrize(("policy", "limit_ms"), [("compact", 200), ("compact,delete", 200), ("delete", 500)])
def test_records_that_are_to_be_compacted_do_not_wait_in_the_active_segment(policy: str, limit_ms: int) -> None:
    clock = ManualClock()
    segment = segment_of(100, clock=clock)
    config = replace(CONFIG, max_compaction_lag_ms=200, cleanup_policy=frozenset(policy.split(",")))
    assert not must_roll(segment, clock, config=config, max_timestamp_ms=100 + limit_ms)
    assert must_roll(segment, clock, config=config, max_timestamp_ms=101 + limit_ms)


def test_without_appends_the_clock_ends_a_segment_whatever_its_records_say() -> None:
    clock = ManualClock()
    for segment in (segment_of(100, clock=clock), segment_of(-1, clock=clock)):
        policy = RollPolicy(CONFIG, clock, segment)
        assert not policy.is_old(segment, clock.now_ms() + 499)
        assert policy.is_old(segment, clock.now_ms() + 500)
    assert not RollPolicy(CONFIG, clock, segment_of(clock=clock)).is_old(segment_of(clock=clock), 2 * clock.now_ms())
