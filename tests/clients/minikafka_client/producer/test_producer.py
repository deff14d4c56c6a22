from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest

from minikafka.errors import ErrorCode, KafkaError, MessageTooLarge, RequestTimedOut, UnknownTopicOrPartition
from minikafka.protocol.api_keys import ApiKey
from minikafka.protocol.messages.produce import ProduceRequest
from minikafka.types import TopicPartition
from minikafka_client import AsyncProducer, ClientClosed, Delivery, NoBrokersAvailable, NotDelivered, SerializationError
from tests.clients.support.fake_cluster import Drop, FakeCluster, Hold, Refuse

ORDERS = TopicPartition("orders", 0)


def values(cluster: FakeCluster, where: TopicPartition = ORDERS) -> list[bytes | None]:
    return [record.value for record in cluster.partitions[where].records()]


async def send_all(producer: AsyncProducer, count: int, partition: int = 0) -> list[Delivery]:
    return [await producer.send("orders", b"%d" % number, partition=partition) for number in range(count)]


async def test_records_are_stored_in_order_and_their_senders_learn_where(cluster: FakeCluster) -> None:
    async with AsyncProducer(cluster.bootstrap_servers) as producer:
        deliveries = await send_all(producer, 10)
        offsets = [(await delivery).offset for delivery in deliveries]
    assert offsets == list(range(10))
    assert values(cluster) == [b"%d" % number for number in range(10)]


async def test_a_record_keeps_its_key_headers_and_time(cluster: FakeCluster) -> None:
    async with AsyncProducer(cluster.bootstrap_servers) as producer:
        headers = {"a": b"1", "b": "two", "c": None}
        metadata = await producer.send_and_wait("orders", "val", "key", headers=headers, timestamp_ms=123)
    (record,) = cluster.partitions[ORDERS].records()
    assert (record.key, record.value, record.timestamp_ms) == (b"key", b"val", 123)
    assert record.headers == (("a", b"1"), ("b", b"two"), ("c", None))
    assert metadata.timestamp_ms == 123


async def test_objects_are_packed_and_none_is_a_tombstone(cluster: FakeCluster) -> None:
    async with AsyncProducer(cluster.bootstrap_servers) as producer:
        await producer.send("orders", {"n": 1}, key=7)
        await producer.send("orders", None, key=7)
    assert [(record.key, record.value) for record in cluster.partitions[ORDERS].records()] == [
        (b"\x07", b"\x81\xa1n\x01"),
        (b"\x07", None),
    ]


async def test_own_serializers_are_used_for_bytes_too(cluster: FakeCluster) -> None:
    async with AsyncProducer(cluster.bootstrap_servers, value_serializer=lambda value: value[::-1]) as producer:
        await producer.send("orders", b"abc")
    assert values(cluster) == [b"cba"]


async def test_what_cannot_be_packed_is_refused_before_anything_is_sent(cluster: FakeCluster) -> None:
    async with AsyncProducer(cluster.bootstrap_servers) as producer:
        with pytest.raises(SerializationError):
            await producer.send("orders", object())
    assert not cluster.count(ApiKey.PRODUCE)


async def test_equal_keys_meet_and_records_without_one_are_spread(cluster: FakeCluster) -> None:
    cluster.create("orders", 2)
    async with AsyncProducer(cluster.bootstrap_servers) as producer:
        keyed = [await producer.send_and_wait("orders", b"x", key=b"UA") for _ in range(4)]
        spread = [await producer.send_and_wait("orders", b"x") for _ in range(2)]
    assert len({metadata.partition for metadata in keyed}) == 1
    assert {metadata.partition for metadata in spread} == {0, 1}


async def test_records_without_a_key_sent_in_one_go_land_one_in_each_partition(cluster: FakeCluster) -> None:
    cluster.create("orders", 2)
    async with AsyncProducer(cluster.bootstrap_servers) as producer:
        deliveries = [await producer.send("orders", b"x") for _ in range(2)]
        assert {(await delivery).partition for delivery in deliveries} == {0, 1}


