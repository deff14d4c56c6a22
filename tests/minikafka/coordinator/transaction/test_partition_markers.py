"""A marker goes into the log of its partition, and what it says of offsets to their groups."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from minikafka.coordinator.transaction.markers import Marker
from minikafka.coordinator.transaction.partition_markers import PartitionMarkers
from minikafka.errors import CoordinatorLoadInProgress, UnknownTopicOrPartition
from minikafka.types import GROUP_METADATA_TOPIC, ProducerIdAndEpoch, TopicPartition

ABORT = Marker(ProducerIdAndEpoch(7, 2), is_commit=False, coordinator_epoch=3, transaction_version=2)


class World:
    """One partition of each topic, and the shard of its groups; all of it remembers what it was asked."""

    def __init__(self) -> None:
        self.appended: list[tuple[Any, ...]] = []
        self.ended: list[tuple[int, bool]] = []
        self.durable: asyncio.Future[None] | None = None
        self.loading: CoordinatorLoadInProgress | None = None
        self.write = PartitionMarkers(self, self)  # type: ignore[arg-type]

    def leader(self, topic: str, partition: int) -> Any:
        if partition != 0:
            raise UnknownTopicOrPartition("there is only one")
        return SimpleNamespace(append_end_marker=self._append, wait_acknowledged=lambda _: self.durable)

    def shard_at(self, index: int) -> Any:
        if self.loading is not None:
            raise self.loading
        return SimpleNamespace(end_transaction=self._end)

    def _append(self, *producer: int, **marker: Any) -> Any:
        self.appended.append((*producer, marker))
        return SimpleNamespace(end_offset=9)

    def _end(self, producer_id: int, append: Any, *, is_commit: bool) -> asyncio.Future[None] | None:
        self.ended.append((producer_id, is_commit))
        durable: asyncio.Future[None] | None = append()
        return durable


async def test_the_log_of_the_partition_gets_the_marker() -> None:
    world = World()
    world.durable = asyncio.get_running_loop().create_future()
    assert world.write(TopicPartition("orders", 0), ABORT) is world.durable
    assert world.appended == [(7, 2, {"is_commit": False, "coordinator_epoch": 3, "transaction_version": 2})]
    assert world.ended == []


def test_groups_learn_of_it_through_their_shard() -> None:
    world = World()
    assert world.write(TopicPartition(GROUP_METADATA_TOPIC, 0), ABORT) is None
    assert world.ended == [(7, False)]
    assert len(world.appended) == 1


def test_while_groups_are_loaded_nothing_is_written() -> None:
    world = World()
    world.loading = CoordinatorLoadInProgress("soon")
    with pytest.raises(CoordinatorLoadInProgress):
        world.write(TopicPartition(GROUP_METADATA_TOPIC, 0), ABORT)
    assert world.appended == []


def test_a_partition_that_is_not_there_is_said_to_be_so() -> None:
    with pytest.raises(UnknownTopicOrPartition):
        World().write(TopicPartition("orders", 1), ABORT)
