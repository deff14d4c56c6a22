"""A broker that is killed while it compacts what is written in transactions.

Who reads committed records finds of every key the value that was committed last, and none that was aborted.

``CRASH_KILLS`` asks for more kills than those of every run, ``CRASH_SEED`` for others.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, suppress
from pathlib import Path
from random import Random

import pytest

from minikafka.errors import KafkaError
from minikafka_client import AsyncAdmin, AsyncConsumer, AsyncProducer, NewTopic
from tests.support.broker import ROOT, SpawnedBroker, quiet_port, spawned_broker

KILLS = int(os.environ.get("CRASH_KILLS", "4"))
SEED = int(os.environ.get("CRASH_SEED", "2026"))

_TOPIC = "balances"
_TELLERS = 3
_ACCOUNTS_EACH = 40
"""Every other one is written to only once."""
_AT_A_TIME = 6
_ENDED_AT_LEAST = 60
"""Transactions, from one kill to the next."""
_TIMEOUT_S = 120.0
_SETTINGS = (
    "log.segment.bytes=16384",
    "log.cleanup.policy=compact",
    "log.cleaner.min.cleanable.ratio=0.1",
    "log.cleaner.backoff.ms=5",
    "log.flush.offset.checkpoint.interval.ms=20",
    "transaction.state.log.num.partitions=1",
)

_ABORTED_RECORDS_COUNT = """
from minikafka.storage.cleaned_transactions import CleanedTransactions

CleanedTransactions.are_aborted = lambda self, batch: False
"""
_OLD_SEGMENTS_GO_FIRST = """
from minikafka.storage import log_compaction, segment_swap

swap_in = segment_swap.swap_in

def swap_in_late(fs, directory, base_offset, replaced):
    bases = list(replaced)
    for base in bases:
        fs.unlink(directory / segment_swap.segment_file(base, ".log"))
    segment_swap.failpoint("compaction.after_commit")
    swap_in(fs, directory, base_offset, bases)

