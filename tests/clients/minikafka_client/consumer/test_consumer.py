from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from minikafka.errors import CorruptMessage, ErrorCode, KafkaError, OffsetOutOfRange
from minikafka.protocol.api_keys import ApiKey
from minikafka.protocol.messages.fetch import FetchRequest
from minikafka.records.builder import RecordBatchBuilder
from minikafka.types import TopicPartition
from minikafka_client import (
    AsyncConsumer,
    AsyncProducer,
    ClientClosed,
    DeserializationError,
    Message,
    NoBrokersAvailable,
    NoOffsetForPartition,
)
from tests.clients.support.fake_cluster import Drop, FakeCluster, Hold, Refuse
from tests.clients.support.stored import ORDERS, OTHER, read, store, values
from tests.support.broker import RunningBroker


async def test_a_topic_is_read_from_its_beginning_in_order(cluster: FakeCluster) -> None:
    cluster.create("orders")
    store(cluster, b"a", b"b")
    store(cluster, b"c")
    async with AsyncConsumer(cluster.bootstrap_servers, topics=["orders"], auto_offset_reset="earliest") as consumer:
        messages = await read(consumer, 3)
    assert messages == [
        Message("orders", 0, 0, 1_000, None, b"a", ()),
        Message("orders", 0, 1, 1_001, None, b"b", ()),
        Message("orders", 0, 2, 1_000, None, b"c", ()),
    ]


async def test_iterating_gives_one_message_after_the_other(cluster: FakeCluster) -> None:
    cluster.create("orders")
    store(cluster, b"a", b"b", b"c")
    seen = []
    async with AsyncConsumer(cluster.bootstrap_servers, topics=["orders"], auto_offset_reset="earliest") as consumer:
        async for message in consumer:
            seen.append(message.value)
            if len(seen) == 3:
                break
    assert seen == [b"a", b"b", b"c"]


async def test_a_waiting_poll_wakes_when_something_is_stored(cluster: FakeCluster) -> None:
    cluster.create("orders")
    async with AsyncConsumer(cluster.bootstrap_servers, topics=["orders"], fetch_max_wait_ms=60_000) as consumer:
        polling = asyncio.create_task(consumer.poll(timeout_ms=None))
        await cluster.arrived[ApiKey.FETCH].wait()
        store(cluster, b"news")
        assert values(await asyncio.wait_for(polling, 5)) == [b"news"]


async def test_an_iteration_wakes_at_once_however_seldom_it_polls(cluster: FakeCluster) -> None:
    cluster.create("orders")
    async with AsyncConsumer(
        cluster.bootstrap_servers, topics=["orders"], fetch_max_wait_ms=60_000, poll_interval_ms=60_000
    ) as consumer:
        following = asyncio.create_task(consumer.__anext__())
        await cluster.arrived[ApiKey.FETCH].wait()
        store(cluster, b"news")
        assert (await asyncio.wait_for(following, 5)).value == b"news"


@pytest.mark.parametrize("way", ["poll", "iterate"])
async def test_a_program_that_never_has_to_wait_lets_others_have_their_turn(cluster: FakeCluster, way: str) -> None:
    cluster.create("orders")
    for _ in range(20):
        store(cluster, *[b"x"] * 500)
    turns = 0

    async def take_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async with AsyncConsumer(cluster.bootstrap_servers, topics=["orders"], auto_offset_reset="earliest") as consumer:
        await read(consumer, 1)
        other = asyncio.create_task(take_turns())
        await asyncio.sleep(0)
        turns = 0
        if way == "poll":
            for _ in range(10):
                await consumer.poll(max_records=500)
        else:
            for _ in range(5_000):
                await anext(consumer)
        other.cancel()
    assert turns >= 10


