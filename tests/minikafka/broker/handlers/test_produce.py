from __future__ import annotations

import asyncio
import gc
import struct
import threading
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
import pytest_asyncio

from minikafka.broker.batch_cost import TRIAL_BUDGET_BYTES
from minikafka.broker.context import RequestContext
from minikafka.broker.handlers.produce import ProduceHandler
from minikafka.broker.leader_hints import LeaderHints
from minikafka.clock import SystemClock
from minikafka.cluster.metadata import MetadataCache, PartitionState, TopicMetadata
from minikafka.config.topic import TopicConfig
from minikafka.errors import ErrorCode, KafkaError, NotEnoughReplicas, NotLeaderOrFollower, StorageError
from minikafka.net.handler import Address, CarriedOut, ConnectionInfo
from minikafka.protocol.messages.produce import ProduceRequest, ProduceResponse
from minikafka.records.batch import RecordBatch, TimestampType
from minikafka.records.compression import Compression
from minikafka.records.crc32c import crc32c
from minikafka.storage.append import LogAppendInfo, PreparedBatch, prepare
from minikafka.types import INTERNAL_TOPICS, ProducerIdAndEpoch, TopicPartition
from tests.support.broker import RunningBroker, running_broker, spawned_broker
from tests.support.data_plane import (
    NOW_MS,
    DataPlaneClient,
    batch_of,
    connected,
    fresh_client,
    only_produced,
    produce_request,
    values_of,
)
from tests.support.transaction_client import TransactionClient

VERSIONS = ProduceRequest.VALID
NO_OFFSET = -1


on_the_wire = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def broker(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningBroker]:
    """One for the module: starting it takes longer than most tests."""
    async with running_broker(tmp_path_factory.mktemp("data")) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def client(broker: RunningBroker) -> AsyncIterator[DataPlaneClient]:
    async with fresh_client(broker) as made:
        yield made


def places_for_topics(data_dir: Path) -> set[Path]:
    """The directories of topics, and what is beside the data directory; the broker's own files come and go."""
    return {path for path in data_dir.iterdir() if path.is_dir()} | set(data_dir.parent.iterdir())


def recrc(batch: bytearray) -> bytes:
    """A batch that was changed on purpose, with a CRC that hides it."""
    struct.pack_into(">I", batch, 17, crc32c(memoryview(batch)[21:]))
    return bytes(batch)


def patched(batch: bytes, position: int, code: str, value: int) -> bytes:
    """``batch`` with one field of its header changed, and a CRC that fits."""
    changed = bytearray(batch)
    struct.pack_into(">" + code, changed, position, value)
    return recrc(changed)


@on_the_wire
class TestAppending:
    @pytest.mark.parametrize("acks", [1, -1])
    @pytest.mark.parametrize("version", VERSIONS)
    async def test_every_version_appends_and_answers_the_offset(
        self, client: DataPlaneClient, version: int, acks: int
    ) -> None:
        topic_id = await client.create_topic("t")
        request = produce_request("t", {0: batch_of(b"a", b"b")}, acks=acks, topic_id=topic_id)
        first = only_produced(await client.ask(request, version))
        second = only_produced(await client.ask(request, version))
        assert (first.error_code, first.base_offset, first.log_append_time_ms) == (0, 0, -1)
        assert (second.error_code, second.base_offset) == (0, 2)
        assert first.log_start_offset == (0 if version >= 5 else -1)
        assert values_of((await client.fetch("t", 0)).records) == [b"a", b"b", b"a", b"b"]

    async def test_the_base_offset_and_the_leader_epoch_of_the_producer_do_not_matter(
        self, client: DataPlaneClient
    ) -> None:
        await client.create_topic("t")
        batch = bytearray(batch_of(b"a"))
        struct.pack_into(">i", batch, 12, 77)
        assert (await client.produce("t", bytes(batch))).error_code == 0
        stored = RecordBatch.parse(memoryview(bytes((await client.fetch("t", 0)).records or b"")))
        assert (stored.base_offset, stored.partition_leader_epoch) == (0, 0)
        stored.verify_crc()

    async def test_partitions_of_one_request_are_answered_each_for_itself(self, client: DataPlaneClient) -> None:
        await client.create_topic("t", partitions=3)
        batches = {2: batch_of(b"two"), 0: b"no batch", 9: batch_of(b"nine"), 1: batch_of(b"one")}
        answer = await client.ask(produce_request("t", batches, acks=-1), 9)
        (topic,) = answer.responses
        assert [(p.index, p.error_code, p.base_offset) for p in topic.partition_responses] == [
            (2, 0, 0),
            (0, ErrorCode.CORRUPT_MESSAGE, NO_OFFSET),
            (9, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, NO_OFFSET),
            (1, 0, 0),
        ]

    async def test_of_a_partition_listed_twice_the_last_batch_counts(self, client: DataPlaneClient) -> None:
        await client.create_topic("t")
        request = produce_request("t", {0: batch_of(b"first")})
        request.topic_data += produce_request("t", {0: batch_of(b"last")}).topic_data
        answered = only_produced(await client.ask(request, 9))
        assert (answered.error_code, answered.base_offset) == (0, 0)
        assert values_of((await client.fetch("t", 0)).records) == [b"last"]

    async def test_a_request_without_partitions_is_answered_with_none(self, client: DataPlaneClient) -> None:
        assert (await client.ask(ProduceRequest(acks=1, timeout_ms=0, topic_data=[]), 9)).responses == []

    async def test_very_many_partitions_are_answered_in_turns(self, client: DataPlaneClient) -> None:
        await client.create_topic("t", partitions=2)
        answer = await client.ask(produce_request("t", dict.fromkeys(range(5_000), BATCH)), 9)
        codes = [partition.error_code for partition in answer.responses[0].partition_responses]
        assert codes == [0] * 2 + [ErrorCode.UNKNOWN_TOPIC_OR_PARTITION] * 4_998

    async def test_more_partitions_than_any_cluster_has_end_the_connection(self, client: DataPlaneClient) -> None:
        with pytest.raises(ConnectionError):
            await client.ask(produce_request("t", dict.fromkeys(range(100_001), None)), 9)


