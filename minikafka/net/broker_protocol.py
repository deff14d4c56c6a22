"""One client's connection, seen from the broker: frames are answered one at a time and in order."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Coroutine
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any, cast

from minikafka.net.answers import AnswerBatch, OwedAnswers
from minikafka.net.handler import Address, Buffer, CarriedOut, CloseConnection, ConnectionInfo, Reply
from minikafka.net.receive import ReceiveBuffer
from minikafka.protocol.errors import DecodeError

if TYPE_CHECKING:
    from minikafka.net.server import Server

_WRITE_HIGH_WATER_BYTES = 1024 * 1024
_WRITE_LOW_WATER_BYTES = 256 * 1024
"""A client that lets a megabyte of answers wait gets no further ones, and is not read from, until it has taken most."""

_SEND_BYTES = 256 * 1024
"""Answers to pipelined requests are sent together, up to this size."""

_TURN_S = 0.020
"""A client that keeps the broker busy for this long lets the others have their turn."""

_MAX_OWED = 128
_MAX_OWED_BYTES = 8 * 1024 * 1024
"""With this many answers owed, or requests of this size behind them, no further request is begun."""

_NO_FRAME = 0.0

_TCP_CLOSE = 7  # the first byte of TCP_INFO is the state (linux/tcp.h, net/tcp_states.h)


class BrokerProtocol(asyncio.BufferedProtocol):
    """Receives frames, hands each to the handler, and sends the answers in the order of the requests.

    One request is in progress at a time; those that are carried out may still wait for their answers.  While a handler
    waits, reading goes on, so that a client that leaves is noticed and its request cancelled, until one more whole
    frame is there; then the rest waits in the kernel.

    The server's sweep closes it when it is idle, or slow to send a request, by the times kept here.
    """

    __slots__ = (
        "_blocked",
        "_closing",
        "_eof",
        "_next_frame",
        "_owed",
        "_owed_bytes",
        "_reading",
        "_receive",
        "_server",
        "_socket",
        "_transport",
        "_turn_over",
        "_write_paused",
        "frame_since",
        "info",
        "last_seen",
    )

    def __init__(self, server: Server, listener: str) -> None:
        self._server = server
        self._socket: socket.socket | None = None
        self._receive = ReceiveBuffer(server.pool, server.limits.max_request_bytes)
        self._next_frame: memoryview | None = None  # the frame after the one in progress, when it is whole already
        self._owed = OwedAnswers()
        self._blocked = False  # the last answer owed has to be out before another request is begun
        self._owed_bytes = 0
        self._write_paused = False
        self._turn_over = False
        self._reading = True
        self._eof = False
        self._closing = False
        self.info = ConnectionInfo(0, Address("", 0), Address("", 0), listener)
        self.last_seen = 0.0
        """The sweep's time when bytes last came or went."""
        self.frame_since = _NO_FRAME
        """The sweep's time when the first byte of the frame came that is not whole yet; 0 when there is none."""

    # -- what the transport calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected; it is let in, or cut off at once when there are too many."""
        transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but name
        self._transport = transport
        peer, local = transport.get_extra_info("peername"), transport.get_extra_info("sockname")
        if peer is None or local is None:  # a client that was reset while it waited to be accepted
            self._closing = True
            transport.abort()
            return
        self.info.peer = _address(peer)
        self.info.local = _address(local)
        self.last_seen = self._server.now
        refusal = self._server.admit(self)
        if refusal:
            self._closing = True
            self._server.log_closed(self.info, refusal)
            transport.abort()
            return
        transport.set_write_buffer_limits(_WRITE_HIGH_WATER_BYTES, _WRITE_LOW_WATER_BYTES)
        self._socket = transport.get_extra_info("socket")
        if self._socket is not None:
            # A client whose machine is gone sends no FIN; without this it would be noticed at the idle limit only.
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where the transport is to put the next bytes."""
        return self._receive.get_buffer()

    def buffer_updated(self, nbytes: int) -> None:
        """``nbytes`` have arrived."""
        self._receive.received(nbytes)
        self.last_seen = self._server.now
        if self._is_held():
            self._look_ahead()
        else:
            self._process()

    def eof_received(self) -> bool:
        """The client will send no more; it may well be reading still, so what it asked for is answered first."""
        self._eof = True
        self.last_seen = self._server.now
        if not self._is_held() and not self._owed:
            self._close()
        return True

    def pause_writing(self) -> None:
        """The client does not read its answers fast enough: give it no more, and take no more from it."""
        self._write_paused = True
        self._pause_reading()

    def resume_writing(self) -> None:
        """The client has caught up."""
        self._write_paused = False
        self.last_seen = self._server.now
        self._go_on()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone, and so is whoever would read an answer."""
        self._closing = True
        self._next_frame = None
        self._receive.clear()
        self._owed.cancel()
        self._server.forget(self)

    # -- what the server calls

    @property
    def is_busy(self) -> bool:
        """Whether this client is owed an answer."""
        return len(self._owed) > 0

    @property
    def is_ending(self) -> bool:
        """Whether nothing more is read: the connection ends when the last answer is out.

        A client that has only ended its side cannot be told from one that is gone before something is sent to it.
        """
        return self._closing or self._eof

    @property
    def is_reset(self) -> bool:
        """Whether the client has gone without the loop's noticing, as it cannot while nothing is read."""
        return not self._reading and self._socket is not None and _is_reset(self._socket)

    def close(self, reason: str) -> None:
        """End the connection, for a ``reason`` that is logged if there is one.

        Answers that are written already still go out.
        """
        if not self._closing:
            if reason:
                self._server.log_closed(self.info, reason)
            self._close()

    def drain(self) -> None:
        """End the connection as soon as everything that was begun is answered."""
        self._eof = True
        self.last_seen = self._server.now
        self._next_frame = None
        self._receive.clear()
        self._pause_reading()
        if not self._owed:
            self._close()

    def abort(self) -> None:
        """End the connection now; what is not sent yet never will be."""
        self._closing = True
        self._transport.abort()

    def retry_reading(self) -> None:
        """Memory for unfinished requests is free again."""
        self._go_on()

    # -- frames

    def _is_held(self) -> bool:
        return self._is_waiting() or self._write_paused or self._turn_over or self._closing

    def _is_waiting(self) -> bool:
        """Whether no request can be begun before an earlier one gets its answer."""
        return self._blocked or len(self._owed) >= _MAX_OWED or self._owed_bytes >= _MAX_OWED_BYTES

    def _process(self) -> None:
        """Answer frames until none is whole, one has to wait, or the client should read first."""
        batch = AnswerBatch()
        handler, info = self._server.handler, self.info
        turn_ends = monotonic() + _TURN_S
        is_owing = len(self._owed) > 0
        goes_on = not self._is_held()
        try:
            while goes_on:
                frame = self._next_frame or self._receive.next_frame()
                if frame is None:
                    break
                self._next_frame = None
                self.frame_since = _NO_FRAME
                reply = handler(frame, info)
                if isinstance(reply, list) and not is_owing:
                    batch.add(reply)
                    if batch.size >= _SEND_BYTES:
                        batch.send(self._transport)
                        goes_on = not self._is_held()
                elif reply is not None:
                    self._owe(reply, len(frame))
                    is_owing = True
                    goes_on = not self._is_held()
                if monotonic() > turn_ends:
                    self._end_turn()
                    goes_on = False
        except Exception as error:  # noqa: BLE001 - what the dispatcher let escape, or bytes that are no frame
            batch.send(self._transport)
            self._end_with(error)
        else:
            batch.send(self._transport)
            self._after_frames()

    def _after_frames(self) -> None:
        if self._closing:
            return
        if self._is_waiting():
            self._look_ahead()
        elif self._write_paused or self._turn_over:
            self._pause_reading()
        elif not self._eof:
            self._read_on()
        elif not self._owed:
            self._close()

    def _look_ahead(self) -> None:
        """Find the next whole frame while the one before is in progress, to know whether to read on."""
        if self._closing:
            self._receive.clear()
            return
        if self._next_frame is None:
            try:
                self._next_frame = self._receive.next_frame()
            except DecodeError as error:
                self.close(str(error))
                return
        if self._next_frame is None and not self._write_paused and not self._turn_over:
            self._read_on()
        else:
            self.frame_since = _NO_FRAME
            self._pause_reading()

    def _read_on(self) -> None:
        """No whole frame is left: wait for bytes, if any may come and there is room for them."""
        if self._eof:
            return
        receive = self._receive
        if not receive.in_frame:
            self.frame_since = _NO_FRAME
        elif self.frame_since == _NO_FRAME:
            self.frame_since = self._server.now
        if receive.allocated_bytes and self._server.is_out_of_memory():
            self._pause_reading()
            self._server.starve(self)
        elif not self._reading:
            self._reading = True
            self._transport.resume_reading()

    def _pause_reading(self) -> None:
        if self._reading:
            self._reading = False
            self._transport.pause_reading()

    def _go_on(self) -> None:
        if self._closing:
            return
        if self._is_held():
            self._after_frames()
        else:
            self._process()

    def _end_turn(self) -> None:
        self._turn_over = True
        asyncio.get_running_loop().call_soon(self._begin_turn)

    def _begin_turn(self) -> None:
        self._turn_over = False
        self._go_on()

    # -- answers

    def _owe(self, reply: list[Buffer] | Coroutine[Any, Any, Reply] | CarriedOut[Reply], frame_bytes: int) -> None:
        """Put an answer that is not there yet, or not due yet, behind those that are owed.

        Only behind requests that are carried out may another one be begun: their answers are small, where one that is
        there already, or that a handler waits for, may be a fetch's.
        """
        self._blocked = not isinstance(reply, CarriedOut)
        if isinstance(reply, list):
            self._owed.add(reply)
            return
        task = asyncio.get_running_loop().create_task(reply.answer if isinstance(reply, CarriedOut) else reply)
        self._owed.add(task)
        self._owed_bytes += frame_bytes
        self._server.in_progress_bytes += frame_bytes
        task.add_done_callback(partial(self._answered, frame_bytes))

    def _answered(self, frame_bytes: int, task: asyncio.Task[Reply]) -> None:
        """A request that had to wait has its answer."""
        self._owed_bytes -= frame_bytes
        self._server.release(frame_bytes)
        if self._closing:
            return
        batch = AnswerBatch()
        try:
            for reply in self._owed.take_ready():
                batch.add(reply)
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - what the dispatcher let escape
            batch.send(self._transport)
            self._end_with(error)
        else:
            self._blocked = self._blocked and len(self._owed) > 0
            batch.send(self._transport)
            self._go_on()

    def _end_with(self, error: BaseException) -> None:
        if isinstance(error, CloseConnection | DecodeError):
            self.close(str(error))
            return
        if isinstance(error, Exception):
            self._server.log_fault(self.info, error)
        self._close()

    def _close(self) -> None:
        self._closing = True
        self._next_frame = None
        self._receive.clear()
        self._owed.cancel()
        self._pause_reading()
        self._transport.close()


def _is_reset(sock: socket.socket) -> bool:
    if sys.platform != "linux":
        return False
    return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == _TCP_CLOSE


def _address(name: tuple[Any, ...]) -> Address:
    return Address(str(name[0]), int(name[1]))  # of IPv6 there is more
