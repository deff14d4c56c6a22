"""An internal topic: made once, by whoever needs it first, and found by key."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from minikafka.cluster.metadata import MetadataCache, PartitionState, TopicMetadata
from minikafka.cluster.topic_requests import TopicSpec
from minikafka.coordinator.internal_topic import InternalTopic
from minikafka.coordinator.partitioning import partition_for
from minikafka.errors import CoordinatorNotAvailable, InvalidReplicationFactor, NotCoordinator, TopicAlreadyExists
from minikafka.types import GROUP_METADATA_TOPIC, NO_LEADER


class Creator:
    """Creates nothing; fails as told."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.wanted: list[TopicSpec] = []

    async def __call__(self, spec: TopicSpec) -> None:
        self.wanted.append(spec)
        if self.error is not None:
            raise self.error


SPEC = TopicSpec(GROUP_METADATA_TOPIC, 5, 1)


def cluster_with(leaders: Sequence[int]) -> MetadataCache:
    """A cluster in which the topic has a partition for each of ``leaders``."""
    metadata = MetadataCache()
    partitions = tuple(PartitionState(leader, 0, (leader,), (leader,)) for leader in leaders)
    metadata.put_topic(TopicMetadata(SPEC.name, bytes(range(16)), partitions))
    return metadata


async def test_it_is_made_as_the_configuration_says() -> None:
    create = Creator()
    await InternalTopic(SPEC, MetadataCache(), create).create()
    assert create.wanted == [SPEC]


async def test_that_another_was_faster_is_as_good() -> None:
    await InternalTopic(SPEC, MetadataCache(), Creator(TopicAlreadyExists("there"))).create()


async def test_who_cannot_make_it_has_clients_come_again() -> None:
    topic = InternalTopic(SPEC, MetadataCache(), Creator(InvalidReplicationFactor("three of one")))
    with pytest.raises(CoordinatorNotAvailable, match="three of one"):
        await topic.create()


def test_without_it_nobody_coordinates() -> None:
    topic = InternalTopic(SPEC, MetadataCache(), Creator())
    assert topic.partition_count == 0
    with pytest.raises(CoordinatorNotAvailable):
        topic.coordinator_of("a")
    with pytest.raises(NotCoordinator):
        topic.partition_of("a")


def test_keys_are_spread_over_its_partitions_as_kafka_spreads_them() -> None:
    topic = InternalTopic(SPEC, cluster_with(leaders=[1, 2, NO_LEADER]), Creator())
    assert topic.partition_count == 3
    for key in ("a", "billing", "x" * 99):
        assert topic.partition_of(key) == partition_for(key, 3)


def test_the_coordinator_of_a_key_is_the_leader_of_its_partition() -> None:
    topic = InternalTopic(SPEC, cluster_with(leaders=[4, 5]), Creator())
    assert {key: topic.coordinator_of(key) for key in "ab"} == {
        "a": 4 + partition_for("a", 2),
        "b": 4 + partition_for("b", 2),
    }


def test_a_partition_without_leader_has_no_coordinator() -> None:
    topic = InternalTopic(SPEC, cluster_with(leaders=[NO_LEADER]), Creator())
    with pytest.raises(CoordinatorNotAvailable, match="nobody leads"):
        topic.coordinator_of("a")
