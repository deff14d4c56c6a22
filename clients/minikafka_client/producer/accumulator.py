"""Records waiting to be sent: from the threads that send, one by one, to the loop's batches.

This is the one place that several threads touch.  Whoever sends appends to the ``inbox`` of a partition, a list; the
loop now and then takes everything out at its front.  Either is one step that no other thread can come in between, so
that neither needs a lock, which would cost as much as the rest of sending a record.  Everything else belongs to the
loop's thread.
"""

from __future__ import annotations

import time
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterable
from itertools import accumulate

from minikafka.records.compression import Compression
from minikafka.types import NO_PRODUCER_ID
from minikafka_client.producer.batch import ProducerBatch
from minikafka_client.producer.delivery import Delivery, Outgoing

# What a record takes beside its key and value, as a rule: lengths, deltas and the count of headers.
RECORD_OVERHEAD_BYTES = 12
_HEADER_OVERHEAD_BYTES = 4

_REMEMBERED_FAILURES = 10_000


class PartitionQueue:
    """What is to be stored in one partition, in that order.

    First the batches ``in_flight``, then those ``ready`` (full, or to be sent again), then the ``open`` one that takes
    records, at last the records in the ``inbox``.  While ``failed`` attempts wait to be sent again nothing else
    leaves, so that the order holds.
    """

    __slots__ = (
        "batch_size",
        "failed",
        "in_flight",
        "inbox",
        "is_watched",
        "must_renumber",
        "next_sequence",
        "not_before",
        "open",
        "partition",
        "producer_epoch",
        "producer_id",
        "ready",
        "topic",
    )

    def __init__(self, topic: str, partition: int, batch_size: int) -> None:
        self.topic = topic
        self.partition = partition
        self.batch_size = batch_size  # bytes at which a batch is full
        self.inbox: list[Delivery] = []
        self.is_watched = False  # whether the loop looks here without being told
        self.open: ProducerBatch | None = None
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
    def has_batches(self) -> bool:
        """Whether batches wait here or are on their way."""
        return bool(self.open or self.ready or self.in_flight or self.failed)


