"""From a transactional id to its shard, and producer ids where they are needed."""

from __future__ import annotations

import asyncio
from itertools import count
from types import SimpleNamespace
from typing import Any

import pytest

from minikafka.cluster.metadata import MetadataCache, PartitionState, TopicMetadata
from minikafka.cluster.topic_requests import TopicSpec
from minikafka.config.sources import load
from minikafka.coordinator.partitioning import partition_for
from minikafka.coordinator.transaction import shard as shards
from minikafka.coordinator.transaction.coordinator import TransactionCoordinator
from minikafka.coordinator.transaction.metadata import MAX_EPOCH, TransactionVersion
from minikafka.coordinator.transaction.shard import TransactionShard
from minikafka.errors import (
    ConcurrentTransactions,
    CoordinatorNotAvailable,
    InvalidProducerIdMapping,
    InvalidRequest,
    InvalidTransactionTimeout,
    NotCoordinator,
)
from minikafka.types import TRANSACTION_STATE_TOPIC, ProducerIdAndEpoch, TopicPartition
from tests.minikafka.coordinator.transaction.harness import ORDERS, MarkedPartitions
from tests.support.clock import ManualClock
from tests.support.group_log import MemoryStateLog

PARTITIONS = 2
EXPIRATION_MS = 60_000