@on_the_wire
class TestAcks:
    async def test_acks_0_gets_no_answer(self, client: DataPlaneClient) -> None:
        await client.create_topic("t")
        await client.connection.send_no_reply(produce_request("t", {0: batch_of(b"a")}, acks=0), 9)
        assert await client.end_offset("t") == 1

    @pytest.mark.parametrize("topic", ["t", "nowhere"])
    async def test_an_error_with_acks_0_closes_the_connection(self, client: DataPlaneClient, topic: str) -> None:
        await client.create_topic("t")
        await client.connection.send_no_reply(produce_request(topic, {0: b"no batch"}, acks=0), 9)
        with pytest.raises(ConnectionError):
            await client.end_offset("t")

    @pytest.mark.parametrize("acks", [2, -2, 32767])
    async def test_other_acks_are_refused_and_nothing_is_appended(self, client: DataPlaneClient, acks: int) -> None:
        await client.create_topic("t")
        refused = await client.produce("t", batch_of(b"a"), acks=acks)
        assert (refused.error_code, refused.base_offset) == (ErrorCode.INVALID_REQUIRED_ACKS, NO_OFFSET)
        assert await client.end_offset("t") == 0

    async def test_acks_all_of_one_replica_is_answered_after_the_flush(self, tmp_path: Path) -> None:
        async with running_broker(tmp_path, "log.flush.on.acks.all=auto") as broker, connected(broker) as client:
            await client.create_topic("t", partitions=2)
            requests = [produce_request("t", {0: BATCH, 1: BATCH}, acks=-1) for _ in range(20)]
            answers = await asyncio.gather(*(client.ask(request, 9) for request in requests))
        offsets = [[p.base_offset for p in answer.responses[0].partition_responses] for answer in answers]
        assert offsets == [[n, n] for n in range(20)]


@on_the_wire
class TestWhereTo:
    @pytest.mark.parametrize("partition", [-1, 1, 2**31 - 1, -(2**31)])
    @pytest.mark.parametrize("acks", [1, -1])
    async def test_a_partition_that_does_not_exist_is_unknown(
        self, client: DataPlaneClient, partition: int, acks: int
    ) -> None:
        await client.create_topic("t")
        refused = await client.produce("t", batch_of(b"a"), partition=partition, acks=acks)
        assert (refused.error_code, refused.base_offset) == (ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, NO_OFFSET)

    @pytest.mark.parametrize("topic", ["", ".", "..", "../x", "a/b", "a\0b", "x" * 250, "t\u03bfpic", "nowhere"])
    async def test_a_topic_that_does_not_exist_is_unknown_and_not_made(
        self, client: DataPlaneClient, topic: str, broker: RunningBroker
    ) -> None:
        before = places_for_topics(broker.data_dir)
        refused = await client.produce(topic, batch_of(b"a"))
        assert refused.error_code == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
        assert places_for_topics(broker.data_dir) == before

    async def test_an_unknown_topic_id_is_told_as_such(self, client: DataPlaneClient) -> None:
        await client.create_topic("t")
        request = produce_request("", {0: batch_of(b"a")}, topic_id=b"\7" * 16)
        assert only_produced(await client.ask(request, 13)).error_code == ErrorCode.UNKNOWN_TOPIC_ID

    @pytest.mark.parametrize("topic", sorted(INTERNAL_TOPICS))
    async def test_internal_topics_are_not_for_clients(self, client: DataPlaneClient, topic: str) -> None:
        await client.create_topic(topic)
        refused = await client.produce(topic, batch_of(b"a"))
        assert refused.error_code == ErrorCode.INVALID_TOPIC_EXCEPTION
        assert await client.end_offset(topic) == 0


BATCH = batch_of(b"value", key=b"key")

