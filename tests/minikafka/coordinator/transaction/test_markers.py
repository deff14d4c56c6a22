"""Markers are written until every partition has its own."""

from __future__ import annotations

import asyncio

import pytest

from minikafka.coordinator.transaction import markers
from minikafka.coordinator.transaction.markers import Marker, MarkerWrites
from minikafka.errors import InvalidProducerEpoch, NotLeaderOrFollower, StorageError, UnknownTopicOrPartition
from minikafka.types import ProducerIdAndEpoch
from tests.minikafka.coordinator.transaction.harness import LETTERS, ORDERS, MarkedPartitions

COMMIT = Marker(ProducerIdAndEpoch(7, 1), is_commit=True, coordinator_epoch=3, transaction_version=0)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(markers, "RETRY_AFTER_S", 0)


def begin(partitions: MarkedPartitions) -> tuple[MarkerWrites, asyncio.Event]:
    """Markers on their way to both partitions, and what tells that they are there."""
    writes, done = MarkerWrites(partitions), asyncio.Event()
    writes.begin(COMMIT, [ORDERS, LETTERS], done.set)
    return writes, done


async def test_both_partitions_have_it_at_once() -> None:
    partitions = MarkedPartitions()
    _, done = begin(partitions)
    assert done.is_set()
    assert partitions.written == [(LETTERS, COMMIT), (ORDERS, COMMIT)]


async def test_without_partitions_there_is_nothing_to_do() -> None:
    done = asyncio.Event()
    MarkerWrites(MarkedPartitions()).begin(COMMIT, [], done.set)
    assert done.is_set()


async def test_a_slow_disk_is_waited_for() -> None:
    partitions = MarkedPartitions()
    partitions.hold(ORDERS)
    _, done = begin(partitions)
    assert not done.is_set()
    partitions.release(ORDERS)
    await done.wait()


@pytest.mark.parametrize("error", [NotLeaderOrFollower("moved"), StorageError("the disk")])
async def test_a_partition_that_cannot_take_its_marker_is_tried_again(error: Exception) -> None:
    partitions = MarkedPartitions()
    partitions.errors[ORDERS] = error  # type: ignore[assignment]
    _, done = begin(partitions)
    assert partitions.written == [(LETTERS, COMMIT)]
    partitions.asked.clear()
    await partitions.asked.wait()
    assert not done.is_set()
    del partitions.errors[ORDERS]
    await done.wait()
    assert partitions.written == [(LETTERS, COMMIT), (ORDERS, COMMIT)]


async def test_a_marker_that_may_be_lost_is_written_again() -> None:
    partitions = MarkedPartitions()
    partitions.hold(ORDERS)
    _, done = begin(partitions)
    partitions.release(ORDERS, StorageError("the disk"))
    await done.wait()
    assert [where for where, _ in partitions.written] == [LETTERS, ORDERS, ORDERS]


@pytest.mark.parametrize("error", [UnknownTopicOrPartition("deleted"), InvalidProducerEpoch("later transactions")])
async def test_a_partition_that_is_gone_or_further_on_needs_no_marker(error: Exception) -> None:
    partitions = MarkedPartitions()
    partitions.errors[ORDERS] = error  # type: ignore[assignment]
    _, done = begin(partitions)
    assert done.is_set()


async def test_what_is_cancelled_is_neither_tried_again_nor_told() -> None:
    partitions = MarkedPartitions()
    partitions.errors[LETTERS] = StorageError("the disk")
    partitions.hold(ORDERS)
    writes, done = begin(partitions)
    writes.cancel_all()
    partitions.errors.clear()
    partitions.release(ORDERS)
    for _ in range(3):
        await asyncio.sleep(0)
    assert partitions.written == [(ORDERS, COMMIT)]
    assert not done.is_set()
