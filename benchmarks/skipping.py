"""Reading the answer to a fetch without taking in its records.

The kernel drops what is skipped (``MSG_TRUNC``): a load that copied the records, too, would cost about as much as the
broker that sends them.  Read are the fields of the answer, and the header of each batch.

Source: FetchResponse, versions 12 to 17.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from typing import NamedTuple

from benchmarks.wire import WrongAnswer, check
from minikafka.records.batch import HEADER, HEADER_SIZE, LOG_OVERHEAD

_AHEAD_BYTES = 256
_DROP_BYTES = 1024 * 1024

_START = struct.Struct(">iiBihi")
"""Size, correlation id, no tags, throttle time, error code, session id."""
_PARTITION = struct.Struct(">ihqqq")
"""Index, error code, high watermark, last stable offset, log start offset."""
_PREFERRED_REPLICA_BYTES = 4


class FetchedPartition(NamedTuple):
    """What an answer brought of one partition."""

    partition: int
    high_watermark: int
    next_offset: int
    size_bytes: int


class AnswerReader:
    """Reads a connection's answers, field by field; ``position`` counts the bytes of all of them."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._ahead = b""
        self._dropped = memoryview(bytearray(_DROP_BYTES))
        self.position = 0

    def take(self, size: int) -> bytes:
        """The next ``size`` bytes."""
        while len(self._ahead) < size:
            more = self._sock.recv(_AHEAD_BYTES)
            if not more:
                raise WrongAnswer("the broker closed the connection")
            self._ahead += more
        taken, self._ahead = self._ahead[:size], self._ahead[size:]
        self.position += size
        return taken

    def skip(self, size: int) -> None:
        """Let go of the next ``size`` bytes."""
        self.position += size
        left = size - len(self._ahead)
        self._ahead = self._ahead[size:]
        while left > 0:
            n_bytes = self._sock.recv_into(self._dropped, min(left, _DROP_BYTES), socket.MSG_TRUNC | socket.MSG_WAITALL)
            if n_bytes == 0:
                raise WrongAnswer("the broker closed the connection")
            left -= n_bytes

    def take_uvarint(self) -> int:
        """An unsigned number of variable length."""
        value = shift = 0
        while (byte := self.take(1)[0]) > 127:
            value |= (byte & 127) << shift
            shift += 7
        return value | byte << shift

    def skip_tags(self) -> None:
        """Tagged fields, whatever they hold."""
        for _ in range(self.take_uvarint()):
            self.take_uvarint()
            self.skip(self.take_uvarint())


def read_answer(reader: AnswerReader, correlation_id: int, offsets: dict[int, int]) -> list[FetchedPartition]:
    """Read an answer to :func:`benchmarks.wire.fetch_frame`.

    Args:
        reader: The connection.
        correlation_id: Of the request.
        offsets: What was asked for: every batch must begin where the one before it ended.

    Raises:
        WrongAnswer: It holds an error, or something else than what was asked for.
    """
    began = reader.position
    size, answered_id, _, _, error_code, _ = _START.unpack(reader.take(_START.size))
    check(error_code, "fetch")
    if answered_id != correlation_id:
        raise WrongAnswer(f"answer {answered_id}; {correlation_id} was due")
    fetched = []
    for _ in range(reader.take_uvarint() - 1):
        reader.skip(reader.take_uvarint() - 1)  # the name
        fetched += [_read_partition(reader, offsets) for _ in range(reader.take_uvarint() - 1)]
        reader.skip_tags()
    reader.skip_tags()
    if reader.position - began != size + 4:
        raise WrongAnswer(f"an answer of {size} bytes holds {reader.position - began - 4}")
    return fetched


def _read_partition(reader: AnswerReader, offsets: dict[int, int]) -> FetchedPartition:
    index, error_code, high_watermark, _, _ = _PARTITION.unpack(reader.take(_PARTITION.size))
    check(error_code, "fetch")
    if reader.take_uvarint() > 1:
        raise WrongAnswer("there are aborted transactions")
    reader.skip(_PREFERRED_REPLICA_BYTES)
    size = max(0, reader.take_uvarint() - 1)
    offset = offsets[index]
    for base_offset, last_offset_delta in _read_batches(reader, size):
        if base_offset != offset:
            raise WrongAnswer(f"fetched offset {base_offset} instead of {offset}")
        offset += last_offset_delta + 1
    reader.skip_tags()
    return FetchedPartition(index, high_watermark, offset, size)


def _read_batches(reader: AnswerReader, size: int) -> Iterator[tuple[int, int]]:
    """Base offset and last offset delta of each batch in the next ``size`` bytes."""
    end = reader.position + size
    while reader.position < end:
        fields = HEADER.unpack(reader.take(HEADER_SIZE))
        yield fields[0], fields[6]
        reader.skip(LOG_OVERHEAD + fields[1] - HEADER_SIZE)
