import asyncio
from dataclasses import replace

import pytest

from minikafka.cluster.metadata import PartitionState
from minikafka.config.definition import MAX_LONG
from minikafka.errors import (
    FencedLeaderEpoch,
    InvalidProducerEpoch,
    NotEnoughReplicas,
    NotLeaderOrFollower,
    OffsetOutOfRange,
    PolicyViolation,
    StorageError,
    TransactionCoordinatorFenced,
    UnknownLeaderEpoch,
)
from minikafka.records.batch import RecordBatch, iter_batches
from minikafka.records.control import ControlType, EndTransactionMarker, marker_of
from minikafka.replication.state import OffsetSpec
from minikafka.replication.waiters import FetchWaiter
from minikafka.types import IsolationLevel
from tests.minikafka.replication.conftest import ALONE
from tests.support.storage import append, make_batch, prepared

UNCOMMITTED = IsolationLevel.READ_UNCOMMITTED
ELSEWHERE = PartitionState(2, 0, (2,), (2, 1))
THREE = PartitionState(1, 0, (1, 2, 3), (1, 2, 3))


def produce(partition, *values, acks=1, timestamps_ms=()):
    return partition.append_as_leader(prepared(make_batch(*values, timestamps_ms=timestamps_ms)), acks)


def read(partition, offset, **options):
    return partition.read(offset, 10_000, isolation=UNCOMMITTED, **options)


def offsets(partition_read):
    return [batch.base_offset for batch in iter_batches(memoryview(partition_read.records.read()))]


async def test_records_are_committed_at_once_when_nobody_else_is_in_sync(partition):
    info = produce(partition, b"a", b"b")
    assert (info.base_offset, info.end_offset) == (0, 2)
    assert partition.high_watermark == partition.last_stable_offset == partition.log_end_offset == 2


async def test_records_are_not_committed_before_the_others_in_sync_have_them(new_partition):
    partition = new_partition(THREE)
    produce(partition, b"a")
    assert partition.high_watermark == 0
    assert read(partition, 0).records.size == 0


async def test_what_was_in_the_log_before_is_committed_when_the_leader_is_alone(log, new_partition):
    append(log, b"a", b"b")
    assert new_partition().high_watermark == 2


async def test_only_the_leader_takes_and_gives_records(new_partition):
    partition = new_partition(ELSEWHERE)
    assert not partition.is_leader
    for attempt in (
        lambda: produce(partition, b"a"),
        lambda: read(partition, 0),
        lambda: partition.offset_for_timestamp(-1),
        lambda: partition.end_offset_for_epoch(0),
        lambda: partition.delete_records(0),
        partition.check_leader,
    ):
        with pytest.raises(NotLeaderOrFollower, match="does not lead orders-0"):
            attempt()


async def test_too_few_replicas_in_sync_refuse_acks_all_before_anything_is_appended(log, new_partition):
    log.reconfigure(replace(log.config, min_insync_replicas=2))
    partition = new_partition(PartitionState(1, 0, (1,), (1, 2, 3)))
    with pytest.raises(NotEnoughReplicas, match="has 1 replicas in sync and needs 2"):
        produce(partition, b"a", acks=-1)
    assert partition.log_end_offset == 0
    produce(partition, b"a", acks=1)
    assert partition.log_end_offset == 1


async def test_more_replicas_are_not_demanded_than_there_are(log, partition):
    log.reconfigure(replace(log.config, min_insync_replicas=2))
    produce(partition, b"a", acks=-1)
    assert partition.log_end_offset == 1


async def test_acks_all_waits_for_the_disk_when_there_is_one_replica(partition, disk):
    info = produce(partition, b"a", acks=-1)
    future = partition.wait_acknowledged(info.end_offset)
    await asyncio.sleep(0)
    assert not future.done()
    disk.run_next()
    await future
    assert partition.wait_acknowledged(info.end_offset) is None


@pytest.mark.parametrize(
    ("policy", "state", "waits"),
    [
        ("auto", ALONE, True),
        ("auto", PartitionState(1, 0, (1,), (1, 2)), False),
        ("always", ALONE, True),
        ("always", PartitionState(1, 0, (1,), (1, 2)), True),
        ("never", ALONE, False),
    ],
)
async def test_the_policy_decides_whether_the_disk_is_waited_for(new_partition, policy, state, waits):
    partition = new_partition(state, flush_on_acks_all=policy)
    future = partition.wait_acknowledged(produce(partition, b"a").end_offset)
    assert (future is not None) is waits
    if future is not None:
        future.cancel()


