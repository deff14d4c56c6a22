"""The dialling side against a broker that is a few lines long, and misbehaves when it is told to."""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from minikafka.errors import RequestTimedOut, UnsupportedVersion
from minikafka.net.connection import Connection, NetworkError, VersionRange
from minikafka.protocol.api_keys import ApiKey
from minikafka.protocol.codec import encode
from minikafka.protocol.header import decode_request_header, encode_response_header
from minikafka.protocol.messages.api_versions import ApiVersion, ApiVersionsResponse
from minikafka.protocol.messages.metadata import MetadataRequest, MetadataResponse
from minikafka.protocol.schema import Message

pytestmark = pytest.mark.usefixtures("no_unhandled_exceptions")

SERVED = [
    ApiVersion(api_key=3, min_version=1, max_version=12),
    ApiVersion(api_key=32_000, min_version=0, max_version=0),
]
QUESTION = MetadataRequest(topics=[])


def metadata(cluster_id: str = "c") -> MetadataResponse:
    return MetadataResponse(throttle_time_ms=0, brokers=[], topics=[], cluster_id=cluster_id, controller_id=1)


def answer(message: Message, version: int, correlation_id: int) -> bytes:
    out = bytearray(encode_response_header(message.API_KEY, version, correlation_id))
    encode(message, version, out)
    return struct.pack(">i", len(out)) + bytes(out)


class FakeBroker:
    """Serves ApiVersions properly, and everything else by ``misbehave``."""

    def __init__(self) -> None:
        self.max_api_versions = 4
        self.asked: list[tuple[int, int, int]] = []
        self.misbehave: Callable[[int, int], bytes | None] = lambda version, number: answer(metadata(), version, number)
        self.writers: list[asyncio.StreamWriter] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.received_bytes = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                (size,) = struct.unpack(">i", await reader.readexactly(4))
                frame = await reader.readexactly(size)
                self.received_bytes += size
                header = decode_request_header(memoryview(frame))
                self.asked.append((header.api_key, header.api_version, header.correlation_id))
                if header.api_key == ApiKey.API_VERSIONS:
                    writer.write(self._api_versions(header.api_version, header.correlation_id))
                    continue
                await self.gate.wait()
                data = self.misbehave(header.api_version, header.correlation_id)
                if data is None:
                    break
                writer.write(data)
        writer.close()

    def _api_versions(self, version: int, correlation_id: int) -> bytes:
        if version > self.max_api_versions:
            return answer(ApiVersionsResponse(error_code=35, api_keys=[]), 0, correlation_id)
        return answer(ApiVersionsResponse(api_keys=SERVED), version, correlation_id)


class Pair:
    def __init__(self, broker: FakeBroker, connection: Connection) -> None:
        self.broker = broker
        self.connection = connection

    async def ask(self, version: int = 9, timeout_ms: int = 5_000) -> MetadataResponse:
        return await self.connection.request(QUESTION, version, timeout_ms=timeout_ms)


@asynccontextmanager
async def fake_broker() -> AsyncIterator[tuple[FakeBroker, int]]:
    broker = FakeBroker()
    server = await asyncio.start_server(broker, "127.0.0.1", 0)
    try:
        yield broker, server.sockets[0].getsockname()[1]
    finally:
        server.close()
        broker.gate.set()
        for writer in broker.writers:
            writer.transport.abort()
        await asyncio.sleep(0)


@asynccontextmanager
async def connected(max_response_bytes: int = 1_000_000) -> AsyncIterator[Pair]:
    async with fake_broker() as (broker, port):
        connection = await Connection.open("127.0.0.1", port, client_id="test", max_response_bytes=max_response_bytes)
        yield Pair(broker, connection)
        connection.close()


async def test_opening_learns_what_the_broker_serves() -> None:
    async with connected() as pair:
        assert pair.connection.versions == {ApiKey.METADATA: VersionRange(1, 12)}
        assert pair.broker.asked == [(18, 4, 1)]