LYING_BATCHES = {
    "no bytes": (b"", ErrorCode.INVALID_RECORD),
    "null": (None, ErrorCode.INVALID_RECORD),
    "a length below the header's": (patched(BATCH, 8, "i", 48), ErrorCode.CORRUPT_MESSAGE),
    "a negative length": (patched(BATCH, 8, "i", -1), ErrorCode.CORRUPT_MESSAGE),
    "a length beyond the request": (patched(BATCH, 8, "i", len(BATCH)), ErrorCode.CORRUPT_MESSAGE),
    "magic 0": (patched(BATCH, 16, "b", 0), ErrorCode.INVALID_RECORD),
    "magic 1": (patched(BATCH, 16, "b", 1), ErrorCode.INVALID_RECORD),
    "magic 3": (patched(BATCH, 16, "b", 3), ErrorCode.CORRUPT_MESSAGE),
    "magic -1": (patched(BATCH, 16, "b", -1), ErrorCode.CORRUPT_MESSAGE),
    "two batches": (BATCH + BATCH, ErrorCode.INVALID_RECORD),
    "a base offset": (patched(BATCH, 0, "q", 5), ErrorCode.INVALID_RECORD),
    "too high a count": (patched(BATCH, 57, "i", 2), ErrorCode.INVALID_RECORD),
    "a count of 0": (patched(BATCH, 57, "i", 0), ErrorCode.INVALID_RECORD),
    "a negative count": (patched(BATCH, 57, "i", -1), ErrorCode.INVALID_RECORD),
    "the highest count": (patched(BATCH, 57, "i", 2**31 - 1), ErrorCode.INVALID_RECORD),
    "a last offset delta beyond the count": (patched(BATCH, 23, "i", 7), ErrorCode.INVALID_RECORD),
    "a control batch": (batch_of(b"x", is_control=True), ErrorCode.INVALID_RECORD),
    "a producer without sequence": (patched(batch_of(b"x", producer_id=5), 53, "i", -1), ErrorCode.INVALID_RECORD),
    "a producer without epoch": (patched(batch_of(b"x", producer_id=5), 51, "h", -1), ErrorCode.INVALID_RECORD),
    "a transaction without producer": (patched(BATCH, 21, "h", 0x10), ErrorCode.INVALID_RECORD),
    "a record longer than the batch": (patched(BATCH, 61, "b", 126), ErrorCode.INVALID_RECORD),
    "a negative record length": (patched(BATCH, 61, "b", 1), ErrorCode.INVALID_RECORD),
    "a record with another offset": (patched(BATCH, 64, "b", 2), ErrorCode.INVALID_RECORD),
    "a key longer than the record": (patched(BATCH, 65, "b", 126), ErrorCode.INVALID_RECORD),
    "a negative header count": (patched(BATCH, len(BATCH) - 1, "b", 1), ErrorCode.INVALID_RECORD),
    "more headers than bytes": (patched(BATCH, len(BATCH) - 1, "b", 126), ErrorCode.INVALID_RECORD),
    "codec 5": (patched(BATCH, 21, "h", 5), ErrorCode.UNSUPPORTED_COMPRESSION_TYPE),
    "codec 7": (patched(BATCH, 21, "h", 7), ErrorCode.UNSUPPORTED_COMPRESSION_TYPE),
    "a broken gzip stream": (patched(BATCH, 21, "h", 1), ErrorCode.INVALID_RECORD),
    "a broken snappy stream": (patched(BATCH, 21, "h", 2), ErrorCode.INVALID_RECORD),
    "a broken lz4 stream": (patched(BATCH, 21, "h", 3), ErrorCode.INVALID_RECORD),
    "a broken zstd stream": (patched(BATCH, 21, "h", 4), ErrorCode.INVALID_RECORD),
    "a timestamp of -5": (batch_of(b"x", timestamp_ms=-5), ErrorCode.INVALID_TIMESTAMP),
    "the last of all timestamps": (batch_of(b"x", timestamp_ms=2**63 - 1), ErrorCode.INVALID_TIMESTAMP),
}


