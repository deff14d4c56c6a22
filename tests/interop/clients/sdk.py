"""minikafka's own client, by its plain faces."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import cast

from minikafka.errors import KafkaError
from minikafka_client import (
    Admin,
    AlterConfig,
    ConfigResource,
    Consumer,
    Message,
    NewTopic,
    Producer,
    TopicPartition,
)
from minikafka_client.producer.options import Acks, CompressionName
from tests.interop.clients.client import AS_USUAL, NewRecord, Record, Refused, Sending, Start

_RECORDS_PER_POLL = 10_000
_TIMEOUT_MS = 20_000


class Sdk:
    """Implements all four protocols."""

    name = "minikafka"

    def send(self, bootstrap: str, topic: str, records: Iterable[NewRecord], how: Sending = AS_USUAL) -> None:
        with (
            _refusing(),
            Producer(
                bootstrap,
                acks=cast("Acks", how.acks) if how.acks >= 0 else "all",
                enable_idempotence=how.is_idempotent,
                compression=cast("CompressionName", how.codec),
                max_request_size=how.max_request_bytes,
                max_block_ms=int(how.timeout_s * 1_000),
            ) as producer,
        ):
            deliveries = [
                producer.send(
                    topic,
                    record.value,
                    record.key,
                    partition=record.partition,
                    timestamp_ms=record.timestamp_ms,
                    headers=record.headers,
                )
                for record in records
            ]
            for delivery in deliveries:
                delivery.result()

    def read(self, bootstrap: str, topic: str, start: Start, take: Callable[[Record], object]) -> None:
        with _refusing(), Consumer(bootstrap, auto_offset_reset="none", allow_auto_create_topics=False) as consumer:
            partitions = [
                where for where in consumer.partitions_for_topic(topic) if start.partition in {None, where.partition}
            ]
            ends = consumer.end_offsets(partitions)
            consumer.assign(partitions)
            _seek(consumer, start)
            while any(consumer.position(where) < end for where, end in ends.items()):
                messages = consumer.poll(_TIMEOUT_MS, _RECORDS_PER_POLL)
                assert messages
                for message in messages:
                    take(_record(message))

    def follow(self, bootstrap: str, topic: str, count: int, wait_ms: int, take: Callable[[Record], object]) -> None:
        with _refusing(), Consumer(bootstrap, fetch_max_wait_ms=wait_ms) as consumer:
            consumer.assign([TopicPartition(topic, 0)])
            consumer.seek_to_beginning()
            for _ in range(count):
                take(_record(next(consumer)))

    def offsets_at(self, bootstrap: str, topic: str, timestamp_ms: int) -> dict[int, int | None]:
        with _refusing(), Consumer(bootstrap) as consumer:
            found = consumer.offsets_for_times(dict.fromkeys(consumer.partitions_for_topic(topic), timestamp_ms))
            return {where.partition: None if there is None else there.offset for where, there in found.items()}

    def create_topic(self, bootstrap: str, topic: str, partitions: int, configs: Mapping[str, str]) -> None:
        with _admin(bootstrap) as admin:
            admin.create_topics([NewTopic(topic, partitions, configs=configs)])

    def delete_topic(self, bootstrap: str, topic: str) -> None:
        with _admin(bootstrap) as admin:
            admin.delete_topics([topic])

    def topics(self, bootstrap: str) -> set[str]:
        with _admin(bootstrap) as admin:
            return {topic.name for topic in admin.list_topics()}

    def partition_count(self, bootstrap: str, topic: str) -> int:
        with _admin(bootstrap) as admin:
            return len(admin.describe_topics([topic])[topic].partitions)

    def add_partitions(self, bootstrap: str, topic: str, total: int) -> None:
        with _admin(bootstrap) as admin:
            admin.create_partitions({topic: total})

    def topic_configs(self, bootstrap: str, topic: str) -> dict[str, str | None]:
        resource = ConfigResource.topic(topic)
        with _admin(bootstrap) as admin:
            return {name: entry.value for name, entry in admin.describe_configs([resource])[resource].items()}

    def set_topic_config(self, bootstrap: str, topic: str, key: str, value: str) -> None:
        with _admin(bootstrap) as admin:
            admin.alter_configs({ConfigResource.topic(topic): [AlterConfig(key, value)]})

    def delete_records(self, bootstrap: str, topic: str, partition: int, before_offset: int) -> int:
        where = TopicPartition(topic, partition)
        with _admin(bootstrap) as admin:
            return admin.delete_records({where: before_offset})[where]

    def nodes(self, bootstrap: str) -> set[str]:
        with _admin(bootstrap) as admin:
            return {f"{broker.host}:{broker.port}" for broker in admin.describe_cluster().brokers}


@contextmanager
def _refusing() -> Iterator[None]:
    try:
        yield
    except KafkaError as error:
        raise Refused(int(error.code), str(error)) from error


@contextmanager
def _admin(bootstrap: str) -> Iterator[Admin]:
    with _refusing(), Admin(bootstrap) as admin:
        yield admin


def _record(message: Message) -> Record:
    headers = tuple((header.key, header.value) for header in message.headers)
    return Record(message.partition, message.offset, message.timestamp_ms, message.key, message.value, headers)


def _seek(consumer: Consumer, start: Start) -> None:
    if start.timestamp_ms is not None:
        consumer.seek_to_time(start.timestamp_ms)
    elif start.offset is not None:
        for where in consumer.assignment:
            consumer.seek(where, start.offset)
    else:
        consumer.seek_to_beginning()