async def test_an_older_broker_is_asked_again_in_a_version_that_it_knows() -> None:
    async with fake_broker() as (broker, port):
        broker.max_api_versions = 0
        connection = await Connection.open("127.0.0.1", port, client_id="test")
        assert ApiKey.METADATA in connection.versions
        assert [version for _, version, _ in broker.asked] == [4, 3, 0]
        connection.close()


async def test_the_highest_version_that_both_sides_know_is_picked() -> None:
    async with connected() as pair:
        assert pair.connection.pick(ApiKey.METADATA, 13) == 12
        assert pair.connection.pick(ApiKey.METADATA, 5) == 5
        with pytest.raises(UnsupportedVersion):
            pair.connection.pick(ApiKey.METADATA, 0)
        with pytest.raises(UnsupportedVersion):
            pair.connection.pick(ApiKey.FETCH, 18)


async def test_requests_are_pipelined_and_each_gets_its_answer() -> None:
    async with connected() as pair:
        pair.broker.gate.clear()
        pair.broker.misbehave = lambda version, number: answer(metadata(f"c{number}"), version, number)
        tasks = [asyncio.create_task(pair.ask()) for _ in range(20)]
        await asyncio.sleep(0)
        pair.broker.gate.set()
        answers = await asyncio.gather(*tasks)
        assert [got.cluster_id for got in answers] == [f"c{number}" for number in range(2, 22)]


async def test_no_correlation_id_is_zero() -> None:
    async with connected() as pair:
        pair.connection._correlation_id = 2**31 - 2
        for _ in range(3):
            await pair.ask()
        assert [number for _, _, number in pair.broker.asked[1:]] == [2**31 - 1, 1, 2]


async def test_a_request_without_answer_leaves_the_others_in_step() -> None:
    async with connected() as pair:
        pair.broker.misbehave = lambda version, number: b"" if number == 2 else answer(metadata(), version, number)
        await pair.connection.send_no_reply(QUESTION, 9)
        assert await pair.ask() == metadata()


async def test_without_an_answer_in_time_the_connection_is_given_up() -> None:
    async with connected() as pair:
        pair.broker.gate.clear()
        other = asyncio.create_task(pair.ask())
        with pytest.raises(RequestTimedOut, match="MetadataRequest within 50 ms"):
            await pair.ask(timeout_ms=50)
        assert pair.connection.is_closed
        with pytest.raises(NetworkError):
            await other
        with pytest.raises(NetworkError):
            await pair.ask()


async def test_the_time_of_a_request_that_was_answered_ends_no_other() -> None:
    async with connected() as pair:
        await pair.ask(timeout_ms=30)
        pair.broker.gate.clear()
        waiting = asyncio.create_task(pair.ask(timeout_ms=5_000))
        await asyncio.sleep(0.1)
        pair.broker.gate.set()
        assert await waiting == metadata()


async def test_a_request_that_nobody_waits_for_any_more_has_no_time_out() -> None:
    async with connected() as pair:
        pair.broker.gate.clear()
        cancelled = asyncio.create_task(pair.ask(timeout_ms=30))
        await asyncio.sleep(0)
        cancelled.cancel()
        await asyncio.sleep(0.1)
        assert not pair.connection.is_closed
        with pytest.raises(RequestTimedOut):
            await pair.ask(timeout_ms=30)


async def test_what_waits_for_its_turn_waits_no_longer_than_for_an_answer() -> None:
    async with connected() as pair:
        pair.connection.pause_writing()
        with pytest.raises(RequestTimedOut, match="MetadataRequest within 30 ms"):
            await pair.ask(timeout_ms=30)
        assert pair.connection.is_closed


async def test_a_request_can_be_sent_without_waiting_for_a_turn() -> None:
    async with connected() as pair:
        pair.connection.pause_writing()
        assert await pair.connection.send(QUESTION, 9, timeout_ms=5_000) == metadata()
        pair.connection.close()
        with pytest.raises(NetworkError):
            pair.connection.send(QUESTION, 9, timeout_ms=5_000)


