"""Records waiting to be sent: from what the threads that send left in the inboxes to batches.

Everything here belongs to the loop's thread.
"""

from __future__ import annotations

import time
from bisect import bisect_right
from collections import deque
from collections.abc import Callable
from itertools import accumulate

from minikafka.records.builder_columns import MAX_RECORDS
from minikafka.records.compression import Compression
from minikafka.types import NO_PRODUCER_ID
from minikafka_client.producer.batch import ProducerBatch
from minikafka_client.producer.intake import RECORD_OVERHEAD_BYTES, Inbox, Intake, Records
from minikafka_client.producer.partitioner import RoundRobinPartitioner

_REMEMBERED_FAILURES = 10_000


class PartitionQueue:
    """What is to be stored in one partition, in that order.

    First the batches ``in_flight``, then those ``ready`` (full, or to be sent again), then the ``open`` one that takes
    records, at last those in the topic's inbox.  While ``failed`` attempts wait to be sent again nothing else leaves,
    so that the order holds.
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
        "topic",
    )

    def __init__(self, topic: str, partition: int, batch_size: int) -> None:
        self.topic = topic
        self.partition = partition
        self.batch_size = batch_size  # bytes at which a batch is full
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
    def has_waiting(self) -> bool:
        """Whether there are batches here that are not on their way."""
        return self.open is not None or bool(self.ready or self.failed)

    @property
    def is_empty(self) -> bool:
        """Whether no batch waits here or is on its way, and nothing is to be done before the next one."""
        return not (self.has_waiting or self.in_flight or self.must_renumber)


class Accumulator:
    """The queues of all partitions, filled from the inboxes.

    Args:
        intake: Where records come in.
        batch_size: Bytes at which a batch is full.
        compression: Of the batches.
        turns: Whose turn it is when a record has no key and its sender chose no partition.
    """

    def __init__(
        self, intake: Intake, *, batch_size: int, compression: Compression, turns: RoundRobinPartitioner
    ) -> None:
        self.waiting_senders = 0
        self.unfinished: dict[ProducerBatch, None] = {}
        self.on_room: Callable[[], None] = _nobody  # a batch is done
        self.on_batch_closed: Callable[[str, int], None] = _nobody_there  # a batch takes no more records
        self._intake = intake
        self._batch_size = batch_size
        self._compression = compression
        self._turns = turns
        self._queues: dict[str, list[PartitionQueue]] = {}
        self._watched: dict[Inbox, None] = {}
        self._active: dict[PartitionQueue, None] = {}
        self._news_bytes = 0
        self._failures: deque[ProducerBatch] = deque(maxlen=_REMEMBERED_FAILURES)

    @property
    def buffered_bytes(self) -> int:
        """How much was sent and is not done."""
        return self._intake.in_bytes - self._intake.out_bytes

    @property
    def is_active(self) -> bool:
        """Whether there is a queue with something in it."""
        return bool(self._active)

    def line_up(self, topic: str, partition_count: int) -> None:
        """Have one queue for each partition; a queue stays as long as the producer, for it counts what was sent."""
        queues = self._queues.setdefault(topic, [])
        while len(queues) < partition_count:
            queues.append(PartitionQueue(topic, len(queues), self._batch_size))
        inbox = self._intake.inboxes.setdefault(topic, Inbox(topic, 0))
        inbox.partition_count = len(queues)

    def look(self) -> list[PartitionQueue]:
        """Gather what was sent since the last look; the queues with something in them."""
        self._intake.is_full = False
        while self._intake.woken:
            self._watched[self._intake.woken.popleft()] = None
        for inbox in list(self._watched):
            self._gather(inbox)
        self._news_bytes = sum(queue.batch_size for queue in self._active)
        self._intake.limit(self._news_bytes)
        return list(self._active)

    def close_open(self, queue: PartitionQueue) -> None:
        """Make the open batch, if any, ready to be sent: later records start another."""
        if queue.open is not None:
            queue.ready.append(queue.open)
            queue.open = None
            self.on_batch_closed(queue.topic, queue.partition)

    def rest(self, queue: PartitionQueue) -> None:
        """Stop looking after a queue that is empty, and for news of a topic of which nothing waits.

        Nobody need look again and again while batches are on their way: the next record of the topic will be told of.
        """
        if queue.is_empty:
            self._active.pop(queue, None)
        self._leave_if_nothing_waits(self._intake.inboxes[queue.topic])

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
        self._intake.out_bytes += batch.size_bytes - sum(part.size_bytes for part in parts)
        self.unfinished.update(dict.fromkeys(parts))
        return parts

    def take_failures(self) -> list[ProducerBatch]:
        """The batches that were given up since the last call, or the latest few thousand of them."""
        failures = list(self._failures)
        self._failures.clear()
        return failures

    def end(self, reason: Exception) -> None:
        """Fail whatever is not done, and what a thread that did not see the intake close may still leave there."""

        def refuse(records: Records, inbox: Inbox) -> None:
            for batch in self._refused(records, inbox):
                self._failures.append(batch)
                batch.fail(reason)

        self._intake.refuse = refuse
        self.look()
        for inbox in self._intake.inboxes.values():
            self._intake.wake(inbox)
        for batch in list(self.unfinished):
            self.fail(batch, reason)

    def _gather(self, inbox: Inbox) -> None:
        """Move the records in the inbox to the batches of their partitions."""
        queues = self._queues[inbox.topic]
        if inbox.entries:
            for queue, records in self._dealt(inbox, queues):
                self._active[queue] = None
                self._fill(queue, records)
        else:
            self._leave_if_nothing_waits(inbox)

    def _leave_if_nothing_waits(self, inbox: Inbox) -> None:
        if any(queue.has_waiting and queue.topic == inbox.topic for queue in self._active):
            return
        self._watched.pop(inbox, None)
        inbox.is_watched = False
        if inbox.entries:  # whoever put that there may have seen the inbox watched
            self._intake.wake(inbox)

    def _dealt(self, inbox: Inbox, queues: list[PartitionQueue]) -> list[tuple[PartitionQueue, Records]]:
        """What is in the inbox, by partition."""
        records = inbox.take()
        count = len(records.deliveries)
        if len(queues) == 1:
            return [(queues[0], records)]
        if not records.extras:  # the next in turn for all of them: each takes every so manieth
            first = self._turns.take_turns(inbox.topic, count)
            return [
                (queues[(first + nth) % len(queues)], records.part(slice(nth, None, len(queues))))
                for nth in range(min(count, len(queues)))
            ]
        chosen: dict[PartitionQueue, list[int]] = {}
        for index, extras in enumerate(records.extras):
            partition = None if extras is None else extras.partition
            if partition is None:
                partition = self._turns.take_turns(inbox.topic, 1) % len(queues)
            chosen.setdefault(queues[partition], []).append(index)
        return [(queue, records.pick(indices)) for queue, indices in chosen.items()]

    def _fill(self, queue: PartitionQueue, records: Records) -> None:
        """Add records to the open batch, and to as many others as they fill.

        More records than can be encoded by columns are too many for one, whatever their bytes.
        """
        total_bytes = _total_bytes(records)
        taken_bytes, taken_count = (queue.open.size_bytes, len(queue.open)) if queue.open else (0, 0)
        if taken_bytes + total_bytes <= queue.batch_size and taken_count + len(records.values) <= MAX_RECORDS:
            (queue.open or self._open(queue)).add(records, total_bytes)
            return
        end_bytes = list(accumulate(_sizes(records)))
        first = done_bytes = 0
        while first < len(end_bytes):
            batch = queue.open or self._open(queue)
            room_bytes = queue.batch_size - batch.size_bytes
            max_end = min(len(end_bytes), first + MAX_RECORDS - len(batch))
            end = bisect_right(end_bytes, done_bytes + room_bytes, lo=first, hi=max_end)
            if end == first and not batch:
                end += 1  # larger than a batch: it has one to itself
            if end > first:
                batch.add(records.part(slice(first, end)), end_bytes[end - 1] - done_bytes)
                first, done_bytes = end, end_bytes[end - 1]
            if first < len(end_bytes):
                self.close_open(queue)

    def _open(self, queue: PartitionQueue) -> ProducerBatch:
        queue.open = batch = ProducerBatch(queue, self._compression, time.monotonic())
        self.unfinished[batch] = None
        return batch

    def _release(self, batch: ProducerBatch) -> None:
        self._intake.out_bytes += batch.size_bytes
        self.unfinished.pop(batch, None)
        self._intake.limit(self._news_bytes)
        self.on_room()

    def _refused(self, records: Records, inbox: Inbox) -> list[ProducerBatch]:
        """Batches of records that came too late, one each, in whatever partition; from any thread."""
        batches = []
        for index in range(len(records.deliveries)):
            record = records.pick([index])
            extras = record.extras[0] if record.extras else None
            partition = 0 if extras is None or extras.partition is None else extras.partition
            batch = ProducerBatch(self._queues[inbox.topic][partition], self._compression, time.monotonic())
            batch.add(record, _total_bytes(record))
            batches.append(batch)
        return batches


def _total_bytes(records: Records) -> int:
    """What all of them count for."""
    if not records.extras:
        return sum(map(len, records.values)) + RECORD_OVERHEAD_BYTES * len(records.values)  # type: ignore[arg-type]
    return sum(_sizes(records))


def _sizes(records: Records) -> list[int]:
    """What each record counts for."""
    if not records.extras:
        return [len(value) + RECORD_OVERHEAD_BYTES for value in records.values]  # type: ignore[arg-type]  # no None
    return [
        len(value or b"") + RECORD_OVERHEAD_BYTES if extras is None else extras.size_bytes
        for value, extras in zip(records.values, records.extras, strict=True)
    ]


def _nobody() -> None:
    """Who is to be told is not there yet."""


def _nobody_there(topic: str, partition: int) -> None:
    """Nobody wants to know of this partition."""