async def test_a_message_that_cannot_be_deserialized_is_named_and_can_be_passed_or_tried_again(
    cluster: FakeCluster,
) -> None:
    cluster.create("orders")
    store(cluster, b"1", b"two", b"3")
    async with AsyncConsumer(
        cluster.bootstrap_servers, topics=["orders"], auto_offset_reset="earliest", value_deserializer=int
    ) as consumer:
        assert (await anext(consumer)).value == 1
        for _ in range(2):
            with pytest.raises(DeserializationError, match="orders-0@1: the value cannot be deserialized") as raised:
                await anext(consumer)
            with pytest.raises(DeserializationError):
                await consumer.poll()
        consumer.seek(raised.value.topic_partition, raised.value.offset + 1)
        assert (await anext(consumer)).value == 3


async def test_a_poll_without_messages_returns_none_in_time(cluster: FakeCluster) -> None:
    cluster.create("orders")
    async with AsyncConsumer(cluster.bootstrap_servers, topics=["orders"]) as consumer:
        assert await consumer.poll(timeout_ms=5) == []
        assert await consumer.poll(timeout_ms=0) == []


async def test_latest_starts_at_the_end_and_says_what_it_skips(
    cluster: FakeCluster, caplog: pytest.LogCaptureFixture
) -> None:
    cluster.create("orders")
    store(cluster, b"old", b"older")
    with caplog.at_level(logging.WARNING):
        async with AsyncConsumer(cluster.bootstrap_servers, topics=["orders"]) as consumer:
            assert await consumer.position(ORDERS) == 2
            store(cluster, b"new")
            assert values(await read(consumer, 1)) == [b"new"]
    assert [message for message in caplog.messages if "2 older messages" in message and "earliest" in message]


async def test_a_waiting_poll_gets_the_messages_of_partitions_assigned_meanwhile(cluster: FakeCluster) -> None:
    cluster.create("orders")
    store(cluster, b"a")
    async with AsyncConsumer(cluster.bootstrap_servers, auto_offset_reset="earliest") as consumer:
        polling = asyncio.create_task(consumer.poll(timeout_ms=None))
        await asyncio.sleep(0)
        consumer.assign([ORDERS])
        assert values(await asyncio.wait_for(polling, 5)) == [b"a"]


async def test_assigned_partitions_are_read_and_others_are_not(cluster: FakeCluster) -> None:
    cluster.create("orders", 2)
    store(cluster, b"a")
    store(cluster, b"b", where=OTHER)
    async with AsyncConsumer(cluster.bootstrap_servers, auto_offset_reset="earliest") as consumer:
        assert await consumer.poll(timeout_ms=5) == []
        consumer.assign([OTHER])
        assert values(await read(consumer, 1)) == [b"b"]
        consumer.assign([ORDERS, OTHER])
        assert values(await read(consumer, 1)) == [b"a"]
        assert await consumer.poll(timeout_ms=5) == []
        assert consumer.assignment == {ORDERS, OTHER}


async def test_partitions_that_are_added_are_read_from_their_beginning(cluster: FakeCluster) -> None:
    cluster.create("orders")
    async with AsyncConsumer(cluster.bootstrap_servers, topics=["orders"], metadata_max_age_ms=10) as consumer:
        await consumer.position(ORDERS)
        cluster.create("orders", 2)
        store(cluster, b"first", where=OTHER)
        assert values(await read(consumer, 1)) == [b"first"]


@pytest.mark.parametrize(
    ("topics", "rest"),
    [(["bills"], [b"bill 1", b"bill 2"]), (["orders", "bills"], [b"bill 1", b"bill 2", b"order 2"])],
    ids=["without", "with"],
)
async def test_another_subscription_ends_the_first_at_once_and_goes_on_with_what_both_have(
    cluster: FakeCluster, topics: list[str], rest: list[bytes]
) -> None:
    bills = TopicPartition("bills", 0)
    cluster.create("orders")
    cluster.create("bills")
    store(cluster, b"order 1", b"order 2")
    store(cluster, b"bill 1", b"bill 2", where=bills)
    async with AsyncConsumer(cluster.bootstrap_servers, topics=["orders"], auto_offset_reset="earliest") as consumer:
        assert (await anext(consumer)).value == b"order 1"
        consumer.subscribe(topics)
        seen = [(await anext(consumer)).value for _ in rest]
        assert sorted(seen) == rest
        assert {where.topic for where in consumer.assignment} == set(topics)


