import asyncio
from dataclasses import replace

from minikafka.replication.flusher import Flusher
from tests.support.storage import append

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
