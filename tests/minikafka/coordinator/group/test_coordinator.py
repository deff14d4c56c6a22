"""From a group to its shard; how shards come and go is tested with the places where they are."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from minikafka.cluster.metadata import MetadataCache, PartitionState, TopicMetadata
from minikafka.cluster.topic_requests import TopicSpec
from minikafka.config.sources import load
from minikafka.coordinator.group import opening
from minikafka.coordinator.group.coordinator import GroupCoordinator
from minikafka.coordinator.group.shard import GroupShard
from minikafka.coordinator.group.values import CommittedOffset, GroupLimits, MemberClaim, TopicsView
from minikafka.coordinator.partitioning import partition_for
from minikafka.errors import CoordinatorNotAvailable, KafkaError, NotCoordinator
from minikafka.types import GROUP_METADATA_TOPIC, TopicPartition
from tests.support.clock import ManualClock
from tests.support.group_log import MemoryStateLog

PARTITIONS = 2
ORDERS = TopicPartition("orders", 0)
RETENTION_MS = 60_000
GROUPS = ("billing", "reports", "search")
"""Two of them in one partition."""


class World:
    """A coordinator whose groups are in memory; this broker leads both partitions of their topic."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.clock = ManualClock()
        self.logs = [MemoryStateLog() for _ in range(PARTITIONS)]
        self.metadata = MetadataCache()
        self.created: list[TopicSpec] = []
        self.partitions = [
            SimpleNamespace(
                topic_partition=TopicPartition(GROUP_METADATA_TOPIC, index),
                is_leader=True,
                leader_epoch=0,
                log=SimpleNamespace(size_bytes=0),
            )
            for index in range(PARTITIONS)
        ]
        overrides = ["offsets.retention.minutes=1", "offsets.retention.check.interval.ms=1"]
        config = load(None, {}, [f"offsets.topic.num.partitions={PARTITIONS}", *overrides]).config
        monkeypatch.setattr(opening, "open_shard", self._open)
        self.coordinator = GroupCoordinator(config, self, self.metadata, self.clock, self._create)  # type: ignore[arg-type]

    def get(self, topic: str, index: int) -> Any:
        return self.partitions[index]

    async def _create(self, spec: TopicSpec) -> None:
        self.created.append(spec)
        state = PartitionState(1, 0, (1,), (1,))
        self.metadata.put_topic(TopicMetadata(spec.name, bytes(range(16)), (state,) * spec.partition_count))

    def _open(
        self, partition: Any, _config: object, topics: TopicsView, clock: ManualClock, on_failure: Callable[..., None]
    ) -> GroupShard:
        return GroupShard(self.logs[partition.topic_partition.partition], GroupLimits(), topics, clock, on_failure)

    def commit(self, group_id: str, offset: int) -> None:
        committed = CommittedOffset(offset, commit_timestamp_ms=self.clock.now_ms())
        shard = self.coordinator.shard_of(group_id)
        shard.commit(group_id, MemberClaim("", None, -1), {ORDERS: committed}, knows_epochs=True)

    def committed(self) -> set[str]:
        """The groups that have an offset."""
        return {group for group in GROUPS if self.coordinator.shard_of(group).offsets.get(group, ORDERS) is not None}


@pytest.fixture
async def world(monkeypatch: pytest.MonkeyPatch) -> World:
    made = World(monkeypatch)
    await made.coordinator.topic.create()
    return made


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - what is forgotten sends no word
            await asyncio.sleep(0.001)


async def test_the_topic_is_made_as_the_configuration_says(world: World) -> None:
    (spec,) = world.created
    assert (spec.name, spec.partition_count, spec.replication_factor) == (GROUP_METADATA_TOPIC, PARTITIONS, 1)
    assert spec.settings == {"cleanup.policy": "compact", "compression.type": "producer", "segment.bytes": "104857600"}


def test_without_the_topic_nobody_coordinates(monkeypatch: pytest.MonkeyPatch) -> None:
    coordinator = World(monkeypatch).coordinator
    with pytest.raises(NotCoordinator):
        coordinator.shard_of("billing")
    assert coordinator.shards() == []


async def test_a_group_is_in_the_shard_of_its_partition(world: World) -> None:
    shards = {group_id: world.coordinator.shard_of(group_id) for group_id in GROUPS}
    partitions = {group_id: partition_for(group_id, PARTITIONS) for group_id in GROUPS}
    assert set(partitions.values()) == {0, 1}
    for one in GROUPS:
        for other in GROUPS:
            assert (shards[one] is shards[other]) is (partitions[one] == partitions[other])
    assert set(world.coordinator.shards()) == set(shards.values())


async def test_offsets_of_a_topic_that_is_gone_are_deleted_in_all_groups(world: World) -> None:
    for group_id in GROUPS:
        world.commit(group_id, 5)
    world.coordinator.topic_deleted("returns")
    assert world.committed() == set(GROUPS)
    world.coordinator.topic_deleted("orders")
    assert world.committed() == set()


async def test_without_their_topic_all_groups_are_given_up(world: World) -> None:
    before = world.coordinator.shard_of("billing")
    world.coordinator.topic_deleted(GROUP_METADATA_TOPIC)
    assert world.coordinator.shard_of("billing") is not before


async def test_offsets_are_forgotten_when_their_time_is_over(world: World) -> None:
    world.commit("billing", 5)
    world.clock.advance(RETENTION_MS)
    for group_id in GROUPS[1:]:
        world.commit(group_id, 5)
    running = asyncio.create_task(world.coordinator.run())
    await until(lambda: world.committed() == set(GROUPS) - {"billing"})
    running.cancel()


async def test_a_partition_whose_offsets_cannot_be_deleted_does_not_keep_those_of_others(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for group_id in GROUPS:
        world.commit(group_id, 5)
    stuck = partition_for("billing", PARTITIONS)

    def fail(_retention_ms: int) -> None:
        raise CoordinatorNotAvailable("too few replicas")

    monkeypatch.setattr(world.coordinator.shard_of("billing"), "forget_what_expired", fail)
    world.clock.advance(RETENTION_MS)
    running = asyncio.create_task(world.coordinator.run())
    expected = {group_id for group_id in GROUPS if partition_for(group_id, PARTITIONS) == stuck}
    await until(lambda: world.committed() == expected)
    running.cancel()


async def test_a_coordinator_that_stops_answers_nobody(world: World) -> None:
    world.coordinator.shard_of("billing")
    world.coordinator.close()
    with pytest.raises(KafkaError) as caught:
        world.coordinator.shard_of("billing")
    assert isinstance(caught.value, CoordinatorNotAvailable)
