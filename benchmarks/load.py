"""The load generator: a process of its own that keeps requests under way and counts what is answered.

Run as ``python -m benchmarks.load``; takes a :class:`LoadSpec` as JSON on standard input and prints a
:class:`LoadResult` as JSON.  It is a plain loop over one blocking socket.  An answer is read as bytes: only its size,
correlation id, error code and offset are looked at, and one that is wrong ends the process.
"""

from __future__ import annotations

import json
import resource
import socket
import struct
import sys
import time
from dataclasses import asdict, dataclass
from itertools import cycle
from typing import Literal

from benchmarks.skipping import AnswerReader, read_answer
from benchmarks.wire import (
    CORRELATION_ID,
    CORRELATION_ID_AT,
    FETCH_VERSION,
    Buffer,
    WrongAnswer,
    check,
    connect,
    fetch_frame,
    produce_answer_layout,
    produce_frame,
    receive_frame,
    record_batch,
)
from minikafka.protocol.codec import decode
from minikafka.protocol.frame import FRAME_PREFIX
from minikafka.protocol.header import decode_response_header
from minikafka.protocol.messages.fetch import FetchResponse
from minikafka.protocol.schema import as_view
from minikafka.records.batch import iter_batches

PARTITIONS_PER_FETCH = 4

_PARTITION_MAX_BYTES = 1024 * 1024
"""A consumer's default."""

_SMALL_BYTES = 32 * 1024
"""Requests up to this size are sent together."""

_FIRST_REQUESTS = 4


@dataclass(frozen=True, slots=True)
class LoadSpec:
    """What to do, to whom, and how much of it: until ``seconds`` or ``max_bytes`` are over."""

    work: Literal["produce", "fetch"]
    host: str
    port: int
    topic: str
    partitions: int
    in_flight: int
    seconds: float
    max_bytes: int
    records_per_batch: int = 800
    record_bytes: int = 1000
    keeps_offsets: bool = True
    """Whether the broker counts offsets, so that they can be checked."""
    first_offset: int = 0
    """Where to begin to fetch, in every partition."""


@dataclass(frozen=True, slots=True)
class LoadResult:
    """What was answered, and in what time; ``bytes`` are those of record batches."""

    requests: int
    bytes: int
    seconds: float
    cpu_seconds: float
    """What the load itself took, to see that it was not the limit."""
    end_offset: int = 0
    """The lowest end of the partitions produced to."""


