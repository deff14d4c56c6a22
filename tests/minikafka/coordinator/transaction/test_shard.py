"""Transactions and their log: what is answered when, what is done without being asked, and what a restart finds."""

from __future__ import annotations

import asyncio

import pytest

from minikafka.coordinator.transaction.metadata import TransactionVersion
from minikafka.coordinator.transaction.shard import RECORDS_PER_STEP
from minikafka.errors import (
    ConcurrentTransactions,
    CoordinatorNotAvailable,
    InvalidProducerIdMapping,
    KafkaError,
    NotCoordinator,
    ProducerFenced,
    StorageError,
    TransactionalIdNotFound,
)
from tests.minikafka.coordinator.transaction.harness import LETTERS, ORDERS, ShardHarness


@pytest.fixture
async def harness() -> ShardHarness:
    return ShardHarness()


async def test_nothing_is_answered_before_it_is_durable(harness: ShardHarness) -> None:
    harness.log.is_held = True
    initialized = harness.shard.initialize("a", 60_000, None, 100)
    assert initialized.durable is not None
    assert not initialized.durable.done()
    with pytest.raises(TransactionalIdNotFound):
        harness.shard.describe("a")
    await harness.log.flush()
    assert initialized.durable.done()
    assert harness.state() == "Empty"


async def test_a_transaction_is_decided_when_the_log_has_it_and_over_when_every_partition_knows(
    harness: ShardHarness,
) -> None:
    producer = harness.begin()
    harness.add(producer, ORDERS, LETTERS)
    harness.log.is_held = True
    harness.partitions.hold(ORDERS)
    ended = harness.end(producer)
    assert ended.durable is not None
    assert ended.completed is not None
    assert harness.partitions.written == []
    await harness.log.flush()
    assert ended.durable.done()
    assert harness.state() == "PrepareCommit"
    assert [where for where, _ in harness.partitions.written] == [LETTERS, ORDERS]
    assert not ended.completed.done()
    harness.partitions.release(ORDERS)
    await harness.log.flush()
    await harness.log.flush()
    assert ended.completed.done()
    assert harness.state() == "CompleteCommit"


@pytest.mark.parametrize("commit", [True, False])
async def test_where_nothing_has_to_be_waited_for_a_transaction_is_over_at_once(
    harness: ShardHarness, commit: bool
) -> None:
    producer = harness.begin()
    harness.add(producer)
    assert harness.end(producer, commit=commit) == (producer, None, None)
    ((where, marker),) = harness.partitions.written
    assert (where, marker.producer, marker.is_commit, marker.coordinator_epoch) == (ORDERS, producer, commit, 0)


async def test_with_transaction_version_2_markers_have_the_epoch_after(harness: ShardHarness) -> None:
    producer = harness.begin()
    harness.add(producer)
    ended = harness.end(producer, version=TransactionVersion.TV_2)
    assert ended.producer == (producer.producer_id, producer.producer_epoch + 1)
    ((_, marker),) = harness.partitions.written
    assert (marker.producer, marker.transaction_version) == (ended.producer, 2)


@pytest.mark.parametrize("commit", [True, False])
async def test_a_restart_goes_on_with_what_was_decided(harness: ShardHarness, commit: bool) -> None:
    producer = harness.begin()
    harness.add(producer, ORDERS, LETTERS)
    harness.partitions.hold(LETTERS)
    harness.end(producer, commit=commit)
    assert harness.state().startswith("Prepare")
    harness.partitions.held.clear()
    harness.restart()
    assert harness.state() == ("CompleteCommit" if commit else "CompleteAbort")
    again = [(where, marker.is_commit, marker.coordinator_epoch) for where, marker in harness.partitions.written[2:]]
    assert again == [(LETTERS, commit, 1), (ORDERS, commit, 1)]