async def test_one_busy_partition_does_not_silence_the_others(cluster: FakeCluster) -> None:
    cluster.create("orders", 2)
    for _ in range(20):
        store(cluster, *[b"busy"] * 100)
    store(cluster, b"quiet", where=OTHER)
    async with AsyncConsumer(cluster.bootstrap_servers, topics=["orders"], auto_offset_reset="earliest") as consumer:
        assert b"quiet" in values(await consumer.poll()) + values(await consumer.poll())


async def test_partitions_that_were_read_to_their_ends_hold_up_no_other(cluster: FakeCluster) -> None:
    cluster.create("orders", 3)
    partitions = [TopicPartition("orders", number) for number in range(3)]
    for where, count in zip(partitions, (1, 1, 5), strict=True):
        for _ in range(count):
            store(cluster, bytes(1_000), where=where)
    async with AsyncConsumer(
        cluster.bootstrap_servers,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=1_000,
        fetch_max_wait_ms=60_000,
    ) as consumer:
        consumer.assign(partitions)
        consumer.pause(*partitions[1:])
        async with asyncio.timeout(10):
            for where, count in zip(partitions, (1, 1, 5), strict=True):  # the first two end in fetches that wait
                consumer.resume(where)
                for _ in range(count):
                    assert (await anext(consumer)).partition == where.partition
                # Until the fetch at its end has arrived.
                while cluster.count(ApiKey.FETCH) < 2 * (where.partition + 1):  # noqa: ASYNC110
                    await asyncio.sleep(0)


async def test_a_position_that_is_gone_is_replaced_as_auto_offset_reset_says(cluster: FakeCluster) -> None:
    cluster.create("orders")
    store(cluster, b"a", b"b", b"c")
    cluster.partitions[ORDERS].log_start_offset = 2
    async with AsyncConsumer(cluster.bootstrap_servers, auto_offset_reset="earliest") as consumer:
        consumer.assign([ORDERS])
        consumer.seek(ORDERS, 1)
        assert values(await read(consumer, 1)) == [b"c"]


async def test_without_auto_offset_reset_a_missing_position_is_an_error(cluster: FakeCluster) -> None:
    cluster.create("orders")
    store(cluster, b"a")
    async with AsyncConsumer(cluster.bootstrap_servers, auto_offset_reset="none") as consumer:
        consumer.assign([ORDERS])
        with pytest.raises(NoOffsetForPartition, match="orders-0"):
            await consumer.poll(timeout_ms=5_000)
        consumer.seek(ORDERS, 5)
        with pytest.raises(OffsetOutOfRange):
            await consumer.poll(timeout_ms=5_000)
        consumer.seek(ORDERS, 0)
        assert values(await read(consumer, 1)) == [b"a"]


def test_an_unknown_auto_offset_reset_is_refused() -> None:
    with pytest.raises(ValueError, match="earliest, latest, none"):
        AsyncConsumer(auto_offset_reset="smallest")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="list of names"):
        AsyncConsumer(topics="orders")


async def test_a_damaged_batch_is_an_error_after_the_messages_before_it(cluster: FakeCluster) -> None:
    cluster.create("orders")
    store(cluster, b"good")
    store(cluster, b"bad")
    store(cluster, b"later")
    batches = cluster.partitions[ORDERS].batches
    batches[1] = batches[1][:-3] + b"BAD"
    async with AsyncConsumer(cluster.bootstrap_servers, topics=["orders"], auto_offset_reset="earliest") as consumer:
        assert values(await read(consumer, 1)) == [b"good"]
        for _ in range(2):
            with pytest.raises(CorruptMessage, match="orders-0 at offset 1"):
                await consumer.poll()
            assert await consumer.position(ORDERS) == 1
        consumer.seek(ORDERS, 2)
        assert values(await read(consumer, 1)) == [b"later"]


async def test_checksums_are_not_looked_at_when_they_need_not_be(cluster: FakeCluster) -> None:
    cluster.create("orders")
    store(cluster, b"good")
    batches = cluster.partitions[ORDERS].batches
    batches[0] = batches[0].replace(b"good", b"GOOD")
    async with AsyncConsumer(
        cluster.bootstrap_servers, topics=["orders"], auto_offset_reset="earliest", check_crcs=False
    ) as consumer:
        assert values(await read(consumer, 1)) == [b"GOOD"]