async def test_many_unflushed_bytes_begin_a_flush(new_partition, group_commit, log):
    partition = new_partition(max_unflushed_bytes=200)
    produce(partition, b"a" * 300)
    assert group_commit.is_flushing(log)


async def test_a_segment_that_has_ended_is_flushed(new_partition, group_commit, log):
    partition = new_partition(max_unflushed_bytes=2**26)
    log.flush()
    produce(partition, b"a")
    assert not group_commit.is_flushing(log)
    log.roll()
    produce(partition, b"b")
    assert group_commit.is_flushing(log)


async def test_a_read_gives_committed_batches_and_where_the_log_stands(partition):
    for value in (b"a", b"b", b"c"):
        produce(partition, value)
    found = read(partition, 1)
    assert offsets(found) == [1, 2]
    assert (found.high_watermark, found.last_stable_offset, found.log_start_offset) == (3, 3, 0)
    assert found.diverging_epoch is None


async def test_a_read_keeps_to_its_size_but_for_the_first_batch(partition):
    produce(partition, b"a" * 500)
    assert partition.read(0, 10, isolation=UNCOMMITTED).records.size == 0
    assert partition.read(0, 10, isolation=UNCOMMITTED, min_one_batch=True).records.size > 500


@pytest.mark.parametrize("offset", [-1, 2])
async def test_a_read_outside_the_log_is_out_of_range(partition, offset):
    produce(partition, b"a")
    with pytest.raises(OffsetOutOfRange):
        read(partition, offset)


async def test_a_read_at_the_end_is_empty(partition):
    produce(partition, b"a")
    assert read(partition, 1).records.size == 0


async def test_epochs_of_clients_are_checked(new_partition):
    partition = new_partition(replace(ALONE, leader_epoch=3))
    for epoch in (-1, 3):
        read(partition, 0, current_leader_epoch=epoch)
    with pytest.raises(FencedLeaderEpoch, match="in leader epoch 3, the client in 2"):
        read(partition, 0, current_leader_epoch=2)
    with pytest.raises(UnknownLeaderEpoch):
        read(partition, 0, current_leader_epoch=4)


async def test_a_client_from_the_future_is_told_so_even_by_a_follower(new_partition):
    partition = new_partition(ELSEWHERE)
    with pytest.raises(UnknownLeaderEpoch):
        partition.check_leader(1)


@pytest.fixture
def two_epochs(log, new_partition):
    """Offsets 0 and 1 are of epoch 0, offset 2 of epoch 2; the leader is in epoch 4."""
    append(log, b"a")
    append(log, b"b")
    append(log, b"c", epoch=2)
    return new_partition(replace(ALONE, leader_epoch=4))


@pytest.mark.parametrize(
    ("asked", "answer"),
    [(0, (0, 2)), (1, (0, 2)), (2, (2, 3)), (3, (2, 3)), (4, (4, 3)), (5, (-1, -1)), (-1, (-1, -1))],
)
async def test_an_epoch_ends_where_the_next_begins(two_epochs, asked, answer):
    assert two_epochs.end_offset_for_epoch(asked) == answer


async def test_the_leaders_own_epoch_is_known_before_it_has_records(new_partition):
    partition = new_partition(replace(ALONE, leader_epoch=3))
    assert partition.end_offset_for_epoch(3) == (3, 0)
    assert partition.end_offset_for_epoch(1) == (1, 0)


@pytest.mark.parametrize(
    ("offset", "last_fetched_epoch", "diverging"),
    [(2, 0, None), (3, 0, (0, 2)), (3, 1, (0, 2)), (3, 2, None), (3, 3, (2, 3)), (3, 4, None)],
)
async def test_a_reader_whose_records_are_not_ours_is_told_where_they_part(
    two_epochs, offset, last_fetched_epoch, diverging
):
    found = read(two_epochs, offset, last_fetched_epoch=last_fetched_epoch)
    assert found.diverging_epoch == diverging
    if diverging:
        assert found.records.size == 0