async def test_a_sticky_producer_stays_with_a_partition_until_its_batch_leaves(cluster: FakeCluster) -> None:
    cluster.create("orders", 2)
    async with AsyncProducer(cluster.bootstrap_servers, partitioner="sticky", linger_ms=60_000) as producer:
        first = [await producer.send("orders", b"x") for _ in range(5)]
        await producer.flush()
        second = [await producer.send("orders", b"x") for _ in range(5)]
    (before,) = {delivery.result().partition for delivery in first}
    (after,) = {delivery.result().partition for delivery in second}
    assert before != after


async def test_an_own_partitioner_chooses(cluster: FakeCluster) -> None:
    cluster.create("orders", 3)
    async with AsyncProducer(cluster.bootstrap_servers, partitioner=lambda topic, key, count: count - 1) as producer:
        metadata = [await producer.send_and_wait("orders", b"x", key) for key in (None, b"key")]
    assert [each.partition for each in metadata] == [2, 2]


async def test_callbacks_are_given_with_the_record_or_added(cluster: FakeCluster) -> None:
    called: list[tuple[str, int]] = []
    async with AsyncProducer(cluster.bootstrap_servers) as producer:
        for number in range(3):
            delivery = await producer.send(
                "orders", b"x", on_delivery=lambda delivery: called.append(("given", delivery.result().offset))
            )
            if number == 1:
                delivery.add_done_callback(lambda delivery: called.append(("added", delivery.result().offset)))
    assert called == [("given", 0), ("given", 1), ("added", 1), ("given", 2)]


async def test_a_callback_hears_of_a_failure_and_closing_is_silent_about_it(cluster: FakeCluster) -> None:
    cluster.next(ApiKey.PRODUCE, Refuse(ErrorCode.INVALID_RECORD))
    heard: list[Exception | None] = []
    async with AsyncProducer(cluster.bootstrap_servers) as producer:
        await producer.send("orders", b"x", on_delivery=lambda delivery: heard.append(delivery.exception()))
    assert [error.code for error in heard if isinstance(error, KafkaError)] == [ErrorCode.INVALID_RECORD]


async def test_a_partition_whose_leader_is_slow_does_not_hold_up_the_others(two_brokers: FakeCluster) -> None:
    two_brokers.create("orders", 2)
    two_brokers.partitions[TopicPartition("orders", 1)].leader_id = 1
    release = asyncio.Event()
    async with AsyncProducer(two_brokers.bootstrap_servers) as producer:
        await producer.send_and_wait("orders", b"warm", partition=1)
        two_brokers.next(ApiKey.PRODUCE, Hold(release))
        two_brokers.arrived[ApiKey.PRODUCE].clear()
        slow = await producer.send("orders", b"slow", partition=0)
        await two_brokers.arrived[ApiKey.PRODUCE].wait()
        async with asyncio.timeout(10):
            assert (await producer.send_and_wait("orders", b"quick", partition=1)).offset == 1
        assert not slow.done()
        release.set()


async def test_a_partition_that_does_not_exist_is_refused(cluster: FakeCluster) -> None:
    async with AsyncProducer(cluster.bootstrap_servers) as producer:
        with pytest.raises(UnknownTopicOrPartition, match="partitions 0 to 0"):
            await producer.send("orders", b"x", partition=1)


async def test_a_topic_with_an_illegal_name_is_refused(cluster: FakeCluster) -> None:
    async with AsyncProducer(cluster.bootstrap_servers) as producer:
        with pytest.raises(KafkaError) as raised:
            await producer.send("or/ders", b"x")
    assert raised.value.code is ErrorCode.INVALID_TOPIC_EXCEPTION


async def test_a_topic_that_may_not_be_used_is_refused(cluster: FakeCluster) -> None:
    cluster.topic_errors["orders"] = ErrorCode.TOPIC_AUTHORIZATION_FAILED
    async with AsyncProducer(cluster.bootstrap_servers) as producer:
        with pytest.raises(KafkaError) as raised:
            await producer.send("orders", b"x")
    assert raised.value.code is ErrorCode.TOPIC_AUTHORIZATION_FAILED


async def test_partitions_that_are_added_are_used(cluster: FakeCluster) -> None:
    async with AsyncProducer(cluster.bootstrap_servers) as producer:
        await producer.send_and_wait("orders", b"x")
        cluster.create("orders", 2)
        assert (await producer.send_and_wait("orders", b"x", partition=1)).partition == 1
        assert {(await producer.send_and_wait("orders", b"x")).partition for _ in range(2)} == {0, 1}


