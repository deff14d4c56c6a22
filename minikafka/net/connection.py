"""The side that dials: requests go out as they come, each waits for the answer with its correlation id.

Source: Kafka, clients/NetworkClient.java.
"""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Mapping
from typing import NamedTuple, TypeVar, cast
from weakref import WeakKeyDictionary

from minikafka import __version__
from minikafka.errors import ErrorCode, RequestTimedOut, UnsupportedVersion
from minikafka.net.buffers import BufferPool
from minikafka.net.handler import Address, Buffer
from minikafka.net.receive import ReceiveBuffer
from minikafka.protocol.api_keys import ApiKey, response_class
from minikafka.protocol.codec import decode, encode_buffers
from minikafka.protocol.errors import DecodeError
from minikafka.protocol.frame import frame_prefix
from minikafka.protocol.header import decode_response_header, encode_request_header
from minikafka.protocol.messages.api_versions import ApiVersionsRequest, ApiVersionsResponse
from minikafka.protocol.schema import Message, Request

R = TypeVar("R", bound=Message)

MAX_RESPONSE_BYTES = 256 * 1024 * 1024
SOFTWARE_NAME = "minikafka-python"

_WRITE_HIGH_WATER_BYTES = 4 * 1024 * 1024
_MAX_CORRELATION_ID = 2**31 - 1
_API_VERSIONS_VERSIONS = (4, 3, 0)  # an older broker answers what it does not know in v0, and closes or stays


_pools: WeakKeyDictionary[asyncio.AbstractEventLoop, BufferPool] = WeakKeyDictionary()


class NetworkError(ConnectionError):
    """The connection is gone: requests that have no answer yet may or may not have been carried out."""


class VersionRange(NamedTuple):
    """The versions of an API that a broker serves, both inclusive."""

    first: int
    last: int


class _Pending(NamedTuple):
    correlation_id: int
    api_key: int
    version: int
    answer: asyncio.Future[Message]


