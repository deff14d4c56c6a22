"""Consumers of the four partitions of a topic: one that is polled all the time, as a program does, and what it saw."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any, Literal

from minikafka.types import TopicPartition
from minikafka_client import AsyncConsumer, AsyncProducer, Message, RebalanceListener
from minikafka_client.consumer.options import GroupProtocol
from tests.support.broker import RunningBroker

Told = tuple[Literal["assigned", "revoked", "lost"], set[int]]

PARTITIONS = 4
FIRST, SECOND = TopicPartition("orders", 0), TopicPartition("orders", 1)
PATIENCE_S = 20
QUICK = {"heartbeat_interval_ms": 20, "retry_backoff_ms": 5, "auto_offset_reset": "earliest"}
"""Options of consumers that are to notice soon what happens around them."""


class Reading(RebalanceListener):
    """Polls until it is stopped; ``told`` is what the group told it, ``values`` what it read."""

    def __init__(self, consumer: AsyncConsumer) -> None:
        self.consumer = consumer
        self.messages: list[Message] = []
        self.told: list[Told] = []
        self.error: Exception | None = None
        self._changed = asyncio.Event()
        self.start()

    def start(self) -> None:
        """Poll, once more if it was stopped."""
        self._polling = asyncio.create_task(self._poll())

    @property
    def values(self) -> list[bytes]:
        return [message.value for message in self.messages]

    @property
    def has(self) -> set[int]:
        """The numbers of the partitions that are read."""
        return {where.partition for where in self.consumer.assignment}

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Wait until something is so; it is looked at after each poll."""
        async with asyncio.timeout(PATIENCE_S):
            while not is_so():
                self._changed.clear()
                await self._changed.wait()
                if self.error is not None:
                    raise self.error

    async def until_error(self) -> Exception:
        """Wait for the error that ends the polling."""
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.wait([self._polling])
        assert self.error is not None
        return self.error

    async def stop(self) -> None:
        """Poll no longer."""
        self._polling.cancel()
        await asyncio.gather(self._polling, return_exceptions=True)

    def on_partitions_assigned(self, partitions: Iterable[TopicPartition]) -> None:
        self._note("assigned", partitions)

    def on_partitions_revoked(self, partitions: Iterable[TopicPartition]) -> None:
        self._note("revoked", partitions)

    def on_partitions_lost(self, partitions: Iterable[TopicPartition]) -> None:
        self._note("lost", partitions)

    def _note(self, what: Literal["assigned", "revoked", "lost"], partitions: Iterable[TopicPartition]) -> None:
        self.told.append((what, {where.partition for where in partitions}))

    async def _poll(self) -> None:
        try:
            while True:
                self.messages += await self.consumer.poll(timeout_ms=20)
                self._changed.set()
        except Exception as error:  # noqa: BLE001 - for the test that waits
            self.error = error
            self._changed.set()


@asynccontextmanager
async def reading(consumer: AsyncConsumer, topics: Iterable[str] = ("orders",)) -> AsyncIterator[Reading]:
    """A consumer that subscribes and is polled."""
    async with consumer:
        program = Reading(consumer)
        consumer.subscribe(topics, program)
        try:
            yield program
        finally:
            await program.stop()


async def until_all(*programs: Reading, are: Callable[[], bool]) -> None:
    """Wait until something is so of several, each of which may be the one that makes it so."""
    waits = [asyncio.create_task(program.until(are)) for program in programs]
    try:
        await asyncio.gather(*waits)
    finally:
        for wait in waits:
            wait.cancel()


async def until_shared(programs: Iterable[Reading], partition_count: int) -> None:
    """Wait until these share all partitions, each of which has one reader."""
    members = list(programs)

    def is_shared() -> bool:
        owned = [number for member in members for number in member.has]
        return sorted(owned) == list(range(partition_count)) and all(member.has for member in members)

    await until_all(*members, are=is_shared)


async def send(bootstrap: str, values: Iterable[bytes], topic: str = "orders", partition: int | None = None) -> None:
    """Send these values; to one partition, or round robin."""
    async with AsyncProducer(bootstrap) as producer:
        for value in values:
            await producer.send(topic, value, partition=partition)


class Make:
    """Consumers of one group."""

    def __init__(self, broker: RunningBroker, protocol: GroupProtocol) -> None:
        self.bootstrap = broker.bootstrap
        self.protocol = protocol

    def __call__(self, **options: Any) -> AsyncConsumer:
        given = {"group_id": "billing", "group_protocol": self.protocol, **QUICK, **options}
        return AsyncConsumer(self.bootstrap, **given)


async def take(consumer: AsyncConsumer, count: int) -> list[bytes]:
    """The next values."""
    async with asyncio.timeout(PATIENCE_S):
        return [(await anext(consumer)).value for _ in range(count)]


def numbers(count: int) -> list[bytes]:
    return [b"%d" % number for number in range(count)]
