"""Records waiting to be sent, gathered into one open batch for each partition.

This is the one place that several threads touch: whoever sends appends, the loop takes batches out.  One lock guards
it, held for a microsecond at a time.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Collection

from minikafka.records.compression import Compression
from minikafka.types import NO_PRODUCER_ID
from minikafka_client.producer.batch import Delivery, ProducerBatch

# What a record takes beside its key and value, as a rule: lengths, deltas and the count of headers.
RECORD_OVERHEAD_BYTES = 12
_HEADER_OVERHEAD_BYTES = 4

_GRANT_BYTES = 16 * 1024
_REMEMBERED_FAILURES = 10_000


class PartitionQueue:
    """The batches of one partition, in the order in which they must be stored.

    First those ``in_flight``, then those ``ready`` (full, or to be sent again), at last the ``open`` one that takes
    records.  While ``failed`` attempts wait to be sent again nothing else leaves, so that the order holds.
    """

    __slots__ = (
        "batch_size",
        "failed",
        "in_flight",
        "must_renumber",
        "next_sequence",
        "not_before",
        "open",
        "partition",
        "producer_epoch",
        "producer_id",
        "ready",
        "room_bytes",
        "topic",
    )

    def __init__(self, topic: str, partition: int, batch_size: int) -> None:
        self.topic = topic
        self.partition = partition
        self.batch_size = batch_size  # bytes at which a batch is full
        self.open: ProducerBatch | None = None
        self.room_bytes = 0  # of the memory granted to the open batch, what no record has taken yet
        self.ready: deque[ProducerBatch] = deque()
        self.in_flight: deque[ProducerBatch] = deque()
        self.failed: list[ProducerBatch] = []
        self.not_before = 0.0  # loop seconds; the pause after a failure ends here
        self.producer_id = NO_PRODUCER_ID
        self.producer_epoch = 0
        self.next_sequence = 0
        self.must_renumber = False

    def __str__(self) -> str:
        return f"{self.topic}[{self.partition}]"

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits here and nothing is on its way."""
        return not (self.open or self.ready or self.in_flight or self.failed)


class Accumulator:
    """All queues with something in them, and how many bytes they hold."""

    def __init__(self, *, buffer_memory: int, compression: Compression) -> None:
        self.buffered_bytes = 0
        self.full_batches = 0
        self.waiting_senders = 0
        self.unfinished: dict[ProducerBatch, None] = {}
        self._active: dict[PartitionQueue, None] = {}
        self.on_work: Callable[[], None] = _nobody  # a batch was opened, in the thread that sends
        self.on_room: Callable[[], None] = _nobody  # a batch is done, in the loop's thread
        self._failures: deque[ProducerBatch] = deque(maxlen=_REMEMBERED_FAILURES)
        self._buffer_memory = buffer_memory
        self._compression = compression
        self._lock = threading.Lock()

    def has_room(self, size_bytes: int) -> bool:
        """Whether so much may be added to what is buffered."""
        return self.buffered_bytes + size_bytes <= self._buffer_memory

    def append(
        self,
        queue: PartitionQueue,
        timestamp_ms: int,
        key: bytes | None,
        value: bytes | None,
        headers: Collection[tuple[str, bytes | None]],
        *,
        size_bytes: int,
    ) -> Delivery | None:
        """Add a record of about so many bytes to the open batch of ``queue``; None, and nothing done, without room."""
        with self._lock:
            if size_bytes > queue.room_bytes and not self._grant(queue, size_bytes):
                return None
            queue.room_bytes -= size_bytes
            batch: ProducerBatch = queue.open  # type: ignore[assignment]  # there is one where there is room
            index = batch.builder.append(timestamp_ms, key, value, headers)
        return Delivery(batch, index, timestamp_ms)

    def close(self) -> None:
        """Take no more records: there is no room any more."""
        with self._lock:
            self._buffer_memory = -1
            for queue in self._active:
                self._take_back_room(queue)

    def close_open(self, queue: PartitionQueue) -> None:
        """Make the open batch, if any, ready to be sent: later records start another."""
        with self._lock:
            self._close_open(queue)

    def succeed(self, batch: ProducerBatch, base_offset: int, log_append_time_ms: int) -> None:
        """The batch is stored from ``base_offset`` on."""
        self._release(batch)
        batch.succeed(base_offset, log_append_time_ms)

    def fail(self, batch: ProducerBatch, error: Exception) -> None:
        """The batch is given up."""
        self._release(batch)
        self._failures.append(batch)
        batch.fail(error)

    def split(self, batch: ProducerBatch) -> list[ProducerBatch]:
        """Two batches in place of one that is too large for its topic, and smaller ones there from now on."""
        with self._lock:
            parts = batch.split()
            batch.queue.batch_size = max(1, batch.size_bytes // 2)
            self.unfinished.pop(batch, None)
            self.buffered_bytes += sum(part.size_bytes for part in parts) - batch.size_bytes
            self.unfinished.update(dict.fromkeys(parts))
        return parts

    def take_failures(self) -> list[ProducerBatch]:
        """The batches that were given up since the last call, or the latest few thousand of them."""
        failures = list(self._failures)
        self._failures.clear()
        return failures

    def drop_if_empty(self, queue: PartitionQueue) -> None:
        """Stop looking after a queue in which nothing is left."""
        with self._lock:
            if queue.is_empty:
                self._active.pop(queue, None)

    def queues(self) -> list[PartitionQueue]:
        """The queues with something in them, as of now."""
        with self._lock:
            return list(self._active)

    def _grant(self, queue: PartitionQueue, size_bytes: int) -> bool:
        """Make room for a record, in the open batch or in a new one; False when the memory is used up.

        Memory is granted to a batch by the piece, so that a record need not count it.
        """
        batch = queue.open
        is_full = batch is not None and batch.size_bytes - queue.room_bytes + size_bytes > queue.batch_size
        kept_bytes = 0 if is_full else queue.room_bytes
        free_bytes = self._buffer_memory - self.buffered_bytes + queue.room_bytes - kept_bytes
        needed_bytes = size_bytes - kept_bytes
        if needed_bytes > free_bytes:
            return False
        if batch is None or is_full:
            self.full_batches += is_full
            self._close_open(queue)
            batch = self._open(queue)
        granted_bytes = max(needed_bytes, min(_GRANT_BYTES, free_bytes, queue.batch_size - batch.size_bytes))
        queue.room_bytes += granted_bytes
        batch.size_bytes += granted_bytes
        self.buffered_bytes += granted_bytes
        return True

    def _take_back_room(self, queue: PartitionQueue) -> None:
        if queue.open is not None:
            queue.open.size_bytes -= queue.room_bytes
            self.buffered_bytes -= queue.room_bytes
            queue.room_bytes = 0

    def _close_open(self, queue: PartitionQueue) -> None:
        if queue.open is not None:
            self._take_back_room(queue)
            queue.ready.append(queue.open)
            queue.open = None

    def _open(self, queue: PartitionQueue) -> ProducerBatch:
        queue.open = batch = ProducerBatch(queue, self._compression, time.monotonic())
        self.unfinished[batch] = None
        self._active[queue] = None
        self.on_work()
        return batch

    def _release(self, batch: ProducerBatch) -> None:
        with self._lock:
            self.buffered_bytes -= batch.size_bytes
            self.unfinished.pop(batch, None)
        self.on_room()


def headers_size(headers: Collection[tuple[str, bytes | None]]) -> int:
    """About how many bytes headers take."""
    return sum(_HEADER_OVERHEAD_BYTES + len(name) + len(content or b"") for name, content in headers)


def _nobody() -> None:
    """Who is to be told is not there yet."""
