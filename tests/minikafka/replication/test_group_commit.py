import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from minikafka.config.topic import TopicConfig
from minikafka.errors import StorageError, UnknownTopicOrPartition
from minikafka.replication.group_commit import GroupCommit
from minikafka.storage.fs import OsFileSystem
from tests.support.storage import LogHarness, append


async def turn():
    """Let the loop do what is due, results of the executor included."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_an_append_is_acknowledged_after_its_flush_and_not_before(log, group_commit, disk):
    append(log, b"a")
    future = group_commit.commit(log, 1)
    await turn()
    assert not future.done()
    disk.run_next()
    await turn()
    assert future.done()
    assert log.flushed_end_offset == 1


async def test_appends_of_one_turn_of_the_loop_share_a_flush(log, group_commit, disk):
    futures = []
    for number in range(10):
        append(log, b"a")
        futures.append(group_commit.commit(log, number + 1))
    await turn()
    assert len(disk.waiting) == 1
    disk.run_next()
    await asyncio.gather(*futures)
    assert not disk.waiting


async def test_what_is_appended_during_a_flush_waits_for_the_next(log, group_commit, disk):
    append(log, b"a")
    first = group_commit.commit(log, 1)
    await turn()
    append(log, b"b")
    append(log, b"c")
    second, third = group_commit.commit(log, 2), group_commit.commit(log, 3)
    await turn()
    assert len(disk.waiting) == 1  # never two flushes of one log at a time
    disk.run_next()
    await turn()
    assert (first.done(), second.done(), third.done()) == (True, False, False)
    assert len(disk.waiting) == 1
    disk.run_next()
    await asyncio.gather(second, third)
    assert log.flushed_end_offset == 3


async def test_what_was_appended_but_not_committed_rides_along(log, group_commit, disk):
    append(log, b"a")
    append(log, b"b")
    future = group_commit.commit(log, 1)
    await turn()
    disk.run_next()
    await future
    assert log.flushed_end_offset == 2


async def test_logs_are_flushed_side_by_side(fs, log, group_commit, disk):
    other = LogHarness(fs, data=log.directory.parent.parent / "other").log
    append(log, b"a")
    append(other, b"a")
    futures = [group_commit.commit(log, 1), group_commit.commit(other, 1)]
    await turn()
    assert len(disk.waiting) == 2
    disk.run_next()
    disk.run_next()
    await asyncio.gather(*futures)


async def test_a_failed_flush_fails_everybody_and_ends_the_log(fs, log, group_commit, disk):
    append(log, b"a")
    covered = group_commit.commit(log, 1)
    await turn()
    append(log, b"b")
    behind = group_commit.commit(log, 2)
    fs.fail("fdatasync")
    disk.run_next()
    for future in (covered, behind):
        with pytest.raises(StorageError):
            await future
    assert log.is_offline
    assert log.flushed_end_offset == 0


async def test_after_a_failed_flush_no_later_one_acknowledges(fs, log, group_commit, disk):
    append(log, b"a")
    lost = group_commit.commit(log, 1)
    fs.fail("fdatasync")
    await turn()
    disk.run_next()
    with pytest.raises(StorageError):
        await lost
    fs.heal()
    with pytest.raises(StorageError):
        await group_commit.commit(log, 1)
    assert not disk.waiting


async def test_a_flush_that_ends_with_a_bug_leaves_nobody_waiting_and_holds_up_no_other_log(
    fs, log, group_commit, disk, monkeypatch
):
    other = LogHarness(fs, data=log.directory.parent.parent / "other").log
    append(log, b"a")
    append(other, b"a")
    lost, stored = group_commit.commit(log, 1), group_commit.commit(other, 1)
    await turn()
    end_flush = type(log).end_flush
    monkeypatch.setattr(type(log), "end_flush", lambda one, ticket: 1 / 0 if one is log else end_flush(one, ticket))
    disk.run_next()
    disk.run_next()
    with pytest.raises(StorageError, match="did not run"):
        await lost
    await stored


async def test_a_caller_that_gave_up_holds_nobody_up(log, group_commit, disk):
    append(log, b"a")
    gone, waiting = group_commit.commit(log, 1), group_commit.commit(log, 1)
    gone.cancel()
    await turn()
    disk.run_next()
    await waiting


async def test_a_flush_that_nobody_waits_for_happens_once(log, group_commit, disk):
    append(log, b"a")
    group_commit.flush(log)
    group_commit.flush(log)
    assert group_commit.is_flushing(log)
    await turn()
    assert len(disk.waiting) == 1
    disk.run_next()
    await group_commit.drain()
    assert not group_commit.is_flushing(log)
    assert log.flushed_end_offset == 1


async def test_a_log_with_nothing_to_flush_costs_no_thread(log, group_commit, disk):
    log.flush()
    group_commit.flush(log)
    await group_commit.drain()
    assert not disk.waiting


async def test_records_that_were_truncated_away_are_not_acknowledged(log, group_commit, disk):
    append(log, b"a")
    append(log, b"b")
    future = group_commit.commit(log, 2)
    await turn()
    log.truncate_to(1)
    disk.run_next()
    await turn()
    if disk.waiting:
        disk.run_next()
    with pytest.raises(StorageError, match="truncated"):
        await future


async def test_whoever_waits_for_a_log_that_goes_away_is_told_so(log, group_commit, disk):
    append(log, b"a")
    future = group_commit.commit(log, 1)
    await turn()
    group_commit.abandon(log, UnknownTopicOrPartition("deleted"))
    log.delete()
    with pytest.raises(UnknownTopicOrPartition):
        await future
    disk.run_next()
    await group_commit.drain()


async def test_a_log_can_be_abandoned_before_its_flush_begins(log, group_commit, disk):
    append(log, b"a")
    future = group_commit.commit(log, 1)
    group_commit.abandon(log, UnknownTopicOrPartition("deleted"))
    await group_commit.drain()
    assert not disk.waiting
    with pytest.raises(UnknownTopicOrPartition):
        await future


async def test_abandoning_a_log_that_nobody_flushes_does_nothing(log, group_commit):
    group_commit.abandon(log, UnknownTopicOrPartition("deleted"))


async def test_without_threads_nothing_is_acknowledged(log):
    pool = ThreadPoolExecutor(1)
    pool.shutdown()
    append(log, b"a")
    with pytest.raises(StorageError, match="did not run"):
        await GroupCommit(pool).commit(log, 1)


async def test_real_files_take_many_writers_with_few_flushes(tmp_path):
    with ThreadPoolExecutor(1) as pool:
        flushes = 0
        submit = pool.submit

        def counting(*arguments):
            nonlocal flushes
            flushes += 1
            return submit(*arguments)

        pool.submit = counting
        group_commit = GroupCommit(pool)
        log = LogHarness(OsFileSystem(), replace(TopicConfig(), segment_bytes=20_000), tmp_path / "data").log

        async def produce():
            for _ in range(20):
                append(log, b"x" * 100)
                end_offset = log.log_end_offset
                await group_commit.commit(log, end_offset)
                assert log.flushed_end_offset >= end_offset

        await asyncio.gather(*(produce() for _ in range(20)))
        await group_commit.drain()
        assert log.flushed_end_offset == log.log_end_offset == 400
        assert flushes <= 60
        log.close()
