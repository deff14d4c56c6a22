from __future__ import annotations

import asyncio
import logging

import pytest

from minikafka.errors import CorruptMessage, ErrorCode, KafkaError, OffsetOutOfRange, UnknownTopicOrPartition
from minikafka.protocol.api_keys import ApiKey
from minikafka.protocol.messages.fetch import FetchRequest
from minikafka.records.builder import RecordBatchBuilder
from minikafka.records.compression import Compression
from minikafka.types import TopicPartition
from minikafka_client import AsyncConsumer, ClientClosed, Message, NoBrokersAvailable, NoOffsetForPartition
from tests.clients.support.fake_cluster import Drop, FakeCluster, Hold, Refuse

ORDERS = TopicPartition("orders", 0)
OTHER = TopicPartition("orders", 1)


def store(cluster: FakeCluster, *values: bytes, where: TopicPartition = ORDERS, time_ms: int = 1_000) -> None:
    """One batch of these values, a millisecond apart."""
    builder = RecordBatchBuilder(Compression.NONE)
    for number, value in enumerate(values):
        builder.append(time_ms + number, None, value)
    cluster.partitions[where].append(builder.build())


def values(messages: list[Message]) -> list[bytes | None]:
    return [message.value for message in messages]


async def read(consumer: AsyncConsumer, count: int) -> list[Message]:
    messages: list[Message] = []
    async with asyncio.timeout(10):
        while len(messages) < count:
            messages += await consumer.poll(max_records=count - len(messages))
    return messages


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


async def test_a_waiting_poll_wakes_when_something_is_stored(cluster: FakeCluster) -> None:
    cluster.create("orders")
    async with AsyncConsumer(cluster.bootstrap_servers, topics=["orders"], fetch_max_wait_ms=60_000) as consumer:
        polling = asyncio.create_task(consumer.poll(timeout_ms=None))
        await cluster.arrived[ApiKey.FETCH].wait()
        store(cluster, b"news")
        assert values(await asyncio.wait_for(polling, 5)) == [b"news"]


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


async def test_a_waiting_poll_gets_the_messages_of_partitions_assigned_meanwhile(cluster: FakeCluster) -> None:
    cluster.create("orders")
    store(cluster, b"a")
    async with AsyncConsumer(cluster.bootstrap_servers, auto_offset_reset="earliest") as consumer:
        polling = asyncio.create_task(consumer.poll(timeout_ms=None))
        await asyncio.sleep(0)
        consumer.assign([ORDERS])
        assert values(await asyncio.wait_for(polling, 5)) == [b"a"]


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


async def test_partitions_that_are_added_are_read_from_their_beginning(cluster: FakeCluster) -> None:
    cluster.create("orders")
    async with AsyncConsumer(cluster.bootstrap_servers, topics=["orders"], metadata_max_age_ms=10) as consumer:
        await consumer.position(ORDERS)
        cluster.create("orders", 2)
        store(cluster, b"first", where=OTHER)
        assert values(await read(consumer, 1)) == [b"first"]


async def test_one_busy_partition_does_not_silence_the_others(cluster: FakeCluster) -> None:
    cluster.create("orders", 2)
    for _ in range(20):
        store(cluster, *[b"busy"] * 100)
    store(cluster, b"quiet", where=OTHER)
    async with AsyncConsumer(cluster.bootstrap_servers, topics=["orders"], auto_offset_reset="earliest") as consumer:
        assert b"quiet" in values(await consumer.poll()) + values(await consumer.poll())


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
