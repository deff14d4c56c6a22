"""aiokafka."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError

from tests.interop.clients.client import AS_USUAL, NewRecord, Record, Refused, Sending, Start

T = TypeVar("T")

_RECORDS_PER_POLL = 10_000
_TIMEOUT_S = 20.0


class Aiokafka:
    """Implements all four protocols."""

    name = "aiokafka"

    def send(self, bootstrap: str, topic: str, records: Iterable[NewRecord], how: Sending = AS_USUAL) -> None:
        async def send() -> None:
            producer = AIOKafkaProducer(
                bootstrap_servers=bootstrap,
                acks=how.acks if how.acks >= 0 else "all",
                enable_idempotence=how.is_idempotent,
                compression_type=None if how.codec == "none" else how.codec,
                max_request_size=how.max_request_bytes,
                request_timeout_ms=int(how.timeout_s * 1_000),
            )
            async with producer:
                deliveries = [
                    await producer.send(
                        topic,
                        record.value,
                        record.key,
                        partition=record.partition,
                        timestamp_ms=record.timestamp_ms,
                        headers=list(record.headers),
                    )
                    for record in records
                ]
                await asyncio.gather(*deliveries)

        _run(send())

    def read(self, bootstrap: str, topic: str, start: Start, take: Callable[[Record], object]) -> None:
        async def read() -> None:
            async with _consumer(bootstrap, topic, start.partition) as consumer:
                ends = await consumer.end_offsets(consumer.assignment())
                await _seek(consumer, start)
                while any([await consumer.position(where) < end for where, end in ends.items()]):
                    for messages in (await consumer.getmany(timeout_ms=1_000, max_records=_RECORDS_PER_POLL)).values():
                        for message in messages:
                            take(_record(message))

        _run(read())

    def follow(self, bootstrap: str, topic: str, count: int, wait_ms: int, take: Callable[[Record], object]) -> None:
        async def follow() -> None:
            async with _consumer(bootstrap, topic, 0, wait_ms) as consumer:
                await consumer.seek_to_beginning()
                for _ in range(count):
                    take(_record(await consumer.getone()))

        _run(follow())

    def offsets_at(self, bootstrap: str, topic: str, timestamp_ms: int) -> dict[int, int | None]:
        async def look_up() -> dict[int, int | None]:
            async with _consumer(bootstrap, topic) as consumer:
                found = await consumer.offsets_for_times(dict.fromkeys(consumer.assignment(), timestamp_ms))
                return {where.partition: None if there is None else there.offset for where, there in found.items()}

        return _run(look_up())

    def create_topic(self, bootstrap: str, topic: str, partitions: int, configs: Mapping[str, str]) -> None:
        async def create(admin: AIOKafkaAdminClient) -> None:
            new = NewTopic(topic, num_partitions=partitions, replication_factor=1, topic_configs=dict(configs))
            (outcome,) = (await admin.create_topics([new])).topic_errors
            _check(outcome[1], outcome[2])

        _administer(bootstrap, create)

    def delete_topic(self, bootstrap: str, topic: str) -> None:
        async def delete(admin: AIOKafkaAdminClient) -> None:
            (outcome,) = (await admin.delete_topics([topic])).topic_error_codes
            _check(outcome[1])

        _administer(bootstrap, delete)

    def topics(self, bootstrap: str) -> set[str]:
        async def list_them(admin: AIOKafkaAdminClient) -> set[str]:
            return set(await admin.list_topics())

        return _administer(bootstrap, list_them)

    def partition_count(self, bootstrap: str, topic: str) -> int:
        async def describe(admin: AIOKafkaAdminClient) -> int:
            (described,) = await admin.describe_topics([topic])
            _check(described["error_code"])
            return len(described["partitions"])

        return _administer(bootstrap, describe)

    def add_partitions(self, bootstrap: str, topic: str, total: int) -> None:
        async def add(admin: AIOKafkaAdminClient) -> None:
            await admin.create_partitions({topic: NewPartitions(total)})

        _administer(bootstrap, add)

    def topic_configs(self, bootstrap: str, topic: str) -> dict[str, str | None]:
        async def describe(admin: AIOKafkaAdminClient) -> dict[str, str | None]:
            (response,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
            (described,) = response.resources
            _check(described[0], described[1])
            return {entry[0]: entry[1] for entry in described[4]}

        return _administer(bootstrap, describe)

    def set_topic_config(self, bootstrap: str, topic: str, key: str, value: str) -> None:
        async def alter(admin: AIOKafkaAdminClient) -> None:
            resource = ConfigResource(ConfigResourceType.TOPIC, topic, configs={key: value})
            (response,) = await admin.alter_configs([resource])
            ((code, message, *_),) = response.resources
            _check(code, message)

        _administer(bootstrap, alter)

    def delete_records(self, bootstrap: str, topic: str, partition: int, before_offset: int) -> int:
        async def delete(admin: AIOKafkaAdminClient) -> int:
            left = await admin.delete_records({TopicPartition(topic, partition): RecordsToDelete(before_offset)})
            return left[TopicPartition(topic, partition)]

        return _administer(bootstrap, delete)

    def nodes(self, bootstrap: str) -> set[str]:
        async def describe(admin: AIOKafkaAdminClient) -> set[str]:
            return {f"{node['host']}:{node['port']}" for node in (await admin.describe_cluster())["brokers"]}

        return _administer(bootstrap, describe)


def _run(work: Coroutine[Any, Any, T]) -> T:
    async def bounded() -> T:
        async with asyncio.timeout(3 * _TIMEOUT_S):
            return await work

    try:
        return asyncio.run(bounded())
    except KafkaError as error:
        raise Refused(error.errno if error.errno >= 0 else None, repr(error)) from error


def _administer(bootstrap: str, work: Callable[[AIOKafkaAdminClient], Coroutine[Any, Any, T]]) -> T:
    async def administer() -> T:
        admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
        await admin.start()
        try:
            return await work(admin)
        finally:
            await admin.close()

    return _run(administer())


@asynccontextmanager
async def _consumer(
    bootstrap: str, topic: str, only_partition: int | None = None, max_wait_ms: int = 500
) -> AsyncIterator[AIOKafkaConsumer]:
    topics = [topic] if only_partition is None else []  # without a group, it gets all partitions of its topics
    consumer = AIOKafkaConsumer(
        *topics,
        bootstrap_servers=bootstrap,
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="none",
        fetch_max_wait_ms=max_wait_ms,
    )
    await consumer.start()
    try:
        if only_partition is not None:
            consumer.assign([TopicPartition(topic, only_partition)])
        yield consumer
    finally:
        await consumer.stop()


async def _seek(consumer: AIOKafkaConsumer, start: Start) -> None:
    if start.timestamp_ms is not None:
        found = await consumer.offsets_for_times(dict.fromkeys(consumer.assignment(), start.timestamp_ms))
        for where, there in found.items():
            if there is None:
                await consumer.seek_to_end(where)
            else:
                consumer.seek(where, there.offset)
    elif start.offset is not None:
        for where in consumer.assignment():
            consumer.seek(where, start.offset)
    else:
        await consumer.seek_to_beginning()


def _record(message: ConsumerRecord[bytes, bytes]) -> Record:
    return Record(
        message.partition, message.offset, message.timestamp, message.key, message.value, tuple(message.headers)
    )


def _check(code: int, message: str | None = None) -> None:
    if code:
        raise Refused(code, message)