async def test_a_restart_finds_the_last_of_each_id_and_not_those_that_expired(harness: ShardHarness) -> None:
    for _ in range(3):
        producer = harness.begin("a")
    harness.begin("old")
    harness.clock.advance(1_000)
    harness.add(harness.begin("b"), transactional_id="b")
    harness.add(producer)
    harness.shard.forget_what_expired(1_000)
    harness.restart()
    assert {one.transactional_id: one.metadata.state.title for one in harness.shard.transactions()} == {
        "a": "Ongoing",
        "b": "Ongoing",
    }
    assert harness.shard.describe("a").producer == producer


async def test_a_long_log_is_read_in_steps(harness: ShardHarness) -> None:
    for _ in range(RECORDS_PER_STEP + 1):
        harness.begin("a")
    assert sum(1 for _ in harness.restart().load()) == 1


def assert_is_aborted_after_a_second(harness: ShardHarness) -> None:
    harness.clock.advance(999)
    harness.shard.expire("a")
    assert harness.state() == "Ongoing"
    harness.clock.advance(1)
    harness.shard.expire("a")
    assert harness.state() == "CompleteAbort"


async def test_a_transaction_whose_time_is_up_is_aborted_and_its_producer_fenced(harness: ShardHarness) -> None:
    producer = harness.begin(timeout_ms=1_000)
    harness.add(producer)
    assert_is_aborted_after_a_second(harness)
    ((_, marker),) = harness.partitions.written
    assert (marker.is_commit, marker.producer) == (False, (producer.producer_id, producer.producer_epoch + 1))
    for version in (TransactionVersion.TV_0, TransactionVersion.TV_2):
        with pytest.raises(ProducerFenced):
            harness.end(producer, version=version)


async def test_time_is_measured_whatever_the_wall_clock_says(harness: ShardHarness) -> None:
    producer = harness.begin(timeout_ms=1_000)
    harness.add(producer)
    harness.clock.set_wall_clock(harness.clock.now_ms() + 3_600_000)
    harness.shard.expire("a")
    assert harness.state() == "Ongoing"
    harness.clock.set_wall_clock(0)
    harness.clock.advance(1_000)
    harness.shard.expire("a")
    assert harness.state() == "CompleteAbort"


async def test_the_time_begins_with_the_first_partition_and_goes_on_over_a_restart(harness: ShardHarness) -> None:
    producer = harness.begin(timeout_ms=1_000)
    harness.clock.advance(5_000)
    harness.add(producer, ORDERS)
    harness.clock.advance(600)
    harness.add(producer, LETTERS)
    harness.restart()
    harness.clock.advance(399)
    harness.shard.expire("a")
    assert harness.state() == "Ongoing"
    harness.clock.advance(1)
    harness.shard.expire("a")
    assert harness.state() == "CompleteAbort"


async def test_the_timer_of_a_transaction_goes_off_by_itself() -> None:
    harness = ShardHarness()
    producer = harness.begin(timeout_ms=5)
    harness.clock.advance(5)  # so that it is late already when the timer goes off in real time
    harness.add(producer)
    harness.clock.advance(5)
    harness.partitions.hold(ORDERS)
    await harness.partitions.asked.wait()
    assert harness.state() == "PrepareAbort"


async def test_the_next_transaction_has_time_of_its_own(harness: ShardHarness) -> None:
    producer = harness.begin(timeout_ms=1_000)
    harness.add(producer)
    harness.clock.advance(600)
    harness.end(producer)
    harness.shard.expire("a")
    harness.clock.advance(300)
    harness.add(producer)
    assert_is_aborted_after_a_second(harness)


async def test_a_change_that_was_not_written_has_not_happened(harness: ShardHarness) -> None:
    producer = harness.begin()
    harness.log.error = NotCoordinator("elsewhere")
    for change in (
        lambda: harness.shard.add_partitions("a", producer, [ORDERS]),
        lambda: harness.shard.initialize("a", 1, None, None),
        lambda: harness.shard.initialize("new", 1, None, 7),
    ):
        with pytest.raises(NotCoordinator):
            change()
    harness.log.error = None
    harness.add(producer)
    assert [one.transactional_id for one in harness.shard.transactions()] == ["a"]
    with pytest.raises(InvalidProducerIdMapping):
        harness.add(producer, transactional_id="new")


