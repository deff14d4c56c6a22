"""A broker that dies at each of the appends that one transaction takes: whichever it is, the transaction is whole.

A producer writes to two partitions and commits an offset; where the broker dies under a request, it is started again
and asked once more.
"""

from __future__ import annotations

import signal
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from random import Random

import pytest

from minikafka.errors import ErrorCode
from minikafka.net.connection import NetworkError
from minikafka.protocol.messages.produce import PartitionProduceData, ProduceRequest, TopicProduceData
from minikafka.protocol.schema import as_view
from minikafka.records.batch import iter_batches
from minikafka.records.builder import RecordBatchBuilder
from minikafka.records.record import iter_records
from minikafka.types import IsolationLevel, ProducerIdAndEpoch
from tests.support.broker import SpawnedBroker, quiet_port, spawned_broker
from tests.support.data_plane import NOW_MS, DataPlaneClient, only_produced
from tests.support.transaction_client import TransactionClient, transaction_client

pytestmark = [pytest.mark.crash, pytest.mark.slow]

_PRODUCE_VERSION = 11
_AT_LEAST = 10
"""Appends that a transaction takes: its coordinator's, those of the two partitions and of the group, and markers."""

Step = Callable[[TransactionClient], Awaitable[bool]]
"""Asks for something; says whether it is done, or to be asked for again."""


class Doomed:
    """A broker that dies at its n-th append, and those that are started on what it leaves."""

    def __init__(self, data_dir: Path, nth: int) -> None:
        self.has_died = False
        self._data_dir = data_dir
        self._port = quiet_port(Random(nth))
        self._environ = {"MINIKAFKA_FAILPOINT": f"log.after_append:kill@{nth}"}
        self._stack = AsyncExitStack()
        self._broker: SpawnedBroker
        self._client: TransactionClient

    async def __aenter__(self) -> Doomed:
        await self._start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def do(self, step: Step) -> None:
        """Do something, on as many brokers as it takes."""
        while True:
            try:
                if await step(self._client):
                    return
            except NetworkError:
                assert await self._broker.process.wait() == -signal.SIGKILL
                self.has_died, self._environ = True, {}
                await self._stack.aclose()
                await self._start()

    async def _start(self) -> None:
        settings = ("offsets.topic.num.partitions=1", "transaction.state.log.num.partitions=1")
        starting = spawned_broker(self._data_dir, *settings, port=self._port, environ=self._environ)
        self._broker = await self._stack.enter_async_context(starting)
        self._client = await self._stack.enter_async_context(transaction_client(self._broker))


class Payment:
    """The steps of a transaction."""

    def __init__(self) -> None:
        self.producer = ProducerIdAndEpoch(-1, -1)

    def steps(self) -> list[Step]:
        return [
            self._prepare,
            self._begin,
            self._add,
            self._produce,
            self._add_offsets,
            self._commit_offsets,
            self._end,
        ]

    async def _prepare(self, client: TransactionClient) -> bool:
        await client.create_topic("orders", 2)
        await client.find_coordinator("billing")
        await client.find_transaction_coordinator("payments")
        return True

    async def _begin(self, client: TransactionClient) -> bool:
        answer = await client.ask_for_id("payments")
        self.producer = ProducerIdAndEpoch(answer.producer_id, answer.producer_epoch)
        return _is_done(answer.error_code)

    async def _add(self, client: TransactionClient) -> bool:
        codes = await client.add_partitions("payments", self.producer, "orders", 0, 1)
        return all(map(_is_done, codes.values()))

    async def _produce(self, client: TransactionClient) -> bool:
        return all([await self._produce_to(client, partition) for partition in range(2)])

    async def _produce_to(self, client: TransactionClient, partition: int) -> bool:
        builder = RecordBatchBuilder(
            producer_id=self.producer.producer_id,
            producer_epoch=self.producer.producer_epoch,
            base_sequence=0,
            is_transactional=True,
        )
        builder.append(NOW_MS, None, b"paid")
        data = PartitionProduceData(index=partition, records=builder.build())
        request = ProduceRequest(
            transactional_id="payments",
            acks=-1,
            timeout_ms=10_000,
            topic_data=[TopicProduceData(name="orders", partition_data=[data])],
        )
        return _is_done(only_produced(await client.ask(request, _PRODUCE_VERSION)).error_code)

    async def _add_offsets(self, client: TransactionClient) -> bool:
        return _is_done(await client.add_offsets("payments", self.producer, "billing"))

    async def _commit_offsets(self, client: TransactionClient) -> bool:
        codes = await client.commit_in_transaction("payments", self.producer, "billing", {0: 41})
        return _is_done(codes[0])

    async def _end(self, client: TransactionClient) -> bool:
        return _is_done((await client.end("payments", self.producer)).error_code)


def _is_done(code: int) -> bool:
    """Whether a request was carried out; False when it is to be repeated, and no other answer will do."""
    assert code == 0 or ErrorCode(code).retriable, ErrorCode(code)
    return code == 0


async def _is_whole(client: TransactionClient) -> bool:
    """All that the transaction has written is committed, and nothing is there twice; False while it is completed."""
    if await client.state_of("payments") != "CompleteCommit":
        return False
    for partition in range(2):
        read = await DataPlaneClient(client.connection).fetch(
            "orders", 0, partition=partition, isolation_level=IsolationLevel.READ_COMMITTED
        )
        assert read.last_stable_offset == read.high_watermark
        assert read.aborted_transactions == []
        batches = list(iter_batches(as_view(read.records or b"")))
        records = [
            record for batch in batches if not batch.is_control for record in iter_records(batch, budget_bytes=99)
        ]
        assert [record.value for record in records] == [b"paid"]
    assert (await client.fetch("billing", require_stable=True))[0].offset == 41
    return True


async def test_a_transaction_is_whole_whichever_append_the_broker_dies_at(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nth, has_died = 0, True
    while has_died:
        nth += 1
        async with Doomed(tmp_path / f"at {nth}", nth) as broker:
            for step in Payment().steps():
                await broker.do(step)
            await broker.do(_is_whole)
            has_died = broker.has_died
    assert nth > _AT_LEAST
    with capsys.disabled():
        print(f"\nkilled at each of {nth - 1} appends: the transaction was whole every time")