class _Produce:
    """Sends the same batch to one partition after another; the answers come in the order of the requests."""

    def __init__(self, spec: LoadSpec, sock: socket.socket) -> None:
        self._spec = spec
        self._sock = sock
        batch = record_batch(spec.records_per_batch, spec.record_bytes)
        self._batch_bytes = len(batch)
        self._frames = [produce_frame(spec.topic, partition, batch) for partition in range(spec.partitions)]
        self._next_offsets = [-1] * spec.partitions
        self._sent = 0
        self._answered = 0
        self._layout = self._learn_layout()

    def run(self) -> LoadResult:
        """Keep ``in_flight`` requests under way until it is time."""
        spec, sock, answer_bytes = self._spec, self._sock, self._layout.size
        first = self._answered
        last = first + max(1, spec.max_bytes // self._batch_bytes)
        answers = memoryview(bytearray(answer_bytes * spec.in_flight))
        received = 0
        started = time.perf_counter()
        ends = started + spec.seconds
        self._send(min(spec.in_flight, last - first))
        while self._answered < self._sent:
            n_bytes = sock.recv_into(answers[received:])
            if n_bytes == 0:
                raise WrongAnswer("the broker closed the connection")
            received += n_bytes
            n_answers, incomplete = divmod(received, answer_bytes)
            whole = n_answers * answer_bytes
            self._take(self._layout, answers[:whole])
            answers[:incomplete] = bytes(answers[whole:received])
            received = incomplete
            if n_answers and self._sent < last and time.perf_counter() < ends:
                self._send(min(n_answers, last - self._sent))
        seconds = time.perf_counter() - started
        n_requests = self._answered - first
        end_offset = min(self._next_offsets)
        return LoadResult(n_requests, n_requests * self._batch_bytes, seconds, _cpu_seconds(), end_offset)

    def _learn_layout(self) -> struct.Struct:
        """Send a few requests one at a time, to see what an answer is like."""
        layouts = {}
        for _ in range(_FIRST_REQUESTS):
            self._send(1)
            frame = receive_frame(self._sock)
            layout = produce_answer_layout(self._spec.topic, len(frame))
            self._take(layout, frame)
            layouts[layout.size] = layout
        if len(layouts) != 1:
            raise WrongAnswer(f"answers have different sizes: {sorted(layouts)}")
        return layout

    def _send(self, n_requests: int) -> None:
        buffers: list[Buffer] = []
        for number in range(self._sent, self._sent + n_requests):
            frame = self._frames[number % len(self._frames)]
            if n_requests > 1 and self._batch_bytes <= _SMALL_BYTES:
                frame = [bytearray(frame[0]), *frame[1:]]  # the same frame may be sent again before this one is
            CORRELATION_ID.pack_into(frame[0], CORRELATION_ID_AT, number)
            if self._batch_bytes > _SMALL_BYTES:
                _send_all(self._sock, frame)
            else:
                buffers += frame
        if buffers:
            self._sock.sendall(b"".join(buffers))
        self._sent += n_requests

    def _take(self, layout: struct.Struct, answers: memoryview) -> None:
        """Check answers, whole ones."""
        spec = self._spec
        for size, correlation_id, error_code, base_offset in layout.iter_unpack(answers):
            if error_code:
                check(error_code, "produce")
            if correlation_id != self._answered or size + 4 != layout.size:
                raise WrongAnswer(f"answer {correlation_id} of {size} bytes; {self._answered} was due")
            if spec.keeps_offsets:
                partition = correlation_id % spec.partitions
                expected = self._next_offsets[partition]
                if base_offset != expected >= 0:
                    raise WrongAnswer(f"offset {base_offset} instead of {expected}")
                self._next_offsets[partition] = base_offset + spec.records_per_batch
            self._answered += 1


class _Fetch:
    """Reads some partitions at a time, from their beginning to their end and again.

    There is one request under way, as a consumer has it with each broker.
    """

    def __init__(self, spec: LoadSpec, sock: socket.socket) -> None:
        self._spec = spec
        self._sock = sock
        self._reader = AnswerReader(sock)
        self._offsets = dict.fromkeys(range(spec.partitions), spec.first_offset)
        starts = range(0, spec.partitions, PARTITIONS_PER_FETCH)
        self._groups = cycle([range(start, min(start + PARTITIONS_PER_FETCH, spec.partitions)) for start in starts])

    def run(self) -> LoadResult:
        """Fetch until it is time."""
        spec = self._spec
        self._check_first_answer()
        n_requests = n_bytes = 0
        started = time.perf_counter()
        ends = started + spec.seconds
        while n_bytes < spec.max_bytes and time.perf_counter() < ends:
            n_requests += 1
            n_bytes += self._fetch(n_requests)
        seconds = time.perf_counter() - started
        return LoadResult(n_requests, n_bytes, seconds, _cpu_seconds())

    def _fetch(self, correlation_id: int) -> int:
        """Ask once; returns the size of the records that came."""
        self._sock.sendall(self._request(next(self._groups), correlation_id))
        size = 0
        for fetched in read_answer(self._reader, correlation_id, self._offsets):
            is_at_end = fetched.next_offset >= fetched.high_watermark
            self._offsets[fetched.partition] = self._spec.first_offset if is_at_end else fetched.next_offset
            size += fetched.size_bytes
        if size == 0:
            raise WrongAnswer("a fetch brought nothing")
        return size

    def _request(self, partitions: range, correlation_id: int) -> bytearray:
        offsets = {partition: self._offsets[partition] for partition in partitions}
        frame = fetch_frame(self._spec.topic, offsets, _PARTITION_MAX_BYTES)
        CORRELATION_ID.pack_into(frame, CORRELATION_ID_AT, correlation_id)
        return frame

    def _check_first_answer(self) -> None:
        """Take in one answer wholly, and compare the CRCs."""
        self._sock.sendall(self._request(range(min(PARTITIONS_PER_FETCH, self._spec.partitions)), 0))
        frame = receive_frame(self._sock)[FRAME_PREFIX.size :]
        _, body_at = decode_response_header(frame, FetchResponse.API_KEY, FETCH_VERSION)
        for topic in decode(FetchResponse, FETCH_VERSION, frame, body_at).responses:
            for data in topic.partitions:
                check(data.error_code, "fetch")
                for batch in iter_batches(as_view(data.records or b"")):
                    batch.verify_crc()


def _send_all(sock: socket.socket, buffers: list[Buffer]) -> None:
    """Send several buffers without joining them."""
    sent = sock.sendmsg(buffers)
    if sent < sum(map(len, buffers)):
        sock.sendall(memoryview(b"".join(buffers))[sent:])


def _cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    """Do what standard input says."""
    spec = LoadSpec(**json.load(sys.stdin))
    with connect(spec.host, spec.port) as sock:
        load = _Produce(spec, sock) if spec.work == "produce" else _Fetch(spec, sock)
        cpu_before = _cpu_seconds()
        result = load.run()
    answer = asdict(result)
    answer["cpu_seconds"] -= cpu_before
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