async def test_when_the_log_may_not_have_what_was_written_the_state_is_given_up(harness: ShardHarness) -> None:
    producer = harness.begin()
    harness.log.is_held = True
    durable = harness.shard.add_partitions("a", producer, [ORDERS])
    assert durable is not None
    await harness.log.break_down(StorageError("the disk"))
    with pytest.raises(KafkaError):
        await durable
    assert len(harness.failures) == 1


async def test_a_transaction_that_cannot_be_completed_is_left_to_the_next_load(harness: ShardHarness) -> None:
    producer = harness.begin()
    harness.add(producer)
    harness.partitions.hold(ORDERS)
    ended = harness.end(producer)
    harness.log.error = CoordinatorNotAvailable("too few replicas")
    harness.partitions.release(ORDERS)
    assert ended.completed is not None
    with pytest.raises(CoordinatorNotAvailable):
        await ended.completed
    assert len(harness.failures) == 1
    harness.log.error = None
    harness.restart()
    assert harness.state() == "CompleteCommit"


async def test_one_that_cannot_be_completed_at_once_is_decided_all_the_same(
    harness: ShardHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: object) -> None:
        raise CoordinatorNotAvailable("too few replicas")

    producer = harness.begin()
    harness.add(producer)
    monkeypatch.setattr(harness.log, "append_unforced", refuse)
    assert harness.end(producer).is_over
    assert len(harness.failures) == 1
    harness.restart()
    assert harness.state() == "PrepareCommit"


async def test_a_closed_shard_writes_nothing_more(harness: ShardHarness) -> None:
    producer = harness.begin(timeout_ms=1)
    harness.add(producer)
    harness.partitions.hold(ORDERS)
    ended = harness.end(producer)
    harness.shard.close(NotCoordinator("elsewhere"))
    assert ended.completed is not None
    with pytest.raises(NotCoordinator):
        await ended.completed
    before = len(harness.log.records)
    harness.partitions.release(ORDERS)
    await asyncio.sleep(0)
    assert len(harness.log.records) == before


async def test_who_wants_a_transaction_to_be_over_can_wait_for_it(harness: ShardHarness) -> None:
    producer = harness.begin()
    harness.add(producer)
    harness.partitions.hold(ORDERS)
    harness.end(producer)
    settled = harness.shard.settled("a")
    assert not settled.done()
    with pytest.raises(ConcurrentTransactions):
        harness.add(producer)
    harness.partitions.release(ORDERS)
    await settled
    harness.add(producer)


async def test_who_wants_a_change_to_be_over_can_wait_for_it(harness: ShardHarness) -> None:
    producer = harness.begin()
    harness.log.is_held = True
    harness.shard.add_partitions("a", producer, [ORDERS])
    settled = harness.shard.settled("a")
    assert not settled.done()
    await harness.log.flush()
    await settled
    assert harness.state() == "Ongoing"


async def test_only_ids_at_rest_are_forgotten_and_only_in_time(harness: ShardHarness) -> None:
    harness.add(harness.begin("ongoing"), transactional_id="ongoing")
    producer = harness.begin("complete")
    harness.add(producer, transactional_id="complete")
    harness.end(producer, transactional_id="complete")
    harness.begin("empty")
    harness.shard.forget_what_expired(1)
    assert len(harness.shard.transactions()) == 3
    harness.clock.advance(1)
    harness.shard.forget_what_expired(1)
    assert [one.transactional_id for one in harness.shard.transactions()] == ["ongoing"]


async def test_an_id_that_was_never_there_needs_a_producer_id(harness: ShardHarness) -> None:
    assert harness.shard.needs_producer_id("a")
    with pytest.raises(ConcurrentTransactions):
        harness.shard.initialize("a", 1, None, None)
    harness.begin("a")
    assert not harness.shard.needs_producer_id("a")