@on_the_wire
class TestBatchesThatLie:
    async def test_each_is_refused_for_its_partition_and_the_connection_stays(self, client: DataPlaneClient) -> None:
        await client.create_topic("t")
        codes = {}
        for what, (batch, _) in LYING_BATCHES.items():
            refused = await client.produce("t", batch)
            codes[what] = ErrorCode(refused.error_code)
            assert refused.base_offset == NO_OFFSET, what
        assert codes == {what: code for what, (_, code) in LYING_BATCHES.items()}
        assert await client.end_offset("t") == 0
        assert (await client.produce("t", BATCH)).base_offset == 0

    async def test_one_wrong_bit_in_any_byte_after_the_crc_is_corruption(self, client: DataPlaneClient) -> None:
        await client.create_topic("t")
        for position in range(17, len(BATCH)):
            flipped = bytearray(BATCH)
            flipped[position] ^= 1 << (position % 8)
            assert (await client.produce("t", bytes(flipped))).error_code == ErrorCode.CORRUPT_MESSAGE, position
        assert await client.end_offset("t") == 0

    @pytest.mark.parametrize("codec", [codec for codec in Compression if codec])
    async def test_a_lie_inside_a_compressed_batch_is_found(self, client: DataPlaneClient, codec: Compression) -> None:
        await client.create_topic("t")
        batch = patched(batch_of(b"a", b"b", compression=codec), 57, "i", 3)
        refused = await client.produce("t", patched(batch, 23, "i", 2))
        assert refused.error_code == ErrorCode.INVALID_RECORD

    async def test_the_producer_reads_why(self, client: DataPlaneClient) -> None:
        await client.create_topic("t")
        refused = await client.produce("t", BATCH + BATCH)
        assert refused.error_message is not None
        assert "one record batch" in refused.error_message

    async def test_a_batch_above_max_message_bytes_is_too_large(self, client: DataPlaneClient) -> None:
        await client.create_topic("t", configs={"max.message.bytes": "1000"})
        assert (await client.produce("t", batch_of(bytes(1000)))).error_code == ErrorCode.MESSAGE_TOO_LARGE
        assert (await client.produce("t", batch_of(bytes(900)))).error_code == 0

    async def test_a_timestamp_too_far_in_the_future_is_refused(self, client: DataPlaneClient) -> None:
        await client.create_topic("t", configs={"message.timestamp.after.max.ms": "1000"})
        refused = await client.produce("t", batch_of(b"x", timestamp_ms=2**62))
        assert refused.error_code == ErrorCode.INVALID_TIMESTAMP

    @pytest.mark.parametrize("version", [3, 6, 7])
    async def test_zstd_is_known_from_version_7(self, client: DataPlaneClient, version: int) -> None:
        await client.create_topic("t")
        answered = await client.produce("t", batch_of(b"x", compression=Compression.ZSTD), version=version)
        expected = ErrorCode.UNSUPPORTED_COMPRESSION_TYPE if version < 7 else ErrorCode.NONE
        assert answered.error_code == expected

    async def test_a_transactional_batch_needs_a_transactional_id(self, client: DataPlaneClient) -> None:
        await client.create_topic("t")
        answered = await client.produce("t", batch_of(b"x", producer_id=5, is_transactional=True))
        assert answered.error_code == ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED
        assert await client.end_offset("t") == 0


@pytest.mark.parametrize("how", ["stopped", "killed"])
async def test_a_batch_that_is_sent_again_after_a_restart_is_stored_once(tmp_path: Path, how: str) -> None:
    batches = [batch_of(b"%d" % number, producer_id=7, sequence=number) for number in range(6)]
    async with spawned_broker(tmp_path / "data") as first:
        async with connected(first) as client:
            await client.create_topic("t")
            offsets = [(await client.produce("t", batch, acks=-1)).base_offset for batch in batches]
        await (first.kill() if how == "killed" else first.terminate())
    async with spawned_broker(tmp_path / "data") as second, connected(second) as client:
        again = [await client.produce("t", batch, acks=-1) for batch in batches[1:]]
        assert [(answer.error_code, answer.base_offset) for answer in again] == [(0, one) for one in offsets[1:]]
        assert (await client.produce("t", batch_of(b"6", producer_id=7, sequence=6))).base_offset == 6


@on_the_wire
class TestIdempotentProducers:
    @pytest.mark.parametrize("acks", [1, -1])
    @pytest.mark.parametrize("version", VERSIONS)
    async def test_a_batch_that_is_sent_twice_is_stored_once(
        self, client: DataPlaneClient, version: int, acks: int
    ) -> None:
        topic_id = await client.create_topic("t")
        batch = batch_of(b"a", b"b", producer_id=1000)
        request = produce_request("t", {0: batch}, acks=acks, topic_id=topic_id)
        first = only_produced(await client.ask(request, version))
        assert (first.error_code, first.base_offset, first.log_append_time_ms) == (0, 0, -1)
        await client.produce("t", batch_of(b"c"))
        again = only_produced(await client.ask(request, version))
        assert (again.error_code, again.base_offset, again.log_append_time_ms) == (0, 0, NOW_MS + 1)
        assert values_of((await client.fetch("t", 0)).records) == [b"a", b"b", b"c"]

    async def test_the_last_five_batches_are_known_and_never_out_of_order(self, client: DataPlaneClient) -> None:
        await client.create_topic("t")
        batches = [batch_of(b"%d" % number, producer_id=7, sequence=number) for number in range(6)]
        offsets = [(await client.produce("t", batch)).base_offset for batch in batches]
        again = [await client.produce("t", batch) for batch in batches[1:]]
        assert [(answer.error_code, answer.base_offset) for answer in again] == [(0, offset) for offset in offsets[1:]]
        forgotten = await client.produce("t", batches[0])
        assert forgotten.error_code == ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER
        assert await client.end_offset("t") == 6

    @pytest.mark.parametrize(
        ("epoch", "sequence", "expected"),
        [
            (1, 1, ErrorCode.NONE),
            (1, 2, ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER),
            (0, 1, ErrorCode.INVALID_PRODUCER_EPOCH),
            (2, 0, ErrorCode.NONE),
            (2, 1, ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER),
        ],
    )
    async def test_what_follows_is_the_next_or_a_new_epoch(
        self, client: DataPlaneClient, epoch: int, sequence: int, expected: ErrorCode
    ) -> None:
        await client.create_topic("t")
        await client.produce("t", batch_of(b"a", producer_id=7, producer_epoch=1))
        answer = await client.produce("t", batch_of(b"b", producer_id=7, producer_epoch=epoch, sequence=sequence))
        assert answer.error_code == expected
        assert await client.end_offset("t") == (1 if expected else 2)


