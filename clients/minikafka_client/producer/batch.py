"""A batch on its way to a partition, and what each of its records' senders holds of it."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from minikafka.errors import KafkaError
from minikafka.records.batch import RecordBatch
from minikafka.records.builder import RecordBatchBuilder
from minikafka.records.compression import Compression
from minikafka.records.record import iter_records
from minikafka.types import NO_OFFSET, NO_TIMESTAMP

if TYPE_CHECKING:
    from minikafka_client.producer.accumulator import PartitionQueue

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RecordMetadata:
    """Where a record was stored.

    ``offset`` is -1 when nobody knows: with ``acks=0``, and when the broker had the record already from an attempt
    whose answer was lost.  ``timestamp_ms`` is the broker's when the topic has log append time.
    """

    topic: str
    partition: int
    offset: int
    timestamp_ms: int


class NotDelivered(KafkaError):
    """Records that were sent, and whose failure nobody was waiting to hear of, were not stored.

    ``str(error)`` counts them by partition and reason.
    """


class ProducerBatch:
    """Records of one partition that travel, succeed and fail together.

    Records are appended under the accumulator's lock by any thread; everything else happens in the loop's thread.
    """

    __slots__ = (
        "_callbacks",
        "_heard",
        "_listeners",
        "_lock",
        "attempts",
        "base_offset",
        "builder",
        "compression",
        "created_at",
        "done",
        "error",
        "is_numbered",
        "last_error",
        "log_append_time_ms",
        "parts",
        "queue",
        "records_count",
        "size_bytes",
    )

    def __init__(self, queue: PartitionQueue, compression: Compression, created_at: float) -> None:
        self.queue = queue
        self.compression = compression
        self.builder = RecordBatchBuilder(compression)
        self.created_at = created_at  # loop seconds; the delivery timeout counts from here
        self.size_bytes = 0
        self.records_count = 0
        self.attempts = 0
        self.is_numbered = False  # whether it has a sequence number, which it keeps from attempt to attempt
        self.last_error: Exception | None = None  # of an attempt that was, or may be, followed by another
        self.done = False
        self.error: Exception | None = None
        self.parts: list[ProducerBatch] = []
        self.base_offset = NO_OFFSET
        self.log_append_time_ms = NO_TIMESTAMP
        self._heard = 0
        self._listeners: list[Callable[[], None]] = []
        self._callbacks: list[tuple[DeliveryCallback, Delivery]] = []
        self._lock = threading.Lock()

    @property
    def unheard_count(self) -> int:
        """How many records failed without anybody having looked at, or waited for, their delivery."""
        return max(0, self.records_count - self._heard) if self.error is not None else 0

    def succeed(self, base_offset: int, log_append_time_ms: int) -> None:
        """The records are stored from ``base_offset`` on (-1: nobody knows where)."""
        self.base_offset = base_offset
        self.log_append_time_ms = log_append_time_ms
        self._finish()

    def fail(self, error: Exception) -> None:
        """The records are not stored, or it cannot be known."""
        self.error = error
        self._finish()

    def split(self) -> list[ProducerBatch]:
        """Two batches of half the records each, to be sent in place of this one, which is done when both are."""
        batch = RecordBatch.parse(memoryview(self.builder.build()))
        records = list(iter_records(batch, budget_bytes=self.builder.size_bytes))
        middle = len(records) // 2
        for half in (records[:middle], records[middle:]):
            part = ProducerBatch(self.queue, self.compression, self.created_at)
            for record in half:
                part.builder.append(record.timestamp_ms, record.key, record.value, record.headers)
            part.size_bytes = self.size_bytes * len(half) // len(records)
            part.last_error = self.last_error
            part._heard = self._heard
            self.parts.append(part)
        for part in self.parts:
            part.listen(self._finish_after_parts)
        return self.parts

    def locate(self, index: int) -> Located:
        """The batch that a record went with in the end, and which of its records it was."""
        if not self.parts:
            return Located(self, index)
        first, second = self.parts
        return first.locate(index) if index < first.records_count else second.locate(index - first.records_count)

    def add_callback(self, callback: DeliveryCallback, delivery: Delivery) -> bool:
        """Have ``callback`` called with ``delivery`` once the batch is done; False, and nothing done, if it is done."""
        with self._lock:
            self._heard += 1
            if self.done:
                return False
            self._callbacks.append((callback, delivery))
            return True

    def listen(self, listener: Callable[[], None]) -> None:
        """Have ``listener`` called once the batch is done: in the loop's thread, or here and now if it is done."""
        with self._lock:
            if not self.done:
                self._listeners.append(listener)
                return
        listener()

    async def finished(self) -> None:
        """Wait until the batch is done, in whatever loop."""
        if not self.done:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self.listen(lambda: _wake(waiter))
            await waiter

    def heed(self) -> None:
        """Note that somebody takes note of one record's fate."""
        self._heard += 1

    def _finish_after_parts(self) -> None:
        if all(part.done for part in self.parts):
            self._finish()

    def _finish(self) -> None:
        self.records_count = len(self.builder)
        with self._lock:
            self.done = True
            listeners, self._listeners = self._listeners, []
            callbacks, self._callbacks = self._callbacks, []
        del self.builder
        for listener in listeners:
            listener()
        for callback, delivery in callbacks:
            _call(callback, delivery)


