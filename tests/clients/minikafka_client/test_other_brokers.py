"""The client is a Kafka client: the same works against minikafka, tansu, and Apache Kafka where KAFKA_HOME has it."""

from __future__ import annotations

import asyncio
import doctest
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from minikafka.types import TopicPartition
from minikafka_client import (
    Admin,
    AsyncAdmin,
    AsyncConsumer,
    AsyncProducer,
    Consumer,
    Delivery,
    GroupMetadata,
    GroupState,
    Header,
    NewTopic,
    OffsetAndMetadata,
    OffsetSpec,
    Producer,
    ProducerFenced,
)
from tests.clients.support.other_brokers import KAFKA_HOME, running_kafka, running_tansu
from tests.clients.support.reading import (
    FIRST,
    PARTITIONS,
    QUICK,
    numbers,
    reading,
    send,
    until_all,
    until_shared,
)
from tests.support.broker import running_broker

pytestmark = pytest.mark.interop


@pytest.fixture(
    params=[
        "minikafka",
        "tansu",
        pytest.param("kafka", marks=pytest.mark.skipif(KAFKA_HOME is None, reason="KAFKA_HOME is not set")),
    ]
)
async def bootstrap(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    """One broker after the other."""
    match request.param:
        case "tansu":
            serving = running_tansu()
        case "kafka":
            serving = running_kafka(tmp_path)
        case _:
            serving = running_minikafka(tmp_path)
    async with serving as address:
        yield address


@asynccontextmanager
async def running_minikafka(directory: Path) -> AsyncIterator[str]:
    async with running_broker(directory) as broker:
        yield broker.bootstrap


@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
async def test_what_is_sent_is_read(bootstrap: str, codec: Any) -> None:
    async with AsyncAdmin(bootstrap) as admin:
        await admin.create_topics([NewTopic("orders", num_partitions=3, replication_factor=1)])
    async with AsyncProducer(bootstrap, compression=codec) as producer:
        deliveries = [await producer.send("orders", f"value {n}", key=f"key {n % 7}") for n in range(1_000)]
        stored = [await delivery for delivery in deliveries]
    async with AsyncConsumer(bootstrap, topics=["orders"], auto_offset_reset="earliest") as consumer:
        read = [await asyncio.wait_for(anext(consumer), 10) for _ in range(1_000)]
    assert {(m.partition, m.offset) for m in read} == {(metadata.partition, metadata.offset) for metadata in stored}
    for key in range(7):
        mine = [m.value for m in read if m.key == b"key %d" % key]
        assert mine == [b"value %d" % number for number in range(1_000) if number % 7 == key]


async def test_positions_can_be_sought(bootstrap: str) -> None:
    where = TopicPartition("orders", 0)
    async with AsyncAdmin(bootstrap) as admin:
        await admin.create_topics([NewTopic("orders", num_partitions=1, replication_factor=1)])
    async with AsyncProducer(bootstrap) as producer:
        for number in range(100):
            await producer.send("orders", b"%d" % number)
    async with AsyncConsumer(bootstrap) as consumer:
        consumer.assign([where])
        for offset in (50, 99, 0):
            consumer.seek(where, offset)
            assert (await asyncio.wait_for(anext(consumer), 10)).value == b"%d" % offset
        consumer.seek_to_beginning()
        assert (await asyncio.wait_for(anext(consumer), 10)).value == b"0"


async def test_offsets_count_with_their_transaction_and_who_is_replaced_is_fenced(bootstrap: str) -> None:
    where, options = TopicPartition("orders", 0), {"transactional_id": "mine", "retry_backoff_ms": 5}
    async with AsyncAdmin(bootstrap) as admin:
        await admin.create_topics([NewTopic("orders", num_partitions=1, replication_factor=1)])
        async with AsyncProducer(bootstrap, **options) as producer:
            async with producer.transaction():
                await producer.send("orders", b"committed", partition=0)
                await producer.send_offsets_to_transaction({where: 5}, GroupMetadata("billing"))
            with pytest.raises(ZeroDivisionError):
                async with producer.transaction():
                    await producer.send_and_wait("orders", b"aborted", partition=0)
                    await producer.send_offsets_to_transaction({where: 6}, GroupMetadata("billing"))
                    raise ZeroDivisionError
            async with AsyncProducer(bootstrap, **options) as successor, successor.transaction():
                await successor.send("orders", b"of the successor", partition=0)
            with pytest.raises(ProducerFenced):
                async with producer.transaction():
                    await producer.send("orders", b"of the one before", partition=0)
        assert await admin.list_group_offsets("billing") == {where: OffsetAndMetadata(5)}


async def test_groups_are_looked_after(bootstrap: str) -> None:
    where = TopicPartition("orders", 0)
    async with AsyncAdmin(bootstrap) as admin:
        await admin.create_topics([NewTopic("orders", num_partitions=1, replication_factor=1)])
        async with AsyncProducer(bootstrap) as producer:
            for number in range(5):
                await producer.send_and_wait("orders", b"%d" % number)
        assert (await admin.list_offsets({where: OffsetSpec.LATEST}))[where].offset == 5
        await admin.alter_group_offsets("billing", {where: 3})
        assert (await admin.list_group_offsets("billing"))[where].offset == 3
        assert [group.group_id for group in await admin.list_groups()] == ["billing"]
        described = (await admin.describe_groups(["billing"]))["billing"]
        assert (described.state, described.members) == (GroupState.EMPTY, ())
        await admin.delete_groups(["billing"])
        assert await admin.list_groups() == []


async def test_offsets_can_be_remembered_without_being_a_member(bootstrap: str) -> None:
    async with AsyncAdmin(bootstrap) as admin:
        await admin.create_topics([NewTopic("orders", num_partitions=1, replication_factor=1)])
    async with AsyncProducer(bootstrap) as producer:
        for number in range(10):
            await producer.send("orders", b"%d" % number, headers={"number": b"%d" % number}, timestamp_ms=number)
    for start in (0, 4, 8):
        async with AsyncConsumer(bootstrap, group_id="billing", auto_offset_reset="earliest") as consumer:
            consumer.assign([FIRST])
            for number in range(start, min(10, start + 4)):
                message = await asyncio.wait_for(anext(consumer), 10)
                assert (message.offset, message.timestamp_ms) == (number, number)
                assert message.headers == (Header("number", b"%d" % number),)
    async with AsyncConsumer(bootstrap, group_id="billing") as consumer:
        assert await consumer.committed([FIRST]) == {FIRST: OffsetAndMetadata(10)}


@pytest.mark.slow  # tansu takes 5 s for each rebalance
@pytest.mark.parametrize("strategy", ["range", "roundrobin", "sticky"])
async def test_members_share_a_group_and_go_on_where_others_stopped(bootstrap: str, strategy: str) -> None:
    async with AsyncAdmin(bootstrap) as admin:
        await admin.create_topics([NewTopic("orders", num_partitions=PARTITIONS, replication_factor=1)])
    await send(bootstrap, numbers(40))
    options: Any = {**QUICK, "heartbeat_interval_ms": 100, "session_timeout_ms": 10_000}

    def member() -> AsyncConsumer:
        return AsyncConsumer(bootstrap, group_id="billing", partition_assignment_strategy=[strategy], **options)

    async with reading(member()) as one:
        await one.until(lambda: len(one.values) == 40)
        async with reading(member()) as two:
            await until_shared([one, two], PARTITIONS)
            await send(bootstrap, [b"more"] * 40)
            await until_all(one, two, are=lambda: len(one.values) + len(two.values) >= 80)
            assert two.values
            assert set(two.values) == {b"more"}, "and nothing that was committed before"


async def test_the_examples_in_the_docstrings_do_what_they_show(tmp_path: Path) -> None:
    async with running_broker(tmp_path) as broker:
        await asyncio.to_thread(_example(Admin, "prepare"), broker.bootstrap)
        assert await _example(AsyncProducer, "brew")(broker.bootstrap) == 0
        assert await asyncio.to_thread(_example(Producer, "brew"), broker.bootstrap) == 1
        assert await _example(AsyncConsumer, "first_ten")(broker.bootstrap) == [b"one coffee"] * 2
        assert await asyncio.to_thread(_example(Consumer, "first_order"), broker.bootstrap) == b"one coffee"
        async with AsyncAdmin(broker.bootstrap) as admin:
            await admin.delete_topics(["orders"])
        assert await _example(AsyncAdmin, "prepare")(broker.bootstrap) == 3
        async with AsyncProducer(broker.bootstrap) as producer:
            assert await _example(Delivery, "offset_of")(await producer.send("orders", b"x")) == 0


def _example(documented: type, name: str) -> Any:
    """The function that an example in a docstring defines."""
    module = __import__(documented.__module__, fromlist=["*"])
    names = dict(vars(module))
    for example in doctest.DocTestParser().get_examples(documented.__doc__ or ""):
        exec(example.source, names)
    return names[name]