async def test_a_record_that_is_too_large_is_refused(cluster: FakeCluster) -> None:
    async with AsyncProducer(cluster.bootstrap_servers, max_request_size=1_000) as producer:
        with pytest.raises(MessageTooLarge):
            await producer.send("orders", bytes(1_000))
        await producer.send("orders", bytes(900))


async def test_nobody_to_talk_to_is_said_with_the_reason_for_each_address(cluster: FakeCluster) -> None:
    await cluster.stop()
    with pytest.raises(NoBrokersAvailable) as raised:
        await AsyncProducer(cluster.bootstrap_servers).start()
    assert str(cluster.addresses[0]) in str(raised.value)


async def test_full_memory_makes_send_wait_until_there_is_room(cluster: FakeCluster) -> None:
    release = asyncio.Event()
    cluster.next(ApiKey.PRODUCE, Hold(release))
    async with AsyncProducer(cluster.bootstrap_servers, buffer_memory=2_000) as producer:
        first = await producer.send("orders", bytes(1_500))
        waiting = asyncio.create_task(producer.send("orders", bytes(1_500)))
        await cluster.arrived[ApiKey.PRODUCE].wait()
        assert not waiting.done()
        release.set()
        assert (await first).offset == 0
        assert (await (await waiting)).offset == 1


async def test_nothing_lingers_while_somebody_waits_for_memory(cluster: FakeCluster) -> None:
    async with AsyncProducer(cluster.bootstrap_servers, buffer_memory=2_000, linger_ms=60_000) as producer:
        first = await producer.send("orders", bytes(1_500))
        await asyncio.wait_for(producer.send("orders", bytes(1_500)), 5)
        assert first.done()


async def test_send_does_not_wait_for_memory_for_ever(cluster: FakeCluster) -> None:
    release = asyncio.Event()
    cluster.next(ApiKey.PRODUCE, Hold(release))
    async with AsyncProducer(cluster.bootstrap_servers, buffer_memory=2_000, max_block_ms=30) as producer:
        await producer.send("orders", bytes(1_500))
        with pytest.raises(RequestTimedOut, match="buffer_memory"):
            await producer.send("orders", bytes(1_500))
        release.set()


async def test_a_loop_that_only_sends_lets_batches_leave_meanwhile(cluster: FakeCluster) -> None:
    async with AsyncProducer(cluster.bootstrap_servers, batch_size=1_000) as producer:
        await send_all(producer, 2_000)
        assert cluster.count(ApiKey.PRODUCE) > 0


async def test_many_records_travel_in_few_requests(cluster: FakeCluster) -> None:
    async with AsyncProducer(cluster.bootstrap_servers) as producer:
        await send_all(producer, 5_000)
    assert values(cluster) == [b"%d" % number for number in range(5_000)]
    assert cluster.count(ApiKey.PRODUCE) < 50


async def test_requests_are_not_larger_than_they_may_be(cluster: FakeCluster) -> None:
    cluster.create("orders", 8)
    async with AsyncProducer(cluster.bootstrap_servers, max_request_size=5_000, batch_size=2_000) as producer:
        for number in range(200):
            await producer.send("orders", bytes(150), partition=number % 8)
    for _, key, request in cluster.requests:
        if key is ApiKey.PRODUCE:
            assert isinstance(request, ProduceRequest)
            size = sum(len(data.records or b"") for topic in request.topic_data for data in topic.partition_data)
            assert size <= 5_000
    assert sum(len(values(cluster, TopicPartition("orders", n))) for n in range(8)) == 200


async def test_lingering_gathers_what_comes_meanwhile(cluster: FakeCluster) -> None:
    async with AsyncProducer(cluster.bootstrap_servers, linger_ms=60_000) as producer:
        for _ in range(3):
            await producer.send("orders", b"x")
            await asyncio.sleep(0.001)
        assert not cluster.count(ApiKey.PRODUCE)
        await producer.flush()
        assert cluster.count(ApiKey.PRODUCE) == 1
        assert len(values(cluster)) == 3


