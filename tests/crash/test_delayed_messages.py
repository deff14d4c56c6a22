"""Requests that arrive a transaction too late: whatever they were to do, the next transaction stays whole.

The network loses sight of one EndTxn, Produce or AddPartitionsToTxn; its sender repeats it, ends the transaction and is
in the middle of the next when the first arrives after all.  A commit of the transaction before must not tear the next
in two, nor an abort lose what is acknowledged, nor a batch of one be counted to the other (KIP-890).

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

from minikafka.net.server import Address
from minikafka.protocol.api_keys import ApiKey
from minikafka_client import AsyncConsumer, AsyncProducer
from minikafka_client.producer import transactions
from tests.support.broker import quiet_port, running_broker
from tests.support.control_plane import administering
from tests.support.frame_proxy import FrameProxy, frame_proxy

ATTACKS = int(os.environ.get("CRASH_ATTACKS", "50"))
SEED = int(os.environ.get("CRASH_SEED", "2026"))

TOPICS = ("left", "right")
_PER_TRANSACTION = 3

pytestmark = [pytest.mark.crash, pytest.mark.slow, pytest.mark.timeout(60 + ATTACKS)]


class _Undo(Exception):
    """Ends a transaction without effect."""


@dataclass
class Attacked:
    """What a producer did while requests of its were held up, and what it was promised."""

    producer: AsyncProducer
    proxy: FrameProxy
    random: Random
    committed: list[int] = field(default_factory=list)
    number: int = 0

    async def attack(self, api_key: ApiKey) -> None:
        """Two transactions, the second of which meets a request of the first."""
        self.proxy.wanted = lambda frame: frame.api_key == api_key
        await self.transaction(commits=self.random.random() < 0.5)
        held = self.proxy.held
        assert held is not None, f"no {api_key.name} came by"
        await self.transaction(commits=self.random.random() < 0.5, in_the_middle=self.proxy.deliver)

    async def transaction(self, *, commits: bool, in_the_middle: Callable[[], Awaitable[object]] | None = None) -> None:
        """A transaction: both topics get the same numbers, or none."""
        numbers = range(self.number, self.number + _PER_TRANSACTION)
        self.number += _PER_TRANSACTION
        arrives_after = self.random.randrange(_PER_TRANSACTION)
        try:
            async with self.producer.transaction():
                for number in numbers:
                    for topic in TOPICS:
                        await self.producer.send_and_wait(topic, b"%d" % number, partition=0)
                    if in_the_middle is not None and number - numbers[0] == arrives_after:
                        await in_the_middle()
                if not commits:
                    raise _Undo
        except _Undo:
            return
        self.committed += numbers


@asynccontextmanager
async def attacked(tmp_path: Path, random: Random) -> AsyncIterator[Attacked]:
    """A producer whose way to the broker is through a network that may hold requests up."""
    port, proxy_port = quiet_port(random), quiet_port(random)
    listeners = (f"listeners=PLAINTEXT://127.0.0.1:{port}", f"advertised.listeners=PLAINTEXT://127.0.0.1:{proxy_port}")
    async with running_broker(tmp_path / "data", *listeners) as broker, administering(broker) as admin:
        for topic in TOPICS:
            await admin.create_topic(topic)
        async with (
            frame_proxy(Address("127.0.0.1", port), proxy_port) as proxy,
            AsyncProducer(str(proxy.address), transactional_id="attacked", retry_backoff_ms=1) as producer,
        ):
            made = Attacked(producer, proxy, random)
            yield made
            for topic in TOPICS:
                assert await _read_committed(str(proxy.address), topic, len(made.committed)) == made.committed


async def _read_committed(bootstrap: str, topic: str, count: int) -> list[int]:
    """The committed numbers of a topic, and whether any come after the last that is expected."""
    async with AsyncConsumer(
        bootstrap, topics=[topic], auto_offset_reset="earliest", isolation_level="read_committed"
    ) as consumer:
        numbers: list[int] = []
        async with asyncio.timeout(30):
            while len(numbers) < count:
                numbers += [int(message.value) for message in await consumer.poll()]
        return numbers + [int(message.value) for message in await consumer.poll(timeout_ms=50)]


async def test_nothing_of_one_transaction_gets_into_the_next(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    random = Random(SEED)
    done: Counter[str] = Counter()
    async with attacked(tmp_path, random) as made:
        for _ in range(ATTACKS):
            api_key = random.choice([ApiKey.END_TXN, ApiKey.PRODUCE])
            await made.attack(api_key)
            done[api_key.name] += 1
        committed = len(made.committed)
    with capsys.disabled():
        print(f"\n{dict(done)} arrived a transaction late, seed {SEED}: {committed} records committed, none torn")


async def test_a_partition_that_joins_late_does_no_harm_to_transactions_of_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transactions, "FEATURE", "of a cluster that does not have it")
    random = Random(SEED)
    async with attacked(tmp_path, random) as made:
        for _ in range(max(1, ATTACKS // 5)):
            await made.attack(random.choice([ApiKey.ADD_PARTITIONS_TO_TXN, ApiKey.PRODUCE]))