class Connection(asyncio.BufferedProtocol):
    """A connection to one broker; :meth:`open` makes one.

    Any number of requests may be under way, and are answered in the order in which they were sent.
    """

    __slots__ = (
        "_can_write",
        "_client_id",
        "_close_reason",
        "_closed",
        "_correlation_id",
        "_loop",
        "_pending",
        "_queue",
        "_queued",
        "_receive",
        "_transport",
        "address",
        "features",
        "versions",
    )

    def __init__(self, client_id: str, address: Address, max_response_bytes: int) -> None:
        self.address = address
        """What was dialled."""
        self.versions: Mapping[ApiKey, VersionRange] = {}
        """What the broker serves, of the APIs known here."""
        self.features: Mapping[str, int] = {}
        """The levels at which the cluster's features work; those that it does not tell are missing."""
        self._client_id = client_id
        self._loop = asyncio.get_running_loop()
        self._receive = ReceiveBuffer(_pool_of(self._loop), max_response_bytes)
        self._pending: deque[_Pending] = deque()
        self._correlation_id = 0
        self._close_reason = ""
        self._closed = False
        self._can_write = asyncio.Event()
        self._can_write.set()
        self._queue = asyncio.Lock()
        self._queued = 0  # how many wait in the queue, also between two turns, when nobody has the lock
        self._transport: asyncio.Transport | None = None

    @classmethod
    async def open(
        cls,
        host: str,
        port: int,
        *,
        client_id: str,
        connect_timeout_ms: int = 10_000,
        max_response_bytes: int = MAX_RESPONSE_BYTES,
    ) -> Connection:
        """Connect, and learn what the broker serves.

        Raises:
            NetworkError: Nobody answers there, or not as a Kafka broker would; the text names the address.
        """
        address = Address(host, port)
        loop = asyncio.get_running_loop()
        connection: Connection | None = None
        try:
            async with asyncio.timeout(connect_timeout_ms / 1000):
                _, connection = await loop.create_connection(
                    lambda: cls(client_id, address, max_response_bytes), host, port
                )
                await connection._negotiate(connect_timeout_ms)
        except BaseException as error:
            if connection is not None:
                connection.close()
            if isinstance(error, TimeoutError | RequestTimedOut):
                raise NetworkError(f"{address} did not answer within {connect_timeout_ms} ms") from error
            if isinstance(error, OSError) and not isinstance(error, NetworkError):
                raise NetworkError(f"cannot connect to {address}: {error}") from error
            raise
        return connection

    @property
    def is_closed(self) -> bool:
        """Whether nothing can be sent any more."""
        return self._closed

    def pick(self, api_key: ApiKey, max_version: int) -> int:
        """The highest version of an API, up to ``max_version``, that the broker serves too.

        Raises:
            UnsupportedVersion: There is none.
        """
        served = self.versions.get(api_key)
        if served is None or served.first > max_version:
            raise UnsupportedVersion(f"{self.address} does not serve {api_key.name} up to version {max_version}")
        return min(served.last, max_version)

    async def request(self, message: Request[R], version: int, *, timeout_ms: int) -> R:
        """Send a request and wait for its answer.

        Memory that the answer refers to (records) stays valid for as long as it is referred to.

        Raises:
            RequestTimedOut: No answer within ``timeout_ms``.  The connection is closed: answers come in order, and the
                next one would have to wait behind this one.
            NetworkError: The connection is gone.
        """
        try:
            async with asyncio.timeout(timeout_ms / 1000):
                await self._turn_to_send()
                answer: asyncio.Future[Message] = self._loop.create_future()
                self._send(message, version, answer)
                return cast("R", await answer)
        except TimeoutError:
            reason = f"{self.address} did not answer {type(message).__name__} within {timeout_ms} ms"
            self._close(reason)
            raise RequestTimedOut(reason) from None

    async def send_no_reply(self, message: Message, version: int) -> None:
        """Send a request that has no answer, as Produce with ``acks=0``; waits while too much is unsent.

        Raises:
            NetworkError: The connection is gone.
        """
        await self._turn_to_send()
        self._send(message, version, None)

    def close(self) -> None:
        """Close the connection once what was sent is out; who still waits for an answer gets NetworkError."""
        if self._transport is not None:
            self._transport.close()
        self._close("the connection was closed here")

    async def _turn_to_send(self) -> None:
        """Wait while too much is unsent; who waited first sends first, for requests must not overtake each other."""
        if self._can_write.is_set() and not self._queued:
            return
        self._queued += 1
        try:
            async with self._queue:
                await self._can_write.wait()
        finally:
            self._queued -= 1

    def _send(self, message: Message, version: int, answer: asyncio.Future[Message] | None) -> None:
        if self._closed or self._transport is None:
            raise NetworkError(f"{self.address}: {self._close_reason or 'not connected'}")
        # Never 0: some clients and brokers of old take that for "no answer is meant".
        self._correlation_id = self._correlation_id % _MAX_CORRELATION_ID + 1
        head = encode_request_header(message.API_KEY, version, self._correlation_id, self._client_id)
        buffers = encode_buffers(message, version, head)
        if answer is not None:
            self._pending.append(_Pending(self._correlation_id, message.API_KEY, version, answer))
        frame: list[Buffer] = [frame_prefix(buffers), *buffers]
        self._transport.writelines(frame)

    async def _negotiate(self, timeout_ms: int) -> None:
        for version in _API_VERSIONS_VERSIONS:
            asked = ApiVersionsRequest()
            if version >= 3:
                asked = ApiVersionsRequest(client_software_name=SOFTWARE_NAME, client_software_version=__version__)
            told = await self.request(asked, version, timeout_ms=timeout_ms)
            if told.error_code == ErrorCode.NONE:
                self.versions = _known_versions(told)
                self.features = {feature.name: feature.max_version_level for feature in told.finalized_features}
                return
        raise NetworkError(f"{self.address} refuses ApiVersions with error {told.error_code}")

    # -- what the transport calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connected."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(_WRITE_HIGH_WATER_BYTES)
        sock = transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where the transport is to put the next bytes."""
        return self._receive.get_buffer()

    def buffer_updated(self, nbytes: int) -> None:
        """``nbytes`` have arrived."""
        self._receive.received(nbytes)
        try:
            while (frame := self._receive.next_frame()) is not None:
                self._take_answer(frame)
        except DecodeError as error:
            self._close(f"not a Kafka broker's answer: {error}")

    def eof_received(self) -> None:
        """The broker will send no more."""
        self._close("the broker closed the connection")

    def pause_writing(self) -> None:
        """The broker does not take requests as fast as they come."""
        self._can_write.clear()

    def resume_writing(self) -> None:
        """The broker has caught up."""
        self._can_write.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._close(str(exc) if exc else "the broker closed the connection")

    def _take_answer(self, frame: memoryview) -> None:
        if not self._pending:
            raise DecodeError("an answer that nobody asked for")
        pending = self._pending.popleft()
        try:
            correlation_id, position = decode_response_header(frame, pending.api_key, pending.version)
            if correlation_id != pending.correlation_id:
                raise DecodeError(f"answer {correlation_id} where {pending.correlation_id} was next")
            message = _decode_answer(pending, frame, position)
        except DecodeError as error:
            _fail(pending.answer, NetworkError(f"{self.address}: {error}"))
            raise
        if not pending.answer.done():
            pending.answer.set_result(message)

    def _close(self, reason: str) -> None:
        if self._closed:
            return
        self._closed = True
        self._close_reason = reason
        self._can_write.set()
        self._receive.clear()
        if self._transport is not None and not self._transport.is_closing():
            # Not close(), which would first send what is left, for as long as the broker takes to read it.
            self._transport.abort()
        error = NetworkError(f"{self.address}: {reason}")
        while self._pending:
            _fail(self._pending.popleft().answer, error)


def _pool_of(loop: asyncio.AbstractEventLoop) -> BufferPool:
    pool = _pools.get(loop)
    if pool is None:
        pool = _pools[loop] = BufferPool()
    return pool


def _known_versions(told: ApiVersionsResponse) -> dict[ApiKey, VersionRange]:
    known = set(ApiKey)
    return {
        ApiKey(api.api_key): VersionRange(api.min_version, api.max_version)
        for api in told.api_keys
        if api.api_key in known
    }


def _decode_answer(pending: _Pending, frame: memoryview, position: int) -> Message:
    if pending.api_key == ApiKey.API_VERSIONS and bytes(frame[position : position + 2]) == b"\0\x23":
        # The version is unknown to the broker, so the answer is in the one that everybody reads (KIP-511).
        return decode(ApiVersionsResponse, 0, frame, position)
    return decode(response_class(pending.api_key), pending.version, frame, position)


def _fail(answer: asyncio.Future[Message], error: Exception) -> None:
    if not answer.done():
        answer.set_exception(error)