class TestTransactions:
    async def send(
        self,
        client: TransactionClient,
        producer: ProducerIdAndEpoch,
        sequence: int = 0,
        *,
        partitions: Sequence[int] = (0,),
        version: int = 11,
    ) -> dict[int, int]:
        """Send a record of ``payments`` to each of some partitions; error codes by partition."""
        producer_id, producer_epoch = producer
        batch = batch_of(
            b"x", producer_id=producer_id, producer_epoch=producer_epoch, sequence=sequence, is_transactional=True
        )
        request = produce_request(
            "orders",
            dict.fromkeys(partitions, batch),
            acks=-1,
            topic_id=bytes((await client.metadata(["orders"])).topics[0].topic_id),
            transactional_id="payments",
        )
        (topic,) = (await client.ask(request, version)).responses
        return {answer.index: answer.error_code for answer in topic.partition_responses}

    @pytest.mark.parametrize("version", [version for version in VERSIONS if version < 12])
    async def test_a_partition_that_was_added_is_written_to_and_another_is_not(
        self, transactional: TransactionClient, version: int
    ) -> None:
        producer = await transactional.begin("payments")
        await transactional.add_partitions("payments", producer, "orders", 0)
        refused = ErrorCode.INVALID_TXN_STATE if version < 11 else ErrorCode.TRANSACTION_ABORTABLE
        errors = await self.send(transactional, producer, partitions=(0, 1), version=version)
        assert errors == {0: 0, 1: refused}
        assert [await transactional.end_offset("orders", partition) for partition in (0, 1)] == [1, 0]

    @pytest.mark.parametrize("version", [version for version in VERSIONS if version >= 12])
    async def test_a_partition_is_added_by_writing_to_it(self, transactional: TransactionClient, version: int) -> None:
        producer = await transactional.begin("payments")
        for sequence in range(2):
            errors = await self.send(transactional, producer, sequence, partitions=(0, 2), version=version)
            assert errors == {0: 0, 2: 0}
        answer = await transactional.end("payments", producer, version=5)
        assert answer.error_code == 0
        assert [await transactional.end_offset("orders", partition) for partition in range(4)] == [3, 0, 3, 0]
        bumped = ProducerIdAndEpoch(answer.producer_id, answer.producer_epoch)
        assert await self.send(transactional, bumped, version=version) == {0: 0}

    async def test_a_batch_that_comes_after_the_end_of_its_transaction_is_refused(
        self, transactional: TransactionClient
    ) -> None:
        producer = await transactional.begin("payments")
        await transactional.add_partitions("payments", producer, "orders", 0)
        assert await self.send(transactional, producer) == {0: 0}
        await transactional.end("payments", producer)
        assert await self.send(transactional, producer, 1) == {0: ErrorCode.TRANSACTION_ABORTABLE}
        assert await transactional.end_offset("orders", 0) == 2

    async def test_with_an_epoch_for_each_transaction_a_late_batch_is_of_an_old_one(
        self, transactional: TransactionClient
    ) -> None:
        producer = await transactional.begin("payments")
        assert await self.send(transactional, producer, version=12) == {0: 0}
        await transactional.end("payments", producer, commit=False, version=5)
        assert await self.send(transactional, producer, 1, version=12) == {0: ErrorCode.INVALID_PRODUCER_EPOCH}
        assert await self.send(transactional, producer, partitions=(3,), version=12) == {
            3: ErrorCode.INVALID_PRODUCER_EPOCH
        }

    async def test_a_replaced_producer_is_fenced(self, transactional: TransactionClient) -> None:
        producer = await transactional.begin("payments")
        assert await self.send(transactional, producer, version=12) == {0: 0}
        while (await transactional.ask_for_id("payments")).error_code == ErrorCode.CONCURRENT_TRANSACTIONS:
            """Its transaction is being aborted."""
        assert await self.send(transactional, producer, 1, version=12) == {0: ErrorCode.INVALID_PRODUCER_EPOCH}

    async def test_after_an_abort_a_sequence_number_of_the_new_epoch_is_not_taken_for_the_old_one(
        self, transactional: TransactionClient
    ) -> None:
        producer = await transactional.begin("payments")
        assert await self.send(transactional, producer, version=12) == {0: 0}
        answer = await transactional.end("payments", producer, commit=False, version=5)
        bumped = ProducerIdAndEpoch(answer.producer_id, answer.producer_epoch)
        assert await self.send(transactional, bumped, version=12) == {0: 0}
        await transactional.end("payments", bumped, version=5)
        assert await transactional.end_offset("orders", 0) == 4

    async def test_a_batch_of_a_transaction_that_is_sent_twice_is_stored_once(
        self, transactional: TransactionClient
    ) -> None:
        producer = await transactional.begin("payments")
        for _ in range(2):
            assert await self.send(transactional, producer, version=12) == {0: 0}
        assert await transactional.end_offset("orders", 0) == 1


