"""One client library at work: a process of its own that sends or reads records as its users would.

Run as ``python -m benchmarks.client_load``; takes a :class:`ClientSpec` as JSON on standard input and prints the
seconds that it took.  Producers have a callback for each record, which looks at its error; consumers look at each
value.  A count that is wrong ends the process.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Any

TOPIC_PREFIX = "clients"

_VALUES = 1_000
"""Different values, so that no client is helped by seeing one object again and again."""

_WARM_UP_RECORDS = 5_000
_BATCH_BYTES = 256 * 1024
_LINGER_MS = 5
_POLL_RECORDS = 500
_FETCH_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class ClientSpec:
    """What to do with which client."""

    client: str
    """A key of :data:`PRODUCERS` or :data:`CONSUMERS`."""
    work: str
    """``produce`` or ``consume``."""
    bootstrap_servers: str
    topic: str
    partitions: int
    records: int
    record_bytes: int


class Tally:
    """Counts what was delivered."""

    def __init__(self) -> None:
        self.delivered = 0

    def check(self, records: int) -> None:
        """Pass only if that many were delivered.

        Raises:
            SystemExit: They were not.
        """
        if self.delivered != records:
            raise SystemExit(f"{self.delivered:,} of {records:,} records were delivered")


def values(spec: ClientSpec, records: int) -> Iterator[bytes]:
    """So many values of the wanted size."""
    made = [(b"%d " % number).ljust(spec.record_bytes, b"v") for number in range(_VALUES)]
    return islice(cycle(made), records)


# Producers: each sends a few records to warm up, and then takes the time until every callback was called.


def produce_with_sdk(spec: ClientSpec) -> float:
    """The plain face of minikafka's SDK."""
    from minikafka_client import Delivery, Producer

    tally = Tally()

    def delivered(delivery: Delivery) -> None:
        if delivery.exception() is None:
            tally.delivered += 1

    with Producer(spec.bootstrap_servers) as producer:

        def send(records: int) -> None:
            for value in values(spec, records):
                producer.send(spec.topic, value, on_delivery=delivered)
            producer.flush()

        return _timed(send, spec, tally)


def produce_with_async_sdk(spec: ClientSpec) -> float:
    """The asyncio face of minikafka's SDK."""
    from minikafka.net.loop import run
    from minikafka_client import AsyncProducer, Delivery

    tally = Tally()

    def delivered(delivery: Delivery) -> None:
        if delivery.exception() is None:
            tally.delivered += 1

    async def main() -> float:
        async with AsyncProducer(spec.bootstrap_servers) as producer:
            for records in (_WARM_UP_RECORDS, spec.records):
                tally.delivered = 0
                started = time.perf_counter()
                for value in values(spec, records):
                    await producer.send(spec.topic, value, on_delivery=delivered)
                await producer.flush()
                took_s = time.perf_counter() - started
                tally.check(records)
            return took_s

    return run(main())


def produce_with_confluent(spec: ClientSpec) -> float:
    """confluent-kafka, which is librdkafka."""
    from confluent_kafka import Producer

    tally = Tally()

    def delivered(error: object, message: object) -> None:
        if error is None:
            tally.delivered += 1

    producer = Producer(
        {
            "bootstrap.servers": spec.bootstrap_servers,
            "linger.ms": _LINGER_MS,
            "queue.buffering.max.messages": 1_000_000,
        }
    )

    def send(records: int) -> None:
        for value in values(spec, records):
            while True:
                try:
                    producer.produce(spec.topic, value, on_delivery=delivered)
                    break
                except BufferError:
                    producer.poll(0.01)
            producer.poll(0)
        producer.flush()

    return _timed(send, spec, tally)


def produce_with_aiokafka(spec: ClientSpec) -> float:
    """aiokafka, in the same event loop as the SDK has."""
    from aiokafka import AIOKafkaProducer  # type: ignore[import-untyped]

    from minikafka.net.loop import run

    tally = Tally()

    def delivered(future: asyncio.Future[Any]) -> None:
        if future.exception() is None:
            tally.delivered += 1

    async def main() -> float:
        async with AIOKafkaProducer(
            bootstrap_servers=spec.bootstrap_servers, acks="all", linger_ms=_LINGER_MS, max_batch_size=_BATCH_BYTES
        ) as producer:
            for records in (_WARM_UP_RECORDS, spec.records):
                tally.delivered = 0
                started = time.perf_counter()
                for value in values(spec, records):
                    future = await producer.send(spec.topic, value)
                    future.add_done_callback(delivered)
                await producer.flush()
                await asyncio.sleep(0)
                took_s = time.perf_counter() - started
                tally.check(records)
            return took_s

    return run(main())


def produce_with_kafka_python(spec: ClientSpec) -> float:
    """kafka-python."""
    from kafka import KafkaProducer  # type: ignore[import-untyped]

    tally = Tally()

    def delivered(metadata: object) -> None:
        tally.delivered += 1

    producer = KafkaProducer(
        bootstrap_servers=spec.bootstrap_servers, acks="all", linger_ms=_LINGER_MS, batch_size=_BATCH_BYTES
    )

    def send(records: int) -> None:
        for value in values(spec, records):
            producer.send(spec.topic, value).add_callback(delivered)
        producer.flush()

    return _timed(send, spec, tally)


