"""Shards are loaded when they are needed, and given up with the leadership of their partition."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from minikafka.cluster.metadata import MetadataCache, PartitionState, TopicMetadata
from minikafka.cluster.topic_requests import TopicSpec
from minikafka.coordinator.internal_topic import InternalTopic
from minikafka.coordinator.places import AT_ONCE_BYTES, RELOAD_AFTER_MS, Places
from minikafka.errors import CoordinatorLoadInProgress, CoordinatorNotAvailable, KafkaError, NotCoordinator
from tests.support.clock import ManualClock

TOPIC = "__consumer_offsets"


class Shard:
    """A shard that takes ``steps`` to load, and fails at the end if ``error`` says so."""

    def __init__(self, partition: Any, on_failure: Callable[[KafkaError], None]) -> None:
        self.partition = partition
        self.on_failure = on_failure
        self.closed_with: KafkaError | None = None

    def load(self) -> Iterator[None]:
        yield from (None for _ in range(self.partition.steps))
        if self.partition.error is not None:
            raise self.partition.error

    def close(self, error: KafkaError) -> None:
        self.closed_with = error


class World:
    """Two partitions of a topic, which this broker leads, and the shards that were opened."""

    def __init__(self, size_bytes: int = 0) -> None:
        self.clock = ManualClock()
        self.partitions = [
            SimpleNamespace(
                topic_partition=f"{TOPIC}-{index}",
                is_leader=True,
                leader_epoch=0,
                steps=3,
                error=None,
                log=SimpleNamespace(size_bytes=size_bytes),
            )
            for index in range(2)
        ]
        metadata = MetadataCache()
        state = PartitionState(1, 0, (1,), (1,))
        metadata.put_topic(TopicMetadata(TOPIC, bytes(range(16)), (state, state)))
        self.opened: list[Shard] = []
        topic = InternalTopic(TopicSpec(TOPIC), metadata, self._create)
        self.places: Places[Shard] = Places(topic, self, self.clock, self._open)  # type: ignore[arg-type]

    def get(self, topic: str, index: int) -> Any:
        return self.partitions[index]

    async def _create(self, spec: TopicSpec) -> None:
        raise AssertionError("it is there")

    def _open(self, partition: Any, on_failure: Callable[[KafkaError], None]) -> Shard:
        self.opened.append(Shard(partition, on_failure))
        return self.opened[-1]


def test_a_short_log_is_loaded_by_the_request_that_needs_it() -> None:
    world = World(AT_ONCE_BYTES)
    assert world.places.shard_at(0) is world.opened[0]
    assert world.places.shard_at(0) is world.opened[0]
    assert world.places.loaded() == world.opened


async def test_a_long_log_is_loaded_beside_the_requests() -> None:
    world = World(AT_ONCE_BYTES + 1)
    for _ in range(2):
        with pytest.raises(CoordinatorLoadInProgress):
            world.places.shard_at(0)
    assert world.places.loaded() == []
    for _ in range(5):
        await asyncio.sleep(0)
    assert world.places.shard_at(0) is world.opened[0]


async def test_everything_that_is_led_can_be_loaded_ahead() -> None:
    world = World()
    world.partitions[1].is_leader = False
    await world.places.load_all()
    assert [shard.partition for shard in world.opened] == [world.partitions[0]]
    assert world.places.shards() == world.opened


@pytest.mark.parametrize("change", [{"is_leader": False}, {"leader_epoch": 1}])
def test_who_leads_no_more_or_leads_anew_closes_the_shard(change: dict[str, Any]) -> None:
    world = World()
    before = world.places.shard_at(0)
    vars(world.partitions[0]).update(change)
    if world.partitions[0].is_leader:
        assert world.places.shard_at(0) is not before
    else:
        with pytest.raises(NotCoordinator):
            world.places.shard_at(0)
    assert isinstance(before.closed_with, NotCoordinator)


def test_a_log_that_cannot_be_read_is_left_alone_for_a_while() -> None:
    world = World()
    world.partitions[0].error = KafkaError("the disk failed")
    for _ in range(2):
        with pytest.raises(NotCoordinator, match="cannot be had"):
            world.places.shard_at(0)
    assert len(world.opened) == 1
    world.clock.advance(RELOAD_AFTER_MS)
    world.partitions[0].error = None
    assert world.places.shard_at(0) is world.opened[1]


def test_a_shard_that_gave_up_its_state_is_loaded_again() -> None:
    world = World()
    world.places.shard_at(0).on_failure(KafkaError("lost"))
    assert world.places.shard_at(0) is world.opened[1]
    world.opened[0].on_failure(KafkaError("lost, once more"))
    assert world.places.shard_at(0) is world.opened[1]


async def test_a_closed_coordinator_answers_nobody() -> None:
    world = World(AT_ONCE_BYTES + 1)
    with pytest.raises(CoordinatorLoadInProgress):
        world.places.shard_at(0)
    world.places.close()
    assert isinstance(world.opened[0].closed_with, CoordinatorNotAvailable)
    with pytest.raises(CoordinatorNotAvailable):
        world.places.shard_at(0)
