"""What went wrong with transactions in brokers like this one, once each: every such fault has its test.

The others are told apart by their names: a window of sequence numbers (test_producer_states.py), errors that make a
producer send again as new (test_produce.py), aborted records that are read (test_transaction_copy.py,
test_delayed_messages.py).
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from random import Random

import pytest

from minikafka.errors import ErrorCode
from minikafka.protocol.messages.produce import PartitionProduceData, ProduceRequest, TopicProduceData
from minikafka.protocol.schema import as_view
from minikafka.records.batch import iter_batches
from minikafka.records.builder import RecordBatchBuilder
from minikafka.records.record import iter_records
from minikafka.types import ProducerIdAndEpoch
from tests.support.broker import quiet_port, running_broker, spawned_broker
from tests.support.data_plane import NOW_MS, DataPlaneClient, only_produced
from tests.support.transaction_client import TransactionClient, transaction_client

pytestmark = pytest.mark.crash

VERSION = 11
"""Of Produce: the last at which partitions have to be added before."""


async def produce(
    client: TransactionClient, producer: ProducerIdAndEpoch, sequence: int, *values: bytes
) -> tuple[int, int]:
    """Error code and offset of a batch in the transaction of ``payments``."""
    builder = RecordBatchBuilder(
        producer_id=producer.producer_id,
        producer_epoch=producer.producer_epoch,
        base_sequence=sequence,
        is_transactional=True,
    )
    for value in values:
        builder.append(NOW_MS, None, value)
    data = PartitionProduceData(index=0, records=builder.build())
    request = ProduceRequest(
        transactional_id="payments",
        acks=-1,
        timeout_ms=10_000,
        topic_data=[TopicProduceData(name="orders", partition_data=[data])],
    )
    answer = only_produced(await client.ask(request, VERSION))
    return answer.error_code, answer.base_offset


async def test_a_transaction_that_was_answered_is_known_to_the_coordinator_after_a_crash(tmp_path: Path) -> None:
    """Redpanda issue 6018: its beginning was in memory only, and the commit succeeded without the records."""
    port = quiet_port(Random(1))
    async with spawned_broker(tmp_path / "data", port=port) as broker, transaction_client(broker) as client:
        await client.create_topic("orders")
        producer = await client.begin("payments")
        await client.add_partitions("payments", producer, "orders", 0)
        assert await produce(client, producer, 0, b"one", b"two") == (0, 0)
        await broker.kill()
    async with spawned_broker(tmp_path / "data", port=port) as broker, transaction_client(broker) as client:
        assert await client.state_of("payments") == "Ongoing"
        assert await client.end_offset("orders") == 2
        assert (await client.end("payments", producer)).error_code == 0
        assert await client.end_offset("orders") == 3
        await broker.kill()
    async with spawned_broker(tmp_path / "data", port=port) as broker, transaction_client(broker) as client:
        assert await client.state_of("payments") == "CompleteCommit"
        assert await client.end_offset("orders") == 3


async def test_a_sequence_number_that_was_aborted_is_a_new_record_when_it_comes_again(tmp_path: Path) -> None:
    """Redpanda issue 5026: it was taken for a repetition, answered with the old offset, and lost."""
    async with running_broker(tmp_path / "data") as broker, transaction_client(broker) as client:
        await client.create_topic("orders")
        producer = await client.begin("payments")
        await client.add_partitions("payments", producer, "orders", 0)
        assert await produce(client, producer, 0, b"aborted") == (0, 0)
        await client.end("payments", producer, commit=False)
        answer = await client.ask_for_id("payments", producer=producer)
        producer = ProducerIdAndEpoch(answer.producer_id, answer.producer_epoch)
        await client.add_partitions("payments", producer, "orders", 0)
        assert await produce(client, producer, 0, b"committed") == (0, 2)
        await client.end("payments", producer)
        assert await client.end_offset("orders") == 4


async def test_a_group_never_sees_its_old_offset_while_a_transaction_decides_on_the_new(tmp_path: Path) -> None:
    """Redpanda issue 9571: a commit that succeeded was answered with an error, and the old offset read once more."""
    settings = ("log.flush.on.acks.all=always", "offsets.topic.num.partitions=1")
    async with (
        running_broker(tmp_path / "data", *settings) as broker,
        transaction_client(broker) as client,
        transaction_client(broker) as reader,
    ):
        await client.create_topic("orders")
        await client.find_coordinator("billing")
        await client.commit("billing", {0: 1})
        producer = await client.begin("payments")
        for new in range(2, 12):
            await client.add_offsets("payments", producer, "billing")
            await client.commit_in_transaction("payments", producer, "billing", {0: new})
            ending = asyncio.create_task(client.end("payments", producer))
            seen = []
            while not seen or seen[-1].error_code:
                seen.append((await reader.fetch("billing", require_stable=True))[0])
            assert (await ending).error_code == 0
            assert {found.error_code for found in seen[:-1]} <= {ErrorCode.UNSTABLE_OFFSET_COMMIT}
            assert seen[-1].offset == new


async def test_an_offset_that_is_answered_is_the_one_on_the_disk(tmp_path: Path) -> None:
    """Bufstream 0.1.0: successful answers with offset 0 for records that were elsewhere, or nowhere."""
    async with running_broker(tmp_path / "data") as broker, transaction_client(broker) as client:
        await client.create_topic("orders")
        producer = await client.begin("payments")
        offsets = {}
        for number in range(0, 30, 3):
            await client.add_partitions("payments", producer, "orders", 0)
            values = [b"%d" % (number + index) for index in range(3)]
            code, base_offset = await produce(client, producer, number, *values)
            assert code == 0
            offsets.update({base_offset + index: value for index, value in enumerate(values)})
            await client.end("payments", producer, commit=number % 2 == 0)
        fetched = await DataPlaneClient(client.connection).fetch("orders", 0)
        stored = {
            record.offset: record.value
            for batch in iter_batches(as_view(fetched.records or b""))
            if not batch.is_control
            for record in iter_records(batch, budget_bytes=1 << 20)
        }
        assert stored == offsets
