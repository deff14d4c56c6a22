"""The ends of transactions, written into every partition that they wrote to, however long that takes.

A partition that cannot take its marker at the moment is tried again; one that is gone needs none.

Source: Kafka, TransactionMarkerChannelManager, TransactionMarkerRequestCompletionHandler.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from functools import partial
from typing import NamedTuple

from minikafka.errors import InvalidProducerEpoch, KafkaError, UnknownTopicOrPartition
from minikafka.observability.logging import get_logger
from minikafka.types import ProducerIdAndEpoch, TopicPartition

RETRY_AFTER_S = 0.1
"""How long a partition is left alone that could not take its marker."""

_log = get_logger(__name__)


class Marker(NamedTuple):
    """The end of a transaction.

    ``producer`` is who ended it: under transaction version 2 an epoch after that of the records.
    """

    producer: ProducerIdAndEpoch
    is_commit: bool
    coordinator_epoch: int
    transaction_version: int


WriteMarker = Callable[[TopicPartition, Marker], asyncio.Future[None] | None]
"""Appends a marker to a partition; the future is done when it is durable, None when it is already.

Raises UnknownTopicOrPartition when there is no such partition, and another KafkaError when it cannot be written now.
"""


class MarkerWrites:
    """The markers of one shard's transactions that are on their way.

    Args:
        write: Appends one.
    """

    __slots__ = ("_under_way", "_write")

    def __init__(self, write: WriteMarker) -> None:
        self._write = write
        self._under_way: set[_Ending] = set()

    def begin(self, marker: Marker, partitions: Iterable[TopicPartition], done: Callable[[], None]) -> None:
        """Write a marker to each of ``partitions``, and call ``done`` when all have it, perhaps before returning."""
        ending = _Ending(self._write, marker, partitions, done, self._under_way.discard)
        self._under_way.add(ending)
        ending.attempt(ending.left)

    def cancel_all(self) -> None:
        """Write no more, and call nobody."""
        for ending in list(self._under_way):
            ending.cancel()
        self._under_way.clear()


class _Ending:
    """The markers of one transaction; ``left`` are the partitions that do not have theirs for certain."""

    __slots__ = ("_done", "_forget", "_is_cancelled", "_marker", "_timer", "_to_retry", "_write", "left")

    def __init__(
        self,
        write: WriteMarker,
        marker: Marker,
        partitions: Iterable[TopicPartition],
        done: Callable[[], None],
        forget: Callable[[_Ending], None],
    ) -> None:
        self.left = set(partitions)
        self._write = write
        self._marker = marker
        self._done = done
        self._forget = forget
        self._to_retry: set[TopicPartition] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._is_cancelled = False

    def attempt(self, partitions: Iterable[TopicPartition]) -> None:
        for where in sorted(partitions):
            try:
                durable = self._write(where, self._marker)
            except KafkaError as error:
                self._failed(where, error)
                continue
            if durable is None:
                self.left.discard(where)
            else:
                durable.add_done_callback(partial(self._written, where))
        self._finish_if_over()

    def cancel(self) -> None:
        self._is_cancelled = True
        if self._timer is not None:
            self._timer.cancel()

    def _written(self, where: TopicPartition, durable: asyncio.Future[None]) -> None:
        if self._is_cancelled or durable.cancelled():
            return
        error = durable.exception()
        if error is None:
            self.left.discard(where)
        else:
            self._failed(where, error)
        self._finish_if_over()

    def _failed(self, where: TopicPartition, error: BaseException) -> None:
        if isinstance(error, UnknownTopicOrPartition):
            self.left.discard(where)
        elif isinstance(error, InvalidProducerEpoch):
            # The partition has had a later transaction of this producer, so the end of this one.
            _log.warning("marker_out_of_date", partition=str(where), producer=self._marker.producer, reason=str(error))
            self.left.discard(where)
        else:
            _log.warning("marker_not_written", partition=str(where), reason=str(error))
            self._to_retry.add(where)
            if self._timer is None:
                self._timer = asyncio.get_running_loop().call_later(RETRY_AFTER_S, self._retry)

    def _retry(self) -> None:
        self._timer = None
        partitions, self._to_retry = self._to_retry, set()
        self.attempt(partitions)

    def _finish_if_over(self) -> None:
        if not self.left and not self._is_cancelled:
            self._is_cancelled = True
            self._forget(self)
            self._done()
