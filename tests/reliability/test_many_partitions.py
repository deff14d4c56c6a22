"""A thousand partitions of several segments each: files are opened when they are needed, and let go of again."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from minikafka.config.broker import BrokerConfig
from minikafka.observability import logging
from minikafka.storage.fs import OsFileSystem
from minikafka.storage.log_manager import LogManager
from minikafka.types import TopicPartition
from tests.support.clock import ManualClock
from tests.support.compaction import MEANS, keyed, run
from tests.support.storage import SMALL, prepared

PARTITIONS = 1_000
MAX_OPEN_SEGMENTS = 64
MAX_UNFLUSHED_BYTES = BrokerConfig().minikafka_unflushed_max_bytes
CONFIG = replace(
    SMALL,
    segment_bytes=300,
    retention_ms=60_000,
    cleanup_policy=frozenset({"compact", "delete"}),
    index_interval_bytes=0,
)
PLACES = [TopicPartition("many", number) for number in range(PARTITIONS)]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


@contextmanager
def opened(directory: Path, clock: ManualClock) -> Iterator[LogManager]:
    manager = LogManager((directory,), OsFileSystem(), clock, CONFIG, max_open_segments=MAX_OPEN_SEGMENTS)
    manager.lock()
    manager.claim("cluster", 1)
    manager.open_all()
    yield manager
    manager.close()


def open_files(directory: Path) -> list[str]:
    """The files below a directory that this process has open."""
    links = [f"/proc/self/fd/{fd}" for fd in os.listdir("/proc/self/fd")]
    return [name for link in links if os.path.lexists(link) and (name := os.readlink(link)).startswith(str(directory))]


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    """In memory if there is such a place: thousands of syncs are not what this is about."""
    if not os.access("/dev/shm", os.W_OK):
        yield tmp_path
        return
    with TemporaryDirectory(dir="/dev/shm") as made:
        yield Path(made)


@pytest.fixture(autouse=True)
def _no_log_lines() -> Iterator[None]:
    logging.configure("pretty", "critical")
    yield
    logging.configure("pretty", "warning")


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="this system does not tell which files are open")
def test_open_files_stay_within_one_for_each_partition_and_a_bound(directory: Path) -> None:
    clock = ManualClock()
    bound = PARTITIONS + MAX_OPEN_SEGMENTS + 4
    with opened(directory, clock) as manager:
        logs = [manager.create(place, bytes(16)) for place in PLACES]
        for log in logs:
            log.flush()
        for number in range(5):
            for log in logs:
                batch = keyed((b"k%d" % (number % 2), bytes(60)), first_ms=clock.now_ms())
                log.append_as_leader(prepared(batch), 0)
                if log.unflushed_bytes >= MAX_UNFLUSHED_BYTES:
                    log.flush()  # as a partition does
            assert len(open_files(directory)) <= bound
        for log in logs:
            for offset in range(5):
                assert log.read(offset, 1, 5, min_one_batch=True).read()
        assert len(open_files(directory)) <= bound
        manager.checkpoint_recovery_points()
        for log in logs[:100]:
            run(log, log.begin_compaction(5, MEANS))
        assert len(open_files(directory)) <= bound
        clock.advance(600_000)
        manager.apply_retention(clock.now_ms())
        for log in logs:
            log.flush()
        assert len(open_files(directory)) <= bound
        assert not [name for name in open_files(directory) if name.endswith("(deleted)")]
        assert {len([path for path in log.directory.iterdir() if path.suffix == ".log"]) for log in logs} == {1}
        for place in PLACES[:900]:
            manager.delete(place)
        assert len(open_files(directory)) <= bound - 900
        assert len([path for path in directory.iterdir() if path.is_dir()]) == PARTITIONS - 900
    assert open_files(directory) == []
    with opened(directory, clock) as manager:
        assert len(manager.logs) == PARTITIONS - 900
        assert len(open_files(directory)) <= PARTITIONS - 900 + 4
