"""The listening side: who may connect, who has been silent for too long, and the end of it all."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from minikafka.net.broker_protocol import BrokerProtocol
from minikafka.net.buffers import BufferPool
from minikafka.net.handler import Address, Buffer, CarriedOut, CloseConnection, ConnectionInfo, FrameHandler, Reply
from minikafka.net.listen import bind
from minikafka.observability.logging import get_logger

__all__ = [
    "Address",
    "BrokerProtocol",
    "Buffer",
    "CarriedOut",
    "CloseConnection",
    "ConnectionInfo",
    "FrameHandler",
    "Reply",
    "Server",
    "ServerLimits",
]

_log = get_logger(__name__)

_SWEEP_S = 1.0
_LOG_LINES_PER_SWEEP = 10
_LAST_ANSWER_S = 30.0
"""How long a client that has ended its side, or was told to go, may still take to get the answers it is owed."""


@dataclass(frozen=True, slots=True)
class ServerLimits:
    """What clients may ask of the network.  Kafka's settings of the same meaning stand in brackets."""

    max_request_bytes: int = 100 * 1024 * 1024
    """[socket.request.max.bytes]"""
    max_buffered_bytes: int = -1
    """Unfinished and waiting requests of all connections together; -1 is without limit. [queued.max.request.bytes]"""
    max_connections: int = 2**31 - 1
    """[max.connections]"""
    max_connections_per_ip: int = 2**31 - 1
    """[max.connections.per.ip]"""
    max_idle_ms: int = 600_000
    """-1 is for ever. [connections.max.idle.ms]"""
    read_timeout_ms: int = 30_000
    """From the first byte of a request to its last."""
    backlog: int = 511
    """[socket.listen.backlog.size]"""


class _Bound(NamedTuple):
    socket: socket.socket
    listener: str


