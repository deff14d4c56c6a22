"""What it costs to send in transactions: the same records, by producers that send them with and without.

Run as ``python -m benchmarks.transactions HOST:PORT WAY SECONDS`` this is the load: as many producers as there are
partitions, all in one process, each with a partition of its own; prints the records per second.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from benchmarks.harness import Settings, rotated, running
from benchmarks.report import AtLeastTimes, Row
from benchmarks.targets import HOST, TOPIC, Minikafka
from benchmarks.wire import WrongAnswer
from minikafka.net.loop import run
from minikafka_client import AsyncProducer

_PRODUCERS = 8
_RECORDS = 100
"""Of one transaction, and between two flushes of an idempotent producer."""
_VALUE = b"v" * 1_000
_WARM_UP_SECONDS = 0.5

_IN_TRANSACTIONS = f"transactions of {_RECORDS}"
_FLUSHED = f"a flush every {_RECORDS}"
_PLAIN = "without either"


def measure_transactions(settings: Settings) -> list[Row]:
    """A broker for each durability and run; every way to send in turn."""
    rows = []
    for policy in ("never", "auto"):
        row = Row(f"{_PRODUCERS} producers, {policy}", "/s")
        row.samples = {way: [] for way in _WAYS}
        row.goals = {_FLUSHED: AtLeastTimes(0.6), _PLAIN: AtLeastTimes(0.6)}
        for number in range(settings.runs):
            broker = Minikafka(settings.directory / "transactions", flush=policy)
            with running(broker, partitions=_PRODUCERS):
                for way in rotated(list(_WAYS), number):
                    row.add(way, _rate(settings, broker, way))
            settings.tell(f"transactions, {policy}, run {number + 1}: {row.samples}")
        rows.append(row)
    return rows


def _rate(settings: Settings, broker: Minikafka, way: str) -> float:
    address, seconds = f"{HOST}:{broker.port}", str(settings.seconds)
    command = [sys.executable, "-m", "benchmarks.transactions", address, way, seconds]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise WrongAnswer(f"{way}: the load ended with {done.stderr.strip().splitlines()[-1:]}")
    return float(done.stdout)


@dataclass(slots=True)
class _Line:
    """One producer, and the partition that it sends to."""

    producer: AsyncProducer
    partition: int

    async def send(self) -> None:
        """Send a transaction's worth of records."""
        for _ in range(_RECORDS):
            await self.producer.send(TOPIC, _VALUE, partition=self.partition)

    async def send_in_transaction(self) -> None:
        """The same, and commit it."""
        async with self.producer.transaction():
            await self.send()

    async def send_and_flush(self) -> None:
        """The same, and wait until it is stored."""
        await self.send()
        await self.producer.flush()


_WAYS: dict[str, Callable[[_Line], Awaitable[None]]] = {
    _IN_TRANSACTIONS: _Line.send_in_transaction,
    _FLUSHED: _Line.send_and_flush,
    _PLAIN: _Line.send,
}


async def _load(bootstrap_servers: str, way: str, seconds: float) -> float:
    async def produce(partition: int, seconds: float) -> int:
        transactional_id = f"bench-{partition}" if way == _IN_TRANSACTIONS else None
        sent = 0
        async with AsyncProducer(bootstrap_servers, transactional_id=transactional_id) as producer:
            line = _Line(producer, partition)
            end_at = time.perf_counter() + seconds
            while time.perf_counter() < end_at:
                await _WAYS[way](line)
                sent += _RECORDS
            await producer.flush()
        return sent

    async def everybody(seconds: float) -> int:
        return sum(await asyncio.gather(*(produce(partition, seconds) for partition in range(_PRODUCERS))))

    await everybody(_WARM_UP_SECONDS)
    started = time.perf_counter()
    sent = await everybody(seconds)
    return sent / (time.perf_counter() - started)


if __name__ == "__main__":
    print(run(_load(sys.argv[1], sys.argv[2], float(sys.argv[3]))))
