from __future__ import annotations

import asyncio
import logging

import pytest

from minikafka.errors import ErrorCode, KafkaError, RequestTimedOut
from minikafka.protocol.api_keys import ApiKey
from minikafka_client.backoff import Backoff
from minikafka_client.cluster import Cluster, ClusterOptions
from minikafka_client.connections import Lane
from minikafka_client.errors import ClientClosed, NoBrokersAvailable
from tests.clients.support.fake_cluster import Drop, FakeCluster, Hold


def client_of(brokers: FakeCluster, **options: int | bool) -> Cluster:
    chosen = ClusterOptions("test", backoff=Backoff(1, 5), **options)  # type: ignore[arg-type]
    return Cluster(brokers.bootstrap_servers, chosen)


async def test_the_cluster_is_found_through_any_bootstrap_server_that_answers(two_brokers: FakeCluster) -> None:
    await two_brokers.stop_node(0)
    client = client_of(two_brokers)
    await client.start()
    assert set(client.metadata.brokers) == {0, 1}
    await client.close()


async def test_every_address_that_was_tried_is_named(two_brokers: FakeCluster) -> None:
    await two_brokers.stop()
    client = client_of(two_brokers)
    with pytest.raises(NoBrokersAvailable) as raised:
        await client.start()
    for address in two_brokers.addresses:
        assert str(raised.value).count(str(address)) == 1
    await client.close()


async def test_those_who_ask_at_the_same_time_share_one_request(cluster: FakeCluster) -> None:
    client = client_of(cluster)
    await asyncio.gather(*(client.refresh() for _ in range(10)))
    assert cluster.count(ApiKey.METADATA) == 1
    await client.close()


async def test_one_who_gives_up_does_not_disturb_the_others(cluster: FakeCluster) -> None:
    release = asyncio.Event()
    cluster.next(ApiKey.METADATA, Hold(release))
    client = client_of(cluster)
    first, second = asyncio.create_task(client.refresh()), asyncio.create_task(client.refresh())
    await cluster.arrived[ApiKey.METADATA].wait()
    first.cancel()
    release.set()
    assert (await second).cluster_id == "fake"
    await client.close()


async def test_a_topic_is_asked_for_once_and_then_known(cluster: FakeCluster) -> None:
    cluster.create("orders", 3)
    client = client_of(cluster)
    await client.start()
    assert len((await client.topic("orders", 1_000)).partitions) == 3
    asked = cluster.count(ApiKey.METADATA)
    await client.topic("orders", 1_000)
    assert cluster.count(ApiKey.METADATA) == asked
    await client.close()


async def test_a_topic_that_appears_is_waited_for(cluster: FakeCluster) -> None:
    client = client_of(cluster, allow_auto_create_topics=False)
    await client.start()
    waiting = asyncio.create_task(client.topic("orders", 5_000))
    cluster.arrived[ApiKey.METADATA].clear()
    await cluster.arrived[ApiKey.METADATA].wait()
    cluster.create("orders")
    assert (await waiting).name == "orders"
    await client.close()


async def test_a_topic_without_a_definite_answer_is_not_waited_for_for_ever(cluster: FakeCluster) -> None:
    cluster.topic_errors["orders"] = ErrorCode.LEADER_NOT_AVAILABLE
    client = client_of(cluster)
    with pytest.raises(RequestTimedOut, match="orders"):
        await client.topic("orders", 30)
    await client.close()


async def test_a_topic_that_is_missing_is_said_to_be(cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("minikafka_client.cluster._MISSING_TOPIC_PATIENCE_S", 0.01)
    client = client_of(cluster, allow_auto_create_topics=False)
    with pytest.raises(KafkaError, match="'orders' does not exist"):
        await client.topic("orders", 5_000)
    await client.close()


async def test_a_topic_that_was_given_up_is_not_asked_for_again(cluster: FakeCluster) -> None:
    cluster.topic_errors["orders"] = ErrorCode.TOPIC_AUTHORIZATION_FAILED
    client = client_of(cluster)
    with pytest.raises(KafkaError):
        await client.topic("orders", 1_000)
    await client.refresh()
    _, _, request = cluster.requests[-1]
    assert request.topics == []  # type: ignore[attr-defined]
    await client.close()


async def test_old_metadata_is_refreshed_and_listeners_are_told(cluster: FakeCluster) -> None:
    updates: asyncio.Queue[None] = asyncio.Queue()
    client = client_of(cluster, metadata_max_age_ms=5)
    client.on_update(lambda: updates.put_nowait(None))
    await client.start()
    for _ in range(3):
        await asyncio.wait_for(updates.get(), 5)
    await client.close()


async def test_metadata_called_stale_is_refreshed_after_a_pause(cluster: FakeCluster) -> None:
    updates: asyncio.Queue[None] = asyncio.Queue()
    client = client_of(cluster)
    await client.start()
    client.on_update(lambda: updates.put_nowait(None))
    for _ in range(100):
        client.refresh_soon()
    await asyncio.wait_for(updates.get(), 5)
    assert cluster.count(ApiKey.METADATA) == 2
    await client.close()


async def test_a_failed_refresh_is_repeated_and_logged_once(
    cluster: FakeCluster, caplog: pytest.LogCaptureFixture
) -> None:
    client = client_of(cluster)
    await client.start()
    updates: asyncio.Queue[None] = asyncio.Queue()
    client.on_update(lambda: updates.put_nowait(None))
    cluster.next(ApiKey.METADATA, *[Drop(carried_out=False)] * 3)
    with caplog.at_level(logging.WARNING):
        client.refresh_soon()
        for _ in range(4):
            await asyncio.wait_for(updates.get(), 5)
    assert len(caplog.messages) == 1
    await client.close()


async def test_a_broker_that_left_is_disconnected(two_brokers: FakeCluster) -> None:
    client = client_of(two_brokers)
    await client.start()
    connection = await client.connection(1, Lane.DATA)
    address = two_brokers.addresses.pop()
    client._bootstrap = client._bootstrap[:1]
    await client.refresh()
    assert connection.is_closed
    with pytest.raises(NoBrokersAvailable, match="broker 1"):
        await client.connection(1)
    two_brokers.addresses.append(address)
    await client.close()


async def test_when_all_known_brokers_are_gone_the_bootstrap_servers_are_asked_again(two_brokers: FakeCluster) -> None:
    client = Cluster(str(two_brokers.addresses[0]), ClusterOptions("test", backoff=Backoff(1, 5)))
    await client.start()
    port = two_brokers.addresses[0].port
    await two_brokers.stop()
    with pytest.raises(NoBrokersAvailable):
        await client.refresh()
    await two_brokers.start_node(0, port)
    assert (await client.refresh()).cluster_id == "fake"
    await client.close()


async def test_a_closed_client_asks_nothing(cluster: FakeCluster) -> None:
    client = client_of(cluster)
    await client.start()
    await client.close()
    client.refresh_soon()
    with pytest.raises(ClientClosed):
        await client.refresh()
    assert cluster.count(ApiKey.METADATA) == 1


async def test_closing_interrupts_a_question_under_way(cluster: FakeCluster) -> None:
    cluster.next(ApiKey.METADATA, Hold(asyncio.Event()))
    client = client_of(cluster)
    asking = asyncio.create_task(client.refresh())
    await cluster.arrived[ApiKey.METADATA].wait()
    await client.close()
    with pytest.raises(asyncio.CancelledError):
        await asking
