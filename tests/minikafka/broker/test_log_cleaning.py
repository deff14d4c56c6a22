"""Compaction in its own thread, beside a broker's storage; the files are in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from unittest.mock import patch

import pytest

from minikafka.broker.log_cleaning import LogCleaning
from minikafka.cluster.metadata import PartitionState
from minikafka.config.sources import load
from minikafka.replication.group_commit import GroupCommit
from minikafka.replication.partitions import Partitions
from minikafka.replication.state import DurabilityPolicy
from minikafka.storage.compaction import CompactionTicket
from minikafka.storage.log import Log
from minikafka.storage.log_manager import LogManager
from minikafka.types import TopicPartition
from tests.support.clock import ManualClock
from tests.support.compaction import pairs_from, put
from tests.support.memory_fs import MemoryFileSystem
from tests.support.storage import DATA, SMALL

CONFIG = load(None, {}, ["log.cleaner.backoff.ms=1"]).config
COMPACT = replace(SMALL, segment_bytes=400, cleanup_policy=frozenset({"compact"}))


class Broker:
    """Logs that are led, and what compacts them."""

    def __init__(self, worker: ThreadPoolExecutor) -> None:
        self.fs = MemoryFileSystem()
        self.clock = ManualClock()
        self.manager = LogManager((DATA,), self.fs, self.clock, COMPACT)
        self.manager.lock()
        self.manager.claim("cluster", 1)
        self.partitions = Partitions(1, GroupCommit(worker), DurabilityPolicy("auto", 1 << 30))
        self.cleaning = LogCleaning(CONFIG, self.manager.logs, self.partitions, self.clock, checkpoint=self._checkpoint)

    def log(self, topic: str) -> Log:
        """A log of which only the last three records are needed."""
        log = self.manager.create(TopicPartition(topic, 0), topic.encode().ljust(16))
        partition = self.partitions.become_leader(log, PartitionState(1, 0, (1,), (1,)))
        for number in range(24):
            put(log, (b"k%d" % (number % 3), b"%d" % number + bytes(40)))
        log.roll()
        partition.apply(PartitionState(1, 0, (1,), (1,)))
        return log

    async def _checkpoint(self) -> None:
        self.manager.checkpoint_recovery_points()


@pytest.fixture
async def broker() -> AsyncIterator[Broker]:
    with ThreadPoolExecutor(1) as worker:
        yield Broker(worker)


async def clean(broker: Broker) -> None:
    """One round: all logs that are due."""
    with ThreadPoolExecutor(1) as broker.cleaning._thread:
        await broker.cleaning._clean_all()


def is_compacted(log: Log) -> bool:
    return not log.find_cleanable(log.log_end_offset).dirty_bytes


async def test_every_log_is_compacted_in_its_turn(broker: Broker) -> None:
    logs = [broker.log("orders"), broker.log("payments")]
    await clean(broker)
    assert all(map(is_compacted, logs))
    for log in logs:
        assert list(pairs_from(log)) == [21, 22, 23]
        assert log.flushed_end_offset == 24


async def test_a_log_that_fails_does_not_keep_the_others_from_it(
    broker: Broker, capsys: pytest.CaptureFixture[str]
) -> None:
    damaged, other = broker.log("damaged"), broker.log("other")
    broker.fs.content(damaged.directory / f"{0:020d}.log")[80] ^= 1
    await clean(broker)
    assert list(pairs_from(other)) == [21, 22, 23]
    assert "compaction_failed" in capsys.readouterr().err


async def test_a_full_disk_is_waited_out(broker: Broker) -> None:
    log = broker.log("orders")
    broker.fs.fail("writev", path_part=".cleaned", reason="No space left on device")
    before = pairs_from(log)
    await clean(broker)
    assert pairs_from(log) == before
    assert not log.is_offline
    broker.fs.heal()
    broker.clock.advance(600_000)
    await clean(broker)
    assert list(pairs_from(log)) == [21, 22, 23]


async def test_a_broker_that_stops_leaves_nothing_behind_that_a_start_would_mind(broker: Broker) -> None:
    log = broker.log("orders")
    swapping = asyncio.Event()
    end_compaction = log.end_compaction

    def tell(ticket: CompactionTicket) -> None:
        swapping.set()
        end_compaction(ticket)

    with patch.object(log, "end_compaction", tell):
        task = asyncio.create_task(broker.cleaning.run())
        async with asyncio.timeout(20):
            await swapping.wait()
        task.cancel()
        await asyncio.wait([task])
    log.close()
    broker.fs.process_died()
    again = LogManager((DATA,), broker.fs, broker.clock, COMPACT)
    again.lock()
    again.open_all()
    found = again.logs[log.topic_partition]
    assert {key for key, _ in pairs_from(found).values()} == {b"k0", b"k1", b"k2"}
    assert found.log_end_offset == 24


async def test_a_partition_that_nobody_leads_is_left_alone(broker: Broker) -> None:
    log = broker.log("orders")
    other = broker.log("other")
    broker.partitions.delete(log.topic_partition)
    await clean(broker)
    assert is_compacted(other)
    assert not is_compacted(log)