async def test_an_epoch_that_has_not_begun_cannot_have_been_fetched(two_epochs):
    with pytest.raises(OffsetOutOfRange, match="where leader epoch 9 ended"):
        read(two_epochs, 0, last_fetched_epoch=9)


async def test_places_and_times_are_found(partition):
    produce(partition, b"a", b"b", timestamps_ms=(100, 300))
    produce(partition, b"c", timestamps_ms=(200,))
    assert partition.offset_for_timestamp(OffsetSpec.LATEST) == (-1, 3, 0)
    assert partition.offset_for_timestamp(OffsetSpec.EARLIEST) == (-1, 0, 0)
    assert partition.offset_for_timestamp(OffsetSpec.EARLIEST_LOCAL) == (-1, 0, 0)
    assert partition.offset_for_timestamp(OffsetSpec.MAX_TIMESTAMP) == (300, 1, 0)
    assert partition.offset_for_timestamp(OffsetSpec.LATEST_TIERED) == (-1, -1, -1)
    assert partition.offset_for_timestamp(OffsetSpec.EARLIEST_PENDING_UPLOAD) == (-1, -1, -1)
    assert partition.offset_for_timestamp(150) == (300, 1, 0)
    assert partition.offset_for_timestamp(301) is None


async def test_an_empty_partition_begins_in_its_leaders_epoch(new_partition):
    partition = new_partition(replace(ALONE, leader_epoch=3))
    assert partition.offset_for_timestamp(OffsetSpec.EARLIEST) == (-1, 0, 3)
    assert partition.offset_for_timestamp(OffsetSpec.LATEST) == (-1, 0, 3)


async def test_records_are_deleted_up_to_an_offset(partition):
    for value in (b"a", b"b", b"c"):
        produce(partition, value)
    assert partition.delete_records(2) == 2
    assert partition.log_start_offset == 2
    assert partition.delete_records(1) == 2
    assert partition.delete_records(-1) == 3
    with pytest.raises(OffsetOutOfRange):
        read(partition, 2)


@pytest.mark.parametrize("offset", [-2, 4])
async def test_records_are_not_deleted_beyond_what_is_committed(partition, offset):
    produce(partition, b"a", b"b", b"c")
    with pytest.raises(OffsetOutOfRange, match="its high watermark is 3"):
        partition.delete_records(offset)


@pytest.mark.parametrize(("policy", "allowed"), [({"compact"}, False), ({"compact", "delete"}, True)])
async def test_records_of_a_compacted_topic_are_deleted_only_if_it_is_also_for_deletion(
    log, partition, policy, allowed
):
    log.reconfigure(replace(log.config, cleanup_policy=frozenset(policy)))
    produce(partition, b"a")
    if allowed:
        assert partition.delete_records(1) == 1
    else:
        with pytest.raises(PolicyViolation):
            partition.delete_records(1)


async def fetching(partition, min_bytes):
    """A task that waits on the partition."""

    async def fetch():
        waiter = FetchWaiter(min_bytes)
        with waiter.watching([partition]):
            return await waiter.wait(asyncio.get_running_loop().time() + 60)

    task = asyncio.ensure_future(fetch())
    await asyncio.sleep(0)
    return task


async def test_an_append_wakes_a_waiting_fetch(partition):
    task = await fetching(partition, 1)
    produce(partition, b"a")
    assert await task is True


async def test_an_append_that_is_too_small_lets_it_wait(partition):
    size = produce(partition, b"a").size_bytes
    task = await fetching(partition, 2 * size)
    produce(partition, b"a")
    await asyncio.sleep(0)
    assert not task.done()
    produce(partition, b"a")
    assert await task is True


async def test_an_append_that_is_not_committed_wakes_nobody(new_partition):
    partition = new_partition(THREE)
    task = await fetching(partition, 1)
    produce(partition, b"a")
    await asyncio.sleep(0)
    assert not task.done()
    task.cancel()


@pytest.mark.parametrize("change", [lambda partition: partition.resign(), lambda partition: partition.apply(ELSEWHERE)])
async def test_a_fetch_does_not_wait_for_a_partition_that_has_gone(partition, change):
    task = await fetching(partition, 1)
    change(partition)
    assert await task is True
    with pytest.raises(NotLeaderOrFollower):
        read(partition, 0)


