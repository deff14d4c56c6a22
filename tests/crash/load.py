"""Producers with acks=all whose broker is killed under them, and the journals of what it acknowledged."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple, Self
from zlib import crc32

from confluent_kafka import KafkaError, Message, Producer

from minikafka.net.connection import Connection, NetworkError
from minikafka.net.server import Address
from minikafka.types import TopicPartition
from tests.support.data_plane import DataPlaneClient, batch_of

PARTITIONS = 2
"""Of each topic."""

_CONNECTIONS = 4
_RECORDS_PER_BATCH = 5
_MAX_IN_FLIGHT = 500
_BURST = 20
_PAUSE_S = 0.005
_WAIT_S = 30.0


class Entry(NamedTuple):
    """A record that was acknowledged."""

    place: TopicPartition
    offset: int
    value: bytes


class Journal:
    """A file that every acknowledgement is written to before anybody acts on it."""

    def __init__(self, path: Path) -> None:
        self.length = 0
        self._path = path
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._read_bytes = 0

    def write(self, entries: Iterable[Entry]) -> None:
        """Add acknowledged records."""
        lines = [b"%b %d %d %b\n" % (place.topic.encode(), place.partition, at, value) for place, at, value in entries]
        os.write(self._fd, b"".join(lines))
        self.length += len(lines)

    def read_on(self) -> Iterator[Entry]:
        """What was written since it was read last."""
        content = self._path.read_bytes()[self._read_bytes :]
        whole = content[: content.rfind(b"\n") + 1]
        self._read_bytes += len(whole)
        for line in whole.splitlines():
            topic, partition, offset, value = line.split(b" ", 3)
            yield Entry(TopicPartition(topic.decode(), int(partition)), int(offset), value)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)


def make_value(place: TopicPartition, producer: int, number: int) -> bytes:
    """A value that says where it belongs and that shows when it has changed; no two are alike."""
    text = f"{place.topic}|{place.partition}|{producer}|{number}".encode()
    return b"%b|%08x" % (text, crc32(text))


def is_sound(value: bytes, place: TopicPartition) -> bool:
    """Whether a value was made for this partition, and is as it was made."""
    text, _, crc = value.rpartition(b"|")
    return crc == b"%08x" % crc32(text) and text.startswith(f"{place.topic}|{place.partition}|".encode())


class RawLoad:
    """The project's own connections: one request in flight on each, and none is sent again."""

    topic = "raw"

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self._numbers = [0] * _CONNECTIONS
        self._tasks: list[asyncio.Task[None]] = []
        self._target = 0
        self._target_reached = asyncio.Event()

    def start(self, address: Address, target: int) -> None:
        """Produce until the broker is gone; :meth:`target_reached` waits for so many acknowledgements."""
        self._target = self.journal.length + target
        self._target_reached.clear()
        self._tasks = [asyncio.create_task(self._produce(address, producer)) for producer in range(_CONNECTIONS)]

    async def target_reached(self) -> None:
        """Wait until so many records are acknowledged."""
        await self._target_reached.wait()

    async def broker_gone(self) -> None:
        """Wait until every connection has noticed."""
        await asyncio.gather(*self._tasks)

    async def _produce(self, address: Address, producer: int) -> None:
        place = TopicPartition(self.topic, producer % PARTITIONS)
        try:
            connection = await Connection.open(*address, client_id=f"raw-{producer}")
            client = DataPlaneClient(connection)
            while True:
                values = [self._next_value(place, producer) for _ in range(_RECORDS_PER_BATCH)]
                answer = await client.produce(place.topic, batch_of(*values), partition=place.partition, acks=-1)
                assert answer.error_code == 0, answer
                base = answer.base_offset
                self.journal.write(Entry(place, base + number, value) for number, value in enumerate(values))
                if self.journal.length >= self._target:
                    self._target_reached.set()
        except NetworkError:
            return

    def _next_value(self, place: TopicPartition, producer: int) -> bytes:
        self._numbers[producer] += 1
        return make_value(place, producer, self._numbers[producer])


class ConfluentLoad:
    """librdkafka, which sends again what was under way when the broker died, over all of the broker's lives."""

    topic = "confluent"

    def __init__(self, journal: Journal, bootstrap: str) -> None:
        self.journal = journal
        self.sent = 0
        self.errors: list[KafkaError] = []
        self.in_flight: set[bytes] = set()
        self.maybe_twice: set[bytes] = set()
        """The values that were in flight when a broker died."""
        self._acknowledged = threading.Event()
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._produce)
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "broker.address.family": "v4",
                "acks": "all",
                "enable.idempotence": True,
                "linger.ms": 1,
                "reconnect.backoff.ms": 10,
                "reconnect.backoff.max.ms": 100,
                "retry.backoff.ms": 10,
                "log_level": 0,  # that there is no broker, now and then, is known
            }
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join(_WAIT_S)
        self._producer.purge()

    def start(self) -> None:
        """Produce until :meth:`stop`, broker or not."""
        self._thread.start()

    def wait_acknowledged(self) -> None:
        """Wait until something is acknowledged that was not when this was called."""
        self._acknowledged.clear()
        assert self._acknowledged.wait(_WAIT_S)

    def broker_died(self) -> None:
        """Note what may have been written without an acknowledgement."""
        with self._lock:
            self.maybe_twice |= self.in_flight

    def stop(self) -> None:
        """Produce no more, and wait until everything is acknowledged."""
        self._stopping.set()
        self._thread.join(_WAIT_S)
        left = self._producer.flush(_WAIT_S)
        assert left == 0

    def _produce(self) -> None:
        while not self._stopping.wait(_PAUSE_S):
            self._producer.poll(0)
            for _ in range(_BURST if len(self.in_flight) < _MAX_IN_FLIGHT else 0):
                place = TopicPartition(self.topic, self.sent % PARTITIONS)
                self.sent += 1
                value = make_value(place, 0, self.sent)
                with self._lock:
                    self.in_flight.add(value)
                self._producer.produce(place.topic, value, partition=place.partition, on_delivery=self._delivered)

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        value = message.value()
        assert value is not None
        if error is not None:
            self.errors.append(error)
            return
        place = TopicPartition(str(message.topic()), int(message.partition() or 0))
        self.journal.write([Entry(place, int(message.offset() or 0), value)])
        self._acknowledged.set()
        with self._lock:
            self.in_flight.discard(value)