async def test_control_batches_are_passed_over(cluster: FakeCluster) -> None:
    cluster.create("orders")
    store(cluster, b"a")
    marker = RecordBatchBuilder(is_control=True, is_transactional=True)
    marker.append(0, b"\0\0\0\1", b"\0\0\0\0\0\0")
    cluster.partitions[ORDERS].append(marker.build())
    async with AsyncConsumer(cluster.bootstrap_servers, topics=["orders"], auto_offset_reset="earliest") as consumer:
        assert values(await read(consumer, 1)) == [b"a"]
        assert await consumer.poll(timeout_ms=5) == []
        store(cluster, b"b")
        assert [message.offset for message in await read(consumer, 1)] == [2]


@pytest.mark.parametrize(
    "trouble",
    [
        Drop(carried_out=False),
        Drop(carried_out=True),
        Refuse(ErrorCode.NOT_LEADER_OR_FOLLOWER),
        Refuse(ErrorCode.UNKNOWN_LEADER_EPOCH),
    ],
)
async def test_reading_survives_failures(cluster: FakeCluster, trouble: Drop | Refuse) -> None:
    cluster.create("orders")
    store(cluster, *[b"%d" % number for number in range(10)])
    cluster.next(ApiKey.FETCH, trouble, trouble)
    async with AsyncConsumer(
        cluster.bootstrap_servers,
        topics=["orders"],
        auto_offset_reset="earliest",
        retry_backoff_ms=1,
        retry_backoff_max_ms=2,
    ) as consumer:
        assert values(await read(consumer, 10)) == [b"%d" % number for number in range(10)]


async def test_looking_up_positions_survives_failures(cluster: FakeCluster) -> None:
    cluster.create("orders")
    store(cluster, b"a")
    cluster.next(ApiKey.LIST_OFFSETS, Drop(carried_out=False), Refuse(ErrorCode.LEADER_NOT_AVAILABLE))
    async with AsyncConsumer(
        cluster.bootstrap_servers, topics=["orders"], auto_offset_reset="earliest", retry_backoff_ms=1
    ) as consumer:
        assert values(await read(consumer, 1)) == [b"a"]


async def test_a_refusal_for_good_is_raised_and_tried_again(cluster: FakeCluster) -> None:
    cluster.create("orders")
    store(cluster, b"a")
    cluster.next(ApiKey.FETCH, Refuse(ErrorCode.TOPIC_AUTHORIZATION_FAILED))
    async with AsyncConsumer(cluster.bootstrap_servers, topics=["orders"], auto_offset_reset="earliest") as consumer:
        with pytest.raises(KafkaError) as raised:
            await consumer.poll(timeout_ms=5_000)
        assert raised.value.code is ErrorCode.TOPIC_AUTHORIZATION_FAILED
        assert values(await read(consumer, 1)) == [b"a"]


async def test_a_leader_that_moves_is_followed(two_brokers: FakeCluster) -> None:
    two_brokers.create("orders")
    store(two_brokers, b"a")
    async with AsyncConsumer(
        two_brokers.bootstrap_servers,
        topics=["orders"],
        auto_offset_reset="earliest",
        fetch_max_wait_ms=5,
        retry_backoff_ms=1,
    ) as consumer:
        assert values(await read(consumer, 1)) == [b"a"]
        two_brokers.partitions[ORDERS].leader_id = 1
        store(two_brokers, b"b")
        assert values(await read(consumer, 1)) == [b"b"]


async def test_two_brokers_are_read_side_by_side(two_brokers: FakeCluster) -> None:
    two_brokers.create("orders", 2)
    two_brokers.partitions[OTHER].leader_id = 1
    two_brokers.next(ApiKey.FETCH, Hold(asyncio.Event()))
    async with AsyncConsumer(
        two_brokers.bootstrap_servers, topics=["orders"], auto_offset_reset="earliest"
    ) as consumer:
        store(two_brokers, b"a")
        store(two_brokers, b"b", where=OTHER)
        assert len(await read(consumer, 1)) == 1


