from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from minikafka.errors import (
    ErrorCode,
    InvalidConfig,
    InvalidPartitions,
    InvalidReplicationFactor,
    KafkaError,
    NotController,
    TopicAlreadyExists,
    UnknownTopicOrPartition,
)
from minikafka.protocol.api_keys import ApiKey
from minikafka.types import ZERO_UUID, TopicPartition
from minikafka_client import (
    AlterConfig,
    AlterOperation,
    AsyncAdmin,
    AsyncConsumer,
    AsyncProducer,
    ConfigResource,
    ConfigSource,
    ConfigType,
    NewTopic,
)
from tests.clients.support.fake_cluster import FakeCluster
from tests.support.broker import running_broker

ORDERS = ConfigResource.topic("orders")


@pytest.fixture
async def bootstrap(tmp_path: Path) -> AsyncIterator[str]:
    """A real broker."""
    async with running_broker(tmp_path) as broker:
        yield broker.bootstrap


@pytest.fixture
async def admin(bootstrap: str) -> AsyncIterator[AsyncAdmin]:
    """An admin of it."""
    async with AsyncAdmin(bootstrap) as made:
        yield made


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


async def test_a_topics_configuration_is_altered_key_by_key(admin: AsyncAdmin) -> None:
    await admin.create_topics([NewTopic("orders", configs={"retention.ms": "1000", "cleanup.policy": "delete"})])
    await admin.alter_configs(
        {
            ORDERS: [
                AlterConfig("max.message.bytes", "2000"),
                AlterConfig("retention.ms", operation=AlterOperation.DELETE),
                AlterConfig("cleanup.policy", "compact", AlterOperation.APPEND),
            ]
        }
    )
    configs = (await admin.describe_configs([ORDERS]))[ORDERS]
    assert configs["max.message.bytes"].value == "2000"
    assert configs["max.message.bytes"].source is ConfigSource.DYNAMIC_TOPIC
    assert configs["max.message.bytes"].type is ConfigType.INT
    assert configs["retention.ms"].is_default
    assert set((configs["cleanup.policy"].value or "").split(",")) == {"delete", "compact"}
    assert configs["retention.ms"].documentation


async def test_a_bad_value_is_refused_and_checking_only_changes_nothing(admin: AsyncAdmin) -> None:
    await admin.create_topics([NewTopic("orders")])
    with pytest.raises(InvalidConfig, match="topic 'orders'"):
        await admin.alter_configs({ORDERS: [AlterConfig("retention.ms", "soon")]})
    await admin.alter_configs({ORDERS: [AlterConfig("retention.ms", "5")]}, validate_only=True)
    assert (await admin.describe_configs([ORDERS]))[ORDERS]["retention.ms"].is_default


async def test_a_brokers_configuration_is_described_by_itself(admin: AsyncAdmin) -> None:
    (broker,) = (await admin.describe_cluster()).brokers
    resource = ConfigResource.broker(broker.node_id)
    configs = (await admin.describe_configs([resource], keys=["num.partitions"]))[resource]
    assert list(configs) == ["num.partitions"]
    assert configs["num.partitions"].value == "1"


async def test_records_are_deleted_up_to_an_offset(admin: AsyncAdmin, bootstrap: str) -> None:
    where = TopicPartition("orders", 0)
    async with AsyncProducer(bootstrap) as producer:
        for _ in range(10):
            await producer.send("orders", b"x", partition=0)
    assert await admin.delete_records({where: 4}) == {where: 4}
    async with AsyncConsumer(bootstrap) as consumer:
        assert await consumer.beginning_offsets([where]) == {where: 4}
    assert await admin.delete_records({where: -1}) == {where: 10}
    with pytest.raises(KafkaError) as raised:
        await admin.delete_records({where: 99})
    assert raised.value.code is ErrorCode.OFFSET_OUT_OF_RANGE


async def test_an_admin_needs_no_with(bootstrap: str) -> None:
    admin = AsyncAdmin(bootstrap)
    (broker,) = (await admin.describe_cluster()).brokers
    resource = ConfigResource.broker(broker.node_id)
    assert (await admin.describe_configs([resource]))[resource]
    await admin.create_topics([NewTopic("orders")])
    await admin.close()


async def test_a_controller_that_moved_is_looked_for(two_brokers: FakeCluster) -> None:
    async with AsyncAdmin(two_brokers.bootstrap_servers, retry_backoff_ms=1) as admin:
        two_brokers.controller_id = 1
        await admin.create_topics([NewTopic("orders")])
    assert [node_id for node_id, key, _ in two_brokers.requests if key is ApiKey.CREATE_TOPICS] == [0, 1]


async def test_a_controller_that_is_gone_is_not_looked_for_for_ever(two_brokers: FakeCluster) -> None:
    two_brokers.controller_id = 7
    async with AsyncAdmin(two_brokers.bootstrap_servers, retry_backoff_ms=1, request_timeout_ms=30) as admin:
        with pytest.raises((ConnectionError, NotController)):
            await admin.create_topics([NewTopic("orders")])
