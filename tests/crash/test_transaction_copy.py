"""Records copied in transactions while the broker is killed and the copiers replaced: output equals input.

Everything is there, in order, and nothing twice.  ``CRASH_COPY_RECORDS`` asks for more records than the 10,000 of every
run, ``CRASH_COPY_KILLS`` for more kills, ``CRASH_SEED`` for others.

Source: Kafka, tests/kafkatest/tests/core/transactions_test.py.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from random import Random

import pytest

from minikafka_client import AsyncAdmin, AsyncConsumer, AsyncProducer, NewTopic
from tests.crash.copiers import OUTPUT_PARTITIONS, SOURCE, ConfluentCopier, Copier, SdkCopier, output_partition
from tests.support.broker import SpawnedBroker, quiet_port, spawned_broker

RECORDS = int(os.environ.get("CRASH_COPY_RECORDS", "10000"))
KILLS = int(os.environ.get("CRASH_COPY_KILLS", "4"))
SEED = int(os.environ.get("CRASH_SEED", "2026"))

SOURCE_PARTITIONS = 2
PER_TRANSACTION = 750

_SETTINGS = (
    "offsets.topic.num.partitions=4",
    "transaction.state.log.num.partitions=4",
    "log.segment.bytes=262144",
    "log.flush.offset.checkpoint.interval.ms=50",
)
_TIMEOUT_S = 60.0

pytestmark = [pytest.mark.crash, pytest.mark.slow, pytest.mark.timeout(120 + RECORDS // 100)]


class Run:
    """All copiers of one client: one for each partition of the source, and those that took their place."""

    def __init__(self, kind: type[SdkCopier] | type[ConfluentCopier], bootstrap: str) -> None:
        self.output = f"output-{kind.name}"
        self.fenced = 0
        self._kind = kind
        self._bootstrap = bootstrap
        self._copiers: defaultdict[int, list[Copier]] = defaultdict(list)
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, partition: int) -> None:
        """Start a copier, also where one is at work already."""
        copier = self._kind(self._bootstrap, partition, self.output, RECORDS // SOURCE_PARTITIONS, PER_TRANSACTION)
        self._copiers[partition].append(copier)
        self._tasks.append(asyncio.create_task(self._run(copier)))

    def replace_one(self) -> None:
        """Start another copier beside the one that has most to do."""
        self.start(min(self._copiers, key=self._copied_of))

    @property
    def copied(self) -> int:
        """How many records are known to be copied."""
        return sum(map(self._copied_of, self._copiers))

    async def done(self) -> None:
        """Wait until everything is copied."""
        await asyncio.gather(*self._tasks)

    def _copied_of(self, partition: int) -> int:
        """How far the one is that got furthest; of two copiers nobody knows which one will be fenced."""
        return max(copier.copied for copier in self._copiers[partition])

    async def _run(self, copier: Copier) -> None:
        await copier.run()
        self.fenced += copier.was_fenced


async def test_what_is_copied_in_transactions_is_there_once_and_in_order(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    random = Random(SEED)
    port = quiet_port(random)
    bootstrap = f"127.0.0.1:{port}"
    runs = [Run(SdkCopier, bootstrap), Run(ConfluentCopier, bootstrap)]
    began = time.perf_counter()
    async with AsyncExitStack() as stack:
        broker = await stack.enter_async_context(_broker(tmp_path, port))
        await _seed(bootstrap, [run.output for run in runs])
        for run in runs:
            for partition in range(SOURCE_PARTITIONS):
                run.start(partition)
        for number in range(1, KILLS + 1):
            await _until_copied(runs, number * RECORDS // (KILLS + 2))
            for run in runs:
                run.replace_one()
            await asyncio.sleep(random.uniform(0, 0.2))  # not for something to happen: the kill comes at any time
            await broker.kill()
            broker = await stack.enter_async_context(_broker(tmp_path, port))
        async with asyncio.timeout(_TIMEOUT_S + RECORDS / 200):
            await asyncio.gather(*(run.done() for run in runs))
        copying_s = time.perf_counter() - began
        for run in runs:
            await _check(bootstrap, run.output)
    with capsys.disabled():
        fenced = ", ".join(f"{run.fenced} of {run.output} fenced" for run in runs)
        print(
            f"\n{RECORDS} records copied twice over {KILLS} kills in {copying_s:.1f} s, seed {SEED}: "
            f"output equals input; copiers {fenced}"
        )


async def _seed(bootstrap: str, outputs: list[str]) -> None:
    async with AsyncAdmin(bootstrap) as admin:
        await admin.create_topics(
            [NewTopic(SOURCE, SOURCE_PARTITIONS), *(NewTopic(output, OUTPUT_PARTITIONS) for output in outputs)]
        )
    async with AsyncProducer(bootstrap) as producer:
        for number in range(RECORDS // SOURCE_PARTITIONS):
            for partition in range(SOURCE_PARTITIONS):
                await producer.send(SOURCE, b"%d|%d" % (partition, number), partition=partition)


async def _until_copied(runs: list[Run], records: int) -> None:
    async with asyncio.timeout(_TIMEOUT_S):
        while min(run.copied for run in runs) < records:  # noqa: ASYNC110 - copiers in threads send no word
            await asyncio.sleep(0.005)


async def _check(bootstrap: str, output: str) -> None:
    """For each source, every partition of the output has its share, in order, once."""
    found: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
    async with AsyncConsumer(
        bootstrap, topics=[output], auto_offset_reset="earliest", isolation_level="read_committed"
    ) as consumer:
        count = 0
        async with asyncio.timeout(_TIMEOUT_S):
            while count < RECORDS:
                for message in await consumer.poll():
                    source, number = map(int, message.value.split(b"|"))
                    found[source, message.partition].append(number)
                    count += 1
        assert await consumer.poll(timeout_ms=50) == []
    expected: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
    for source in range(SOURCE_PARTITIONS):
        for number in range(RECORDS // SOURCE_PARTITIONS):
            expected[source, output_partition(b"%d|%d" % (source, number))].append(number)
    assert found == expected


@asynccontextmanager
async def _broker(tmp_path: Path, port: int) -> AsyncIterator[SpawnedBroker]:
    async with spawned_broker(tmp_path / "data", *_SETTINGS, port=port) as broker:
        yield broker
