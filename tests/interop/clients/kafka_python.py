"""kafka-python 3."""

from __future__ import annotations

import re
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager

from tests.interop.clients.client import AS_USUAL, NewRecord, Record, Refused, Sending, Start

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # it reads its schemas with importlib.resources.read_text
    from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
    from kafka.admin import ConfigFilterType, ConfigResource, ConfigResourceType
    from kafka.consumer.fetcher import ConsumerRecord
    from kafka.errors import KafkaError

_RECORDS_PER_POLL = 10_000
_TIMEOUT_S = 20.0


class KafkaPython:
    """Implements all four protocols."""

    name = "kafka-python"

    def send(self, bootstrap: str, topic: str, records: Iterable[NewRecord], how: Sending = AS_USUAL) -> None:
        with _refusing():
            producer = KafkaProducer(
                bootstrap_servers=bootstrap,
                acks=how.acks if how.acks >= 0 else "all",
                enable_idempotence=how.is_idempotent,
                compression_type=None if how.codec == "none" else how.codec,
                max_request_size=how.max_request_bytes,
                max_block_ms=int(how.timeout_s * 1_000),
            )
            try:
                deliveries = [
                    producer.send(
                        topic,
                        record.value,
                        record.key,
                        partition=record.partition,
                        timestamp_ms=record.timestamp_ms,
                        headers=list(record.headers),
                    )
                    for record in records
                ]
                for delivery in deliveries:
                    delivery.get(_TIMEOUT_S)
            finally:
                producer.close()

    def read(self, bootstrap: str, topic: str, start: Start, take: Callable[[Record], object]) -> None:
        with _consumer(bootstrap, topic, start.partition) as consumer:
            ends = consumer.end_offsets(consumer.assignment())
            _seek(consumer, start)
            deadline = time.monotonic() + 3 * _TIMEOUT_S
            while any(consumer.position(where) < end for where, end in ends.items()):
                assert time.monotonic() < deadline
                for messages in consumer.poll(1_000, max_records=_RECORDS_PER_POLL).values():
                    for message in messages:
                        take(_record(message))

    def follow(self, bootstrap: str, topic: str, count: int, wait_ms: int, take: Callable[[Record], object]) -> None:
        with _consumer(bootstrap, topic, 0, wait_ms) as consumer:
            consumer.seek_to_beginning()
            for _ in range(count):
                take(_record(next(consumer)))

    def offsets_at(self, bootstrap: str, topic: str, timestamp_ms: int) -> dict[int, int | None]:
        with _consumer(bootstrap, topic) as consumer:
            found = consumer.offsets_for_times(dict.fromkeys(consumer.assignment(), timestamp_ms))
            return {where.partition: None if there is None else there.offset for where, there in found.items()}

    def create_topic(self, bootstrap: str, topic: str, partitions: int, configs: Mapping[str, str]) -> None:
        with administering(bootstrap) as admin:
            admin.create_topics({topic: {"num_partitions": partitions, "configs": dict(configs)}})

    def delete_topic(self, bootstrap: str, topic: str) -> None:
        with administering(bootstrap) as admin:
            admin.delete_topics([topic])

    def topics(self, bootstrap: str) -> set[str]:
        with administering(bootstrap) as admin:
            return set(admin.list_topics())

    def partition_count(self, bootstrap: str, topic: str) -> int:
        with administering(bootstrap) as admin:
            (described,) = admin.describe_topics([topic])
            if described["error_code"]:
                raise Refused(described["error_code"], described)
            return len(described["partitions"])

    def add_partitions(self, bootstrap: str, topic: str, total: int) -> None:
        with administering(bootstrap) as admin:
            admin.create_partitions({topic: total})

    def topic_configs(self, bootstrap: str, topic: str) -> dict[str, str | None]:
        return _configs(bootstrap, ConfigResourceType.TOPIC, topic)

    def broker_configs(self, bootstrap: str, node_id: int) -> dict[str, str | None]:
        """Every setting of a broker."""
        return _configs(bootstrap, ConfigResourceType.BROKER, str(node_id))

    def set_topic_config(self, bootstrap: str, topic: str, key: str, value: str) -> None:
        with administering(bootstrap) as admin:
            resource = ConfigResource(ConfigResourceType.TOPIC, topic, configs={key: value})
            outcome = admin.alter_configs([resource], raise_on_unknown=False)["topic"][topic]
        if outcome != "OK":
            code = re.match(r"\[Error (\d+)\]", outcome)
            raise Refused(int(code[1]) if code else None, outcome)

    def delete_records(self, bootstrap: str, topic: str, partition: int, before_offset: int) -> int:
        with administering(bootstrap) as admin:
            where = TopicPartition(topic, partition)
            return int(admin.delete_records({where: before_offset})[where]["low_watermark"])

    def nodes(self, bootstrap: str) -> set[str]:
        with administering(bootstrap) as admin:
            return {f"{node['host']}:{node['port']}" for node in admin.describe_cluster()["brokers"]}


@contextmanager
def _refusing() -> Iterator[None]:
    try:
        yield
    except KafkaError as error:
        code = getattr(error, "errno", -1)
        raise Refused(code if code >= 0 else None, repr(error)) from error


@contextmanager
def administering(bootstrap: str) -> Iterator[KafkaAdminClient]:
    """An admin client, for what only kafka-python can ask; its errors become :class:`Refused`."""
    with _refusing():
        admin = KafkaAdminClient(bootstrap_servers=bootstrap)
        try:
            yield admin
        finally:
            admin.close()


def _configs(bootstrap: str, kind: ConfigResourceType, name: str) -> dict[str, str | None]:
    with administering(bootstrap) as admin:
        described = admin.describe_configs([ConfigResource(kind, name)], config_filter=ConfigFilterType.ALL)
        entries = described[kind.name.lower()][name]
        return {key: entry["value"] for key, entry in entries.items()}


@contextmanager
def _consumer(
    bootstrap: str, topic: str, only_partition: int | None = None, max_wait_ms: int = 500
) -> Iterator[KafkaConsumer]:
    with _refusing():
        consumer = KafkaConsumer(
            bootstrap_servers=bootstrap,
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="none",
            fetch_max_wait_ms=max_wait_ms,
            request_timeout_ms=2 * max_wait_ms + 30_000,
        )
        try:
            wanted = consumer.partitions_for_topic(topic) if only_partition is None else {only_partition}
            consumer.assign([TopicPartition(topic, partition) for partition in sorted(wanted)])
            yield consumer
        finally:
            consumer.close()


def _seek(consumer: KafkaConsumer, start: Start) -> None:
    if start.timestamp_ms is not None:
        found = consumer.offsets_for_times(dict.fromkeys(consumer.assignment(), start.timestamp_ms))
        for where, there in found.items():
            if there is None:
                consumer.seek_to_end(where)
            else:
                consumer.seek(where, there.offset)
    elif start.offset is not None:
        for where in consumer.assignment():
            consumer.seek(where, start.offset)
    else:
        consumer.seek_to_beginning()


def _record(message: ConsumerRecord) -> Record:
    return Record(
        message.partition, message.offset, message.timestamp, message.key, message.value, tuple(message.headers)
    )