class Server:
    """Listens on any number of addresses and answers every frame with ``handler``.

    Time-outs are kept by one timer for all connections, which looks at each of them about once a second: a limit is
    noticed up to two such sweeps late, never early by more than one.

    Args:
        handler: Answers one frame; see :data:`FrameHandler`.
        limits: What clients may ask for.
        on_connected: Called for each connection that is let in.
    """

    def __init__(
        self,
        handler: FrameHandler,
        limits: ServerLimits,
        on_connected: Callable[[ConnectionInfo], None] = lambda info: None,
    ) -> None:
        self.handler = handler
        self.limits = limits
        self.pool = BufferPool()
        self.in_progress_bytes = 0
        """The size of all requests whose handlers are waiting for something."""
        self.now = 0.0
        """The loop's time at the last sweep: what connections note down, cheaper than asking each time."""
        self._on_connected = on_connected
        self._bound: list[_Bound] = []
        self._listeners: list[asyncio.Server] = []
        self._connections: dict[int, BrokerProtocol] = {}
        self._per_ip: Counter[str] = Counter()
        self._next_id = 1
        self._starved: dict[int, BrokerProtocol] = {}
        self._sweep_s = min(_SWEEP_S, limits.read_timeout_ms / 4000)
        if limits.max_idle_ms >= 0:
            self._sweep_s = max(0.01, min(self._sweep_s, limits.max_idle_ms / 4000))
        self._sweeper: asyncio.TimerHandle | None = None
        self._log_lines = 0
        self._drained = asyncio.Event()
        self._drained.set()

    @property
    def connection_count(self) -> int:
        """How many clients are connected."""
        return len(self._connections)

    def bind(self, host: str, port: int, listener: str) -> Address:
        """Listen at ``host`` and ``port``, 0 for a port that is free, under the name of a listener.

        Clients can connect from now on, but wait to be served until :meth:`start`.

        Raises:
            OSError: the address cannot be had.
        """
        sockets = bind(host, port, self.limits.backlog)
        self._bound += [_Bound(listening, listener) for listening in sockets]
        return Address(*sockets[0].getsockname()[:2])

    async def start(self) -> None:
        """Serve clients wherever :meth:`bind` was called for."""
        loop = asyncio.get_running_loop()
        self.now = loop.time()
        self._sweeper = loop.call_later(self._sweep_s, self._sweep)
        while self._bound:
            listening, listener = self._bound.pop()
            make_protocol = partial(BrokerProtocol, self, listener)
            server = await loop.create_server(make_protocol, sock=listening, backlog=self.limits.backlog)
            self._listeners.append(server)

    async def close(self, grace_s: float) -> None:
        """Stop listening, let requests in progress finish for ``grace_s`` seconds, and cut off what is left."""
        for bound in self._bound:
            bound.socket.close()
        self._bound.clear()
        for server in self._listeners:
            server.close()
        self._listeners.clear()
        for connection in list(self._connections.values()):
            connection.drain()
        try:
            async with asyncio.timeout(grace_s):
                await self._drained.wait()
        except TimeoutError:
            for connection in list(self._connections.values()):
                connection.abort()
            await self._drained.wait()
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None

    # -- what connections call

    def admit(self, connection: BrokerProtocol) -> str:
        """Let a new connection in; returns why not if it has to go, else nothing."""
        info = connection.info
        if len(self._connections) >= self.limits.max_connections:
            return f"there are {self.limits.max_connections} connections already (max.connections)"
        if self._per_ip[info.peer.host] >= self.limits.max_connections_per_ip:
            return f"its address has {self.limits.max_connections_per_ip} connections (max.connections.per.ip)"
        info.id = self._next_id
        self._next_id += 1
        self._connections[info.id] = connection
        self._per_ip[info.peer.host] += 1
        self._drained.clear()
        self._on_connected(info)
        return ""

    def forget(self, connection: BrokerProtocol) -> None:
        """A connection is gone."""
        info = connection.info
        if self._connections.pop(info.id, None) is None:
            return
        self._starved.pop(info.id, None)
        self._per_ip[info.peer.host] -= 1
        if not self._per_ip[info.peer.host]:
            del self._per_ip[info.peer.host]
        if not self._connections:
            self._drained.set()
        self._feed_starved()

    def is_out_of_memory(self) -> bool:
        """Whether unfinished requests together hold what they may: none of them should grow."""
        limit = self.limits.max_buffered_bytes
        return 0 <= limit < self.pool.lent_bytes + self.in_progress_bytes

    def starve(self, connection: BrokerProtocol) -> None:
        """Call ``connection.retry_reading()`` when there is room again."""
        self._starved[connection.info.id] = connection

    def release(self, request_bytes: int) -> None:
        """A request that was in progress is answered."""
        self.in_progress_bytes -= request_bytes
        self._feed_starved()

    def _feed_starved(self) -> None:
        while self._starved and not self.is_out_of_memory():
            self._starved.pop(next(iter(self._starved))).retry_reading()

    # -- what the clock calls

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        self.now = now = loop.time()
        idle_before = now - self.limits.max_idle_ms / 1000 if self.limits.max_idle_ms >= 0 else float("-inf")
        frame_before = now - self.limits.read_timeout_ms / 1000
        answered_before = now - _LAST_ANSWER_S
        for connection in list(self._connections.values()):
            if connection.is_reset:
                connection.abort()
            elif connection.is_ending:
                if connection.last_seen < answered_before:
                    connection.abort()
            elif connection.frame_since and connection.frame_since < frame_before:
                connection.close(f"its request was not whole after {self.limits.read_timeout_ms} ms")
            elif connection.last_seen < idle_before and not connection.is_busy:
                connection.close("")
        self._feed_starved()
        self._end_log_lines()
        self._sweeper = loop.call_later(self._sweep_s, self._sweep)

    # -- log lines, of which no client can cause a flood

    def log_closed(self, info: ConnectionInfo, reason: str) -> None:
        """Say why the broker ends a connection."""
        self._log_lines += 1
        if self._log_lines <= _LOG_LINES_PER_SWEEP:
            _log.warning("connection_closed", peer=str(info.peer), listener=info.listener, reason=reason)

    def log_fault(self, info: ConnectionInfo, error: Exception) -> None:
        """Tell of an error of our own, with its traceback."""
        self._log_lines += 1
        if self._log_lines <= _LOG_LINES_PER_SWEEP:
            _log.error("request_failed", peer=str(info.peer), listener=info.listener, exc_info=error)

    def _end_log_lines(self) -> None:
        if self._log_lines > _LOG_LINES_PER_SWEEP:
            _log.warning("more_connections_closed", count=self._log_lines - _LOG_LINES_PER_SWEEP)
        self._log_lines = 0
