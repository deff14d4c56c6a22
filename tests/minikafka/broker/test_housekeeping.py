from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from minikafka.broker.housekeeping import Housekeeping
from minikafka.cluster.metadata import PartitionState
from minikafka.config.sources import load
from minikafka.replication.group_commit import GroupCommit
from minikafka.replication.partitions import Partitions
from minikafka.replication.state import DurabilityPolicy
from minikafka.storage.filenames import RECOVERY_POINTS
from minikafka.storage.log import Log
from minikafka.storage.log_manager import LogManager
from minikafka.types import TopicPartition
from tests.support.clock import ManualClock
from tests.support.compaction import pairs_from, put
from tests.support.memory_fs import MemoryFileSystem
from tests.support.storage import DATA, SMALL, make_batch, prepared

ORDERS, OTHER = TopicPartition("orders", 0), TopicPartition("other", 0)
QUIET = ["log.retention.check.interval.ms=1000000", "log.flush.offset.checkpoint.interval.ms=1000000"]
BUSY = ["log.retention.check.interval.ms=1", "log.flush.offset.checkpoint.interval.ms=1"]


class Broker:
    """Two logs of six records each, every one in a segment of its own but the last two, and their housekeeping."""

    def __init__(self, overrides: list[str], worker: ThreadPoolExecutor) -> None:
        self.fs = MemoryFileSystem()
        self.clock = ManualClock()
        self.config = replace(SMALL, segment_bytes=150, retention_ms=-1)
        self.manager = LogManager((DATA,), self.fs, self.clock, self.config)
        self.manager.lock()
        self.manager.claim("cluster", 1)
        partitions = Partitions(1, GroupCommit(worker), DurabilityPolicy("auto", 1 << 30))
        for topic_partition in (ORDERS, OTHER):
            log = self.manager.create(topic_partition, topic_partition.topic.encode().ljust(16))
            for number in range(6):
                put(log, (b"k%d" % (number % 2), bytes(30)), first_ms=self.clock.now_ms())
            partitions.become_leader(log, PartitionState(1, 0, (1,), (1,)))
        config = load(None, {}, [*overrides, "log.cleaner.backoff.ms=1000000"]).config
        self.housekeeping = Housekeeping(config, self.manager, self.clock, worker, partitions=partitions)

    @property
    def log(self) -> Log:
        return self.manager.logs[ORDERS]

    def configure(self, **changes: object) -> None:
        """As the topic service does."""
        self.log.reconfigure(replace(self.config, **changes))  # type: ignore[arg-type]
        self.housekeeping.topic_configured(ORDERS.topic)


@asynccontextmanager
async def kept(*overrides: str) -> AsyncIterator[Broker]:
    with ThreadPoolExecutor(1) as worker:
        broker = Broker([*overrides], worker)
        task = asyncio.create_task(broker.housekeeping.run())
        try:
            async with asyncio.timeout(20):
                yield broker
        finally:
            task.cancel()
            await asyncio.wait([task])


async def until(is_so: Callable[[], bool]) -> None:
    """Look again in each turn of the loop; files in memory send no word."""
    while not is_so():  # noqa: ASYNC110
        await asyncio.sleep(0)


async def until_file(broker: Broker, operation: str, name: str) -> None:
    await until(lambda: any(done == operation and path.endswith(name) for done, path in broker.fs.calls))


async def test_an_error_of_the_disk_is_no_reason_to_stop(capsys: pytest.CaptureFixture[str]) -> None:
    async with kept(*BUSY) as broker:
        broker.fs.fail("rename", path_part=RECOVERY_POINTS)
        broker.log.flush()
        await until_file(broker, "rename", RECOVERY_POINTS + ".next")
        broker.fs.calls.clear()
        await until_file(broker, "rename", RECOVERY_POINTS + ".next")
        assert broker.manager.directories[0].saved_recovery_point(ORDERS) == 6
    assert "housekeeping_failed" in capsys.readouterr().err


async def test_segments_go_when_their_time_has_come() -> None:
    async with kept(*BUSY) as broker:
        broker.log.reconfigure(replace(broker.config, retention_ms=1_000))
        broker.clock.advance(1_001)
        await until_file(broker, "unlink", f"{0:020d}.log")
        assert broker.log.log_start_offset == 6


async def test_a_quiet_log_begins_a_new_segment_by_the_clock() -> None:
    async with kept(*BUSY) as broker:
        broker.log.reconfigure(replace(broker.config, segment_ms=1_000))
        broker.clock.advance(1_000)
        await until_file(broker, "open", f"{6:020d}.log")


async def test_new_settings_of_a_topic_are_obeyed_before_whoever_asked_is_answered() -> None:
    async with kept(*QUIET) as broker:
        broker.clock.advance(1_000)
        broker.configure(segment_ms=1)
        assert any(path.endswith(f"orders-0/{6:020d}.log") for _, path in broker.fs.calls)
        broker.configure(retention_bytes=0)
        assert broker.log.log_start_offset == 6
        assert broker.manager.logs[OTHER].log_start_offset == 0


async def test_new_settings_of_a_topic_wake_the_cleaner() -> None:
    async with kept(*QUIET) as broker:
        broker.clock.advance(1_000)
        broker.configure(segment_ms=1, cleanup_policy=frozenset({"compact"}), min_cleanable_dirty_ratio=0.0)
        await until(lambda: not broker.log.find_cleanable(6).dirty_bytes)
        assert list(pairs_from(broker.log)) == [4, 5]


async def test_new_settings_of_the_broker_are_obeyed_by_all_logs() -> None:
    async with kept(*QUIET) as broker:
        for log in broker.manager.logs.values():
            log.reconfigure(replace(broker.config, retention_bytes=0))
        broker.housekeeping.topic_configured(None)
        assert [log.log_start_offset for log in broker.manager.logs.values()] == [6, 6]


async def test_producers_that_have_written_nothing_for_long_are_forgotten() -> None:
    async with kept(*QUIET, "producer.id.expiration.ms=1000", "producer.id.expiration.check.interval.ms=1") as broker:
        now_ms = broker.clock.now_ms()
        for producer_id, age_ms in ((7, 1000), (8, 999)):
            batch = make_batch(b"x", timestamps_ms=(now_ms - age_ms,), producer=(producer_id, 0, 0))
            broker.log.append_as_leader(prepared(batch), 0)
        await until(lambda: broker.log.producers.states.get(7) is None)
        assert broker.log.producers.states.get(8) is not None
