from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minikafka.cluster.metadata import PartitionState
from minikafka.config.topic import TopicConfig
from minikafka.coordinator.state_log import StateLog, StoredMarker, StoredRecord, coordinator_error
from minikafka.errors import (
    CoordinatorNotAvailable,
    CorruptMessage,
    ErrorCode,
    IllegalGeneration,
    KafkaError,
    MessageTooLarge,
    NotCoordinator,
    NotEnoughReplicas,
    NotLeaderOrFollower,
    RecordListTooLarge,
    RequestTimedOut,
    StorageError,
    UnknownTopicOrPartition,
)
from minikafka.records.batch import RecordBatch, iter_batches
from minikafka.records.builder import RecordBatchBuilder
from minikafka.records.compression import Compression
from minikafka.replication.flusher import Sweeper
from minikafka.replication.group_commit import GroupCommit
from minikafka.replication.partition import Partition
from minikafka.replication.state import DurabilityPolicy
from minikafka.types import NO_PRODUCER_ID, ProducerIdAndEpoch
from tests.minikafka.replication.conftest import ALONE, HeldExecutor
from tests.support.memory_fs import MemoryFileSystem
from tests.support.storage import LogHarness, prepared

ELSEWHERE = PartitionState(2, 0, (2,), (2, 1))
TOO_FEW = PartitionState(1, 0, replicas=(1, 2), isr=(1,))
COMPACTED = replace(TopicConfig(), cleanup_policy=frozenset({"compact"}))


def partition_on(harness: LogHarness, executor, state: PartitionState = ALONE, flush: str = "auto") -> Partition:
    group_commit = GroupCommit(executor)
    durability = DurabilityPolicy(flush, 2**40)
    sweeper = Sweeper(group_commit, durability.max_unflushed_bytes_of_all)
    return Partition(harness.log, state, 1, group_commit=group_commit, sweeper=sweeper, durability=durability)


@pytest.fixture
def fs() -> MemoryFileSystem:
    return MemoryFileSystem()


@pytest.fixture
def harness(fs) -> LogHarness:
    return LogHarness(fs, COMPACTED)


@pytest.fixture
def disk() -> HeldExecutor:
    return HeldExecutor()


@pytest.fixture
def state_log(harness, disk) -> StateLog:
    return StateLog(partition_on(harness, disk), harness.clock)


@pytest.fixture
def unflushed_log(harness, disk) -> StateLog:
    return StateLog(partition_on(harness, disk, flush="never"), harness.clock)


def stored(state_log: StateLog) -> list[tuple[bytes, bytes | None]]:
    return [(record.key, record.value) for record in state_log.read_all()]


async def flushed(disk: HeldExecutor) -> None:
    await disk.is_given_work.wait()
    disk.run_next()


async def test_records_come_back_in_their_order_with_their_offsets(unflushed_log):
    unflushed_log.append([(b"a", b"1"), (b"b", None)])
    unflushed_log.append([(b"a", b"2")])
    assert list(unflushed_log.read_all()) == [
        StoredRecord(b"a", b"1", 0),
        StoredRecord(b"b", None, 1),
        StoredRecord(b"a", b"2", 2),
    ]


async def test_an_empty_log_has_no_records(state_log):
    assert list(state_log.read_all()) == []


async def test_an_append_is_over_when_the_disk_has_it(state_log, disk):
    written = state_log.append([(b"a", b"1")])
    await disk.is_given_work.wait()
    assert not written.done()
    disk.run_next()
    await written
    assert state_log.partition.log.flushed_end_offset == 1


async def test_appends_of_one_turn_share_a_flush(state_log, disk):
    written = [state_log.append([(b"a", b"1")]) for _ in range(10)]
    await flushed(disk)
    await asyncio.gather(*written)
    assert not disk.waiting


async def test_an_append_is_over_at_once_when_acks_all_does_not_wait_for_the_disk(unflushed_log, disk):
    assert unflushed_log.append([(b"a", b"1")]) is None
    assert not disk.waiting


