"""A batch on its way to a partition: records that travel, succeed and fail together."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from minikafka.errors import KafkaError
from minikafka.records.batch import RecordBatch
from minikafka.records.builder import RecordBatchBuilder
from minikafka.records.compression import Compression
from minikafka.records.record import iter_records
from minikafka.types import NO_OFFSET, NO_TIMESTAMP
from minikafka_client.producer.delivery import Delivery, DeliveryCallback, Headers, Outgoing, call_back

if TYPE_CHECKING:
    from minikafka_client.producer.accumulator import PartitionQueue


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

    def add(self, deliveries: Sequence[Delivery], size_bytes: int) -> None:
        """Take over the records of ``deliveries``, which count for so many bytes."""
        self._append(deliveries, [delivery.record for delivery in deliveries])  # type: ignore[misc]  # they have one
        self.size_bytes += size_bytes

    def _append(self, deliveries: Sequence[Delivery], records: Sequence[Outgoing]) -> None:
        timestamps_ms, keys, values, headers = zip(*records, strict=True)
        for index, delivery in enumerate(deliveries, start=len(self.timestamps_ms)):
            delivery.record = None
            delivery.index = index
            delivery.batch = self
        self.timestamps_ms += timestamps_ms
        self._keys += keys
        self._values += values
        self._headers += headers
        self._deliveries += deliveries

    # Sending

    @property
    def builder(self) -> RecordBatchBuilder:
        """The batch as it is to be sent.  Once it was asked for, no record can be added any more."""
        if self._builder is None:
            self._builder = RecordBatchBuilder(self._compression)
            headers = self._headers if any(self._headers) else None
            self._builder.extend(self.timestamps_ms, self._keys, self._values, headers)
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
            part._append(self._deliveries[chosen], records[chosen])
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
        called: list[tuple[DeliveryCallback, Delivery]] = []
        with self._lock:
            self.done = True
            for delivery in deliveries:
                callback = delivery.callback
                if callback is not None:
                    called.append((callback, delivery))
                    delivery.callback = None
        if self.error is not None:
            self._unheard_count += len(deliveries) - len(called)
        for listener in self._listeners:
            listener()
        for callback, delivery in called:
            call_back(callback, delivery)