async def test_an_answer_that_nobody_waits_for_any_more_is_dropped() -> None:
    async with connected() as pair:
        pair.broker.gate.clear()
        cancelled = asyncio.create_task(pair.ask())
        await asyncio.sleep(0.01)
        cancelled.cancel()
        pair.broker.gate.set()
        assert await pair.ask() == metadata()


@pytest.mark.parametrize(
    "data",
    [
        None,
        struct.pack(">i", -1),
        struct.pack(">i", 2**31 - 1),
        struct.pack(">i", 1_000_001),
        struct.pack(">ii", 4, 999),
        struct.pack(">iibb", 6, 2, 0, 0),
        answer(metadata(), 9, 2) + b"more",
        answer(metadata(), 9, 2)[:-1] + b"\7",
    ],
    ids=["closed", "size -1", "size max", "too large", "wrong id", "cut", "unasked", "malformed"],
)
async def test_a_broker_that_misbehaves_fails_who_waits_and_closes(data: bytes | None) -> None:
    async with connected() as pair:
        pair.broker.misbehave = lambda version, number: data
        answers = await asyncio.gather(*(pair.ask() for _ in range(3)), return_exceptions=True)
        assert isinstance(answers[-1], NetworkError)
        assert pair.connection.is_closed


async def test_who_waits_when_the_connection_is_closed_learns_of_it() -> None:
    async with connected() as pair:
        pair.broker.gate.clear()
        waiting = asyncio.create_task(pair.ask())
        await asyncio.sleep(0.01)
        pair.connection.close()
        with pytest.raises(NetworkError, match="closed here"):
            await waiting


async def test_what_was_sent_before_closing_still_goes_out() -> None:
    async with connected() as pair:
        pair.broker.misbehave = lambda version, number: b""
        for _ in range(1_000):
            await pair.connection.send_no_reply(QUESTION, 9)
        pair.connection.close()
        async with asyncio.timeout(5):
            while len(pair.broker.asked) < 1_001:  # noqa: ASYNC110 - the broker here has no event for it
                await asyncio.sleep(0.001)


async def test_a_broker_that_does_not_read_makes_senders_wait() -> None:
    async with connected() as pair:
        pair.broker.gate.clear()
        big = MetadataRequest(topics=None)
        sent = 0
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                while sent < 2_000_000:
                    await pair.connection.send_no_reply(big, 9)
                    sent += 1
                    if sent % 1000 == 0:
                        await asyncio.sleep(0)
        assert sent < 2_000_000


async def test_requests_that_had_to_wait_are_not_overtaken() -> None:
    async with connected() as pair:
        pair.connection.pause_writing()
        versions = [9, 10, 11, 12]
        waiting = [asyncio.create_task(pair.ask(version)) for version in versions[:-1]]
        await asyncio.sleep(0)
        late = asyncio.create_task(pair.ask(versions[-1]))
        pair.connection.resume_writing()  # the late one has its turn of the loop before the others wake up
        await asyncio.gather(*waiting, late)
        assert [version for key, version, _ in pair.broker.asked if key == ApiKey.METADATA] == versions


async def test_nobody_there_is_a_network_error_that_names_the_address() -> None:
    async with fake_broker() as (_, port):
        pass
    with pytest.raises(NetworkError, match=f"127.0.0.1:{port}"):
        await Connection.open("127.0.0.1", port, client_id="test")


async def test_a_name_that_does_not_exist_is_a_network_error() -> None:
    with pytest.raises(NetworkError, match="cannot connect to"):
        await Connection.open("host.invalid", 9092, client_id="test")


async def test_a_broker_that_accepts_and_says_nothing_is_given_up() -> None:
    writers: list[asyncio.StreamWriter] = []
    silent = await asyncio.start_server(lambda reader, writer: writers.append(writer), "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    with pytest.raises(NetworkError, match="did not answer within 50 ms"):
        await Connection.open("127.0.0.1", port, client_id="test", connect_timeout_ms=50)
    for writer in writers:
        writer.transport.abort()
    silent.close()
    await asyncio.sleep(0)
