"""One client library that joins a new group: a process of its own, as its users have it.

Run as ``python -m benchmarks.group_load CLIENT HOST:PORT TOPIC GROUP``; prints the seconds from the making of the
consumer to the hundredth record.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from itertools import islice

RECORDS = 100


def join_with_sdk(bootstrap_servers: str, topic: str, group_id: str) -> float:
    """The plain face of minikafka's SDK."""
    from minikafka_client import Consumer

    started = time.perf_counter()
    with Consumer(
        bootstrap_servers, topics=[topic], group_id=group_id, auto_offset_reset="earliest", enable_auto_commit=False
    ) as consumer:
        for _ in islice(consumer, RECORDS):
            pass
        return time.perf_counter() - started


def join_with_confluent(bootstrap_servers: str, topic: str, group_id: str) -> float:
    """confluent-kafka, which is librdkafka."""
    from confluent_kafka import Consumer

    started = time.perf_counter()
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap_servers,
            "group.id": group_id,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    consumer.subscribe([topic])
    count = 0
    while count < RECORDS:
        message = consumer.poll(1.0)
        if message is not None and message.error() is None:
            count += 1
    took_s = time.perf_counter() - started
    consumer.close()
    return took_s


def join_with_aiokafka(bootstrap_servers: str, topic: str, group_id: str) -> float:
    """aiokafka, in the same event loop as the SDK has."""
    from aiokafka import AIOKafkaConsumer  # type: ignore[import-untyped]

    from minikafka.net.loop import run

    async def main() -> float:
        started = time.perf_counter()
        consumer = AIOKafkaConsumer(
            topic,
            bootstrap_servers=bootstrap_servers,
            group_id=group_id,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
        )
        await consumer.start()
        for _ in range(RECORDS):
            await consumer.getone()
        took_s = time.perf_counter() - started
        await consumer.stop()
        return took_s

    return run(main())


def join_with_kafka_python(bootstrap_servers: str, topic: str, group_id: str) -> float:
    """kafka-python."""
    from kafka import KafkaConsumer  # type: ignore[import-untyped]

    started = time.perf_counter()
    consumer = KafkaConsumer(
        topic,
        bootstrap_servers=bootstrap_servers,
        group_id=group_id,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    for _ in islice(consumer, RECORDS):
        pass
    took_s = time.perf_counter() - started
    consumer.close()
    return took_s


CONSUMERS: dict[str, Callable[[str, str, str], float]] = {
    "minikafka_client": join_with_sdk,
    "confluent-kafka": join_with_confluent,
    "aiokafka": join_with_aiokafka,
    "kafka-python": join_with_kafka_python,
}


if __name__ == "__main__":
    print(CONSUMERS[sys.argv[1]](*sys.argv[2:]))