@on_the_wire
class TestTopicConfigs:
    @pytest.mark.parametrize("version", [3, 9, 12])
    async def test_log_append_time_is_stamped_and_answered(self, client: DataPlaneClient, version: int) -> None:
        await client.create_topic("t", configs={"message.timestamp.type": "LogAppendTime"})
        answered = await client.produce("t", batch_of(b"a", b"b"), version=version)
        stored = RecordBatch.parse(memoryview(bytes((await client.fetch("t", 0)).records or b"")))
        stored.verify_crc()
        assert stored.timestamp_type is TimestampType.LOG_APPEND_TIME
        assert answered.log_append_time_ms == stored.max_timestamp_ms > NOW_MS

    async def test_a_compacted_topic_names_the_records_without_key(self, client: DataPlaneClient) -> None:
        await client.create_topic("t", configs={"cleanup.policy": "compact"})
        refused = await client.produce("t", batch_of(b"a", b"b"))
        assert refused.error_code == ErrorCode.INVALID_RECORD
        assert [error.batch_index for error in refused.record_errors] == [0, 1]
        assert (await client.produce("t", batch_of(b"a", key=b"k"))).error_code == 0

    async def test_record_errors_are_told_from_version_8(self, client: DataPlaneClient) -> None:
        await client.create_topic("t", configs={"cleanup.policy": "compact"})
        refused = await client.produce("t", batch_of(b"a"), version=7)
        assert (refused.error_code, refused.record_errors) == (ErrorCode.INVALID_RECORD, [])

    @pytest.mark.parametrize("large", [False, True], ids=["small", "large"])
    async def test_the_topic_may_have_its_own_codec(self, client: DataPlaneClient, large: bool) -> None:
        await client.create_topic("t", configs={"compression.type": "zstd"})
        value = b"v" * (200_000 if large else 10)
        assert (await client.produce("t", batch_of(value))).error_code == 0
        records = (await client.fetch("t", 0)).records
        stored = RecordBatch.parse(memoryview(bytes(records or b"")))
        assert stored.compression is Compression.ZSTD
        assert values_of(records) == [value]


class Preparation(NamedTuple):
    on_the_loop: bool
    budget_bytes: int


@pytest.fixture
def preparations(monkeypatch: pytest.MonkeyPatch) -> list[Preparation]:
    """Where batches are checked, and with what budget."""
    seen: list[Preparation] = []
    loop_thread = threading.get_ident()

    def spy(*args: Any, max_decompressed_bytes: int, **kwargs: Any) -> PreparedBatch:
        seen.append(Preparation(threading.get_ident() == loop_thread, max_decompressed_bytes))
        return prepare(*args, max_decompressed_bytes=max_decompressed_bytes, **kwargs)

    monkeypatch.setattr("minikafka.broker.handlers.produce.prepare", spy)
    return seen


