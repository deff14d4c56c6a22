"""What whoever sends a record holds of it: the promise to say where it was stored."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Collection, Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from minikafka.types import NO_OFFSET
from minikafka_client.native import mypyc_attr

if TYPE_CHECKING:
    from minikafka_client.producer.batch import ProducerBatch

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


Headers = Collection[tuple[str, bytes | None]]


@mypyc_attr(acyclic=True)  # whatever a delivery refers to, it lets go when it is done: no garbage for a collector
class Delivery:
    """The promise of one record's :class:`RecordMetadata`: a future, to be awaited in asyncio or waited for in threads.

    >>> async def offset_of(delivery: Delivery) -> int:
    ...     return (await delivery).offset      # in a thread: delivery.result().offset

    It has no ``__init__``, which would take longer than everything else: who makes it sets ``batch`` to None and
    ``callback``.
    """

    __slots__ = ("batch", "callback", "index")

    batch: ProducerBatch | None
    index: int
    callback: DeliveryCallback | None

    def done(self) -> bool:
        """Whether the record is stored or given up."""
        return self.batch is not None and self.batch.done

    def result(self, timeout_s: float | None = None) -> RecordMetadata:
        """Where the record is stored, waiting in this thread until that is known, or for ``timeout_s`` seconds.

        Raises:
            KafkaError: The record was not stored, or it cannot be known.
            TimeoutError: ``timeout_s`` went by.
            RuntimeError: It is not known and this thread runs an event loop; ``await`` the delivery there.
        """
        error = self.exception(timeout_s)
        if error is not None:
            raise error
        batch = self.batch
        assert batch is not None, "it is done"
        offset = batch.base_offset + self.index if batch.base_offset >= 0 else NO_OFFSET
        timestamp_ms = batch.log_append_time_ms if batch.log_append_time_ms >= 0 else batch.timestamps_ms[self.index]
        return RecordMetadata(batch.queue.topic, batch.queue.partition, offset, timestamp_ms)

    def exception(self, timeout_s: float | None = None) -> Exception | None:
        """What :meth:`result` would raise because of the record, or None when it is stored."""
        batch = self.batch
        if batch is None or not batch.done:
            self._wait(timeout_s)
            batch = self.batch
            assert batch is not None, "it is done"
        if batch.error is not None:
            batch.heed()
        return batch.error

    def add_done_callback(self, callback: DeliveryCallback) -> None:
        """Call ``callback`` with this delivery once it is done: in the client's thread, or at once if it is done now.

        An exception that it raises is logged.
        """
        first = self.callback
        self.callback = callback if first is None else _Several(first, callback)
        batch = self.batch
        if batch is not None and batch.done:
            # Whoever finished the batch may have passed by before the callback was there, or not: one of the two,
            # and only one, finds it in its place.
            batch.take_late_callback(self)

    def __await__(self) -> Generator[object, None, RecordMetadata]:
        if not self.done():
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self.add_done_callback(lambda _: _wake(waiter))
            yield from waiter
        return self.result()

    def _wait(self, timeout_s: float | None) -> None:
        if asyncio._get_running_loop() is not None:
            raise RuntimeError("the record is still on its way; in a coroutine, await the delivery")
        done = threading.Event()
        self.add_done_callback(lambda _: done.set())
        if not done.wait(timeout_s):
            raise TimeoutError(f"the record was neither stored nor given up within {timeout_s} s")


DeliveryCallback = Callable[[Delivery], object]


class _Several:
    """Several callbacks of one delivery."""

    __slots__ = ("_callbacks",)

    def __init__(self, first: DeliveryCallback, another: DeliveryCallback) -> None:
        self._callbacks: tuple[DeliveryCallback, ...] = (first, another)
        if isinstance(first, _Several):
            self._callbacks = (*first._callbacks, another)

    def __call__(self, delivery: Delivery) -> None:
        for callback in self._callbacks:
            call_back(callback, delivery)


def call_back(callback: DeliveryCallback, delivery: Delivery) -> None:
    """Call a callback of a delivery that is done; what it raises is its own business, and logged."""
    try:
        callback(delivery)
    except Exception:  # noqa: BLE001 - whatever it is, the other callbacks are not to blame
        log_failed_callback()


def log_failed_callback() -> None:
    """Say what a callback has raised."""
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
