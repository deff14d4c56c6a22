"""Bytes to a broker and back, as somebody sends them who does not care what they mean."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeVar, cast

from minikafka.protocol.api_keys import response_class
from minikafka.protocol.codec import decode, encode
from minikafka.protocol.header import decode_response_header, encode_request_header
from minikafka.protocol.schema import Message, Request
from tests.abuse.victim import Victim

R = TypeVar("R", bound=Message)

PATIENCE_S = 20.0
_PIECE_BYTES = 1 << 20


def sized(payload: bytes) -> bytes:
    """A frame."""
    return struct.pack(">i", len(payload)) + payload


def payload_of(message: Message, version: int, *, client_id: str | None = "abuse", correlation_id: int = 7) -> bytes:
    """A request without its size."""
    out = encode_request_header(message.API_KEY, version, correlation_id, client_id)
    encode(message, version, out)
    return bytes(out)


def frame_of(message: Message, version: int, *, client_id: str | None = "abuse", correlation_id: int = 7) -> bytes:
    """A whole request."""
    return sized(payload_of(message, version, client_id=client_id, correlation_id=correlation_id))


class RawClient:
    """A connection that sends and receives nothing but bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, *data: bytes) -> None:
        """Send, for as long as the broker takes it."""
        try:
            for part in data:
                for start in range(0, len(part), _PIECE_BYTES):
                    self._writer.write(part[start : start + _PIECE_BYTES])
                    await self._writer.drain()
        except ConnectionError:
            return

    def end_sending(self) -> None:
        """Close this side only."""
        self._writer.write_eof()

    def reset(self) -> None:
        """Go without a word: the broker gets an RST."""
        self._writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    async def answer(self) -> bytes:
        """The next frame, without its size."""
        async with asyncio.timeout(PATIENCE_S):
            (size,) = struct.unpack(">i", await self._reader.readexactly(4))
            return await self._reader.readexactly(size)

    async def response(self, request: Request[R], version: int) -> R:
        """The next frame as the answer to ``request``."""
        frame = memoryview(await self.answer())
        _, position = decode_response_header(frame, request.API_KEY, version)
        return cast("R", decode(response_class(request.API_KEY), version, frame, position))

    async def some(self, size: int) -> bytes:
        """The next bytes, whatever they are."""
        async with asyncio.timeout(PATIENCE_S):
            return await self._reader.readexactly(size)

    async def until_closed(self) -> bytes:
        """All that comes until the broker ends the connection, of its own accord."""
        async with asyncio.timeout(PATIENCE_S):
            try:
                return await self._reader.read()
            except ConnectionError:
                return b""  # it closed with bytes unread

    def close(self) -> None:
        self._writer.transport.abort()


@asynccontextmanager
async def raw_client(victim: Victim, *, read_bytes: int = 1 << 16) -> AsyncIterator[RawClient]:
    """A new connection, on which about ``read_bytes`` are read before anybody asks for them."""
    sock = socket.socket()
    sock.setblocking(False)
    if read_bytes < 1 << 16:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, read_bytes)
    await asyncio.get_running_loop().sock_connect(sock, victim.address)
    client = RawClient(*await asyncio.open_connection(sock=sock, limit=read_bytes))
    try:
        yield client
    finally:
        client.close()


async def refused(victim: Victim, *data: bytes) -> None:
    """Send ``data``, and see the broker close the connection without a word."""
    async with raw_client(victim) as client:
        await client.send(*data)
        assert await client.until_closed() == b""
