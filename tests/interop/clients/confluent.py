"""confluent-kafka, the Python face of librdkafka."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, TypeVar

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
)

from tests.interop.clients.client import AS_USUAL, NewRecord, Record, Refused, Sending, Start

T = TypeVar("T")

_TIMEOUT_S = 20.0
_RECORDS_PER_POLL = 10_000
_POLL_S = 0.1  # it waits so long for the last of them


class Confluent:
    """Implements all four protocols."""

    name = "confluent-kafka"

    def send(self, bootstrap: str, topic: str, records: Iterable[NewRecord], how: Sending = AS_USUAL) -> None:
        timeout_ms = int(how.timeout_s * 1_000)
        producer = Producer(
            {
                **_common(bootstrap),
                "acks": how.acks,
                "enable.idempotence": how.is_idempotent,
                "compression.type": how.codec,
                "message.max.bytes": how.max_request_bytes,
                "message.timeout.ms": 2 * timeout_ms,
                "topic.metadata.propagation.max.ms": timeout_ms,
            }
        )
        errors: list[KafkaError] = []

        def delivered(error: KafkaError | None, _message: Message) -> None:
            if error is not None:
                errors.append(error)

        for record in records:
            producer.produce(
                topic,
                record.value,
                record.key,
                **({} if record.partition is None else {"partition": record.partition}),
                **({} if record.timestamp_ms is None else {"timestamp": record.timestamp_ms}),
                headers=list(record.headers),
                on_delivery=delivered,
            )
        left = producer.flush(how.timeout_s + _TIMEOUT_S)
        if errors:
            raise _refused(errors[0])
        assert left == 0

    def read(self, bootstrap: str, topic: str, start: Start, take: Callable[[Record], object]) -> None:
        with _consumer(bootstrap) as consumer:
            places = _places(consumer, topic, start)
            consumer.assign(places)
            reading = len(places)
            deadline = time.monotonic() + 3 * _TIMEOUT_S
            while reading:
                assert time.monotonic() < deadline
                for message in consumer.consume(_RECORDS_PER_POLL, timeout=_POLL_S):
                    error = message.error()
                    if error is None:
                        take(_record(message))
                    elif error.code() == KafkaError._PARTITION_EOF:
                        reading -= 1
                    else:
                        raise _refused(error)

    def follow(self, bootstrap: str, topic: str, count: int, wait_ms: int, take: Callable[[Record], object]) -> None:
        with _consumer(bootstrap, {"fetch.wait.max.ms": wait_ms, "enable.partition.eof": False}) as consumer:
            consumer.assign([TopicPartition(topic, 0, 0)])
            for _ in range(count):
                message = consumer.poll(_TIMEOUT_S)
                assert message is not None
                assert message.error() is None
                take(_record(message))

    def offsets_at(self, bootstrap: str, topic: str, timestamp_ms: int) -> dict[int, int | None]:
        with _consumer(bootstrap) as consumer:
            found = _offsets_at(consumer, topic, _partitions(consumer, topic), timestamp_ms)
        return {place.partition: place.offset if place.offset >= 0 else None for place in found}

    def create_topic(self, bootstrap: str, topic: str, partitions: int, configs: Mapping[str, str]) -> None:
        new = NewTopic(topic, num_partitions=partitions, config=dict(configs))
        _ask(bootstrap, lambda admin: admin.create_topics([new]))

    def delete_topic(self, bootstrap: str, topic: str) -> None:
        _ask(bootstrap, lambda admin: admin.delete_topics([topic]))

    def topics(self, bootstrap: str) -> set[str]:
        return set(_admin(bootstrap).list_topics(timeout=_TIMEOUT_S).topics)

    def partition_count(self, bootstrap: str, topic: str) -> int:
        found = _admin(bootstrap).list_topics(topic, timeout=_TIMEOUT_S).topics[topic]
        if found.error is not None:
            raise _refused(found.error)
        return len(found.partitions)

    def add_partitions(self, bootstrap: str, topic: str, total: int) -> None:
        _ask(bootstrap, lambda admin: admin.create_partitions([NewPartitions(topic, total)]))

    def topic_configs(self, bootstrap: str, topic: str) -> dict[str, str | None]:
        entries = _ask(
            bootstrap, lambda admin: admin.describe_configs([ConfigResource(ConfigResource.Type.TOPIC, topic)])
        )
        return {name: entry.value for name, entry in entries.items()}

    def set_topic_config(self, bootstrap: str, topic: str, key: str, value: str) -> None:
        change = ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET)
        resource = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=[change])
        _ask(bootstrap, lambda admin: admin.incremental_alter_configs([resource]))

    def delete_records(self, bootstrap: str, topic: str, partition: int, before_offset: int) -> int:
        where = TopicPartition(topic, partition, before_offset)
        return int(_ask(bootstrap, lambda admin: admin.delete_records([where])).low_watermark)

    def nodes(self, bootstrap: str) -> set[str]:
        cluster = _ask(bootstrap, lambda admin: {None: admin.describe_cluster()})
        return {f"{node.host}:{node.port}" for node in cluster.nodes}


def _common(bootstrap: str) -> dict[str, Any]:
    return {"bootstrap.servers": bootstrap, "broker.address.family": "v4"}


def _admin(bootstrap: str) -> AdminClient:
    return AdminClient(_common(bootstrap))


@contextmanager
def _consumer(bootstrap: str, options: Mapping[str, object] | None = None) -> Iterator[Consumer]:
    consumer = Consumer(
        {
            **_common(bootstrap),
            "group.id": "of no importance",  # it does not start without
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "error",
            "fetch.wait.max.ms": 20,  # the end shows in an answer without records
            **(options or {}),
        }
    )
    try:
        yield consumer
    except KafkaException as error:
        raise _refused(error.args[0]) from error
    finally:
        consumer.close()


def _places(consumer: Consumer, topic: str, start: Start) -> list[TopicPartition]:
    wanted = _partitions(consumer, topic) if start.partition is None else [start.partition]
    if start.timestamp_ms is not None:
        return _offsets_at(consumer, topic, wanted, start.timestamp_ms)
    offset = OFFSET_BEGINNING if start.offset is None else start.offset
    return [TopicPartition(topic, partition, offset) for partition in wanted]


def _offsets_at(consumer: Consumer, topic: str, wanted: list[int], timestamp_ms: int) -> list[TopicPartition]:
    asked = [TopicPartition(topic, partition, timestamp_ms) for partition in wanted]
    return consumer.offsets_for_times(asked, timeout=_TIMEOUT_S)


def _partitions(consumer: Consumer, topic: str) -> list[int]:
    found = consumer.list_topics(topic, timeout=_TIMEOUT_S).topics[topic]
    if found.error is not None:
        raise _refused(found.error)
    return sorted(found.partitions)


def _record(message: Message) -> Record:
    headers = message.headers()
    return Record(
        message.partition(),
        message.offset(),
        message.timestamp()[1],
        message.key(),
        message.value(),
        () if headers is None else tuple(headers),
    )


def _ask(bootstrap: str, question: Callable[[AdminClient], Mapping[Any, Future[T]]]) -> T:
    admin = _admin(bootstrap)  # its answers are lost with it
    (future,) = question(admin).values()
    try:
        return future.result(_TIMEOUT_S)
    except KafkaException as error:
        raise _refused(error.args[0]) from error


def _refused(error: KafkaError) -> Refused:
    """Below zero are librdkafka's own codes."""
    return Refused(error.code() if error.code() > 0 else None, error.str())
