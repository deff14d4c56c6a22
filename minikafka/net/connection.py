"""The side that dials: requests go out as they come, each waits for the answer with its correlation id.

Source: Kafka, clients/NetworkClient.java.
"""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Mapping
from typing import Any, NamedTuple, TypeVar, cast
from weakref import WeakKeyDictionary

from minikafka import __version__
from minikafka.errors import ErrorCode, RequestTimedOut, UnsupportedVersion
from minikafka.net.buffers import BufferPool
from minikafka.net.handler import Address
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
    request: type[Message]
    version: int
    answer: asyncio.Future[Any]
    deadline: float  # loop seconds
    timeout_ms: int


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
        "_deadline_timer",
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
        self._deadline_timer: asyncio.TimerHandle | None = None  # one for all: it looks for the earliest when it ends
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
        if not self._may_send:
            deadline = self._loop.time() + timeout_ms / 1000
            try:
                async with asyncio.timeout_at(deadline):
                    await self._turn_to_send()
            except TimeoutError:
                raise self._give_up(type(message), timeout_ms) from None
            timeout_ms = max(0, round((deadline - self._loop.time()) * 1000))
        told: R = await self.send(message, version, timeout_ms=timeout_ms)
        return told

    def send(self, message: Request[R], version: int, *, timeout_ms: int) -> asyncio.Future[R]:
        """Send a request here and now; what is returned has the answer, or the error, that :meth:`request` would have.

        However much is unsent, and whoever waits in :meth:`request` for a turn: it is for those who have a bound for
        what is under way.

        Raises:
            NetworkError: The connection is gone already.
        """
        answer: asyncio.Future[R] = self._loop.create_future()
        correlation_id = self._write(message, version)
        deadline = self._loop.time() + timeout_ms / 1000
        self._pending.append(_Pending(correlation_id, type(message), version, answer, deadline, timeout_ms))
        if self._deadline_timer is None or deadline < self._deadline_timer.when():
            self._wait_until(deadline)
        return answer

    async def send_no_reply(self, message: Message, version: int) -> None:
        """Send a request that has no answer, as Produce with ``acks=0``; waits while too much is unsent.

        Raises:
            NetworkError: The connection is gone.
        """
        if not self._may_send:
            await self._turn_to_send()
        self._write(message, version)

    def close(self) -> None:
        """Close the connection once what was sent is out; who still waits for an answer gets NetworkError."""
        if self._transport is not None:
            self._transport.close()
        self._close("the connection was closed here")

    @property
    def _may_send(self) -> bool:
        return self._can_write.is_set() and not self._queued

    async def _turn_to_send(self) -> None:
        """Wait while too much is unsent; who waited first sends first, for requests must not overtake each other."""
        self._queued += 1
        try:
            async with self._queue:
                await self._can_write.wait()
        finally:
            self._queued -= 1

    def _write(self, message: Message, version: int) -> int:
        """Hand a request to the transport, and return its correlation id."""
        if self._closed or self._transport is None:
            raise NetworkError(f"{self.address}: {self._close_reason or 'not connected'}")
        # Never 0: some clients and brokers of old take that for "no answer is meant".
        self._correlation_id = self._correlation_id % _MAX_CORRELATION_ID + 1
        head = encode_request_header(message.API_KEY, version, self._correlation_id, self._client_id)
        buffers = encode_buffers(message, version, head)
        self._transport.writelines([frame_prefix(buffers), *buffers])
        return self._correlation_id

    def _wait_until(self, deadline: float) -> None:
        if self._deadline_timer is not None:
            self._deadline_timer.cancel()
        self._deadline_timer = self._loop.call_at(deadline, self._look_at_deadlines)

    def _look_at_deadlines(self) -> None:
        self._deadline_timer = None
        waiting = [pending for pending in self._pending if not pending.answer.done()]
        if not waiting:
            return
        first = min(waiting, key=lambda pending: pending.deadline)
        if first.deadline > self._loop.time():
            self._wait_until(first.deadline)
            return
        self._pending.remove(first)
        _fail(first.answer, self._give_up(first.request, first.timeout_ms))

    def _give_up(self, request: type[Message], timeout_ms: int) -> RequestTimedOut:
        """Close the connection, as a request was not answered in time; what is returned is for whoever made it."""
        reason = f"{self.address} did not answer {request.__name__} within {timeout_ms} ms"
        self._close(reason)
        return RequestTimedOut(reason)

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
            correlation_id, position = decode_response_header(frame, pending.request.API_KEY, pending.version)
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
        if self._deadline_timer is not None:
            self._deadline_timer.cancel()
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
    api_key = pending.request.API_KEY
    if api_key == ApiKey.API_VERSIONS and bytes(frame[position : position + 2]) == b"\0\x23":
        # The version is unknown to the broker, so the answer is in the one that everybody reads (KIP-511).
        return decode(ApiVersionsResponse, 0, frame, position)
    return decode(response_class(api_key), pending.version, frame, position)


def _fail(answer: asyncio.Future[Message], error: Exception) -> None:
    if not answer.done():
        answer.set_exception(error)