async def test_news_that_are_older_than_what_is_known_are_ignored(new_partition):
    partition = new_partition(replace(ALONE, leader_epoch=3))
    partition.apply(replace(ELSEWHERE, leader_epoch=2))
    assert (partition.is_leader, partition.leader_epoch) == (True, 3)


async def test_a_shrunken_isr_commits_what_the_leader_has(new_partition):
    partition = new_partition(THREE)
    produce(partition, b"a")
    partition.apply(replace(THREE, isr=(1,)))
    assert partition.high_watermark == 1


async def test_records_carry_the_epoch_of_their_leader(partition, log):
    produce(partition, b"a")
    partition.apply(replace(ALONE, leader_epoch=5))
    produce(partition, b"b")
    assert [batch.partition_leader_epoch for batch in iter_batches(memoryview(read(partition, 0).records.read()))] == [
        0,
        5,
    ]
    assert log.leader_epochs.epoch_at(1) == 5


async def test_a_dead_disk_refuses_an_append_and_commits_nothing(fs, partition):
    fs.fail("writev")
    with pytest.raises(StorageError):
        produce(partition, b"a")
    assert partition.high_watermark == partition.log_end_offset == 0


# producers and transactions

COMMITTED = IsolationLevel.READ_COMMITTED


@pytest.fixture
def one_segment(log):
    """The records are of long ago, and the markers are not."""
    log.reconfigure(replace(log.config, segment_ms=MAX_LONG))


def send(partition, producer_id, sequence, *, epoch=0, is_transactional=True):
    """Append one record of a producer, with whatever confirmation it needs; its offset."""
    batch = prepared(make_batch(b"x", producer=(producer_id, epoch, sequence), is_transactional=is_transactional))
    if is_transactional:
        batch.guard = partition.begin_verification(batch.batch, adds_partition=False)
    return partition.append_as_leader(batch, 1).base_offset


def abort(partition, producer_id, **options):
    return end(partition, producer_id, is_commit=False, **options)


def end(partition, producer_id, *, is_commit=True, epoch=0, coordinator_epoch=0, **options):
    return partition.append_end_marker(
        producer_id, epoch, is_commit=is_commit, coordinator_epoch=coordinator_epoch, **options
    )


def read_committed(partition, offset=0):
    return partition.read(offset, 10_000, isolation=COMMITTED)


async def test_a_repeated_batch_moves_nothing_back(partition):
    send(partition, 7, 0, is_transactional=False)
    produce(partition, b"a")
    assert send(partition, 7, 0, is_transactional=False) == 0
    assert partition.high_watermark == partition.log_end_offset == 2


async def test_the_last_stable_offset_is_where_the_oldest_open_transaction_begins(partition):
    produce(partition, b"a")
    send(partition, 1, 0)
    send(partition, 2, 0)
    assert (partition.last_stable_offset, partition.high_watermark) == (1, 3)
    end(partition, 1)
    assert partition.last_stable_offset == 2
    abort(partition, 2)
    assert partition.last_stable_offset == partition.high_watermark == 5


async def test_the_last_stable_offset_is_within_the_log_and_below_the_high_watermark(new_partition, partition):
    send(partition, 1, 0)
    produce(partition, b"a", b"b")
    partition.delete_records(1)
    assert partition.last_stable_offset == 1
    behind = new_partition(THREE)
    assert behind.last_stable_offset == behind.high_watermark == 1


async def test_committed_reads_end_at_the_last_stable_offset_and_others_do_not(one_segment, partition):
    produce(partition, b"a")
    send(partition, 1, 0)
    produce(partition, b"b")
    found = read_committed(partition)
    assert offsets(found) == [0]
    assert (found.high_watermark, found.last_stable_offset) == (3, 1)
    assert offsets(read(partition, 0)) == [0, 1, 2]
    assert read_committed(partition, 2).records.size == 0
    end(partition, 1)
    assert offsets(read_committed(partition)) == [0, 1, 2, 3]


async def test_committed_reads_tell_the_aborted_transactions_of_what_they_give(one_segment, partition):
    send(partition, 1, 0)
    abort(partition, 1)
    send(partition, 1, 1)
    end(partition, 1)
    send(partition, 2, 0)
    abort(partition, 2)
    found = read_committed(partition)
    assert [(aborted.producer_id, aborted.first_offset) for aborted in found.aborted] == [(1, 0), (2, 4)]
    assert [aborted.first_offset for aborted in read_committed(partition, 2).aborted] == [4]
    one_batch = partition.read(0, 1, isolation=COMMITTED, min_one_batch=True)
    assert [aborted.first_offset for aborted in one_batch.aborted] == [0]
    assert read(partition, 0).aborted == ()


