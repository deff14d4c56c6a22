from __future__ import annotations

import pytest

from minikafka.errors import (
    InvalidConfig,
    InvalidPartitions,
    InvalidReplicationFactor,
    TopicAlreadyExists,
    UnknownTopicOrPartition,
)
from minikafka.types import ZERO_UUID
from minikafka_client import AsyncAdmin, NewTopic


async def test_a_topic_is_created_described_and_deleted(admin: AsyncAdmin) -> None:
    created = await admin.create_topics([NewTopic("orders", num_partitions=3, replication_factor=1)])
    assert created["orders"].num_partitions == 3
    assert created["orders"].topic_id != ZERO_UUID
    described = (await admin.describe_topics(["orders"]))["orders"]
    assert described.topic_id == created["orders"].topic_id
    assert [partition.partition for partition in described.partitions] == [0, 1, 2]
    assert all(partition.leader_id >= 0 and partition.isr for partition in described.partitions)
    assert [topic.name for topic in await admin.list_topics()] == ["orders"]
    await admin.delete_topics(["orders"])
    assert await admin.list_topics() == []


async def test_replicas_can_be_placed_by_hand(admin: AsyncAdmin) -> None:
    (broker,) = (await admin.describe_cluster()).brokers
    await admin.create_topics([NewTopic("orders", replica_assignments={0: [broker.node_id], 1: [broker.node_id]})])
    described = (await admin.describe_topics(["orders"]))["orders"]
    assert [partition.replicas for partition in described.partitions] == [(broker.node_id,)] * 2


async def test_checking_only_creates_nothing(admin: AsyncAdmin) -> None:
    await admin.create_topics([NewTopic("orders")], validate_only=True)
    assert await admin.list_topics() == []
    with pytest.raises(InvalidReplicationFactor):
        await admin.create_topics([NewTopic("orders", replication_factor=9)], validate_only=True)


async def test_one_failure_is_raised_and_the_rest_is_done(admin: AsyncAdmin) -> None:
    await admin.create_topics([NewTopic("a")])
    with pytest.raises(TopicAlreadyExists, match="topic 'a'"):
        await admin.create_topics([NewTopic("a"), NewTopic("b")])
    assert [topic.name for topic in await admin.list_topics()] == ["a", "b"]


async def test_several_failures_are_raised_together(admin: AsyncAdmin) -> None:
    with pytest.raises(ExceptionGroup) as raised:
        await admin.create_topics([NewTopic("a", num_partitions=0), NewTopic("b", configs={"no.such.key": "1"})])
    assert {type(error) for error in raised.value.exceptions} == {InvalidPartitions, InvalidConfig}


async def test_what_does_not_exist_is_an_error_and_is_not_created(admin: AsyncAdmin) -> None:
    with pytest.raises(UnknownTopicOrPartition, match="topic 'orders'"):
        await admin.describe_topics(["orders"])
    with pytest.raises(UnknownTopicOrPartition):
        await admin.delete_topics(["orders"])
    with pytest.raises(UnknownTopicOrPartition):
        await admin.create_partitions({"orders": 2})
    assert await admin.list_topics() == []


async def test_a_topic_grows(admin: AsyncAdmin) -> None:
    await admin.create_topics([NewTopic("orders", num_partitions=1)])
    await admin.create_partitions({"orders": 3})
    assert len((await admin.describe_topics(["orders"]))["orders"].partitions) == 3
    with pytest.raises(InvalidPartitions):
        await admin.create_partitions({"orders": 2})


async def test_the_cluster_is_described(admin: AsyncAdmin, bootstrap: str) -> None:
    cluster = await admin.describe_cluster()
    assert cluster.cluster_id
    assert [str(broker.address) for broker in cluster.brokers] == [bootstrap]
    assert cluster.controller_id == cluster.brokers[0].node_id