log_compaction.swap_in = swap_in_late
"""

pytestmark = [pytest.mark.crash, pytest.mark.slow, pytest.mark.timeout(120 + 30 * KILLS)]


class _ChangeOfMind(Exception):
    """The reason for which a transaction is aborted."""


class _Teller:
    """Writes to keys of its own, in transactions of which it aborts some; of ``doubtful`` it knows no end."""

    def __init__(self, number: int, random: Random) -> None:
        self.committed: dict[bytes, bytes] = {}
        self.aborted: set[bytes] = set()
        self.doubtful: dict[bytes, bytes] = {}
        self.ended = 0
        self.written = 0
        self._id = f"teller-{number}"
        self._random = random
        self._accounts = [b"%d.%d" % (number, account) for account in range(_ACCOUNTS_EACH)]

    async def work(self, bootstrap: str, closing_time: asyncio.Event) -> None:
        """Write until it is time to stop, or until it is not known how a transaction has ended."""
        while not closing_time.is_set() and not self.doubtful:
            try:
                async with AsyncProducer(bootstrap, transactional_id=self._id, retry_backoff_max_ms=200) as producer:
                    while not closing_time.is_set():
                        await self._transact(producer)
            except (KafkaError, OSError):
                await asyncio.sleep(0.05)  # as whoever starts a program that has ended by itself

    async def settle(self, bootstrap: str) -> None:
        """Have a transaction that is open ended."""
        if self.doubtful:
            async with AsyncProducer(bootstrap, transactional_id=self._id):
                pass

    def check(self, found: Mapping[bytes, bytes], values: set[bytes]) -> None:
        """Compare with the last value of each key, and with all values."""
        assert not values & self.aborted, "an aborted value is read"
        if values & set(self.doubtful.values()):
            self.committed |= self.doubtful
        else:
            self.aborted |= set(self.doubtful.values())
        self.doubtful = {}
        assert {key: found.get(key) for key in self.committed} == self.committed, "a committed value is lost"

    async def _transact(self, producer: AsyncProducer) -> None:
        is_first = not self.committed
        some = self._random.sample(self._accounts[::2], self._random.randint(1, _AT_A_TIME))
        accounts = self._accounts if is_first else some
        values = {account: b"%d " % self.ended + self._random.randbytes(200) for account in accounts}
        is_unwanted = not is_first and self._random.random() < 0.4
        if is_unwanted:
            self.aborted |= set(values.values())
        else:
            self.doubtful = values
        try:
            async with producer.transaction():
                for account, value in values.items():
                    await producer.send(_TOPIC, value, key=account)
                if is_unwanted:
                    await producer.flush()  # else nothing of it would ever be in the log
                    raise _ChangeOfMind
        except _ChangeOfMind:
            pass
        else:
            self.committed |= values
            self.doubtful = {}
            self.written += len(values)
        self.ended += 1


class _Bank:
    """A broker that dies again and again, and those who write to it."""

    def __init__(self, data_dir: Path, environ: Mapping[str, str]) -> None:
        self._random = Random(SEED)
        self.tellers = [_Teller(number, Random(f"{SEED} {number}")) for number in range(_TELLERS)]
        self.left = 0
        self._data_dir = data_dir
        self._environ = environ
        self._port = quiet_port(self._random)
        self._bootstrap = f"127.0.0.1:{self._port}"

    @property
    def ended(self) -> int:
        """How many transactions have ended."""
        return sum(teller.ended for teller in self.tellers)

    async def run(self) -> None:
        """Write, kill the broker, start another one, and look; so many times as there are kills."""
        async with AsyncExitStack() as stack:
            broker = await stack.enter_async_context(self._broker())
            async with AsyncAdmin(self._bootstrap) as admin:
                await admin.create_topics([NewTopic(_TOPIC, 1)])
            for number in range(KILLS):
                dies_alone = number % 2 == 0
                if dies_alone:
                    # Between the renames and the removals that make a compacted segment part of the log.
                    failpoint = f"compaction.after_commit:kill@{self._random.randint(1, 1 + number)}"
                    await broker.kill()
                    with suppress(RuntimeError):  # it may come there before it serves
                        broker = await stack.enter_async_context(self._broker(failpoint))
                closing_time = asyncio.Event()
                async with asyncio.timeout(_TIMEOUT_S), asyncio.TaskGroup() as tasks:
                    for teller in self.tellers:
                        tasks.create_task(teller.work(self._bootstrap, closing_time))
                    await self._death_of(broker, dies_alone=dies_alone)
                    broker = await stack.enter_async_context(self._broker())
                    closing_time.set()
                await self._check(number)

    def _broker(self, failpoint: str = "") -> AbstractAsyncContextManager[SpawnedBroker]:
        environ = {**self._environ, "MINIKAFKA_FAILPOINT": failpoint}
        return spawned_broker(self._data_dir, *_SETTINGS, port=self._port, environ=environ)

    async def _death_of(self, broker: SpawnedBroker, *, dies_alone: bool) -> None:
        if not dies_alone:
            target = self.ended + _ENDED_AT_LEAST
            while self.ended < target:  # noqa: ASYNC110 - several tasks get there together
                await asyncio.sleep(0.005)
            await asyncio.sleep(self._random.uniform(0, 0.3))  # not for something to happen: it comes at any time
            broker.process.kill()
        assert await broker.process.wait() == -signal.SIGKILL

    async def _check(self, number: int) -> None:
        for teller in self.tellers:
            await teller.settle(self._bootstrap)
        found = await self._read(b"end of %d" % number)
        self.left = len(found)
        for teller in self.tellers:
            teller.check(dict(found), {value for _, value in found})

    async def _read(self, last: bytes) -> Sequence[tuple[bytes, bytes]]:
        """All committed records, up to one that is written now: it is not read before all transactions have ended."""
        async with AsyncProducer(self._bootstrap) as producer:
            await producer.send(_TOPIC, last, key=b"end")
        found: list[tuple[bytes, bytes]] = []
        async with (
            asyncio.timeout(_TIMEOUT_S),
            AsyncConsumer(
                self._bootstrap, topics=[_TOPIC], auto_offset_reset="earliest", isolation_level="read_committed"
            ) as consumer,
        ):
            while True:
                for message in await consumer.poll():
                    if message.value == last:
                        return found
                    if message.key != b"end":
                        found.append((message.key, message.value))


async def test_what_was_committed_last_is_read_when_the_broker_is_killed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bank = _Bank(tmp_path / "data", {})
    await bank.run()
    written = sum(teller.written for teller in bank.tellers)
    assert bank.left < written, "nothing was compacted"
    with capsys.disabled():
        print(
            f"\n{KILLS} kills while compacting transactions, seed {SEED}: {bank.ended} transactions, "
            f"{bank.left} of {written} committed records left, no committed value lost, no aborted one read"
        )


@pytest.mark.parametrize(
    ("mutant", "fault"),
    [
        (_ABORTED_RECORDS_COUNT, "an aborted value is read|a committed value is lost"),
        (_OLD_SEGMENTS_GO_FIRST, "a committed value is lost"),
    ],
    ids=["aborted records count", "old segments go first"],
)
async def test_a_broker_that_compacts_wrongly_is_found_out(tmp_path: Path, mutant: str, fault: str) -> None:
    (tmp_path / "sitecustomize.py").write_text(mutant)
    path = os.pathsep.join([str(tmp_path), str(ROOT), str(ROOT / "clients")])
    with pytest.raises(AssertionError, match=fault):
        await _Bank(tmp_path / "data", {"PYTHONPATH": path}).run()