class Located(NamedTuple):
    """A record's place in a batch."""

    batch: ProducerBatch
    number: int


class Delivery:
    """The promise of one record's :class:`RecordMetadata`: a future, to be awaited in asyncio or waited for in threads.

    >>> async def offset_of(delivery: Delivery) -> int:
    ...     return (await delivery).offset      # in a thread: delivery.result().offset
    """

    __slots__ = ("_batch", "_index", "_timestamp_ms")

    def __init__(self, batch: ProducerBatch, index: int, timestamp_ms: int) -> None:
        self._batch = batch
        self._index = index
        self._timestamp_ms = timestamp_ms

    def done(self) -> bool:
        """Whether the record is stored or given up."""
        return self._batch.done

    def result(self, timeout_s: float | None = None) -> RecordMetadata:
        """Where the record is stored, waiting in this thread until that is known.

        Raises:
            KafkaError: The record was not stored, or it cannot be known.
            TimeoutError: ``timeout_s`` seconds went by.
            RuntimeError: It is not known and this thread runs an event loop; ``await`` the delivery there.
        """
        error = self.exception(timeout_s)
        if error is not None:
            raise error
        batch, index = self._batch.locate(self._index)
        offset = batch.base_offset + index if batch.base_offset >= 0 else NO_OFFSET
        timestamp_ms = batch.log_append_time_ms if batch.log_append_time_ms >= 0 else self._timestamp_ms
        return RecordMetadata(batch.queue.topic, batch.queue.partition, offset, timestamp_ms)

    def exception(self, timeout_s: float | None = None) -> Exception | None:
        """What :meth:`result` would raise because of the record, or None when it is stored."""
        if not self._batch.done:
            self._wait(timeout_s)
        batch = self._batch.locate(self._index).batch
        batch.heed()
        return batch.error

    def add_done_callback(self, callback: DeliveryCallback) -> None:
        """Call ``callback`` with this delivery once it is done: in the client's thread, or at once if it is done now.

        An exception that it raises is logged.
        """
        if not self._batch.add_callback(callback, self):
            _call(callback, self)

    def __await__(self) -> Generator[object, None, RecordMetadata]:
        if not self._batch.done:
            self._batch.heed()
            yield from self._batch.finished().__await__()
        return self.result()

    def _wait(self, timeout_s: float | None) -> None:
        if asyncio._get_running_loop() is not None:
            raise RuntimeError("the record is still on its way; in a coroutine, await the delivery")
        self._batch.heed()
        done = threading.Event()
        self._batch.listen(done.set)
        if not done.wait(timeout_s):
            raise TimeoutError(f"the record was neither stored nor given up within {timeout_s} s")


DeliveryCallback = Callable[[Delivery], object]


def _call(callback: DeliveryCallback, delivery: Delivery) -> None:
    try:
        callback(delivery)
    except Exception:  # noqa: BLE001 - whatever it is, the other callbacks are not to blame
        _log.exception("a delivery callback failed")


def _wake(waiter: asyncio.Future[None]) -> None:
    """Complete a future of this loop, or of the loop in which a delivery of another thread's producer is awaited."""
    loop = waiter.get_loop()
    if loop is asyncio._get_running_loop():
        _complete(waiter)
    elif not loop.is_closed():
        loop.call_soon_threadsafe(_complete, waiter)


def _complete(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
