import asyncio
from dataclasses import replace

import pytest

from minikafka.replication import flusher as flusher_module
from minikafka.replication.flusher import Flusher, Sweeper
from minikafka.storage.opening import create_log
from minikafka.types import TopicPartition
from tests.support.storage import TOPIC_ID, append

NO_LIMIT = 2**40


async def turn():
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_log_within_its_limits_is_left_alone(log, group_commit):
    flusher = Flusher(log, group_commit, NO_LIMIT)
    append(log, b"a")
    flusher.appended()
    assert not group_commit.is_flushing(log)


async def test_too_many_bytes_begin_a_flush(log, group_commit):
    flusher = Flusher(log, group_commit, 200)
    log.flush()
    append(log, b"a" * 50)
    flusher.appended()
    assert not group_commit.is_flushing(log)
    append(log, b"a" * 150)
    flusher.appended()
    assert group_commit.is_flushing(log)


async def test_flush_messages_begins_a_flush(log, group_commit, disk):
    log.reconfigure(replace(log.config, flush_messages=3))
    flusher = Flusher(log, group_commit, NO_LIMIT)
    append(log, b"a", b"b")
    flusher.appended()
    assert not group_commit.is_flushing(log)
    append(log, b"c")
    flusher.appended()
    await turn()
    disk.run_next()
    await group_commit.drain()
    assert log.flushed_end_offset == 3


async def test_a_limit_set_on_a_running_log_is_noticed(log, group_commit):
    flusher = Flusher(log, group_commit, NO_LIMIT)
    append(log, b"a")
    flusher.appended()
    log.reconfigure(replace(log.config, flush_messages=1))
    append(log, b"b")
    flusher.appended()
    assert group_commit.is_flushing(log)


async def test_flush_ms_begins_a_flush_when_its_time_has_come(log, group_commit, disk):
    log.reconfigure(replace(log.config, flush_ms=5))
    flusher = Flusher(log, group_commit, NO_LIMIT)
    append(log, b"a")
    flusher.appended()
    assert not group_commit.is_flushing(log)
    async with asyncio.timeout(10):
        await disk.is_given_work.wait()
    disk.run_next()
    await group_commit.drain()
    assert log.flushed_end_offset == 1


async def test_a_cancelled_flusher_lets_time_pass(log, group_commit):
    log.reconfigure(replace(log.config, flush_ms=0))
    flusher = Flusher(log, group_commit, NO_LIMIT)
    append(log, b"a")
    flusher.appended()
    flusher.cancel()
    flusher.cancel()
    await asyncio.sleep(0.002)
    assert not group_commit.is_flushing(log)


async def test_what_was_flushed_meanwhile_is_not_flushed_again(log, group_commit):
    log.reconfigure(replace(log.config, flush_ms=0))
    flusher = Flusher(log, group_commit, NO_LIMIT)
    append(log, b"a")
    flusher.appended()
    log.flush()
    await asyncio.sleep(0.002)
    assert not group_commit.is_flushing(log)


def grow(sweeper, log, size=100):
    before = log.size_bytes
    append(log, b"x" * size)
    sweeper.appended(log, log.size_bytes - before)


@pytest.fixture
def logs(harness):
    """Ten logs in one data directory."""
    return [
        create_log(harness.environment, TopicPartition("many", index), TOPIC_ID, harness.config) for index in range(10)
    ]


async def run_out(disk, group_commit):
    while disk.waiting:
        disk.run_next()
        await turn()
    await group_commit.drain()


async def test_many_logs_that_grow_a_little_are_flushed_together(logs, group_commit, disk, monkeypatch):
    monkeypatch.setattr(flusher_module, "LOGS_PER_ROUND", 4)
    sweeper = Sweeper(group_commit, 1500)
    for log in logs[:8]:
        grow(sweeper, log)
    await turn()
    assert not disk.waiting
    grow(sweeper, logs[8])
    await turn()
    assert len(disk.waiting) == 1
    await run_out(disk, group_commit)
    assert [log.flushed_end_offset for log in logs] == [1] * 9 + [0]


async def test_a_sweep_counts_anew_and_is_not_begun_twice(logs, group_commit, disk):
    sweeper = Sweeper(group_commit, 150)
    for log in logs[:3]:
        grow(sweeper, log)
    await turn()
    assert len(disk.waiting) == 1
    await run_out(disk, group_commit)
    assert logs[0].flushed_end_offset == 1
    grow(sweeper, logs[4])
    await turn()
    await run_out(disk, group_commit)
    assert [log.flushed_end_offset for log in logs[:5]] == [1, 1, 1, 0, 1]


async def test_one_dead_log_does_not_keep_the_others_from_the_disk(fs, logs, group_commit, disk):
    fs.fail("fdatasync", path_part="many-0")
    sweeper = Sweeper(group_commit, 150)
    grow(sweeper, logs[0], 10)
    grow(sweeper, logs[1])
    await turn()
    await run_out(disk, group_commit)
    assert (logs[0].flushed_end_offset, logs[1].flushed_end_offset) == (0, 1)
    assert logs[0].is_offline


async def test_a_log_that_is_deleted_meanwhile_is_left_alone(logs, group_commit, disk):
    sweeper = Sweeper(group_commit, 400)
    for log in logs[:3]:
        grow(sweeper, log, 10)
    sweeper.forget(logs[0])
    logs[0].delete()
    grow(sweeper, logs[3], 400)
    await turn()
    logs[1].delete()
    await run_out(disk, group_commit)
    assert (logs[2].flushed_end_offset, logs[3].flushed_end_offset) == (1, 1)
