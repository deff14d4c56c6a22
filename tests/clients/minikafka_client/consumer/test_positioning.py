from __future__ import annotations

import asyncio
import logging

import pytest

from minikafka.errors import UnknownTopicOrPartition
from minikafka.protocol.api_keys import ApiKey
from minikafka_client import AsyncConsumer
from tests.clients.support.fake_cluster import FakeCluster
from tests.clients.support.stored import ORDERS, OTHER, read, store, values


async def test_seeking_goes_to_any_offset_and_forgets_what_was_read_ahead(cluster: FakeCluster) -> None:
    cluster.create("orders")
    store(cluster, *[b"%d" % number for number in range(10)])
    async with AsyncConsumer(cluster.bootstrap_servers, topics=["orders"], auto_offset_reset="earliest") as consumer:
        await read(consumer, 5)
        for offset in (7, 2, 0, 9):
            consumer.seek(ORDERS, offset)
            assert values(await read(consumer, 1)) == [b"%d" % offset]
        consumer.seek_to_beginning()
        assert values(await read(consumer, 1)) == [b"0"]
        consumer.seek_to_end(ORDERS)
        assert await consumer.position(ORDERS) == 10
        with pytest.raises(ValueError, match="at least 0"):
            consumer.seek(ORDERS, -1)
        with pytest.raises(ValueError, match="not assigned"):
            consumer.seek(OTHER, 0)


async def test_nothing_is_looked_up_between_assigning_and_seeking(
    cluster: FakeCluster, caplog: pytest.LogCaptureFixture
) -> None:
    cluster.create("orders", 2)
    store(cluster, b"a", b"b")
    async with AsyncConsumer(cluster.bootstrap_servers) as consumer:
        consumer.assign([ORDERS, OTHER])
        await consumer.partitions_for_topic("orders")
        consumer.seek(ORDERS, 0)
        consumer.seek(OTHER, 0)
        with caplog.at_level(logging.INFO):
            assert values(await read(consumer, 2)) == [b"a", b"b"]
    assert not cluster.arrived[ApiKey.LIST_OFFSETS].is_set()
    assert not [message for message in caplog.messages if "skipped" in message]


async def test_seeking_while_a_fetch_waits_does_not_wait_for_it(cluster: FakeCluster) -> None:
    cluster.create("orders")
    store(cluster, b"a")
    async with AsyncConsumer(cluster.bootstrap_servers, topics=["orders"], fetch_max_wait_ms=60_000) as consumer:
        await consumer.position(ORDERS)
        for _ in range(5):
            consumer.seek_to_end()
            cluster.arrived[ApiKey.FETCH].clear()
            await cluster.arrived[ApiKey.FETCH].wait()
            consumer.seek_to_beginning()
            assert values(await asyncio.wait_for(read(consumer, 1), 5)) == [b"a"]


async def test_seeking_by_time_finds_the_first_message_of_that_time_or_later(cluster: FakeCluster) -> None:
    cluster.create("orders")
    store(cluster, b"a", b"b", time_ms=1_000)
    store(cluster, b"c", b"d", time_ms=2_000)
    async with AsyncConsumer(cluster.bootstrap_servers, topics=["orders"], auto_offset_reset="earliest") as consumer:
        await consumer.seek_to_time(1_500)
        assert values(await read(consumer, 1)) == [b"c"]
        await consumer.seek_to_time(9_999, ORDERS)
        assert await consumer.position(ORDERS) == 4


async def test_offsets_are_looked_up(cluster: FakeCluster) -> None:
    cluster.create("orders", 2)
    store(cluster, b"a", b"b", time_ms=1_000)
    async with AsyncConsumer(cluster.bootstrap_servers) as consumer:
        assert await consumer.partitions_for_topic("orders") == [ORDERS, OTHER]
        assert await consumer.beginning_offsets([ORDERS, OTHER]) == {ORDERS: 0, OTHER: 0}
        assert await consumer.end_offsets([ORDERS, OTHER]) == {ORDERS: 2, OTHER: 0}
        found = await consumer.offsets_for_times({ORDERS: 1_001, OTHER: 0})
        assert found[ORDERS] is not None
        assert (found[ORDERS].offset, found[ORDERS].timestamp_ms) == (1, 1_001)
        assert found[OTHER] is None
        with pytest.raises(ValueError, match="1970"):
            await consumer.offsets_for_times({ORDERS: -1})


async def test_a_partition_that_does_not_exist_is_an_error_at_once(cluster: FakeCluster) -> None:
    cluster.create("orders")
    async with AsyncConsumer(cluster.bootstrap_servers, auto_offset_reset="earliest") as consumer:
        with pytest.raises(UnknownTopicOrPartition, match="partitions 0 to 0"):
            await consumer.end_offsets([OTHER])
        consumer.assign([OTHER])
        with pytest.raises(UnknownTopicOrPartition):
            await consumer.poll(timeout_ms=5_000)


async def test_a_paused_partition_gives_nothing_until_it_is_resumed(cluster: FakeCluster) -> None:
    cluster.create("orders", 2)
    store(cluster, b"a", b"a")
    store(cluster, b"b", where=OTHER)
    async with AsyncConsumer(cluster.bootstrap_servers, topics=["orders"], auto_offset_reset="earliest") as consumer:
        consumer.pause(ORDERS)
        assert consumer.paused == {ORDERS}
        assert values(await read(consumer, 1)) == [b"b"]
        assert await consumer.poll(timeout_ms=5) == []
        consumer.resume(ORDERS)
        async for message in consumer:
            assert message.value == b"a"
            break
        consumer.pause(ORDERS)
        assert await consumer.poll(timeout_ms=5) == []


async def test_the_position_is_that_of_the_next_message_however_it_is_read(cluster: FakeCluster) -> None:
    cluster.create("orders")
    store(cluster, *[b"%d" % number for number in range(10)])
    async with AsyncConsumer(cluster.bootstrap_servers, topics=["orders"], auto_offset_reset="earliest") as consumer:
        async for _ in consumer:
            break
        assert await consumer.position(ORDERS) == 1
        assert values(await consumer.poll(max_records=3)) == [b"1", b"2", b"3"]
        assert await consumer.position(ORDERS) == 4
        async for message in consumer:
            assert message.value == b"4"
            break
        assert consumer.lag(ORDERS) == 5
