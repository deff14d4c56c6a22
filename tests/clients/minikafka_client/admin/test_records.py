from __future__ import annotations

import pytest

from minikafka.errors import ErrorCode, KafkaError, UnknownTopicOrPartition, UnsupportedVersion
from minikafka.protocol.api_keys import ApiKey
from minikafka.types import TopicPartition
from minikafka_client import AsyncAdmin, AsyncConsumer, AsyncProducer, NewTopic, OffsetSpec
from tests.clients.support.fake_cluster import FakeCluster


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


async def test_records_of_a_partition_that_is_not_there_are_not_deleted(admin: AsyncAdmin) -> None:
    await admin.create_topics([NewTopic("orders", num_partitions=1)])
    for where in (TopicPartition("orders", 1), TopicPartition("orders", -1)):
        with pytest.raises(UnknownTopicOrPartition, match=str(where)):
            await admin.delete_records({where: 0})


async def test_offsets_are_looked_up_by_place_and_by_time(admin: AsyncAdmin, bootstrap: str) -> None:
    where = TopicPartition("orders", 0)
    async with AsyncProducer(bootstrap) as producer:
        for time_ms in (1_000, 3_000, 2_000):
            await producer.send_and_wait("orders", b"x", partition=0, timestamp_ms=time_ms)
    expected = {
        OffsetSpec.EARLIEST: (-1, 0),
        OffsetSpec.LATEST: (-1, 3),
        OffsetSpec.MAX_TIMESTAMP: (3_000, 1),
        1_000: (1_000, 0),
        1_001: (3_000, 1),
        3_001: (-1, -1),
    }
    for spec, (timestamp_ms, offset) in expected.items():
        found = (await admin.list_offsets({where: spec}))[where]
        assert (found.timestamp_ms, found.offset) == (timestamp_ms, offset)


async def test_the_youngest_record_is_not_asked_of_brokers_that_do_not_know_it(cluster: FakeCluster) -> None:
    cluster.create("orders")
    where = TopicPartition("orders", 0)
    cluster.versions[ApiKey.LIST_OFFSETS] = (1, 6)
    async with AsyncAdmin(cluster.bootstrap_servers) as admin:
        with pytest.raises(UnsupportedVersion):
            await admin.list_offsets({where: OffsetSpec.MAX_TIMESTAMP})
        assert (await admin.list_offsets({where: OffsetSpec.LATEST}))[where].offset == 0