async def test_no_more_is_read_ahead_than_is_wanted(cluster: FakeCluster) -> None:
    cluster.create("orders")
    for _ in range(20):
        store(cluster, bytes(1_000))
    async with AsyncConsumer(
        cluster.bootstrap_servers,
        topics=["orders"],
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=2_000,
        fetch_max_wait_ms=1,
    ) as consumer:
        await read(consumer, 1)
        await asyncio.sleep(0.02)
        offsets = [
            partition.fetch_offset
            for _, key, request in cluster.requests
            if key is ApiKey.FETCH and isinstance(request, FetchRequest)
            for topic in request.topics
            for partition in topic.partitions
        ]
        assert max(offsets) < 8
        assert len(await read(consumer, 19)) == 19


async def test_a_consumer_that_cannot_start_is_closed(cluster: FakeCluster) -> None:
    cluster.topic_errors["secret"] = ErrorCode.TOPIC_AUTHORIZATION_FAILED
    consumer = AsyncConsumer(cluster.bootstrap_servers, topics=["secret"])
    with pytest.raises(KafkaError, match="secret"):
        async with consumer:
            raise AssertionError("it has started")
    with pytest.raises(ClientClosed):
        await consumer.poll()


async def test_nobody_to_talk_to_is_said_at_the_first_poll(cluster: FakeCluster) -> None:
    await cluster.stop()
    consumer = AsyncConsumer(cluster.bootstrap_servers, topics=["orders"])
    with pytest.raises(NoBrokersAvailable):
        await consumer.poll()
    await consumer.close()


async def test_closing_ends_a_poll_and_an_iteration(cluster: FakeCluster) -> None:
    cluster.create("orders")
    consumer = AsyncConsumer(cluster.bootstrap_servers, topics=["orders"])
    await consumer.start()
    polling = asyncio.create_task(consumer.poll(timeout_ms=None))
    iterating = asyncio.create_task(anext(consumer, None))  # type: ignore[arg-type]
    await cluster.arrived[ApiKey.FETCH].wait()
    await consumer.close()
    await consumer.close()
    with pytest.raises(ClientClosed):
        await polling
    assert await iterating is None
    with pytest.raises(ClientClosed):
        await consumer.poll()


async def test_an_old_broker_is_spoken_to_in_its_own_versions(cluster: FakeCluster) -> None:
    cluster.versions |= {ApiKey.FETCH: (4, 4), ApiKey.LIST_OFFSETS: (1, 1), ApiKey.METADATA: (0, 4)}
    cluster.create("orders")
    store(cluster, b"a")
    async with AsyncConsumer(cluster.bootstrap_servers, topics=["orders"], auto_offset_reset="earliest") as consumer:
        assert values(await read(consumer, 1)) == [b"a"]


async def test_committed_transactions_are_read_when_they_are_and_aborted_ones_never(broker: RunningBroker) -> None:
    options: Any = {"auto_offset_reset": "earliest", "fetch_max_wait_ms": 60_000}
    async with (
        AsyncProducer(broker.bootstrap, transactional_id="transfers") as producer,
        AsyncConsumer(broker.bootstrap, isolation_level="read_committed", **options) as committed,
        AsyncConsumer(broker.bootstrap, **options) as everything,
    ):
        committed.assign([ORDERS])
        everything.assign([ORDERS])
        with pytest.raises(ZeroDivisionError):
            async with producer.transaction():
                await producer.send_and_wait("orders", b"aborted", partition=0)
                raise ZeroDivisionError
        async with producer.transaction():
            await producer.send_and_wait("orders", b"committed", partition=0)
            assert values(await read(everything, 2)) == [b"aborted", b"committed"]
            waiting = asyncio.create_task(read(committed, 1))
            for _ in range(3):
                assert await everything.poll(timeout_ms=5) == []
            assert not waiting.done()
        assert values(await waiting) == [b"committed"]
        assert await committed.position(ORDERS) == 4, "after the marker"
        assert committed.lag(ORDERS) == 0
