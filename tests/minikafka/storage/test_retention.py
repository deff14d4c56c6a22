from __future__ import annotations

from dataclasses import replace

import pytest

from minikafka.config.topic import TopicConfig
from minikafka.errors import StorageError
from minikafka.storage.retention import RetiredSegments, count_expired
from minikafka.storage.segment import Segment
from tests.support.memory_fs import MemoryFileSystem
from tests.support.storage import DATA, PARTITION, make_batch

SIZE = len(make_batch(bytes(100)))
FOREVER = replace(TopicConfig(), retention_ms=-1)


def segments(*timestamps_ms: int) -> list[Segment]:
    """Closed segments of one batch each, and an empty active one."""
    fs = MemoryFileSystem()
    fs.now_ms = 777
    fs.make_directory(DATA)
    made = []
    for offset, timestamp_ms in enumerate(timestamps_ms):
        segment = Segment.create(fs, DATA, offset, 4096, now_ms=0)
        batch = make_batch(bytes(100), timestamps_ms=(timestamp_ms,), base_offset=offset)
        segment.append(batch[:16], batch[16:], len(batch), last_offset=offset, max_timestamp_ms=timestamp_ms)
        made.append(segment)
    return [*made, Segment.create(fs, DATA, len(timestamps_ms), 4096, now_ms=0)]


def count(found: list[Segment], config: TopicConfig, *, log_start_offset: int = 0, now_ms: int = 1_000_000) -> int:
    return count_expired(found, config, log_start_offset, sum(segment.size for segment in found), now_ms)


def test_nothing_expires_without_limits() -> None:
    assert count(segments(1, 2, 3), FOREVER) == 0


@pytest.mark.parametrize(
    ("limit", "expected"), [(0, 3), (SIZE - 1, 2), (SIZE, 2), (2 * SIZE - 1, 1), (3 * SIZE - 1, 0), (3 * SIZE, 0)]
)
def test_as_many_go_as_leave_the_limit_in_bytes(limit: int, expected: int) -> None:
    assert count(segments(1, 2, 3), replace(FOREVER, retention_bytes=limit)) == expected


@pytest.mark.parametrize(("now_ms", "expected"), [(150, 0), (151, 1), (1_000, 3)])
def test_a_segment_goes_when_its_latest_record_is_too_old(now_ms: int, expected: int) -> None:
    assert count(segments(100, 200, 300), replace(FOREVER, retention_ms=50), now_ms=now_ms) == expected


def test_a_younger_segment_keeps_those_after_it() -> None:
    assert count(segments(100, 900, 200), replace(FOREVER, retention_ms=50), now_ms=920) == 1


def test_without_times_the_file_tells_the_age() -> None:
    config = replace(FOREVER, retention_ms=50)
    assert count(segments(-1), config, now_ms=777 + 50) == 0
    assert count(segments(-1), config, now_ms=777 + 51) == 1


@pytest.mark.parametrize("log_start_offset", [0, 1, 2, 3])
def test_what_is_before_the_log_start_goes_whatever_the_policy(log_start_offset: int) -> None:
    config = replace(FOREVER, cleanup_policy=frozenset({"compact"}), retention_bytes=0)
    assert count(segments(1, 2, 3), config, log_start_offset=log_start_offset) == log_start_offset


def test_a_compacted_log_does_not_age() -> None:
    config = replace(TopicConfig(), cleanup_policy=frozenset({"compact"}), retention_bytes=0, retention_ms=1)
    assert count(segments(1, 2, 3), config) == 0


def test_the_active_segment_may_go_but_not_an_empty_one() -> None:
    config = replace(FOREVER, retention_ms=50)
    assert count(segments(1, 2)[:-1], config) == 2
    assert count(segments(), config) == 0


def test_files_that_cannot_be_removed_are_tried_again() -> None:
    fs = MemoryFileSystem()
    fs.make_directory(DATA)
    made = [Segment.create(fs, DATA, offset, 4096, now_ms=0) for offset in range(3)]
    retired = RetiredSegments(PARTITION)
    retired.add(made)
    fs.fail("unlink", nth=2)
    with pytest.raises(StorageError):
        retired.remove()
    assert retired
    assert len(fs.files()) == 2
    retired.remove()
    assert not retired
    assert fs.files() == []
