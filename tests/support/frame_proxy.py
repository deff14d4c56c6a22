"""A network between clients and a broker that loses sight of single requests, and finds them again later."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from minikafka.net.server import Address
from minikafka.protocol.api_keys import ApiKey

_PREFIX = struct.Struct(">i")
_HEADER = struct.Struct(">hhi")
"""Of a request: API key, version, correlation id."""


@dataclass(frozen=True)
class Frame:
    """A request on its way."""

    api_key: int
    version: int
    content: bytes = field(repr=False)

    @classmethod
    def parse(cls, content: bytes) -> Frame:
        api_key, version, _ = _HEADER.unpack_from(content)
        return cls(api_key, version, content)

    def __str__(self) -> str:
        return f"{ApiKey(self.api_key).name} v{self.version}"


class FrameProxy:
    """Passes frames on; the next that ``wanted`` accepts is kept instead, and its connection breaks."""

    def __init__(self, broker: Address) -> None:
        self.address = Address("127.0.0.1", 0)
        self.wanted: Callable[[Frame], bool] | None = None
        self.lost: set[int] = set()
        """The APIs of which every frame is kept."""
        self.held: Frame | None = None
        """The last frame that was kept."""
        self._broker = broker
        self._connections: set[asyncio.Task[None]] = set()

    async def deliver(self) -> bytes:
        """Have the frame arrive at last; what the broker answers, which nobody waits for any more."""
        assert self.held is not None
        frame, self.held = self.held, None
        reader, writer = await asyncio.open_connection(*self._broker)
        try:
            writer.write(_PREFIX.pack(len(frame.content)) + frame.content)
            return await _read_frame(reader)
        finally:
            writer.close()

    async def _serve(self, client_reader: asyncio.StreamReader, client_writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        reader, writer = await asyncio.open_connection(*self._broker)
        answers = asyncio.create_task(_pass_on(reader, client_writer))
        try:
            with suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
                while True:
                    frame = Frame.parse(await _read_frame(client_reader))
                    if self.wanted is not None and self.wanted(frame):
                        self.wanted, self.held = None, frame
                        return
                    if frame.api_key in self.lost:
                        self.held = frame
                        return
                    writer.write(_PREFIX.pack(len(frame.content)) + frame.content)
                    await writer.drain()
        finally:
            answers.cancel()
            writer.close()
            client_writer.close()
            self._connections.discard(task)

    async def close(self) -> None:
        """Break every connection."""
        for task in list(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)


@asynccontextmanager
async def frame_proxy(broker: Address, port: int = 0) -> AsyncIterator[FrameProxy]:
    """A network to a broker; the broker has to advertise the proxy's address to clients."""
    proxy = FrameProxy(broker)
    server = await asyncio.start_server(proxy._serve, "127.0.0.1", port)
    proxy.address = Address(*server.sockets[0].getsockname()[:2])
    try:
        yield proxy
    finally:
        server.close()
        await proxy.close()


async def _read_frame(reader: asyncio.StreamReader) -> bytes:
    (length,) = _PREFIX.unpack(await reader.readexactly(_PREFIX.size))
    return await reader.readexactly(length)


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while chunk := await reader.read(65_536):
            writer.write(chunk)
            await writer.drain()
    writer.close()