async def test_who_no_longer_waits_leaves_the_others_their_flush(state_log, disk):
    given_up, kept = state_log.append([(b"a", b"1")]), state_log.append([(b"b", b"2")])
    given_up.cancel()
    await flushed(disk)
    await kept
    assert given_up.cancelled()
    assert stored(state_log) == [(b"a", b"1"), (b"b", b"2")]


async def test_records_are_one_batch_of_the_brokers_own_with_its_time(unflushed_log, harness):
    unflushed_log.append([(b"a", b"1"), (b"b", b"2")])
    (batch,) = batches_of(unflushed_log)
    assert batch.records_count == 2
    assert batch.base_timestamp_ms == batch.max_timestamp_ms == harness.clock.now_ms()
    assert batch.producer_id == NO_PRODUCER_ID
    assert not batch.is_compressed
    assert not batch.is_control


@pytest.mark.parametrize("codec", list(Compression))
async def test_records_are_compressed_as_they_are_wanted(harness, disk, codec):
    state_log = StateLog(partition_on(harness, disk, flush="never"), harness.clock, compression=codec)
    records = [(b"key %d" % number, b"the same text" * 10) for number in range(20)]
    state_log.append(records)
    (batch,) = batches_of(state_log)
    assert batch.compression is codec
    assert stored(state_log) == records


async def test_a_disk_that_fails_to_flush_makes_it_another_brokers_turn(state_log, disk, fs):
    written = state_log.append([(b"a", b"1")])
    fs.fail("fdatasync", path_part=".log")
    await flushed(disk)
    with pytest.raises(NotCoordinator):
        await written
    with pytest.raises(NotCoordinator):
        state_log.append([(b"b", b"2")])


async def test_a_disk_that_fails_to_write_leaves_nothing_in_the_log(state_log, fs):
    fs.fail("writev", path_part=".log")
    with pytest.raises(NotCoordinator):
        state_log.append([(b"a", b"1")])
    assert stored(state_log) == []


async def test_only_the_leader_writes(harness, disk):
    with pytest.raises(NotCoordinator):
        StateLog(partition_on(harness, disk, ELSEWHERE), harness.clock).append([(b"a", b"1")])


async def test_nothing_is_written_with_too_few_replicas_in_sync(fs, disk):
    harness = LogHarness(fs, replace(COMPACTED, min_insync_replicas=2))
    state_log = StateLog(partition_on(harness, disk, TOO_FEW), harness.clock)
    with pytest.raises(CoordinatorNotAvailable):
        state_log.append([(b"a", b"1")])
    assert stored(state_log) == []


async def test_a_partition_that_is_deleted_leaves_nobody_waiting(harness, disk):
    group_commit = GroupCommit(disk)
    durability = DurabilityPolicy("auto", 2**40)
    sweeper = Sweeper(group_commit, 2**40)
    partition = Partition(harness.log, ALONE, 1, group_commit=group_commit, sweeper=sweeper, durability=durability)
    written = StateLog(partition, harness.clock).append([(b"a", b"1")])
    group_commit.abandon(harness.log, UnknownTopicOrPartition("deleted"))
    with pytest.raises(CoordinatorNotAvailable):
        await written
    await group_commit.drain()


@pytest.mark.parametrize("config", [{"max_message_bytes": 200}, {"segment_bytes": 200}])
async def test_records_that_are_too_large_together_are_not_written(fs, disk, config):
    harness = LogHarness(fs, replace(COMPACTED, **config))
    state_log = StateLog(partition_on(harness, disk), harness.clock)
    with pytest.raises(KafkaError) as refused:
        state_log.append([(b"a", bytes(100)), (b"b", bytes(100))])
    assert refused.value.code is ErrorCode.UNKNOWN_SERVER_ERROR
    assert stored(state_log) == []


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (UnknownTopicOrPartition, ErrorCode.COORDINATOR_NOT_AVAILABLE),
        (NotEnoughReplicas, ErrorCode.COORDINATOR_NOT_AVAILABLE),
        (RequestTimedOut, ErrorCode.COORDINATOR_NOT_AVAILABLE),
        (NotLeaderOrFollower, ErrorCode.NOT_COORDINATOR),
        (StorageError, ErrorCode.NOT_COORDINATOR),
        (MessageTooLarge, ErrorCode.UNKNOWN_SERVER_ERROR),
        (RecordListTooLarge, ErrorCode.UNKNOWN_SERVER_ERROR),
        (IllegalGeneration, ErrorCode.ILLEGAL_GENERATION),
    ],
)
def test_clients_are_told_what_kafka_would_tell_them(found, told):
    assert coordinator_error(found("why")).code is told