async def test_acks_0_waits_for_nothing(cluster: FakeCluster) -> None:
    async with AsyncProducer(cluster.bootstrap_servers, acks=0) as producer:
        metadata = await producer.send_and_wait("orders", b"x")
        assert metadata.offset == -1
        await cluster.partitions[ORDERS].appended.wait()
    assert values(cluster) == [b"x"]


@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
async def test_every_codec_arrives(cluster: FakeCluster, codec: str) -> None:
    async with AsyncProducer(cluster.bootstrap_servers, compression=codec) as producer:  # type: ignore[arg-type]
        await send_all(producer, 100)
    assert values(cluster) == [b"%d" % number for number in range(100)]


async def test_a_lost_answer_stores_nothing_twice(cluster: FakeCluster) -> None:
    cluster.next(ApiKey.PRODUCE, Drop(carried_out=True))
    async with AsyncProducer(cluster.bootstrap_servers, retry_backoff_ms=1) as producer:
        metadata = await producer.send_and_wait("orders", b"once")
        assert metadata.offset == -1
        assert (await producer.send_and_wait("orders", b"twice")).offset == 1
    assert values(cluster) == [b"once", b"twice"]


@pytest.mark.parametrize(
    "trouble",
    [
        Drop(carried_out=False),
        Drop(carried_out=True),
        Refuse(ErrorCode.NOT_LEADER_OR_FOLLOWER),
        Refuse(ErrorCode.NOT_ENOUGH_REPLICAS),
    ],
)
async def test_order_survives_failures_in_the_middle(cluster: FakeCluster, trouble: Drop | Refuse) -> None:
    cluster.next(ApiKey.PRODUCE, trouble)
    async with AsyncProducer(cluster.bootstrap_servers, retry_backoff_ms=1, batch_size=100) as producer:
        for number in range(200):
            await producer.send("orders", b"%d" % number)
            if number % 37 == 0:
                cluster.next(ApiKey.PRODUCE, trouble)
    assert values(cluster) == [b"%d" % number for number in range(200)]


async def test_a_leader_that_moves_is_followed(two_brokers: FakeCluster) -> None:
    two_brokers.create("orders")
    async with AsyncProducer(two_brokers.bootstrap_servers, retry_backoff_ms=1) as producer:
        await producer.send_and_wait("orders", b"first")
        two_brokers.partitions[ORDERS].leader_id = 1
        await producer.send_and_wait("orders", b"second")
        two_brokers.partitions[ORDERS].leader_id = 0
        await producer.send_and_wait("orders", b"third")
    assert values(two_brokers) == [b"first", b"second", b"third"]


async def test_a_broker_that_restarts_is_found_again(cluster: FakeCluster) -> None:
    port = cluster.addresses[0].port
    async with AsyncProducer(cluster.bootstrap_servers, retry_backoff_ms=1, retry_backoff_max_ms=10) as producer:
        await producer.send_and_wait("orders", b"before")
        await cluster.stop_node(0)
        delivery = await producer.send("orders", b"after")
        await cluster.start_node(0, port)
        await asyncio.wait_for(delivery, 10)
    assert values(cluster) == [b"before", b"after"]


async def test_a_record_that_cannot_be_stored_in_time_is_given_up(cluster: FakeCluster) -> None:
    cluster.next(ApiKey.PRODUCE, *[Refuse(ErrorCode.NOT_ENOUGH_REPLICAS)] * 1_000)
    async with AsyncProducer(cluster.bootstrap_servers, delivery_timeout_ms=50, retry_backoff_ms=5) as producer:
        with pytest.raises(RequestTimedOut, match="NOT_ENOUGH_REPLICAS"):
            await producer.send_and_wait("orders", b"x")
        cluster.actions.clear()
        assert (await producer.send_and_wait("orders", b"y")).offset == 0
    assert values(cluster) == [b"y"]


async def test_a_broker_that_never_answers_costs_the_delivery_timeout(cluster: FakeCluster) -> None:
    never = asyncio.Event()
    cluster.next(ApiKey.PRODUCE, *[Hold(never)] * 100)
    async with AsyncProducer(cluster.bootstrap_servers, delivery_timeout_ms=50, retry_backoff_ms=5) as producer:
        with pytest.raises(RequestTimedOut):
            await producer.send_and_wait("orders", b"x")


