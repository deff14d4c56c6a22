"""A batch on its way to a partition: records that travel, succeed and fail together."""

from __future__ import annotations

import asyncio
import threading
from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from minikafka.errors import KafkaError
from minikafka.records.batch import RecordBatch
from minikafka.records.builder import RecordBatchBuilder
from minikafka.records.compression import Compression
from minikafka.records.record import iter_records
from minikafka.types import NO_OFFSET, NO_TIMESTAMP
from minikafka_client.producer.delivery import Delivery, Headers, call_back, log_failed_callback

if TYPE_CHECKING:
    from minikafka_client.producer.accumulator import PartitionQueue
    from minikafka_client.producer.intake import Records


class NotDelivered(KafkaError):
    """Records that were sent, and whose failure nobody was waiting to hear of, were not stored.

    ``str(error)`` counts them by partition and reason.
    """


class ProducerBatch:
    """Records of one partition, column by column until they are encoded, and the deliveries of those who sent them.

    Everything happens in the loop's thread, but for callbacks that are added to deliveries.
    """

    __slots__ = (
        "_builder",
        "_compression",
        "_deliveries",
        "_headers",
        "_keys",
        "_listeners",
        "_lock",
        "_parts",
        "_unheard_count",
        "_values",
        "attempts",
        "base_offset",
        "created_at",
        "done",
        "error",
        "is_numbered",
        "last_error",
        "log_append_time_ms",
        "queue",
        "size_bytes",
        "timestamps_ms",
    )

    def __init__(self, queue: PartitionQueue, compression: Compression, created_at: float) -> None:
        self.queue = queue
        self.created_at = created_at  # loop seconds; the delivery timeout counts from here
        self.size_bytes = 0  # what its records count for in the memory of the producer
        self.attempts = 0
        self.is_numbered = False  # whether it has a sequence number, which it keeps from attempt to attempt
        self.last_error: Exception | None = None  # of an attempt that was, or may be, followed by another
        self.done = False
        self.error: Exception | None = None
        self.base_offset = NO_OFFSET
        self.log_append_time_ms = NO_TIMESTAMP
        self.timestamps_ms: list[int] = []
        self._keys: list[bytes | None] = []
        self._values: list[bytes | None] = []
        self._headers: list[Headers] = []
        self._compression = compression
        self._builder: RecordBatchBuilder | None = None
        self._parts: list[ProducerBatch] = []
        self._deliveries: list[Delivery] = []
        self._unheard_count = 0
        self._listeners: list[Callable[[], None]] = []
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self.timestamps_ms)

    # Gathering

    def add(self, records: Records, size_bytes: int) -> None:
        """Take over records that count for so many bytes."""
        timestamps_ms = _milliseconds(records.sent_at)
        keys: list[bytes | None] = [None] * len(timestamps_ms)
        headers: list[Headers] | None = None
        if records.extras:
            for index, extras in enumerate(records.extras):
                if extras is not None:
                    keys[index] = extras.key
                    if extras.timestamp_ms is not None:
                        timestamps_ms[index] = extras.timestamp_ms
            headers = [() if extras is None else extras.headers for extras in records.extras]
        self._append(records.deliveries, timestamps_ms, keys, records.values, headers)
        self.size_bytes += size_bytes

    def _append(
        self,
        deliveries: list[Delivery],
        timestamps_ms: Sequence[int],
        keys: Sequence[bytes | None],
        values: Sequence[bytes | None],
        headers: Sequence[Headers] | None,
    ) -> None:
        for index, delivery in enumerate(deliveries, start=len(self.timestamps_ms)):
            delivery.index = index
            delivery.batch = self
        if headers is not None and any(headers):
            self._headers += [()] * (len(self.timestamps_ms) - len(self._headers))
            self._headers += headers
        self.timestamps_ms += timestamps_ms
        self._keys += keys
        self._values += values
        self._deliveries += deliveries

    # Sending

    @property
    def builder(self) -> RecordBatchBuilder:
        """The batch as it is to be sent.  Once it was asked for, no record can be added any more."""
        if self._builder is None:
            self._builder = RecordBatchBuilder(self._compression)
            if self._headers:
                self._headers += [()] * (len(self) - len(self._headers))
            self._builder.extend(self.timestamps_ms, self._keys, self._values, self._headers or None)
            self._keys, self._values, self._headers = [], [], []
        return self._builder

    def split(self) -> list[ProducerBatch]:
        """Two batches of half the records each, to be sent in place of this one, which is done when both are."""
        batch = RecordBatch.parse(memoryview(self.builder.build()))
        records = [record[1:] for record in iter_records(batch, budget_bytes=self.builder.size_bytes)]
        middle = len(records) // 2
        for chosen in (slice(None, middle), slice(middle, None)):
            part = ProducerBatch(self.queue, self._compression, self.created_at)
            part.size_bytes = self.size_bytes * len(records[chosen]) // len(records)
            part.last_error = self.last_error
            part._append(self._deliveries[chosen], *map(list, zip(*records[chosen], strict=True)))
            self._parts.append(part)
        self._deliveries = []
        for part in self._parts:
            part.listen(self._finish_after_parts)
        return self._parts

    # Done

    def succeed(self, base_offset: int, log_append_time_ms: int) -> None:
        """The records are stored from ``base_offset`` on (-1: nobody knows where)."""
        self.base_offset = base_offset
        self.log_append_time_ms = log_append_time_ms
        self._finish()

    def fail(self, error: Exception) -> None:
        """The records are not stored, or it cannot be known."""
        self.error = error
        self._finish()

    @property
    def unheard_count(self) -> int:
        """How many records failed without anybody having looked at, or waited for, their delivery."""
        return max(0, self._unheard_count)

    def heed(self) -> None:
        """Note that somebody takes note of one record's failure."""
        self._unheard_count -= 1

    def listen(self, listener: Callable[[], None]) -> None:
        """Have ``listener`` called once the batch is done, or here and now if it is."""
        if self.done:
            listener()
        else:
            self._listeners.append(listener)

    async def finished(self) -> None:
        """Wait until the batch is done."""
        if not self.done:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self.listen(lambda: None if waiter.done() else waiter.set_result(None))
            await waiter

    def take_late_callback(self, delivery: Delivery) -> None:
        """Call a callback that was added when the batch was done, or was about to be."""
        with self._lock:
            callback, delivery.callback = delivery.callback, None
        if callback is not None:
            self.heed()
            call_back(callback, delivery)

    def _finish_after_parts(self) -> None:
        if all(part.done for part in self._parts):
            self._finish()

    def _finish(self) -> None:
        self._builder = None
        deliveries, self._deliveries = self._deliveries, []
        with self._lock:
            self.done = True
            callbacks = [delivery.callback for delivery in deliveries]
            for delivery in deliveries:
                delivery.callback = None
        if self.error is not None:
            self._unheard_count += callbacks.count(None)
        for listener in self._listeners:
            listener()
        for callback, delivery in zip(callbacks, deliveries, strict=True):
            if callback is not None:
                try:  # as call_back does, less a call for each record
                    callback(delivery)
                except Exception:  # noqa: BLE001 - whatever it is, the other callbacks are not to blame
                    log_failed_callback()


def _milliseconds(sent_at: Sequence[float]) -> list[int]:
    """Seconds to whole milliseconds, many at once: times that follow one another are mostly of the same one.

    A record that a thread was about to leave here when another did may get the time of its neighbour.
    """
    timestamps_ms: list[int] = []
    first = 0
    while first < len(sent_at):
        this_ms = int(sent_at[first] * 1_000)
        end = max(first + 1, bisect_left(sent_at, (this_ms + 1) / 1_000, lo=first))
        timestamps_ms += [this_ms] * (end - first)
        first = end
    return timestamps_ms
