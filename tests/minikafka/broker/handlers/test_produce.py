from __future__ import annotations

import asyncio
import struct
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from minikafka.broker.handlers import produce as handler_module
from minikafka.errors import ErrorCode
from minikafka.protocol.messages.produce import ProduceRequest
from minikafka.records.batch import RecordBatch, TimestampType
from minikafka.records.compression import Compression
from minikafka.records.crc32c import crc32c
from minikafka.types import INTERNAL_TOPICS
from tests.support.broker import running_broker
from tests.support.data_plane import (
    NOW_MS,
    DataPlaneClient,
    batch_of,
    connected,
    only_produced,
    produce_request,
    values_of,
)

VERSIONS = ProduceRequest.VALID
NO_OFFSET = -1


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[DataPlaneClient]:
    async with running_broker(tmp_path) as broker, connected(broker) as made:
        yield made


def names_below(directory: Path) -> list[Path]:
    return sorted(directory.rglob("*"))


def recrc(batch: bytearray) -> bytes:
    """A batch that was changed on purpose, with a CRC that hides it."""
    struct.pack_into(">I", batch, 17, crc32c(memoryview(batch)[21:]))
    return bytes(batch)


def patched(batch: bytes, position: int, code: str, value: int) -> bytes:
    """``batch`` with one field of its header changed, and a CRC that fits."""
    changed = bytearray(batch)
    struct.pack_into(">" + code, changed, position, value)
    return recrc(changed)


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

    async def test_an_idempotent_producer_is_served(self, client: DataPlaneClient) -> None:
        await client.create_topic("t")
        assert (await client.produce("t", batch_of(b"a", producer_id=1000), acks=-1)).error_code == 0

    async def test_a_request_without_partitions_is_answered_with_none(self, client: DataPlaneClient) -> None:
        assert (await client.ask(ProduceRequest(acks=1, timeout_ms=0, topic_data=[]), 9)).responses == []


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
        self, client: DataPlaneClient, topic: str, tmp_path: Path
    ) -> None:
        before = names_below(tmp_path)
        refused = await client.produce(topic, batch_of(b"a"))
        assert refused.error_code == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
        assert names_below(tmp_path) == before

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
}


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

    @pytest.mark.parametrize(
        ("transactional_id", "expected"),
        [(None, ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED), ("id", ErrorCode.INVALID_TXN_STATE)],
    )
    async def test_a_transactional_batch_is_refused_for_it_is_in_no_transaction(
        self, client: DataPlaneClient, transactional_id: str | None, expected: ErrorCode
    ) -> None:
        await client.create_topic("t")
        batch = batch_of(b"x", producer_id=5, is_transactional=True)
        request = produce_request("t", {0: batch}, transactional_id=transactional_id)
        assert only_produced(await client.ask(request, 11)).error_code == expected
        assert await client.end_offset("t") == 0


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


class TestExpensiveBatches:
    @pytest.mark.parametrize("acks", [1, -1])
    async def test_a_large_compressed_batch_is_checked_in_another_thread(
        self, client: DataPlaneClient, monkeypatch: pytest.MonkeyPatch, acks: int
    ) -> None:
        threads = []
        real = handler_module.prepare

        def spy(*args: object, **kwargs: object) -> object:
            threads.append(threading.get_ident())
            return real(*args, **kwargs)  # type: ignore[arg-type]

        monkeypatch.setattr(handler_module, "prepare", spy)
        await client.create_topic("t", partitions=2)
        large = batch_of(*(b"%07d" % n * 10 for n in range(20_000)), compression=Compression.LZ4)
        assert len(large) > 64 * 1024
        answer = await client.ask(produce_request("t", {0: large, 1: BATCH}, acks=acks), 9)
        assert [(p.error_code, p.base_offset) for p in answer.responses[0].partition_responses] == [(0, 0), (0, 0)]
        assert threads[0] != threading.get_ident()
        assert threads[1] == threading.get_ident()

    async def test_large_batches_of_one_connection_keep_their_order(self, client: DataPlaneClient) -> None:
        await client.create_topic("t")
        large = batch_of(*(b"%07d" % n * 10 for n in range(20_000)), compression=Compression.GZIP)
        requests = [produce_request("t", {0: batch}) for batch in (large, BATCH, large, BATCH)]
        answers = await asyncio.gather(*(client.ask(request, 9) for request in requests))
        assert [only_produced(answer).base_offset for answer in answers] == [0, 20_000, 20_001, 40_001]

    async def test_a_bomb_is_refused_while_others_are_served(self, client: DataPlaneClient) -> None:
        await client.create_topic("t")
        bomb = batch_of(*[bytes(1 << 20)] * 100, compression=Compression.ZSTD)
        padding = patched(bomb, 8, "i", len(bomb) - 12) if len(bomb) > 64 * 1024 else bomb
        refused = await client.produce("t", padding)
        assert refused.error_code == ErrorCode.INVALID_RECORD
        assert await client.end_offset("t") == 0