async def test_a_refusal_for_good_is_not_repeated(cluster: FakeCluster) -> None:
    cluster.next(ApiKey.PRODUCE, Refuse(ErrorCode.INVALID_RECORD))
    async with AsyncProducer(cluster.bootstrap_servers) as producer:
        with pytest.raises(KafkaError) as raised:
            await producer.send_and_wait("orders", b"bad")
        assert raised.value.code is ErrorCode.INVALID_RECORD
        await producer.send_and_wait("orders", b"good")
    assert values(cluster) == [b"good"]


async def test_what_follows_a_refusal_for_good_is_stored_in_order(cluster: FakeCluster) -> None:
    async with AsyncProducer(cluster.bootstrap_servers, retry_backoff_ms=1, batch_size=50) as producer:
        await producer.send_and_wait("orders", b"first")
        cluster.next(ApiKey.PRODUCE, Refuse(ErrorCode.INVALID_RECORD))
        deliveries = [await producer.send("orders", b"%d" % number) for number in range(50)]
        outcomes = await asyncio.gather(*deliveries, return_exceptions=True)
    lost = [number for number, outcome in enumerate(outcomes) if isinstance(outcome, KafkaError)]
    assert lost
    assert lost[0] == 0
    kept = [b"%d" % number for number in range(50) if number not in lost]
    assert values(cluster) == [b"first", *kept]
    epochs = list(cluster.partitions[ORDERS].next_sequences)
    assert all(earlier[1] < later[1] for earlier, later in pairwise(epochs))


async def test_a_broker_that_forgot_the_count_gets_a_new_one(cluster: FakeCluster) -> None:
    async with AsyncProducer(cluster.bootstrap_servers, retry_backoff_ms=1) as producer:
        await producer.send_and_wait("orders", b"first")
        cluster.partitions[ORDERS].next_sequences.clear()
        await producer.send_and_wait("orders", b"second")
    assert values(cluster) == [b"first", b"second"]


@pytest.mark.parametrize("codec", ["none", "lz4"])
async def test_batches_too_large_for_a_topic_are_split_until_they_fit(cluster: FakeCluster, codec: str) -> None:
    cluster.create("orders")
    cluster.partitions[ORDERS].max_batch_records = 3
    async with AsyncProducer(cluster.bootstrap_servers, compression=codec, retry_backoff_ms=1) as producer:  # type: ignore[arg-type]
        deliveries = await send_all(producer, 20)
        called: list[Delivery] = []
        deliveries[7].add_done_callback(called.append)
        assert [(await delivery).offset for delivery in deliveries] == list(range(20))
        await producer.send_and_wait("orders", b"20")
    assert called == [deliveries[7]]
    assert values(cluster) == [b"%d" % number for number in range(21)]


async def test_a_record_too_large_for_a_topic_fails_alone(cluster: FakeCluster) -> None:
    cluster.create("orders")
    cluster.partitions[ORDERS].max_batch_bytes = 300
    async with AsyncProducer(cluster.bootstrap_servers, retry_backoff_ms=1) as producer:
        deliveries = [await producer.send("orders", bytes(size)) for size in (10, 20, 500, 30)]
        outcomes = await asyncio.gather(*deliveries, return_exceptions=True)
    assert [isinstance(outcome, MessageTooLarge) for outcome in outcomes] == [False, False, True, False]
    assert values(cluster) == [bytes(10), bytes(20), bytes(30)]


async def test_without_idempotence_batches_have_no_numbers(cluster: FakeCluster) -> None:
    async with AsyncProducer(cluster.bootstrap_servers, enable_idempotence=False) as producer:
        await producer.send_and_wait("orders", b"x")
    assert not cluster.count(ApiKey.INIT_PRODUCER_ID)
    assert not cluster.partitions[ORDERS].next_sequences


async def test_a_producer_id_is_asked_for_until_it_is_given(cluster: FakeCluster) -> None:
    cluster.next(ApiKey.INIT_PRODUCER_ID, Refuse(ErrorCode.COORDINATOR_LOAD_IN_PROGRESS), Drop(carried_out=False))
    async with AsyncProducer(cluster.bootstrap_servers, retry_backoff_ms=1) as producer:
        assert (await producer.send_and_wait("orders", b"x")).offset == 0