class World:
    """A coordinator whose transactions are in memory; this broker leads both partitions of their topic."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.clock = ManualClock()
        self.logs = [MemoryStateLog() for _ in range(PARTITIONS)]
        self.metadata = MetadataCache()
        self.created: list[TopicSpec] = []
        self.ids = count(100)
        self.partitions = [
            SimpleNamespace(
                topic_partition=TopicPartition(TRANSACTION_STATE_TOPIC, index),
                is_leader=True,
                leader_epoch=0,
                log=SimpleNamespace(size_bytes=0),
            )
            for index in range(PARTITIONS)
        ]
        overrides = [
            f"transaction.state.log.num.partitions={PARTITIONS}",
            f"transactional.id.expiration.ms={EXPIRATION_MS}",
            "transaction.remove.expired.transaction.cleanup.interval.ms=1",
        ]
        monkeypatch.setattr(shards, "TransactionShard", self._open)
        self.coordinator = TransactionCoordinator(
            load(None, {}, overrides).config,
            self,  # type: ignore[arg-type]
            self.metadata,
            self.clock,
            create_topic=self._create,
            next_producer_id=self._next_id,
            write_marker=MarkedPartitions(),
        )

    def get(self, topic: str, index: int) -> Any:
        return self.partitions[index]

    async def _create(self, spec: TopicSpec) -> None:
        self.created.append(spec)
        state = PartitionState(1, 0, (1,), (1,))
        self.metadata.put_topic(TopicMetadata(spec.name, bytes(range(16)), (state,) * spec.partition_count))

    async def _next_id(self) -> int:
        await asyncio.sleep(0)
        return next(self.ids)

    def _open(self, log: Any, *arguments: Any) -> TransactionShard:
        return TransactionShard(self.logs[log.partition.topic_partition.partition], *arguments)

    def names(self) -> set[str]:
        return {one.transactional_id for shard in self.coordinator.shards() for one in shard.transactions()}


@pytest.fixture
async def world(monkeypatch: pytest.MonkeyPatch) -> World:
    made = World(monkeypatch)
    await made.coordinator.topic.create()
    return made


async def test_the_topic_is_made_as_the_configuration_says(world: World) -> None:
    (spec,) = world.created
    assert (spec.name, spec.partition_count, spec.replication_factor) == (TRANSACTION_STATE_TOPIC, PARTITIONS, 1)
    assert spec.settings["cleanup.policy"] == "compact"


async def test_without_the_topic_nobody_coordinates(monkeypatch: pytest.MonkeyPatch) -> None:
    coordinator = World(monkeypatch).coordinator
    with pytest.raises(NotCoordinator):
        await coordinator.initialize("a", 1_000)
    assert coordinator.shards() == []


async def test_an_id_is_in_the_shard_of_its_partition(world: World) -> None:
    for name in ("a", "b", "payments"):
        await world.coordinator.initialize(name, 1_000)
        assert len(world.logs[partition_for(name, PARTITIONS)].records) > 0
    assert world.names() == {"a", "b", "payments"}


async def test_a_producer_id_is_taken_only_where_a_new_one_is_needed(world: World) -> None:
    assert [await world.coordinator.initialize("a", 1_000) for _ in range(3)] == [(100, 0), (100, 1), (100, 2)]
    assert await world.coordinator.initialize("b", 1_000) == (101, 0)


async def test_two_at_once_do_not_get_the_same_epoch(world: World) -> None:
    both = await asyncio.gather(*(world.coordinator.initialize("a", 1_000) for _ in range(2)), return_exceptions=True)
    producers = [one for one in both if isinstance(one, ProducerIdAndEpoch)]
    assert len(producers) == len(set(producers)) > 0
    assert {one.producer_id for one in producers} == {producers[0].producer_id}


async def test_when_the_epochs_are_used_up_the_end_of_a_transaction_brings_a_new_producer_id(world: World) -> None:
    first = await world.coordinator.initialize("a", 1_000)
    last = ProducerIdAndEpoch(first.producer_id, MAX_EPOCH - 1)
    shard = world.coordinator.shard_of("a")
    (transaction,) = shard.transactions()
    transaction.metadata = shards.TransactionMetadata(*last, 1_000)
    shard.add_partitions("a", last, [ORDERS])
    ended = await world.coordinator.end("a", last, is_commit=True, version=TransactionVersion.TV_2)
    assert ended.producer == (101, 0)


async def test_who_ends_what_is_not_there_costs_no_producer_id(world: World) -> None:
    for version in (TransactionVersion.TV_0, TransactionVersion.TV_2):
        with pytest.raises(InvalidProducerIdMapping):
            await world.coordinator.end("a", ProducerIdAndEpoch(1, 1), is_commit=True, version=version)
    assert next(world.ids) == 100


@pytest.mark.parametrize("timeout_ms", [0, -1, 900_001])
async def test_time_outs_are_limited(world: World, timeout_ms: int) -> None:
    with pytest.raises(InvalidTransactionTimeout):
        await world.coordinator.initialize("a", timeout_ms)


async def test_an_id_is_not_empty(world: World) -> None:
    with pytest.raises(InvalidRequest):
        await world.coordinator.initialize("", 1_000)


async def test_an_answer_waits_for_the_disk(world: World) -> None:
    for log in world.logs:
        log.is_held = True
    waiting = asyncio.create_task(world.coordinator.initialize("a", 1_000))
    for _ in range(3):
        await asyncio.sleep(0)
    assert not waiting.done()
    with pytest.raises(ConcurrentTransactions):
        await world.coordinator.initialize("a", 1_000)
    for log in world.logs:
        await log.flush()
    assert (await waiting).producer_epoch == 0


async def test_ids_that_have_had_their_time_are_forgotten(world: World) -> None:
    await world.coordinator.initialize("old", 1_000)
    world.clock.advance(EXPIRATION_MS)
    await world.coordinator.initialize("new", 1_000)
    running = asyncio.create_task(world.coordinator.run())
    async with asyncio.timeout(10):
        while world.names() != {"new"}:  # noqa: ASYNC110 - what is forgotten sends no word
            await asyncio.sleep(0.001)
    running.cancel()


async def test_with_its_topic_everything_is_forgotten_and_at_the_end_nobody_is_answered(world: World) -> None:
    await world.coordinator.initialize("a", 1_000)
    world.coordinator.topic_deleted("orders")
    assert world.names() == {"a"}
    for log in world.logs:
        log.records.clear()
    world.coordinator.topic_deleted(TRANSACTION_STATE_TOPIC)
    assert world.names() == set()
    world.coordinator.close()
    with pytest.raises(CoordinatorNotAvailable):
        world.coordinator.shard_of("a")