def _timed(send: Callable[[int], None], spec: ClientSpec, tally: Tally) -> float:
    send(_WARM_UP_RECORDS)
    tally.check(_WARM_UP_RECORDS)
    tally.delivered = 0
    started = time.perf_counter()
    send(spec.records)
    took_s = time.perf_counter() - started
    tally.check(spec.records)
    return took_s


# Consumers: each reads the topic from its beginning, and takes the time from the making of the consumer to the last
# message: what it fetched before it handed out the first would otherwise count for nothing.


def consume_with_sdk(spec: ClientSpec) -> float:
    """The plain face of minikafka's SDK, as an iterator."""
    from minikafka_client import Consumer, TopicPartition

    read_bytes = 0
    started = time.perf_counter()
    with Consumer(spec.bootstrap_servers, auto_offset_reset="earliest") as consumer:
        consumer.assign([TopicPartition(spec.topic, number) for number in range(spec.partitions)])
        for message in islice(consumer, spec.records):
            read_bytes += len(message.value)
        took_s = time.perf_counter() - started
    return _checked(took_s, read_bytes, spec)


def consume_with_async_sdk(spec: ClientSpec) -> float:
    """The asyncio face of minikafka's SDK, as an iterator."""
    from minikafka.net.loop import run
    from minikafka_client import AsyncConsumer, TopicPartition

    async def main() -> float:
        read_bytes = count = 0
        started = time.perf_counter()
        async with AsyncConsumer(spec.bootstrap_servers, auto_offset_reset="earliest") as consumer:
            consumer.assign([TopicPartition(spec.topic, number) for number in range(spec.partitions)])
            async for message in consumer:
                read_bytes += len(message.value)
                count += 1
                if count == spec.records:
                    break
            took_s = time.perf_counter() - started
        return _checked(took_s, read_bytes, spec)

    return run(main())


def consume_with_confluent(spec: ClientSpec) -> float:
    """confluent-kafka, many messages at a time, which is its faster way."""
    from confluent_kafka import Consumer, TopicPartition

    read_bytes = count = 0
    started = time.perf_counter()
    consumer = Consumer(
        {"bootstrap.servers": spec.bootstrap_servers, "group.id": "unused", "enable.auto.commit": False}
    )
    consumer.assign([TopicPartition(spec.topic, number, 0) for number in range(spec.partitions)])
    while count < spec.records:
        for message in consumer.consume(_POLL_RECORDS, timeout=1.0):
            if message.error() is None:
                read_bytes += len(message.value())
                count += 1
    took_s = time.perf_counter() - started
    consumer.close()
    return _checked(took_s, read_bytes, spec)


def consume_with_aiokafka(spec: ClientSpec) -> float:
    """aiokafka, many messages at a time, which is its faster way."""
    from aiokafka import AIOKafkaConsumer, TopicPartition

    from minikafka.net.loop import run

    async def main() -> float:
        read_bytes = count = 0
        started = time.perf_counter()
        consumer = AIOKafkaConsumer(
            bootstrap_servers=spec.bootstrap_servers, group_id=None, max_partition_fetch_bytes=_FETCH_BYTES
        )
        await consumer.start()
        partitions = [TopicPartition(spec.topic, number) for number in range(spec.partitions)]
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        while count < spec.records:
            for messages in (await consumer.getmany(timeout_ms=1_000, max_records=_POLL_RECORDS)).values():
                for message in messages:
                    read_bytes += len(message.value)
                    count += 1
        took_s = time.perf_counter() - started
        await consumer.stop()
        return _checked(took_s, read_bytes, spec)

    return run(main())


def consume_with_kafka_python(spec: ClientSpec) -> float:
    """kafka-python, as an iterator."""
    from kafka import KafkaConsumer, TopicPartition

    read_bytes = 0
    started = time.perf_counter()
    consumer = KafkaConsumer(
        bootstrap_servers=spec.bootstrap_servers, group_id=None, max_partition_fetch_bytes=_FETCH_BYTES
    )
    partitions = [TopicPartition(spec.topic, number) for number in range(spec.partitions)]
    consumer.assign(partitions)
    consumer.seek_to_beginning(*partitions)
    for message in islice(consumer, spec.records):
        read_bytes += len(message.value)
    took_s = time.perf_counter() - started
    consumer.close()
    return _checked(took_s, read_bytes, spec)


def _checked(took_s: float, read_bytes: int, spec: ClientSpec) -> float:
    expected = spec.records * spec.record_bytes
    if read_bytes < expected:
        raise SystemExit(f"{read_bytes:,} of {expected:,} bytes were read")
    return took_s


Work = Callable[[ClientSpec], float]

PRODUCERS: dict[str, Work] = {
    "minikafka_client async": produce_with_async_sdk,
    "minikafka_client": produce_with_sdk,
    "confluent-kafka": produce_with_confluent,
    "aiokafka": produce_with_aiokafka,
    "kafka-python": produce_with_kafka_python,
}
CONSUMERS: dict[str, Work] = {
    "minikafka_client async": consume_with_async_sdk,
    "minikafka_client": consume_with_sdk,
    "confluent-kafka": consume_with_confluent,
    "aiokafka": consume_with_aiokafka,
    "kafka-python": consume_with_kafka_python,
}


def main() -> None:
    """Do what standard input says."""
    spec = ClientSpec(**json.load(sys.stdin))
    work = PRODUCERS if spec.work == "produce" else CONSUMERS
    print(json.dumps(work[spec.client](spec)))


if __name__ == "__main__":
    main()