class Accumulator:
    """All queues with something in them, and how many bytes they hold.

    Bytes are counted twice, on their way in by who sends and on their way out by the loop, so that neither waits for
    the other.  Threads that send at the very same moment may exceed the limit by a record each.
    """

    def __init__(self, *, buffer_memory: int, compression: Compression) -> None:
        self.waiting_senders = 0
        self.is_full = False  # so much was sent since the loop looked that it should look again
        self.unfinished: dict[ProducerBatch, None] = {}
        self.on_work: Callable[[], None] = _nobody  # there is something new to send; from any thread
        self.on_room: Callable[[], None] = _nobody  # a batch is done
        self.on_batch_closed: Callable[[str, int], None] = _nobody_there  # a batch takes no more records
        self._in_bytes = 0
        self._out_bytes = 0
        self._buffer_memory = buffer_memory
        self._news_bytes = 0
        self._limit_bytes = buffer_memory  # what _in_bytes may grow to until somebody thinks about it again
        self._woken: deque[PartitionQueue] = deque()
        self._active: dict[PartitionQueue, None] = {}
        self._failures: deque[ProducerBatch] = deque(maxlen=_REMEMBERED_FAILURES)
        self._closed_for: Exception | None = None
        self._compression = compression

    @property
    def buffered_bytes(self) -> int:
        """How much was appended and is not done."""
        return self._in_bytes - self._out_bytes

    # In the threads that send

    def has_room(self, size_bytes: int) -> bool:
        """Whether so much may be added to what is buffered."""
        return self._in_bytes + size_bytes <= self._limit_bytes or self._has_room_in_fact(size_bytes)

    def append(self, queue: PartitionQueue, record: Outgoing, size_bytes: int) -> Delivery:
        """Add a record that counts for so many bytes; whether there is room for it was asked before."""
        delivery = Delivery()
        delivery.record = record
        delivery.size_bytes = size_bytes
        delivery.callback = delivery.batch = None
        self._in_bytes += size_bytes
        queue.inbox.append(delivery)
        if not queue.is_watched:  # asked after the record is there: the loop does the two in the other order
            self._wake(queue)
        return delivery

    def _has_room_in_fact(self, size_bytes: int) -> bool:
        limit_bytes = self._out_bytes + self._buffer_memory
        if self._in_bytes + size_bytes > limit_bytes:
            return False
        # Only the limit up to which the loop need not look was reached.
        self._limit_bytes = limit_bytes
        self.is_full = True
        self.on_work()
        return True

    def _wake(self, queue: PartitionQueue) -> None:
        if self._closed_for is None:
            self._woken.append(queue)
            queue.is_watched = True
            self.on_work()
        if self._closed_for is not None:  # perhaps only now
            queue.is_watched = False
            self._refuse(queue, self._closed_for)

    # In the loop

    def look(self) -> list[PartitionQueue]:
        """Gather what was sent since the last look; the queues with something in them."""
        self.is_full = False
        while self._woken:
            self._active[self._woken.popleft()] = None
        for queue in self._active:
            self._gather(queue)
        self._news_bytes = sum(queue.batch_size for queue in self._active)
        self._limit()
        return list(self._active)

    def close_open(self, queue: PartitionQueue) -> None:
        """Make the open batch, if any, ready to be sent: later records start another."""
        if queue.open is not None:
            queue.ready.append(queue.open)
            queue.open = None
            self.on_batch_closed(queue.topic, queue.partition)

    def drop_if_empty(self, queue: PartitionQueue) -> None:
        """Stop looking after a queue in which nothing is left."""
        if queue.has_batches:
            return
        self._active.pop(queue, None)
        queue.is_watched = False
        if queue.inbox:  # whoever put that there may have seen the queue watched
            self._wake(queue)

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
        parts = batch.split()
        batch.queue.batch_size = max(1, batch.size_bytes // 2)
        self.unfinished.pop(batch, None)
        self._out_bytes += batch.size_bytes - sum(part.size_bytes for part in parts)
        self.unfinished.update(dict.fromkeys(parts))
        return parts

    def take_failures(self) -> list[ProducerBatch]:
        """The batches that were given up since the last call, or the latest few thousand of them."""
        failures = list(self._failures)
        self._failures.clear()
        return failures

    def close(self) -> None:
        """Take no more records: there is no room any more."""
        self._buffer_memory = -1
        self._limit_bytes = -1

    def end(self, reason: Exception) -> None:
        """Fail whatever is not done, and what a thread that did not see :meth:`close` may still append."""
        self._closed_for = reason
        for queue in self.look():
            queue.is_watched = False
            self._refuse(queue, reason)
        for batch in list(self.unfinished):
            self.fail(batch, reason)

    def _gather(self, queue: PartitionQueue) -> None:
        """Move the records in the inbox to the open batch, and to as many others as they fill."""
        taken = queue.inbox[:]
        del queue.inbox[: len(taken)]
        end_bytes = list(accumulate([delivery.size_bytes for delivery in taken]))
        first = done_bytes = 0
        while first < len(taken):
            batch = queue.open or self._open(queue)
            room_bytes = queue.batch_size - batch.size_bytes
            end = bisect_right(end_bytes, done_bytes + room_bytes, lo=first)
            if end == first and not batch:
                end += 1  # larger than a batch: it has one to itself
            if end > first:
                batch.add(taken[first:end], end_bytes[end - 1] - done_bytes)
                first, done_bytes = end, end_bytes[end - 1]
            if first < len(taken):
                self.close_open(queue)

    def _open(self, queue: PartitionQueue) -> ProducerBatch:
        queue.open = batch = ProducerBatch(queue, self._compression, time.monotonic())
        self.unfinished[batch] = None
        return batch

    def _release(self, batch: ProducerBatch) -> None:
        self._out_bytes += batch.size_bytes
        self.unfinished.pop(batch, None)
        self._limit()
        self.on_room()

    def _limit(self) -> None:
        """Let senders go on until the memory is full, or much is new: then the loop is told to look."""
        self._limit_bytes = min(self._out_bytes + self._buffer_memory, self._in_bytes + self._news_bytes)

    def _refuse(self, queue: PartitionQueue, reason: Exception) -> None:
        """Fail what is in an inbox, perhaps while another thread does the same: each takes one at a time."""
        while queue.inbox:
            try:
                delivery = queue.inbox.pop()
            except IndexError:
                return
            batch = ProducerBatch(queue, self._compression, time.monotonic())
            batch.add([delivery], delivery.size_bytes)
            self._failures.append(batch)
            batch.fail(reason)


def headers_size(headers: Iterable[tuple[str, bytes | None]]) -> int:
    """About how many bytes headers take."""
    return sum(_HEADER_OVERHEAD_BYTES + len(name) + len(content or b"") for name, content in headers)


def _nobody() -> None:
    """Who is to be told is not there yet."""


def _nobody_there(topic: str, partition: int) -> None:
    """Nobody wants to know of this partition."""