async def test_the_latest_committed_offset_is_the_last_stable_one(partition):
    send(partition, 1, 0)
    produce(partition, b"a")
    latest = OffsetSpec.LATEST
    assert partition.offset_for_timestamp(latest, isolation=COMMITTED).offset == 0
    assert partition.offset_for_timestamp(latest).offset == 2
    assert partition.offset_for_timestamp(0, isolation=COMMITTED) is None


async def test_a_marker_is_a_control_batch_with_an_offset_that_waits_for_the_disk(partition, disk):
    send(partition, 1, 0)
    info = end(partition, 1, epoch=1, coordinator_epoch=5, transaction_version=2)
    (batch,) = iter_batches(memoryview(read(partition, 1).records.read()))
    assert (info.base_offset, batch.is_control, batch.is_transactional) == (1, True, True)
    assert (batch.producer_id, batch.producer_epoch) == (1, 1)
    assert marker_of(batch) == EndTransactionMarker(ControlType.COMMIT, 5)
    acknowledged = partition.wait_acknowledged(info.end_offset)
    await asyncio.sleep(0)
    disk.run_next()
    await acknowledged


async def test_a_marker_of_an_old_epoch_is_refused(partition):
    send(partition, 1, 0, epoch=2)
    with pytest.raises(InvalidProducerEpoch):
        end(partition, 1, epoch=1)
    with pytest.raises(InvalidProducerEpoch):
        end(partition, 1, epoch=2, transaction_version=2)
    end(partition, 1, epoch=3, coordinator_epoch=4, transaction_version=2)
    with pytest.raises(TransactionCoordinatorFenced):
        end(partition, 1, epoch=3, coordinator_epoch=3, transaction_version=2)
    assert partition.log_end_offset == 2


async def test_only_the_leader_ends_transactions_and_begins_verifications(new_partition):
    partition = new_partition(ELSEWHERE)
    with pytest.raises(NotLeaderOrFollower):
        end(partition, 1)
    with pytest.raises(NotLeaderOrFollower):
        send(partition, 1, 0)


async def test_only_the_first_batch_of_a_transaction_is_verified(partition):
    first = RecordBatch.parse(memoryview(make_batch(b"x", producer=(1, 0, 0), is_transactional=True)))
    assert partition.begin_verification(first, adds_partition=True) is not None
    send(partition, 1, 0)
    assert partition.begin_verification(first, adds_partition=True) is None
    end(partition, 1)
    second = RecordBatch.parse(memoryview(make_batch(b"x", producer=(1, 0, 1), is_transactional=True)))
    assert partition.begin_verification(second, adds_partition=True) is not None


async def is_woken(partition, action, *, min_bytes=1, committed_only=True):
    """Whether ``action`` ends the wait of a fetch."""
    waiter = FetchWaiter(min_bytes, committed_only=committed_only)
    with waiter.watching([partition]):
        waiting = asyncio.ensure_future(waiter.wait(asyncio.get_running_loop().time() + 60))
        await asyncio.sleep(0)
        action()
        await asyncio.sleep(0)
        done = waiting.done()
        waiter.give_up()
        await waiting
    return done


async def test_committed_fetches_are_woken_by_what_they_may_read(partition):
    assert await is_woken(partition, lambda: produce(partition, b"a"))
    assert not await is_woken(partition, lambda: produce(partition, b"a"), min_bytes=1000)
    assert not await is_woken(partition, lambda: send(partition, 1, 0))
    assert not await is_woken(partition, lambda: produce(partition, b"b"))
    assert not await is_woken(partition, lambda: send(partition, 2, 0))
    assert not await is_woken(partition, lambda: end(partition, 2))
    assert await is_woken(partition, lambda: abort(partition, 1))
    assert await is_woken(partition, lambda: produce(partition, b"c"))


async def test_other_fetches_are_woken_by_every_record(partition):
    assert await is_woken(partition, lambda: send(partition, 1, 0), committed_only=False)
    assert await is_woken(partition, lambda: produce(partition, b"a"), committed_only=False)
