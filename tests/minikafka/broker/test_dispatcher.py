"""The dispatcher behind real sockets, with handlers that do what a test tells them."""

from __future__ import annotations

import asyncio
import resource
import struct
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from minikafka.broker.context import RequestContext
from minikafka.broker.dispatcher import Dispatcher, Handler
from minikafka.broker.fairness import MAX_LISTED
from minikafka.broker.routes import ROUTES, Route
from minikafka.broker.services import Services
from minikafka.config.sources import load
from minikafka.errors import ErrorCode, InvalidRequest
from minikafka.net.connection import Connection, NetworkError
from minikafka.net.handler import Address, CloseConnection, ConnectionInfo
from minikafka.net.server import Server, ServerLimits
from minikafka.protocol.api_keys import ApiKey
from minikafka.protocol.codec import decode, encode
from minikafka.protocol.header import decode_response_header, encode_request_header
from minikafka.protocol.messages.api_versions import ApiVersionsRequest, ApiVersionsResponse
from minikafka.protocol.messages.find_coordinator import FindCoordinatorRequest, FindCoordinatorResponse
from minikafka.protocol.messages.metadata import MetadataRequest, MetadataRequestTopic, MetadataResponse
from minikafka.protocol.messages.produce import ProduceRequest
from minikafka.protocol.schema import Message

MIB = 1024 * 1024
# All that the handlers of these tests need.
SERVICES = cast("Services", SimpleNamespace(loaded_config=load(None, {}, [])))


def empty_metadata() -> MetadataResponse:
    return MetadataResponse(throttle_time_ms=0, brokers=[], topics=[], cluster_id="c", controller_id=1)


class Told:
    """A handler that answers what it is told to, and remembers what it was asked."""

    def __init__(self) -> None:
        self.answer: Any = empty_metadata()
        self.waits = False
        self.asked: list[tuple[Message, RequestContext]] = []

    def __call__(self, request: Message, ctx: RequestContext) -> Any:
        self.asked.append((request, ctx))
        return self._later() if self.waits else self._now()

    async def _later(self) -> Any:
        await asyncio.sleep(0)
        return self._now()

    def _now(self) -> Any:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    """Stands in for every handler but that of ApiVersions."""
    made = Told()
    for route in ROUTES:
        if route.api_key is not ApiKey.API_VERSIONS:
            monkeypatch.setitem(sys.modules, route.handler_module, SimpleNamespace(build=lambda services: made))
    return made


@asynccontextmanager
async def serving() -> AsyncIterator[Address]:
    unhandled: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: unhandled.append(context))
    server = Server(Dispatcher(ROUTES, SERVICES), ServerLimits())
    address = server.bind("127.0.0.1", 0, "PLAINTEXT")
    await server.start()
    try:
        yield address
    finally:
        await server.close(0)
    assert unhandled == []


async def exchange(address: Address, *frames: bytes) -> bytes:
    """Send ``frames``, end, and take whatever comes until the broker closes."""
    reader, writer = await asyncio.open_connection(*address)
    writer.write(b"".join(struct.pack(">i", len(frame)) + frame for frame in frames))
    writer.write_eof()
    try:
        async with asyncio.timeout(10):
            return await reader.read()
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


def request(message: Message, version: int, correlation_id: int = 7, client_id: str | None = "test") -> bytes:
    frame = encode_request_header(message.API_KEY, version, correlation_id, client_id)
    encode(message, version, frame)
    return bytes(frame)


def rss_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


# -- requests that are served


@pytest.mark.parametrize("waits", [False, True])
@pytest.mark.parametrize("version", range(14))
async def test_a_request_reaches_its_handler_and_the_answer_its_client(told: Told, version: int, waits: bool) -> None:
    told.waits = waits
    async with serving() as address:
        answer = memoryview(await exchange(address, request(MetadataRequest(topics=[]), version)))
    correlation_id, position = decode_response_header(answer[4:], ApiKey.METADATA, version)
    assert correlation_id == 7
    assert decode(MetadataResponse, version, answer[4:], position).brokers == []
    ((asked, ctx),) = told.asked
    assert isinstance(asked, MetadataRequest)
    assert (ctx.api_version, ctx.client_id, ctx.correlation_id) == (version, "test", 7)
    assert ctx.connection.listener == "PLAINTEXT"