@on_the_wire
class TestDearBatches:
    LARGE = batch_of(*(b"%07d" % n * 10 for n in range(15_000)), compression=Compression.LZ4)
    CODECS = [codec for codec in Compression if codec]

    @pytest.mark.parametrize("acks", [1, -1])
    async def test_a_large_compressed_batch_is_checked_in_another_thread(
        self, client: DataPlaneClient, preparations: list[Preparation], acks: int
    ) -> None:
        await client.create_topic("t", partitions=2)
        answer = await client.ask(produce_request("t", {0: self.LARGE, 1: BATCH}, acks=acks), 9)
        assert [(p.error_code, p.base_offset) for p in answer.responses[0].partition_responses] == [(0, 0), (0, 0)]
        assert [prepared.on_the_loop for prepared in preparations] == [False, True]

    async def test_a_batch_of_very_many_records_is_checked_in_another_thread(
        self, client: DataPlaneClient, preparations: list[Preparation]
    ) -> None:
        await client.create_topic("t")
        assert (await client.produce("t", batch_of(*[b"x"] * 20_001))).error_code == 0
        assert [prepared.on_the_loop for prepared in preparations] == [False]

    @pytest.mark.parametrize("codec", CODECS)
    async def test_a_small_compressed_batch_is_checked_on_the_loop(
        self, client: DataPlaneClient, preparations: list[Preparation], codec: Compression
    ) -> None:
        await client.create_topic("t")
        assert (await client.produce("t", batch_of(b"value", compression=codec))).error_code == 0
        assert preparations == [Preparation(True, TRIAL_BUDGET_BYTES)]

    @pytest.mark.parametrize("codec", CODECS)
    async def test_a_small_batch_that_swells_is_finished_in_another_thread(
        self, client: DataPlaneClient, preparations: list[Preparation], codec: Compression
    ) -> None:
        await client.create_topic("t")
        swelling = batch_of(bytes(1_100_000), compression=codec)
        assert len(swelling) < 64 * 1024
        assert (await client.produce("t", swelling)).error_code == 0
        assert preparations == [Preparation(True, TRIAL_BUDGET_BYTES), Preparation(False, 64 * 1024 * 1024)]

    @pytest.mark.parametrize("codec", CODECS)
    async def test_a_bomb_is_refused_and_never_goes_off_on_the_loop(
        self, tmp_path: Path, preparations: list[Preparation], codec: Compression
    ) -> None:
        limits = ["minikafka.decompression.max.bytes=4194304", "message.max.bytes=10000000"]
        async with running_broker(tmp_path, *limits) as broker, connected(broker) as client:
            await client.create_topic("t")
            refused = await client.produce("t", batch_of(*[bytes(1 << 20)] * 5, compression=codec))
            assert refused.error_code == ErrorCode.INVALID_RECORD
            assert await client.end_offset("t") == 0
        assert all(prepared.budget_bytes <= TRIAL_BUDGET_BYTES for prepared in preparations if prepared.on_the_loop)

    async def test_large_and_small_batches_of_one_connection_keep_their_order(self, client: DataPlaneClient) -> None:
        await client.create_topic("t")
        requests = [produce_request("t", {0: batch}) for batch in (self.LARGE, BATCH, self.LARGE, BATCH)]
        answers = await asyncio.gather(*(client.ask(request, 9) for request in requests))
        assert [only_produced(answer).base_offset for answer in answers] == [0, 15_000, 15_001, 30_001]

    @pytest.mark.parametrize("partition", [0, 5])
    async def test_a_dear_batch_with_an_error_is_answered_with_it(
        self, client: DataPlaneClient, partition: int
    ) -> None:
        await client.create_topic("t")
        broken = bytearray(self.LARGE)
        broken[-1] ^= 1
        refused = await client.produce("t", bytes(broken), partition=partition)
        expected = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION if partition else ErrorCode.CORRUPT_MESSAGE
        assert (refused.error_code, refused.base_offset) == (expected, NO_OFFSET)

    async def test_a_refused_batch_does_not_wait_for_the_garbage_collector(self, client: DataPlaneClient) -> None:
        await client.create_topic("t")
        broken = self.LARGE[:-1] + b"?"
        gc.collect()
        others = {id(found) for found in gc.get_objects() if isinstance(found, KafkaError)}
        gc.disable()
        try:
            for partition in (0, 5):
                assert (await client.produce("t", broken, partition=partition)).error_code != 0
            async with asyncio.timeout(10):
                # The worker thread lets go of what it has raised only after the answer is under way, and tells nobody.
                while any(  # noqa: ASYNC110
                    isinstance(found, KafkaError) and id(found) not in others for found in gc.get_objects()
                ):
                    await asyncio.sleep(0.01)
        finally:
            gc.enable()

    async def test_a_dear_batch_with_acks_0_gets_no_answer(self, client: DataPlaneClient) -> None:
        await client.create_topic("t")
        await client.connection.send_no_reply(produce_request("t", {0: self.LARGE}, acks=0), 9)
        assert await client.end_offset("t") == 15_000


class StubPartitions:
    """One partition, which does what the test says."""

    def __init__(self, partition: object) -> None:
        self.partition = partition

    def leader(self, topic: str, partition: int) -> object:
        if isinstance(self.partition, Exception):
            raise self.partition
        return self.partition


class StubPartition:
    """Appends nothing, and acknowledges when the test says so."""

    topic_partition = TopicPartition("t", 0)
    log_start_offset = 3

    def __init__(self, *, durable: asyncio.Future[None] | None = None, fault: Exception | None = None) -> None:
        self.log = SimpleNamespace(config=TopicConfig())
        self._durable = durable
        self._fault = fault

    def append_as_leader(self, prepared: PreparedBatch, required_acks: int) -> LogAppendInfo:
        if self._fault is not None:
            raise self._fault
        return LogAppendInfo(5, 5, 6, prepared.batch.size, -1, 3)

    def wait_acknowledged(self, end_offset: int) -> asyncio.Future[None] | None:
        return self._durable