async def test_a_producer_id_that_is_refused_fails_the_records(cluster: FakeCluster) -> None:
    cluster.next(ApiKey.INIT_PRODUCER_ID, Refuse(ErrorCode.CLUSTER_AUTHORIZATION_FAILED))
    async with AsyncProducer(cluster.bootstrap_servers) as producer:
        with pytest.raises(KafkaError) as raised:
            await producer.send_and_wait("orders", b"x")
    assert raised.value.code is ErrorCode.CLUSTER_AUTHORIZATION_FAILED


async def test_leaving_says_what_was_not_delivered(cluster: FakeCluster) -> None:
    cluster.create("orders")
    cluster.next(ApiKey.PRODUCE, Refuse(ErrorCode.INVALID_RECORD))
    with pytest.raises(NotDelivered, match=r"3 records were not stored \(3 for orders\[0\]: INVALID_RECORD\)"):
        async with AsyncProducer(cluster.bootstrap_servers) as producer:
            await send_all(producer, 3)


async def test_leaving_is_silent_about_what_somebody_heard_of(cluster: FakeCluster) -> None:
    cluster.create("orders")
    cluster.next(ApiKey.PRODUCE, Refuse(ErrorCode.INVALID_RECORD))
    async with AsyncProducer(cluster.bootstrap_servers) as producer:
        deliveries = await send_all(producer, 3)
        await asyncio.gather(*deliveries, return_exceptions=True)


async def test_leaving_because_of_another_error_does_not_hide_it(cluster: FakeCluster) -> None:
    cluster.create("orders")
    cluster.next(ApiKey.PRODUCE, Refuse(ErrorCode.INVALID_RECORD))
    with pytest.raises(ZeroDivisionError):
        async with AsyncProducer(cluster.bootstrap_servers) as producer:
            await send_all(producer, 3)
            raise ZeroDivisionError


async def test_closing_in_a_hurry_gives_up_what_is_left(cluster: FakeCluster) -> None:
    never = asyncio.Event()
    cluster.next(ApiKey.PRODUCE, Hold(never))
    producer = AsyncProducer(cluster.bootstrap_servers)
    delivery = await producer.send("orders", b"x")
    with pytest.raises(NotDelivered, match="1 records"):
        await producer.close(timeout_ms=20)
    with pytest.raises(ClientClosed):
        await delivery


async def test_closing_ends_the_wait_for_memory(cluster: FakeCluster) -> None:
    release = asyncio.Event()
    cluster.next(ApiKey.PRODUCE, Hold(release))
    producer = AsyncProducer(cluster.bootstrap_servers, buffer_memory=2_000)
    first = await producer.send("orders", bytes(1_500))
    waiting = asyncio.create_task(producer.send("orders", bytes(1_500)))
    await cluster.arrived[ApiKey.PRODUCE].wait()
    closing = asyncio.create_task(producer.close())
    await asyncio.sleep(0)
    release.set()
    await closing
    assert (await first).offset == 0
    with pytest.raises(ClientClosed):
        await waiting


async def test_a_closed_producer_sends_nothing(cluster: FakeCluster) -> None:
    producer = AsyncProducer(cluster.bootstrap_servers)
    await producer.send_and_wait("orders", b"x")
    await producer.close()
    await producer.close()
    with pytest.raises(ClientClosed):
        await producer.send("orders", b"x")
    with pytest.raises(ClientClosed):
        await producer.start()


async def test_a_producer_that_was_never_used_closes(cluster: FakeCluster) -> None:
    await AsyncProducer(cluster.bootstrap_servers).close()


async def test_an_old_broker_is_spoken_to_in_its_own_versions(cluster: FakeCluster) -> None:
    cluster.versions |= {
        ApiKey.PRODUCE: (3, 3),
        ApiKey.METADATA: (0, 4),
        ApiKey.INIT_PRODUCER_ID: (0, 0),
        ApiKey.API_VERSIONS: (0, 1),
    }
    async with AsyncProducer(cluster.bootstrap_servers) as producer:
        assert (await producer.send_and_wait("orders", b"x")).offset == 0
