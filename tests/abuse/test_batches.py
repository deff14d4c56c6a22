"""Record batches that lie: refused for their partition with Kafka's error, and nothing of them is stored (F10-F15)."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import NamedTuple

import pytest

from minikafka.errors import ErrorCode
from minikafka.records.compression import Compression, compress
from minikafka.records.varint import encode_varint
from tests.abuse.healthy import BRIEF_S, HealthyClient, delete_topic, healthy_client, kafka_client
from tests.abuse.victim import Victim
from tests.minikafka.records.strategies import batch_of as batch_around
from tests.minikafka.records.strategies import patched, raw_record, sized
from tests.support.data_plane import NOW_MS, DataPlaneClient, batch_of, only_produced, produce_request

MIB = 1024 * 1024
CODECS = [codec for codec in Compression if codec]
HONEST = batch_of(b"value", key=b"key")
CORRUPT, INVALID = ErrorCode.CORRUPT_MESSAGE, ErrorCode.INVALID_RECORD
LAST_OF_ALL_TIMES = 2**63 - 1


class Abuse(NamedTuple):
    """A client that produces what it should not, and the healthy one beside it."""

    client: DataPlaneClient
    topic: str
    healthy: HealthyClient

    async def is_refused(self, batch: bytes | None, expected: ErrorCode, *, version: int = 9) -> None:
        """Produce ``batch`` and see it refused."""
        answer = await self.client.produce(self.topic, batch, version=version)
        assert (ErrorCode(answer.error_code), answer.base_offset) == (expected, -1), batch

    async def all_are_refused(self, batches: Iterable[bytes | None], expected: ErrorCode) -> None:
        for batch in batches:
            await self.is_refused(batch, expected)


@asynccontextmanager
async def abuse(victim: Victim, *, growth_mib: int = 16, configs: dict[str, str] | None = None) -> AsyncIterator[Abuse]:
    """At the end nothing may be in the topic, and the connection must still be good for an honest batch."""
    async with healthy_client(victim, growth_mib=growth_mib) as healthy, kafka_client(victim) as client:
        topic = "lies"
        await client.create_topic(topic, configs=configs)
        try:
            yield Abuse(client, topic, healthy)
            assert await client.end_offset(topic) == 0
            assert (await client.produce(topic, HONEST)).base_offset == 0
        finally:
            await delete_topic(client, topic)


async def test_f10_a_batch_whose_frame_lies_is_refused_for_its_partition(victim: Victim) -> None:
    async with abuse(victim) as it:
        lengths = (-1, 0, 13, 48, len(HONEST), 2**31 - 1, -(2**31))
        await it.all_are_refused([patched(HONEST, 8, ">i", length) for length in lengths], CORRUPT)
        await it.all_are_refused([patched(HONEST, 16, ">b", magic) for magic in (0, 1)], INVALID)
        await it.all_are_refused([patched(HONEST, 16, ">b", magic) for magic in (3, -1, 127)], CORRUPT)
        await it.all_are_refused([None, b"", HONEST + HONEST, HONEST + b"\0"], INVALID)
        await it.all_are_refused([HONEST[:end] for end in (1, 16, 17, 60, len(HONEST) - 1)], CORRUPT)
        await it.all_are_refused([patched(HONEST, 0, ">q", offset) for offset in (1, -1, 2**63 - 1)], INVALID)


async def test_f10_the_other_partitions_of_the_request_are_served(victim: Victim) -> None:
    async with healthy_client(victim) as _, kafka_client(victim) as client:
        await client.create_topic("mixed", partitions=3)
        batches = {0: HONEST, 1: HONEST + HONEST, 2: HONEST}
        (topic,) = (await client.ask(produce_request("mixed", batches), 9)).responses
        assert [(p.error_code, p.base_offset) for p in topic.partition_responses] == [(0, 0), (INVALID, -1), (0, 0)]
        await delete_topic(client, "mixed")


@pytest.mark.parametrize("codec", [Compression.NONE, Compression.LZ4])
async def test_f11_one_wrong_bit_in_any_byte_stores_nothing(victim: Victim, codec: Compression) -> None:
    honest = batch_of(b"value", b"other", key=b"key", compression=codec)
    async with abuse(victim) as it:
        for position in range(len(honest)):
            if 12 <= position < 16:
                continue  # the leader epoch, which the leader writes anyway
            for bit in range(8):
                broken = bytearray(honest)
                broken[position] ^= 1 << bit
                answer = await it.client.produce(it.topic, bytes(broken))
                assert answer.error_code in (CORRUPT, INVALID), (position, bit)
                assert answer.error_code == CORRUPT or position <= 16, (position, bit)


@pytest.mark.parametrize("codec", list(Compression))
async def test_f12_a_header_that_contradicts_the_records_is_refused(victim: Victim, codec: Compression) -> None:
    honest = batch_of(b"a", b"b", b"c", compression=codec)
    idempotent = batch_of(b"a", producer_id=5, compression=codec)
    async with abuse(victim) as it:
        counts = (0, -1, 2, 4, 2**31 - 1, -(2**31))
        await it.all_are_refused([patched(honest, 57, ">i", count) for count in counts], INVALID)
        await it.all_are_refused([patched(honest, 23, ">i", delta) for delta in (-1, 0, 3, 2**31 - 1)], INVALID)
        both = [patched(patched(honest, 57, ">i", count), 23, ">i", count - 1) for count in (1, 2, 4, 2**31 - 1)]
        await it.all_are_refused(both, INVALID)
        await it.is_refused(batch_of(b"a", is_control=True, compression=codec), INVALID)
        await it.all_are_refused([patched(idempotent, 53, ">i", sequence) for sequence in (-1, -2)], INVALID)
        await it.is_refused(patched(idempotent, 51, ">h", -1), INVALID)
        await it.is_refused(patched(honest, 21, ">h", 0x10 | codec), INVALID)  # a transaction of nobody


LYING_RECORDS = [
    *(raw_record(2, length=length) for length in (-1, -(2**31), 0, 1, 6, 9, 1000, 2**31 - 1)),
    raw_record(2, key=encode_varint(-2)),
    raw_record(2, key=encode_varint(2**31 - 1)),
    raw_record(2, value=encode_varint(-2)),
    raw_record(2, value=encode_varint(2**31 - 1)),
    raw_record(2, headers=encode_varint(-1)),
    raw_record(2, headers=encode_varint(1)),
    raw_record(2, headers=encode_varint(2**31 - 1)),
    raw_record(2, headers=b"\x02" + encode_varint(-1) + b"\0"),
    raw_record(2, headers=b"\x02" + sized(b"h") + encode_varint(-2)),
    raw_record(2, headers=b"\x80" * 6),
    raw_record(2, time=b"\x80" * 11),
    *(raw_record(delta) for delta in (0, 1, 3, -1, 2**31 - 1)),
    raw_record(2) + b"\0",
    raw_record(2)[:-1],
    b"\x80" * 6,
    b"",
]


@pytest.mark.parametrize("codec", list(Compression))
async def test_f13_a_record_that_lies_is_refused_also_when_compressed(victim: Victim, codec: Compression) -> None:
    async with abuse(victim) as it:
        for lie in LYING_RECORDS:
            records = raw_record(0) + raw_record(1) + lie
            await it.is_refused(
                batch_around(
                    compress(codec, records), 3, attributes=codec, base_timestamp=NOW_MS, max_timestamp=NOW_MS
                ),
                INVALID,
            )


def compressed(stream: bytes, codec: int, count: int = 1) -> bytes:
    return batch_around(stream, count, attributes=codec, base_timestamp=NOW_MS, max_timestamp=NOW_MS)


async def test_f14_unknown_codecs_are_refused(victim: Victim) -> None:
    async with abuse(victim) as it:
        unknown = [compressed(raw_record(), codec) for codec in (5, 6, 7)]
        await it.all_are_refused(unknown, ErrorCode.UNSUPPORTED_COMPRESSION_TYPE)
        zstd = batch_of(b"a", compression=Compression.ZSTD)
        await it.is_refused(zstd, ErrorCode.UNSUPPORTED_COMPRESSION_TYPE, version=6)


@pytest.mark.parametrize("codec", CODECS)
async def test_f14_streams_that_are_broken_are_refused(victim: Victim, codec: Compression) -> None:
    stream = compress(codec, raw_record(value=sized(b"some value " * 20)))
    broken = [stream[:end] for end in range(0, len(stream), 3)]
    broken += [raw_record() * 3, bytes(100), b"\xff" * 100, stream[::-1], stream[1:]]
    async with abuse(victim) as it:
        await it.all_are_refused([compressed(one, codec) for one in broken], INVALID)


XERIAL = b"\x82SNAPPY\0" + struct.pack(">ii", 1, 1)


async def test_f14_snappy_frames_that_lie_are_refused(victim: Victim) -> None:
    block = compress(Compression.SNAPPY, raw_record())[20:]
    claims = (-1, -(2**31), 0, len(block) - 1, len(block) + 1, 2**31 - 1)
    lies = [XERIAL + struct.pack(">i", claim) + block for claim in claims]
    swollen = b"\xff\xff\xff\xff\x0f" + block[1:]  # 4 GiB, it says
    lies += [swollen, XERIAL + struct.pack(">i", len(swollen)) + swollen, XERIAL, XERIAL[:10]]
    async with abuse(victim) as it:
        await it.all_are_refused([compressed(lie, Compression.SNAPPY) for lie in lies], INVALID)


def bomb(codec: Compression) -> bytes:
    """As large when compressed as a batch may be, or a gigabyte when not, whichever is less."""
    unit = {Compression.GZIP: 900, Compression.SNAPPY: 18, Compression.LZ4: 200, Compression.ZSTD: 1024}[codec] * MIB
    size = encode_varint(unit)
    return compressed(compress(codec, size + bytes(unit)), codec)


@pytest.mark.parametrize("codec", CODECS)
async def test_f14_bombs_go_off_without_harm(victim: Victim, codec: Compression) -> None:
    batch = await asyncio.to_thread(bomb, codec)
    assert len(batch) < MIB
    async with abuse(victim, growth_mib=112) as it:
        requests = [produce_request(it.topic, {0: batch}) for _ in range(8)]
        for answer in await asyncio.gather(*(it.client.ask(request, 9) for request in requests)):
            assert only_produced(answer).error_code == INVALID
        assert it.healthy.slowest_s < BRIEF_S


async def test_f14_bombs_of_many_clients_go_off_a_few_at_a_time(victim: Victim) -> None:
    batch = await asyncio.to_thread(bomb, Compression.ZSTD)

    async def throw(topic: str) -> None:
        async with kafka_client(victim) as client:
            assert (await client.produce(topic, batch)).error_code == INVALID

    async with abuse(victim, growth_mib=5 * 72) as it:
        await asyncio.gather(*(throw(it.topic) for _ in range(20)))
        assert it.healthy.slowest_s < BRIEF_S


async def test_f14_millions_of_records_in_a_small_batch_are_checked_out_of_the_way(victim: Victim) -> None:
    count = 5_000_000
    records = await asyncio.to_thread(lambda: compress(Compression.ZSTD, raw_record(0) * count))
    assert len(records) < MIB
    async with abuse(victim, growth_mib=192) as it:
        await it.is_refused(compressed(records, Compression.ZSTD, count), INVALID)
        honest = b"".join(raw_record(delta) for delta in range(1_000_000))
        records = compress(Compression.ZSTD, honest + raw_record(0))
        await it.is_refused(compressed(records, Compression.ZSTD, 1_000_001), INVALID)
        assert it.healthy.slowest_s < BRIEF_S


async def test_f15_times_that_cannot_be_are_refused(victim: Victim) -> None:
    async with abuse(victim) as it:
        times = (-5, -2, -(2**63), LAST_OF_ALL_TIMES, NOW_MS + 365 * 86_400_000)
        for field in (27, 35):
            lies = [patched(HONEST, field, ">q", time_ms) for time_ms in times]
            await it.all_are_refused(lies, ErrorCode.INVALID_TIMESTAMP)