class TestWithoutALog:
    """What a healthy disk and a single broker never show."""

    @staticmethod
    def handler(partition: object, metadata: MetadataCache | None = None) -> ProduceHandler:
        hints = LeaderHints(metadata or MetadataCache(), lambda broker_id, _: Address("other", 9000 + broker_id))
        partitions: Any = StubPartitions(partition)
        verifier: Any = None  # transactions are the wire's
        worker = ThreadPoolExecutor(1)
        return ProduceHandler(partitions, verifier, hints, SystemClock(), worker, max_decompressed_bytes=1 << 26)

    @staticmethod
    def context(version: int) -> RequestContext:
        connection = ConnectionInfo(1, Address("127.0.0.1", 5000), Address("127.0.0.1", 9092), "PLAINTEXT")
        return RequestContext(connection, version, "test", 1, asyncio.get_running_loop().time())

    async def ask(
        self,
        partition: object,
        *,
        version: int = 10,
        acks: int = -1,
        timeout_ms: int = 60_000,
        metadata: MetadataCache | None = None,
    ) -> ProduceResponse:
        request = produce_request("t", {0: memoryview(BATCH)}, acks=acks, timeout_ms=timeout_ms)
        answer = self.handler(partition, metadata)(request, self.context(version))
        if isinstance(answer, CarriedOut):
            answer = await answer.answer
        assert isinstance(answer, ProduceResponse)
        return answer

    async def test_acks_all_is_answered_when_the_batch_is_durable(self) -> None:
        durable = asyncio.get_running_loop().create_future()
        asking = asyncio.ensure_future(self.ask(StubPartition(durable=durable)))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not asking.done()
        durable.set_result(None)
        answered = only_produced(await asking)
        assert (answered.error_code, answered.base_offset, answered.log_start_offset) == (0, 5, 3)

    async def test_the_next_request_need_not_wait_for_a_batch_that_is_in_the_log(self) -> None:
        durable = asyncio.get_running_loop().create_future()
        durable.set_result(None)
        request = produce_request("t", {0: memoryview(BATCH)}, acks=-1)
        answer = self.handler(StubPartition(durable=durable))(request, self.context(10))
        assert isinstance(answer, CarriedOut)
        assert only_produced(await answer.answer).base_offset == 5

    async def test_acks_1_does_not_wait(self) -> None:
        durable = asyncio.get_running_loop().create_future()
        assert only_produced(await self.ask(StubPartition(durable=durable), acks=1)).error_code == 0
        assert not durable.done()

    @pytest.mark.parametrize("timeout_ms", [1, 0, -1, -(2**31)])
    async def test_what_is_not_durable_in_time_has_timed_out(self, timeout_ms: int) -> None:
        durable = asyncio.get_running_loop().create_future()
        answered = only_produced(await self.ask(StubPartition(durable=durable), timeout_ms=timeout_ms))
        assert (answered.error_code, answered.base_offset) == (ErrorCode.REQUEST_TIMED_OUT, 5)

    async def test_a_flush_that_fails_is_a_storage_error(self) -> None:
        durable = asyncio.get_running_loop().create_future()
        durable.set_exception(StorageError("no disk"))
        assert only_produced(await self.ask(StubPartition(durable=durable))).error_code == ErrorCode.KAFKA_STORAGE_ERROR

    async def test_a_connection_that_goes_away_abandons_the_wait(self) -> None:
        durable = asyncio.get_running_loop().create_future()
        asking = asyncio.ensure_future(self.ask(StubPartition(durable=durable)))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert durable.cancelled()

    async def test_a_bug_in_the_append_is_retried_and_never_taken_for_perhaps_written(self) -> None:
        answered = only_produced(await self.ask(StubPartition(fault=ZeroDivisionError("a bug"))))
        assert answered.error_code == ErrorCode.KAFKA_STORAGE_ERROR
        assert "bug" not in (answered.error_message or "")

    async def test_a_bug_in_the_checks_is_a_definite_refusal(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def prepare_badly(*args: Any, **kwargs: Any) -> PreparedBatch:
            raise ZeroDivisionError("a bug")

        monkeypatch.setattr("minikafka.broker.handlers.produce.prepare", prepare_badly)
        answered = only_produced(await self.ask(StubPartition()))
        assert (answered.error_code, answered.log_start_offset) == (ErrorCode.INVALID_RECORD, 3)

    async def test_too_few_replicas_in_sync_is_told_before_the_append(self) -> None:
        answered = only_produced(await self.ask(StubPartition(fault=NotEnoughReplicas("1 of 2"))))
        assert (answered.error_code, answered.base_offset) == (ErrorCode.NOT_ENOUGH_REPLICAS, NO_OFFSET)

    @pytest.mark.parametrize("version", [9, 10])
    async def test_from_version_10_the_real_leader_is_told(self, version: int) -> None:
        metadata = MetadataCache()
        metadata.put_topic(TopicMetadata("t", b"i" * 16, (PartitionState(2, 4, (2,), (2,)),)))
        answer = await self.ask(NotLeaderOrFollower("broker 2 leads"), version=version, metadata=metadata)
        answered = only_produced(answer)
        assert answered.error_code == ErrorCode.NOT_LEADER_OR_FOLLOWER
        leader = (answered.current_leader.leader_id, answered.current_leader.leader_epoch)
        endpoints = [(node.node_id, node.host, node.port) for node in answer.node_endpoints]
        assert (leader, endpoints) == (((2, 4), [(2, "other", 9002)]) if version >= 10 else ((-1, -1), []))
