from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from minikafka.errors import ErrorCode, KafkaError, RequestTimedOut, UnknownTopicOrPartition
from minikafka.protocol.api_keys import ApiKey
from minikafka.types import TopicPartition
from minikafka_client.backoff import Backoff
from minikafka_client.cluster import Cluster, ClusterOptions
from minikafka_client.consumer.offsets import look_up, look_up_offsets
from tests.clients.support.fake_cluster import Drop, FakeCluster, Refuse

ORDERS = TopicPartition("orders", 0)
OTHER = TopicPartition("orders", 1)


@pytest.fixture
async def client(two_brokers: FakeCluster) -> AsyncIterator[Cluster]:
    """Of two brokers, each with one partition that ends at its own offset."""
    two_brokers.create("orders", 2)
    two_brokers.partitions[OTHER].leader_id = 1
    two_brokers.partitions[ORDERS].end_offset = 5
    two_brokers.partitions[OTHER].end_offset = 7
    options = ClusterOptions("test", backoff=Backoff(1, 5), allow_auto_create_topics=False)
    client = Cluster(two_brokers.bootstrap_servers, options)
    await client.start()
    yield client
    await client.close()


async def test_each_leader_is_asked_for_its_own(client: Cluster, two_brokers: FakeCluster) -> None:
    found = await look_up_offsets(client, {ORDERS: -1, OTHER: -1}, 5_000)
    assert {where: there.offset for where, there in found.items()} == {ORDERS: 5, OTHER: 7}
    assert two_brokers.count(ApiKey.LIST_OFFSETS) == 2


async def test_only_what_failed_is_asked_again(client: Cluster, two_brokers: FakeCluster) -> None:
    two_brokers.next(ApiKey.LIST_OFFSETS, Refuse(ErrorCode.LEADER_NOT_AVAILABLE))
    await look_up_offsets(client, {ORDERS: -1, OTHER: -1}, 5_000)
    assert two_brokers.count(ApiKey.LIST_OFFSETS) == 3


async def test_a_leader_that_moved_is_followed(client: Cluster, two_brokers: FakeCluster) -> None:
    await client.topic("orders", 1_000)
    two_brokers.partitions[ORDERS].leader_id = 1
    found = await look_up_offsets(client, {ORDERS: -1}, 5_000)
    assert found[ORDERS].offset == 5


async def test_a_lost_answer_is_asked_for_again(client: Cluster, two_brokers: FakeCluster) -> None:
    two_brokers.next(ApiKey.LIST_OFFSETS, Drop(carried_out=False))
    assert (await look_up_offsets(client, {ORDERS: -1}, 5_000))[ORDERS].offset == 5


async def test_asking_ends_with_the_last_reason(client: Cluster, two_brokers: FakeCluster) -> None:
    two_brokers.partitions[ORDERS].leader_id = -1
    with pytest.raises(RequestTimedOut, match="LEADER_NOT_AVAILABLE"):
        await look_up_offsets(client, {ORDERS: -1}, 30)


async def test_what_will_not_be_found_does_not_hide_what_was(client: Cluster, two_brokers: FakeCluster) -> None:
    missing = TopicPartition("orders", 2)
    lookup = await look_up(client, {ORDERS: -1, missing: -1}, 5_000)
    assert lookup.found[ORDERS].offset == 5
    assert isinstance(lookup.failed[missing], UnknownTopicOrPartition)


async def test_a_refusal_for_good_is_raised(client: Cluster, two_brokers: FakeCluster) -> None:
    two_brokers.next(ApiKey.LIST_OFFSETS, Refuse(ErrorCode.TOPIC_AUTHORIZATION_FAILED))
    with pytest.raises(KafkaError) as raised:
        await look_up_offsets(client, {ORDERS: -1}, 5_000)
    assert raised.value.code is ErrorCode.TOPIC_AUTHORIZATION_FAILED


async def test_nothing_asked_is_nothing_found(client: Cluster) -> None:
    assert await look_up_offsets(client, {}, 5_000) == {}