async def test_records_of_a_transaction_say_whose_it_is_and_its_end_is_read_with_them(unflushed_log):
    unflushed_log.append([(b"a", b"1")])
    unflushed_log.append([(b"b", b"2")], ProducerIdAndEpoch(7, 0))
    for is_commit in (True, False):
        unflushed_log.partition.append_end_marker(7, 0, is_commit=is_commit, coordinator_epoch=0)
    unflushed_log.append([(b"c", b"3")])
    assert list(unflushed_log.read_all()) == [
        StoredRecord(b"a", b"1", 0),
        StoredRecord(b"b", b"2", 1, producer_id=7),
        StoredMarker(7, is_commit=True),
        StoredMarker(7, is_commit=False),
        StoredRecord(b"c", b"3", 4),
    ]


async def test_a_record_without_key_says_nothing(unflushed_log):
    builder = RecordBatchBuilder()
    builder.append(0, None, b"by another hand")
    unflushed_log.partition.append_as_leader(prepared(builder.build()), -1)
    assert stored(unflushed_log) == []


async def test_what_is_appended_while_the_log_is_read_is_not_part_of_it(harness, disk):
    state_log = StateLog(partition_on(harness, disk, flush="never"), harness.clock, load_buffer_bytes=1)
    state_log.append([(b"a", b"1")])
    state_log.append([(b"b", b"2")])
    reading = state_log.read_all()
    assert next(reading).key == b"a"
    state_log.append([(b"c", b"3")])
    assert [record.key for record in reading] == [b"b"]


async def test_records_before_the_start_of_the_log_are_gone(harness, disk):
    state_log = StateLog(partition_on(harness, disk, flush="never"), harness.clock)
    state_log.append([(b"a", b"1")])
    state_log.append([(b"b", b"2")])
    harness.log.delete_records(1)
    assert stored(state_log) == [(b"b", b"2")]


async def test_a_damaged_batch_is_not_taken_for_records(unflushed_log, fs, harness):
    unflushed_log.append([(b"a", b"1")])
    fs.content(harness.directory / "00000000000000000000.log")[-2] ^= 1
    with pytest.raises(CorruptMessage):
        list(unflushed_log.read_all())


@given(
    appends=st.lists(
        st.lists(st.tuples(st.binary(max_size=20), st.none() | st.binary(max_size=60)), min_size=1, max_size=5),
        max_size=12,
    ),
    load_buffer_bytes=st.integers(1, 500),
    segment_bytes=st.integers(500, 2000),
)
def test_a_log_is_read_whole_with_any_buffer_and_across_segments(appends, load_buffer_bytes, segment_bytes):
    async def write_and_read() -> None:
        harness = LogHarness(MemoryFileSystem(), replace(COMPACTED, segment_bytes=segment_bytes))
        with ThreadPoolExecutor(1) as executor:
            partition = partition_on(harness, executor, flush="never")
            state_log = StateLog(partition, harness.clock, load_buffer_bytes=load_buffer_bytes)
            for records in appends:
                state_log.append(records)
            assert stored(state_log) == [record for records in appends for record in records]

    asyncio.run(write_and_read())


def batches_of(state_log: StateLog) -> Iterator[RecordBatch]:
    log = state_log.partition.log
    content = log.read(0, 1 << 20, log.log_end_offset, min_one_batch=True).read()
    return iter_batches(memoryview(content))
