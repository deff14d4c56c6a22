"""Requests that arrive a transaction too late: whatever they were to do, the next transaction stays whole.

The network loses sight of one EndTxn, Produce or AddPartitionsToTxn; its sender repeats it, ends the transaction and is
before or in the middle of the next when the first arrives after all.  A commit of the transaction before must not tear
the next in two, nor an abort lose what is acknowledged, nor a batch of one be counted to the other (KIP-890).

What the request is depends on the client.  Those of transaction version 2 do not send AddPartitionsToTxn at all; the
others do, in version 0 (librdkafka, aiokafka) to 3, and nobody can protect these from an EndTxn that is late: all their
transactions have one producer epoch, so that it might as well be meant for the next.  That is why version 2 exists; a
test below shows what becomes of them.

``CRASH_ATTACKS`` asks for more attacks than the 50 of every run, ``CRASH_SEED`` for others.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import pytest

from minikafka.errors import ErrorCode, KafkaError
from minikafka.net.server import Address
from minikafka.protocol.api_keys import ApiKey
from minikafka_client import AsyncConsumer, AsyncProducer
from minikafka_client.producer import transactions
from tests.interop.clients.transacting import (
    AioTransactor,
    ConfluentTransactor,
    KafkaPythonTransactor,
    SdkTransactor,
    Transactor,
)
from tests.support.broker import RunningBroker, quiet_port, running_broker
from tests.support.control_plane import administering
from tests.support.frame_proxy import FrameProxy, frame_proxy
from tests.support.transaction_client import transaction_client

ATTACKS = int(os.environ.get("CRASH_ATTACKS", "50"))
SEED = int(os.environ.get("CRASH_SEED", "2026"))

TOPICS = ("left", "right")
_PER_TRANSACTION = 3

pytestmark = [pytest.mark.crash, pytest.mark.slow, pytest.mark.timeout(120 + 2 * ATTACKS)]


@dataclass(frozen=True)
class Way:
    """A client, what may be late of what it sends, and how many of ten attacks it gets."""

    client: type[Transactor]
    late: tuple[ApiKey, ...]
    share: int
    has_epochs: bool = False
    """Whether it knows transaction version 2: an epoch for each transaction."""

    def __str__(self) -> str:
        return f"{self.client.name}{'' if self.has_epochs else ' of old'}"


OF_OLD = (ApiKey.ADD_PARTITIONS_TO_TXN, ApiKey.PRODUCE)
WAYS = [
    Way(SdkTransactor, (ApiKey.END_TXN, ApiKey.PRODUCE), 4, has_epochs=True),
    Way(SdkTransactor, OF_OLD, 2),
    Way(ConfluentTransactor, OF_OLD, 2),
    Way(AioTransactor, OF_OLD, 1),
    Way(KafkaPythonTransactor, OF_OLD, 1),
]


@dataclass
class Attacked:
    """What a producer did while requests of its were held up, and what it was promised."""

    transactor: Transactor
    proxy: FrameProxy
    random: Random
    committed: dict[str, list[int]] = field(default_factory=lambda: {topic: [] for topic in TOPICS})
    number: int = 0

    async def attack(self, api_key: ApiKey) -> None:
        """Two transactions, the second of which meets a request of the first."""
        self.proxy.wanted = lambda frame: frame.api_key == api_key
        await self.transaction(commits=self.random.random() < 0.5)
        assert self.proxy.held is not None, f"no {api_key.name} came by"
        await self.transaction(commits=self.random.random() < 0.5, in_the_middle=self.proxy.deliver)

    async def transaction(self, *, commits: bool, in_the_middle: Callable[[], Awaitable[object]] | None = None) -> None:
        """A transaction: some topics get some numbers, or none."""
        topics = self.random.choice([TOPICS[:1], TOPICS[1:], TOPICS])
        numbers = range(self.number, self.number + _PER_TRANSACTION)
        self.number += _PER_TRANSACTION
        arrives_before = self.random.randint(0, _PER_TRANSACTION)
        await asyncio.to_thread(self.transactor.begin)
        for index, number in enumerate(numbers):
            if in_the_middle is not None and index == arrives_before:
                await in_the_middle()
            await asyncio.to_thread(self._send, topics, number)
        if in_the_middle is not None and arrives_before == _PER_TRANSACTION:
            await in_the_middle()
        await asyncio.to_thread(self.transactor.commit if commits else self.transactor.abort)
        if commits:
            for topic in topics:
                self.committed[topic] += numbers

    def _send(self, topics: tuple[str, ...], number: int) -> None:
        for topic in topics:
            self.transactor.send(topic, 0, b"%d" % number)
            self.transactor.flush()


@asynccontextmanager
async def attacked(tmp_path: Path, client: type[Transactor], random: Random) -> AsyncIterator[Attacked]:
    """A producer whose way to the broker is through a network that may hold requests up."""
    async with _broker_and_proxy(tmp_path, random) as (_, proxy):
        transactor = await asyncio.to_thread(client, str(proxy.address), "attacked")
        try:
            made = Attacked(transactor, proxy, random)
            yield made
        finally:
            await asyncio.to_thread(transactor.close)
        for topic in TOPICS:
            assert await _read_committed(str(proxy.address), topic, made.committed[topic]) == made.committed[topic]


@asynccontextmanager
async def _broker_and_proxy(tmp_path: Path, random: Random) -> AsyncIterator[tuple[RunningBroker, FrameProxy]]:
    port, proxy_port = quiet_port(random), quiet_port(random)
    listeners = (f"listeners=PLAINTEXT://127.0.0.1:{port}", f"advertised.listeners=PLAINTEXT://127.0.0.1:{proxy_port}")
    async with running_broker(tmp_path / "data", *listeners) as broker, administering(broker) as admin:
        for topic in TOPICS:
            await admin.create_topic(topic)
        async with frame_proxy(Address("127.0.0.1", port), proxy_port) as proxy:
            yield broker, proxy


async def _read_committed(bootstrap: str, topic: str, expected: list[int]) -> list[int]:
    """The committed numbers of a topic, and whether any come after as many as are expected."""
    async with AsyncConsumer(
        bootstrap, topics=[topic], auto_offset_reset="earliest", isolation_level="read_committed"
    ) as consumer:
        numbers: list[int] = []
        async with asyncio.timeout(30):
            while len(numbers) < len(expected):
                numbers += [int(message.value) for message in await consumer.poll()]
        return numbers + [int(message.value) for message in await consumer.poll(timeout_ms=50)]


@pytest.mark.parametrize("way", WAYS, ids=str)
async def test_nothing_of_one_transaction_gets_into_the_next(
    tmp_path: Path, way: Way, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if not way.has_epochs:
        monkeypatch.setattr(transactions, "FEATURE", "of a cluster that does not have it")
    random = Random(SEED)
    done: Counter[str] = Counter()
    async with attacked(tmp_path, way.client, random) as made:
        for number in range(max(len(way.late), ATTACKS * way.share // 10)):
            api_key = way.late[number] if number < len(way.late) else random.choice(way.late)
            await made.attack(api_key)
            done[api_key.name] += 1
        committed = sum(map(len, made.committed.values()))
    with capsys.disabled():
        print(
            f"\n{way}: {dict(done)} arrived a transaction late, seed {SEED}: {committed} records committed, none torn"
        )


@pytest.mark.parametrize("version", range(6))
async def test_a_partition_that_joins_late_does_no_harm_whatever_the_version(tmp_path: Path, version: int) -> None:
    """Clients send versions up to 3, brokers among themselves those above."""
    random = Random(SEED)
    async with _broker_and_proxy(tmp_path, random) as (broker, proxy), transaction_client(broker) as client:
        producer = await client.begin("attacked")

        async def add(topic: str) -> int:
            return (await client.add_partitions("attacked", producer, topic, 0, version=version))[0]

        # With one epoch for all it is part of the transaction, and nothing is written to it.
        assert await add("left") == 0
        await client.produce_in("attacked", producer, {0: 1}, topic="left", version=11)
        assert (await client.end("attacked", producer)).error_code == 0
        assert await add("right") == 0
        await client.produce_in("attacked", producer, {0: 1}, topic="right", version=11)
        assert await add("left") == 0
        assert (await client.end("attacked", producer, commit=False)).error_code == 0
        # With an epoch for each it is refused.
        await client.produce_in("attacked", producer, {0: 1}, topic="left", sequence=1)
        answer = await client.end("attacked", producer, version=5)
        assert (answer.error_code, answer.producer_epoch) == (0, producer.producer_epoch + 1)
        code = await add("right")
        assert code == (ErrorCode.INVALID_PRODUCER_EPOCH if version < 2 else ErrorCode.PRODUCER_FENCED)
        assert await _read_committed(str(proxy.address), "left", [0, 0]) == [0, 0]
        assert await _read_committed(str(proxy.address), "right", []) == []


async def test_a_late_end_tears_the_next_transaction_of_a_client_of_old_and_it_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in Kafka: the request has all that one for the next transaction would have (KIP-890, motivation)."""
    monkeypatch.setattr(transactions, "FEATURE", "of a cluster that does not have it")
    random = Random(SEED)
    async with (
        _broker_and_proxy(tmp_path, random) as (_, proxy),
        AsyncProducer(str(proxy.address), transactional_id="attacked", retry_backoff_ms=1) as producer,
    ):
        proxy.wanted = lambda frame: frame.api_key == ApiKey.END_TXN
        async with producer.transaction():
            await producer.send_and_wait("left", b"1", partition=0)
        with pytest.raises(KafkaError):
            async with producer.transaction():
                await producer.send_and_wait("left", b"2", partition=0)
                await proxy.deliver()
                await producer.send_and_wait("left", b"3", partition=0)
        assert await _read_committed(str(proxy.address), "left", [1, 2]) == [1, 2], "what was to count with 3 counts"