async def test_a_client_without_an_id_has_an_empty_one(told: Told) -> None:
    async with serving() as address:
        await exchange(address, request(MetadataRequest(topics=[]), 9, client_id=None))
    assert told.asked[0][1].client_id == ""


@pytest.mark.parametrize("waits", [False, True])
async def test_no_response_means_no_answer(told: Told, waits: bool) -> None:
    told.answer, told.waits = None, waits
    async with serving() as address:
        answer = await exchange(
            address, request(MetadataRequest(topics=[]), 1), request(ApiVersionsRequest(), 0, correlation_id=8)
        )
    correlation_id, _ = decode_response_header(memoryview(answer)[4:], ApiKey.API_VERSIONS, 0)
    assert correlation_id == 8


def test_handlers_are_made_when_they_are_needed(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []

    def build(module: str) -> Handler:
        made.append(module)
        return told

    for route in ROUTES:
        name = route.handler_module
        monkeypatch.setitem(sys.modules, name, SimpleNamespace(build=lambda services, name=name: build(name)))
    dispatcher = Dispatcher(ROUTES, SERVICES)
    assert made == []
    preloaded = list(dispatcher.preload())
    assert preloaded == [route.api_key for route in ROUTES]
    assert made == [route.handler_module for route in ROUTES]


# -- requests that are not


@pytest.mark.parametrize(
    ("api_key", "version"),
    [
        (-1, 0),
        (4, 0),
        (52, 0),
        (93, 0),
        (32767, 0),
        *[(route.api_key, route.last_version + 1) for route in ROUTES if route.api_key is not ApiKey.API_VERSIONS],
        *[(route.api_key, route.first_parsed - 1) for route in ROUTES if route.api_key is not ApiKey.API_VERSIONS],
        (ApiKey.METADATA, -1),
        (ApiKey.METADATA, 32767),
    ],
)
async def test_an_api_or_version_that_is_not_served_ends_the_connection(
    told: Told, api_key: int, version: int, capsys: pytest.CaptureFixture[str]
) -> None:
    async with serving() as address:
        frame = bytes(encode_request_header(api_key, version, 1, "librdkafka")) + bytes(20)
        assert await exchange(address, frame, request(MetadataRequest(topics=[]), 9)) == b""
    assert told.asked == []
    line = capsys.readouterr().err
    assert "librdkafka" in line
    assert str(version) in line


async def test_the_log_says_which_client_sends_the_old_produce(told: Told, capsys: pytest.CaptureFixture[str]) -> None:
    async with serving() as address:
        await exchange(address, bytes(encode_request_header(ApiKey.PRODUCE, 2, 1, "sarama")) + bytes(20))
    line = capsys.readouterr().err
    assert "PRODUCE version 2 is not served, only 3 to 13" in line
    assert "client id 'sarama'" in line


@pytest.mark.parametrize("version", [-1, 5, 6, 99, 100, 32767])
async def test_an_unknown_version_of_api_versions_is_answered_in_version_0(told: Told, version: int) -> None:
    async with serving() as address:
        frame = bytes(encode_request_header(ApiKey.API_VERSIONS, version, 7, "new")) + b"what nobody can read yet"
        answer = memoryview(await exchange(address, frame))
    response = decode(ApiVersionsResponse, 0, answer[4:], 4)
    assert answer[4:8] == (7).to_bytes(4)
    assert response.error_code == ErrorCode.UNSUPPORTED_VERSION
    assert [(api.api_key, api.min_version, api.max_version) for api in response.api_keys] == [(18, 0, 4)]


@pytest.mark.parametrize("version", [0, 5, 9, 13])
@pytest.mark.parametrize("change", [-1, 1, 2, 100])
async def test_a_frame_longer_or_shorter_than_its_request_ends_the_connection(
    told: Told, version: int, change: int, capsys: pytest.CaptureFixture[str]
) -> None:
    frame = request(MetadataRequest(topics=[]), version)
    frame = frame[:change] if change < 0 else frame + bytes(change)
    async with serving() as address:
        assert await exchange(address, frame) == b""
    assert told.asked == []
    assert "malformed request" in capsys.readouterr().err


HEAD_V1 = bytes(encode_request_header(ApiKey.METADATA, 1, 1, "t"))
HEAD_V9 = bytes(encode_request_header(ApiKey.METADATA, 9, 1, "t"))
HEAD_V9_UNTAGGED = HEAD_V9[:-1]
TWENTY_MILLION = b"\x80\xda\xc4\x09"


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(HEAD_V1 + struct.pack(">i", -2), id="array count -2"),
        pytest.param(HEAD_V1 + struct.pack(">i", 2**31 - 1), id="array count 2^31-1"),
        pytest.param(HEAD_V1 + struct.pack(">i", 3) + b"\0\1a", id="array count above what is left"),
        pytest.param(HEAD_V9 + b"\xff\xff\xff\xff\xff\x01", id="compact count of six bytes"),
        pytest.param(HEAD_V9 + b"\xff\xff\xff\xff\x0f", id="compact count 2^32-1"),
        pytest.param(HEAD_V9 + b"\xff", id="compact count cut"),
        pytest.param(HEAD_V1 + struct.pack(">ih", 1, -5), id="string length -5"),
        pytest.param(HEAD_V1 + struct.pack(">ih", 1, 32767) + b"abc", id="string longer than the frame"),
        pytest.param(HEAD_V1 + struct.pack(">ih", 1, 2) + b"\xff\xfe", id="string not UTF-8"),
        pytest.param(HEAD_V9_UNTAGGED + TWENTY_MILLION + bytes(1 * MIB), id="20 M tagged fields claimed"),
        pytest.param(HEAD_V9_UNTAGGED + TWENTY_MILLION + b"\0\0" * 10 * MIB, id="10 M tagged fields sent"),
        pytest.param(HEAD_V9_UNTAGGED + b"\2\1\0\1\0\1\0\0\0", id="tag twice"),
        pytest.param(HEAD_V9_UNTAGGED + b"\2\5\0\1\0\1\0\0\0", id="tags descending"),
        pytest.param(HEAD_V9_UNTAGGED + b"\1\1\x7f\0\1\0\0\0", id="tag larger than the frame"),
        pytest.param(HEAD_V9_UNTAGGED + b"\xff\xff\xff\xff\xff\xff\1", id="tag count of seven bytes"),
        pytest.param(HEAD_V1[:3], id="header cut in the version"),
        pytest.param(HEAD_V1[:9], id="header cut in the client id's length"),
        pytest.param(struct.pack(">hhih", 3, 1, 1, 500) + b"short", id="client id longer than the frame"),
        pytest.param(struct.pack(">hhih", 3, 1, 1, -2), id="client id length -2"),
        pytest.param(struct.pack(">hhih", 3, 1, 1, 2) + b"\xff\xff" + bytes(4), id="client id not UTF-8"),
        pytest.param(b"\0", id="one byte"),
    ],
)
async def test_malformed_bytes_end_their_connection_and_no_other(
    told: Told, frame: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    async with serving() as address:
        healthy = await Connection.open(*address, client_id="healthy")
        before = rss_bytes()
        assert await exchange(address, frame) == b""
        assert rss_bytes() - before < len(frame) * 3 + 16 * MIB
        assert await healthy.request(MetadataRequest(topics=[]), 12, timeout_ms=5_000) == empty_metadata()
        healthy.close()
    assert capsys.readouterr().err.count("connection_closed") == 1


@pytest.mark.parametrize("version", [1, 9])
async def test_a_request_with_more_elements_than_any_cluster_has_is_not_read_to_its_end(
    told: Told, version: int, capsys: pytest.CaptureFixture[str]
) -> None:
    topics = [MetadataRequestTopic(name="t")] * (MAX_LISTED + 1)
    async with serving() as address:
        assert await exchange(address, request(MetadataRequest(topics=topics), version)) == b""
        assert told.asked == []
        assert "more elements than a message may have" in capsys.readouterr().err
        assert await exchange(address, request(MetadataRequest(topics=topics[1:]), version))
    assert len(told.asked) == 1


@pytest.mark.parametrize("client_id", ["x" * 32_767, "nul\0", "\x1b[31mred\nnew line", "ünï"])
async def test_strange_client_ids_are_served(told: Told, client_id: str) -> None:
    async with serving() as address:
        assert await exchange(address, request(MetadataRequest(topics=[]), 9, client_id=client_id))
    assert told.asked[0][1].client_id == client_id


@pytest.mark.parametrize("client_id", ["x" * 32_767, "\x1b[31mred\nnew line\rback"])
async def test_strange_client_ids_cannot_fake_log_lines(
    told: Told, client_id: str, capsys: pytest.CaptureFixture[str]
) -> None:
    async with serving() as address:
        await exchange(address, bytes(encode_request_header(ApiKey.METADATA, 99, 1, client_id)))
    log = capsys.readouterr().err
    assert len(log.splitlines()) == 1
    assert len(log) < 1_000
    assert "\x1b[31mred" not in log


# -- faults of our own


@pytest.mark.parametrize("waits", [False, True])
async def test_a_kafka_error_that_escapes_is_the_top_level_error(told: Told, waits: bool) -> None:
    told.answer, told.waits = InvalidRequest("not like that"), waits
    async with serving() as address:
        connection = await Connection.open(*address, client_id="t")
        asked = FindCoordinatorRequest(key="k", key_type=0, coordinator_keys=[])
        answer = await connection.request(asked, 2, timeout_ms=5_000)
        connection.close()
    assert isinstance(answer, FindCoordinatorResponse)
    assert (answer.error_code, answer.error_message) == (ErrorCode.INVALID_REQUEST, "not like that")


@pytest.mark.parametrize("waits", [False, True])
async def test_an_unexpected_exception_is_told_as_such_without_its_text_and_logged_with_it(
    told: Told, waits: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    told.answer, told.waits = RuntimeError("secret"), waits
    async with serving() as address:
        connection = await Connection.open(*address, client_id="t")
        asked = FindCoordinatorRequest(key="k", key_type=0, coordinator_keys=[])
        answer = await connection.request(asked, 2, timeout_ms=5_000)
        assert answer.error_code == ErrorCode.UNKNOWN_SERVER_ERROR
        assert not answer.error_message
        assert not connection.is_closed
        connection.close()
    log = capsys.readouterr().err
    assert "Traceback" in log
    assert "secret" in log


@pytest.mark.parametrize("waits", [False, True])
@pytest.mark.parametrize("fault", [RuntimeError("boom"), InvalidRequest("boom"), CloseConnection("boom")])
async def test_where_the_response_has_no_place_for_an_error_the_connection_ends(
    told: Told, fault: Exception, waits: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    told.answer, told.waits = fault, waits
    async with serving() as address:
        connection = await Connection.open(*address, client_id="t")
        asked = ProduceRequest(transactional_id=None, acks=1, timeout_ms=1, topic_data=[])
        with pytest.raises(NetworkError):
            await connection.request(asked, 9, timeout_ms=5_000)
    assert "boom" in capsys.readouterr().err


async def test_an_answer_that_cannot_be_encoded_ends_the_connection(
    told: Told, capsys: pytest.CaptureFixture[str]
) -> None:
    told.answer = MetadataResponse(throttle_time_ms="soon", brokers=[], topics=[])  # type: ignore[arg-type]
    async with serving() as address:
        assert await exchange(address, request(MetadataRequest(topics=[]), 9)) == b""
    assert "request_failed" in capsys.readouterr().err


# -- the list of routes


def test_every_route_stands_once() -> None:
    keys = [route.api_key for route in ROUTES]
    assert len(keys) == len(set(keys))


def test_a_route_serves_from_its_first_parsed_version_to_its_last() -> None:
    route = Route(ApiKey.PRODUCE, 0, 13, 3)
    assert [version for version in range(-1, 16) if route.serves(version)] == list(range(3, 14))


def test_the_dispatcher_is_a_frame_handler() -> None:
    info = ConnectionInfo(1, Address("h", 1), Address("h", 2), "L")
    with pytest.raises(CloseConnection):
        Dispatcher(ROUTES, SERVICES)(memoryview(b""), info)
