"""The yardstick: a uvloop server that only receives, appends everything to one file, and says "written".

Run as ``python -m benchmarks.bare_server PORT FILE TOPIC``.  It looks at nothing but the size and the correlation id
of a request, and answers each as a successful Produce.  No broker in Python can be faster than this.
"""

from __future__ import annotations

import asyncio
import os
import struct
import sys
from typing import cast

import uvloop

from benchmarks.wire import PRODUCE_VERSION
from minikafka.protocol.codec import encode
from minikafka.protocol.messages.produce import PartitionProduceResponse, ProduceResponse, TopicProduceResponse

_BUFFER_BYTES = 256 * 1024
_HEAD = struct.Struct(">ihhi")  # size, API key, version, correlation id


def _answer(topic: str) -> bytearray:
    partition = PartitionProduceResponse(index=0, base_offset=0)
    body = bytearray(8) + b"\0"  # size and correlation id, then no tags
    response = ProduceResponse(responses=[TopicProduceResponse(name=topic, partition_responses=[partition])])
    encode(response, PRODUCE_VERSION, body)
    struct.pack_into(">i", body, 0, len(body) - 4)
    return body


class _Bare(asyncio.BufferedProtocol):
    """One connection: every read is one write to the file."""

    def __init__(self, fd: int, answer: bytearray) -> None:
        self._fd = fd
        self._answer = answer
        self._buffer = memoryview(bytearray(_BUFFER_BYTES))
        self._kept = 0  # bytes of a request's head at the front of the buffer, already in the file
        self._skip = 0  # bytes of the request in progress that are still to come

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._buffer[self._kept :]

    def buffer_updated(self, nbytes: int) -> None:
        buffer, end = self._buffer, self._kept + nbytes
        os.write(self._fd, buffer[self._kept : end])
        position = 0
        answers = []
        while True:
            if self._skip:
                taken = min(self._skip, end - position)
                position += taken
                self._skip -= taken
                if self._skip:
                    break
                answers.append(bytes(self._answer))
            if end - position < _HEAD.size:
                break
            size, _, _, correlation_id = _HEAD.unpack_from(buffer, position)
            struct.pack_into(">i", self._answer, 4, correlation_id)
            self._skip = size + 4
        self._kept = end - position if not self._skip else 0
        buffer[: self._kept] = bytes(buffer[position : position + self._kept])
        if answers:
            self._transport.write(b"".join(answers))


async def _serve(port: int, path: str, topic: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o644)
    answer = _answer(topic)
    server = await asyncio.get_running_loop().create_server(lambda: _Bare(fd, bytearray(answer)), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1]), sys.argv[2], sys.argv[3]))
