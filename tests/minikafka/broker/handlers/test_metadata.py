"""Metadata: over the wire, and for the clusters that one broker alone cannot show, with values."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from minikafka.broker.advertise import Advertiser, AdvertiseSettings, HostFacts
from minikafka.broker.context import RequestContext
from minikafka.broker.handlers.metadata import MAX_CREATED_PER_REQUEST, MetadataHandler
from minikafka.broker.operations import CLUSTER_OPERATIONS, NOT_ASKED, TOPIC_OPERATIONS
from minikafka.broker.reconnects import ReconnectWatch
from minikafka.cluster.metadata import BrokerInfo, Endpoint, MetadataCache, PartitionState, TopicMetadata
from minikafka.errors import ErrorCode, PolicyViolation
from minikafka.net.handler import Address, ConnectionInfo
from minikafka.protocol.api_keys import ApiKey
from minikafka.protocol.codec import decode
from minikafka.protocol.header import encode_request_header
from minikafka.protocol.messages.metadata import (
    MetadataRequest,
    MetadataRequestTopic,
    MetadataResponse,
    MetadataResponsePartition,
)
from minikafka.types import NO_LEADER, ZERO_UUID, new_uuid
from tests.support.broker import RunningBroker, running_broker
from tests.support.clock import ManualClock
from tests.support.control_plane import ControlPlaneClient, administering, versions_of

ALL_VERSIONS = versions_of(ApiKey.METADATA)
EXPLICIT_VERSIONS = [version for version in ALL_VERSIONS if version >= 4]
"""Those in which the client says whether topics are to be created."""


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[RunningBroker]:
    async with running_broker(tmp_path / "data", "num.partitions=3") as running:
        yield running


@pytest.fixture
async def client(broker: RunningBroker) -> AsyncIterator[ControlPlaneClient]:
    async with administering(broker) as connected:
        yield connected


@pytest.mark.parametrize("version", ALL_VERSIONS)
async def test_a_topic_is_described_with_leaders_and_the_brokers_address(
    broker: RunningBroker, client: ControlPlaneClient, version: int
) -> None:
    topic_id = await client.create_topic("orders", 2)
    answer = await client.metadata(["orders"], version=version)
    (node,) = answer.brokers
    assert (node.node_id, node.host, node.port) == (1, *broker.address)
    assert answer.controller_id == (1 if version >= 1 else -1)
    assert answer.cluster_id == (broker.broker.cluster_id if version >= 2 else None)
    (topic,) = answer.topics
    assert (topic.error_code, topic.name, topic.is_internal) == (0, "orders", False)
    assert topic.topic_id == (topic_id if version >= 10 else ZERO_UUID)
    assert [partition.partition_index for partition in topic.partitions] == [0, 1]
    for partition in topic.partitions:
        assert (partition.error_code, partition.leader_id) == (0, 1)
        assert partition.leader_epoch == (0 if version >= 7 else -1)
        assert (partition.replica_nodes, partition.isr_nodes, partition.offline_replicas) == ([1], [1], [])
    assert topic.topic_authorized_operations == answer.cluster_authorized_operations == NOT_ASKED


async def test_null_is_every_topic_and_an_empty_list_is_none(client: ControlPlaneClient) -> None:
    await client.create_topic("a")
    await client.create_topic("b")
    for version in ALL_VERSIONS:
        everything = await client.metadata([] if version == 0 else None, version=version)
        assert {topic.name for topic in everything.topics} == {"a", "b"}
        if version > 0:
            nothing = await client.metadata([], version=version)
            assert (nothing.topics, len(nothing.brokers)) == ([], 1)


async def test_a_missing_topic_is_created_and_in_the_same_answer(client: ControlPlaneClient) -> None:
    for version in ALL_VERSIONS:
        name = f"orders-{version}"
        (topic,) = (await client.metadata([name], version=version, create=True)).topics
        assert (topic.error_code, len(topic.partitions)) == (0, 3)
        assert all(partition.leader_id == 1 for partition in topic.partitions)
        assert (await client.produce(name, 2)).base_offset == 0


async def test_a_client_that_does_not_want_topics_created_gets_none(client: ControlPlaneClient) -> None:
    for version in EXPLICIT_VERSIONS:
        (topic,) = (await client.metadata(["orders"], version=version, create=False)).topics
        assert (topic.error_code, topic.partitions) == (ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, [])
    assert await client.topic_names() == set()


async def test_a_broker_that_does_not_create_topics_does_not(tmp_path: Path) -> None:
    async with (
        running_broker(tmp_path / "data", "auto.create.topics.enable=false") as broker,
        administering(broker) as client,
    ):
        for version in ALL_VERSIONS:
            (topic,) = (await client.metadata(["orders"], version=version, create=True)).topics
            assert topic.error_code == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION


@pytest.mark.parametrize("create", [True, False])
async def test_an_illegal_name_is_an_error_and_no_topic(client: ControlPlaneClient, create: bool) -> None:
    names = ["bad name", "..", "x" * 250, "a/b", ""]
    for version in ALL_VERSIONS if create else EXPLICIT_VERSIONS:
        answer = await client.metadata([*names, "good"], version=version, create=create)
        errors = {topic.name: topic.error_code for topic in answer.topics}
        good = errors.pop("good")
        assert errors == dict.fromkeys(names, ErrorCode.INVALID_TOPIC_EXCEPTION)
        assert good == (0 if create else ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
    assert await client.topic_names() == ({"good"} if create else set())


async def test_clients_that_ask_together_all_get_the_created_topic(broker: RunningBroker) -> None:
    async with administering(broker) as one, administering(broker) as other:
        answers = await asyncio.gather(
            *(client.metadata(["orders"], create=True) for client in (one, other) for _ in range(5))
        )
    topics = [topic for answer in answers for topic in answer.topics]
    assert {topic.error_code for topic in topics} == {0}
    assert len({topic.topic_id for topic in topics}) == 1
    assert {len(topic.partitions) for topic in topics} == {3}


async def test_a_topic_that_was_just_deleted_is_not_revived(tmp_path: Path) -> None:
    clock = ManualClock()
    async with running_broker(tmp_path / "data", clock=clock) as broker, administering(broker) as client:
        await client.create_topic("orders")
        await client.delete("orders")
        (topic,) = (await client.metadata(["orders"], create=True)).topics
        assert topic.error_code == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
        clock.advance(5_000)
        (topic,) = (await client.metadata(["orders"], create=True)).topics
        assert topic.error_code == 0


@pytest.mark.parametrize("version", [12, 13])
async def test_topics_are_found_by_id(client: ControlPlaneClient, version: int) -> None:
    topic_id, unknown = await client.create_topic("orders"), new_uuid()
    wanted = [MetadataRequestTopic(topic_id=one, name=None) for one in (topic_id, unknown, topic_id)]
    found, missing = (await client.ask(MetadataRequest(topics=wanted), version)).topics
    assert (found.error_code, found.name, found.topic_id) == (0, "orders", topic_id)
    assert (missing.error_code, missing.name, missing.topic_id) == (ErrorCode.UNKNOWN_TOPIC_ID, None, unknown)


@pytest.mark.parametrize("version", [10, 11])
@pytest.mark.parametrize("name", ["orders", None])
async def test_asking_by_id_is_refused_before_it_was_invented(
    client: ControlPlaneClient, version: int, name: str | None
) -> None:
    topic_id = await client.create_topic("orders")
    request = MetadataRequest(topics=[MetadataRequestTopic(topic_id=topic_id, name=name)])
    (topic,) = (await client.ask(request, version)).topics
    assert (topic.error_code, topic.name) == (ErrorCode.INVALID_REQUEST, name or "")


@pytest.mark.parametrize("version", [9, 10, 11, 12, 13])
async def test_librdkafkas_way_to_ask_for_all_topics_is_understood(
    broker: RunningBroker, client: ControlPlaneClient, version: int
) -> None:
    """Its null array takes four bytes where one is right (librdkafka issue 5049)."""
    await client.create_topic("orders")
    reader, writer = await asyncio.open_connection(*broker.address)
    flags = bytes([1, 0, 0]) if version <= 10 else bytes([1, 0])
    frame = encode_request_header(ApiKey.METADATA, version, 7, "rdkafka") + bytes(4) + flags + bytes(1)
    writer.write(len(frame).to_bytes(4, "big") + frame)
    answer = await reader.readexactly(int.from_bytes(await reader.readexactly(4), "big"))
    writer.close()
    (topic,) = decode(MetadataResponse, version, answer, 5).topics
    assert topic.name == "orders"


async def test_a_name_that_is_listed_twice_is_answered_once(client: ControlPlaneClient) -> None:
    (topic,) = (await client.metadata(["orders", "orders"], create=True)).topics
    assert topic.error_code == 0


@pytest.mark.parametrize("version", range(8, 14))
async def test_operations_are_told_to_those_who_ask(client: ControlPlaneClient, version: int) -> None:
    await client.create_topic("orders")
    request = MetadataRequest(
        topics=[MetadataRequestTopic(name="orders"), MetadataRequestTopic(name="absent")],
        allow_auto_topic_creation=False,
        include_topic_authorized_operations=True,
        include_cluster_authorized_operations=version <= 10,
    )
    answer = await client.ask(request, version)
    assert {topic.topic_authorized_operations for topic in answer.topics} == {TOPIC_OPERATIONS}
    assert answer.cluster_authorized_operations == (CLUSTER_OPERATIONS if version <= 10 else NOT_ASKED)


async def test_an_internal_topic_is_marked_and_not_created_by_asking(client: ControlPlaneClient) -> None:
    (asked,) = (await client.metadata(["__consumer_offsets"], create=True)).topics
    assert (asked.error_code, asked.is_internal) == (ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, True)
    await client.create_topic("__consumer_offsets")
    (made,) = (await client.metadata(["__consumer_offsets"])).topics
    assert (made.error_code, made.is_internal) == (0, True)


async def test_the_leader_epoch_of_a_new_topic_is_zero_again(client: ControlPlaneClient) -> None:
    await client.create_topic("orders")
    await client.delete("orders")
    await client.create_topic("orders")
    (topic,) = (await client.metadata(["orders"])).topics
    assert topic.partitions[0].leader_epoch == 0


async def test_a_client_by_ipv6_is_told_an_ipv6_address(tmp_path: Path) -> None:
    async with running_broker(tmp_path / "data", host="[::1]") as broker, administering(broker) as client:
        (node,) = (await client.metadata([])).brokers
        assert (node.host, node.port) == ("::1", broker.address.port)


async def test_advertised_listeners_are_told_as_they_are(tmp_path: Path) -> None:
    overrides = "advertised.listeners=PLAINTEXT://kafka.lab:19092"
    async with running_broker(tmp_path / "data", overrides) as broker, administering(broker) as client:
        (node,) = (await client.metadata([])).brokers
        assert (node.host, node.port) == ("kafka.lab", 19092)


# What one broker alone cannot show.

CONNECTION = ConnectionInfo(1, Address("127.0.0.1", 50_000), Address("127.0.0.1", 9092), "PLAINTEXT")
STATE = PartitionState(leader_id=2, leader_epoch=5, isr=(2, 1), replicas=(2, 1, 3))


class Creator:
    """Creates what it is told to, or fails."""

    def __init__(self, cache: MetadataCache, *, fails: bool = False) -> None:
        self._cache = cache
        self._fails = fails

    def creates_automatically(self, name: str) -> bool:
        return True

    async def create_automatically(self, name: str) -> None:
        if self._fails:
            raise PolicyViolation("not today")
        self._cache.put_topic(TopicMetadata(name, new_uuid(), (PartitionState(1, 0, (1,), (1,)),)))


def broker_at(broker_id: int, listener: str = "PLAINTEXT") -> BrokerInfo:
    return BrokerInfo(broker_id, {listener: Endpoint(f"10.0.0.{broker_id}", 9092)})


def handler_of(cache: MetadataCache, *, fails: bool = False) -> MetadataHandler:
    watch = ReconnectWatch(lambda delay, callback: None, lambda lost: None)
    advertiser = Advertiser(1, cache, AdvertiseSettings(), HostFacts(), watch)
    return MetadataHandler(cache, advertiser, Creator(cache, fails=fails))


def answer(cache: MetadataCache, version: int, request: MetadataRequest | None = None) -> MetadataResponse:
    ctx = RequestContext(CONNECTION, version, "client", 1, 0.0)
    response = handler_of(cache)(request or MetadataRequest(topics=None), ctx)
    assert isinstance(response, MetadataResponse)
    return response


def only_partition(response: MetadataResponse) -> MetadataResponsePartition:
    (topic,) = response.topics
    (partition,) = topic.partitions
    return partition


def cluster(*brokers: BrokerInfo) -> MetadataCache:
    cache = MetadataCache()
    cache.replace_brokers(brokers)
    cache.put_topic(TopicMetadata("orders", new_uuid(), (STATE,)))
    return cache


def test_other_brokers_are_told_by_the_addresses_they_registered() -> None:
    response = answer(cluster(broker_at(1), broker_at(2)), 13)
    assert {(node.node_id, node.host) for node in response.brokers} == {(1, "127.0.0.1"), (2, "10.0.0.2")}


def test_replicas_that_are_away_are_offline() -> None:
    partition = only_partition(answer(cluster(broker_at(1), broker_at(2)), 13))
    assert (partition.error_code, partition.leader_id, partition.leader_epoch) == (0, 2, 5)
    assert (partition.replica_nodes, partition.isr_nodes) == ([2, 1, 3], [2, 1])
    assert partition.offline_replicas == [3]


def test_version_0_leaves_replicas_that_are_away_out_and_says_so() -> None:
    partition = only_partition(answer(cluster(broker_at(1), broker_at(2)), 0, MetadataRequest(topics=[])))
    assert (partition.error_code, partition.replica_nodes) == (ErrorCode.REPLICA_NOT_AVAILABLE, [2, 1])


@pytest.mark.parametrize("version", [0, 5, 6, 13])
def test_a_leader_that_is_away_is_not_available(version: int) -> None:
    partition = only_partition(answer(cluster(broker_at(1), broker_at(3)), version, MetadataRequest(topics=None)))
    assert (partition.error_code, partition.leader_id) == (ErrorCode.LEADER_NOT_AVAILABLE, NO_LEADER)
    assert partition.leader_epoch == 5


@pytest.mark.parametrize(("version", "error"), [(5, ErrorCode.LEADER_NOT_AVAILABLE), (6, ErrorCode.LISTENER_NOT_FOUND)])
def test_a_leader_without_the_clients_listener_is_unreachable(version: int, error: ErrorCode) -> None:
    response = answer(cluster(broker_at(1), broker_at(2, "INTERNAL"), broker_at(3)), version)
    assert {node.node_id for node in response.brokers} == {1, 3}
    partition = only_partition(response)
    assert (partition.error_code, partition.leader_id, partition.offline_replicas) == (error, NO_LEADER, [2])


async def test_a_topic_that_cannot_be_created_is_answered_with_the_reason() -> None:
    cache = cluster(broker_at(1))
    ctx = RequestContext(CONNECTION, 13, "client", 1, 0.0)
    waiting = handler_of(cache, fails=True)(MetadataRequest(topics=[MetadataRequestTopic(name="new")]), ctx)
    assert not isinstance(waiting, MetadataResponse)
    (topic,) = (await waiting).topics
    assert (topic.name, topic.error_code) == ("new", ErrorCode.POLICY_VIOLATION)


async def test_one_request_creates_no_more_than_so_many_topics() -> None:
    cache = cluster(broker_at(1))
    ctx = RequestContext(CONNECTION, 13, "client", 1, 0.0)
    names = [MetadataRequestTopic(name=f"t{index}") for index in range(MAX_CREATED_PER_REQUEST + 5)]
    waiting = handler_of(cache)(MetadataRequest(topics=names), ctx)
    assert not isinstance(waiting, MetadataResponse)
    errors = [topic.error_code for topic in (await waiting).topics]
    assert errors == [0] * MAX_CREATED_PER_REQUEST + [ErrorCode.LEADER_NOT_AVAILABLE] * 5
