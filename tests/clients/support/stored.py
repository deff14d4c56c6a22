"""Batches for a fake cluster, and messages from it."""

from __future__ import annotations

import asyncio

from minikafka.records.builder import RecordBatchBuilder
from minikafka.records.compression import Compression
from minikafka.types import TopicPartition
from minikafka_client import AsyncConsumer, Message
from tests.clients.support.fake_cluster import FakeCluster

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
