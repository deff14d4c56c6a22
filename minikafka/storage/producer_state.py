"""One idempotent producer, as a partition remembers it.

Source: Kafka, storage/internals/log/ProducerStateEntry.java, BatchMetadata.java, ProducerAppendInfo.checkSequence.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

from minikafka.types import NO_OFFSET, NO_PRODUCER_EPOCH, NO_SEQUENCE, NO_TIMESTAMP

BATCHES_KEPT = 5
"""How many of a producer's last batches are known again: so many may a client have under way."""

MAX_SEQUENCE = 0x7FFF_FFFF
NO_COORDINATOR_EPOCH = -1


class BatchMetadata(NamedTuple):
    """A batch that is in the log."""

    last_sequence: int
    last_offset: int
    offset_delta: int
    """The last offset less the first, and the last sequence number less the first."""
    timestamp_ms: int
    """The latest of its records."""

    @property
    def first_offset(self) -> int:
        """The offset of its first record."""
        return self.last_offset - self.offset_delta

    @property
    def first_sequence(self) -> int:
        """The sequence number of its first record."""
        if self.last_sequence == NO_SEQUENCE:
            return NO_SEQUENCE
        return (self.last_sequence - self.offset_delta) & MAX_SEQUENCE


class ProducerState:
    """A producer id: its epoch, its last batches, and its open transaction if it has one.

    Args:
        producer_id: The id.
        epoch: Of its last batch or marker; -1 before the first.
        coordinator_epoch: Of the coordinator that wrote its last marker; -1 without any.
        last_timestamp_ms: Of its last batch or marker.
        transaction_first_offset: Of the open transaction's first record here; -1 when none is open.
        batches: The last ones of this epoch, oldest first.
    """

    __slots__ = (
        "batches",
        "coordinator_epoch",
        "epoch",
        "last_timestamp_ms",
        "next_sequence",
        "producer_id",
        "transaction_first_offset",
    )

    def __init__(
        self,
        producer_id: int,
        epoch: int = NO_PRODUCER_EPOCH,
        *,
        coordinator_epoch: int = NO_COORDINATOR_EPOCH,
        last_timestamp_ms: int = NO_TIMESTAMP,
        transaction_first_offset: int = NO_OFFSET,
        batches: Iterable[BatchMetadata] = (),
    ) -> None:
        self.producer_id = producer_id
        self.epoch = epoch
        self.coordinator_epoch = coordinator_epoch
        self.last_timestamp_ms = last_timestamp_ms
        self.transaction_first_offset = transaction_first_offset
        self.batches = deque(batches, BATCHES_KEPT)
        self.next_sequence = _following(self.last_sequence)
        """What the first sequence number of the next batch has to be: 0 when there is none of this epoch yet."""

    def __repr__(self) -> str:
        return f"<ProducerState {self.producer_id} of epoch {self.epoch}, next sequence {self.next_sequence}>"

    @property
    def last_sequence(self) -> int:
        """The sequence number of the last record of this epoch, -1 without any."""
        return self.batches[-1].last_sequence if self.batches else NO_SEQUENCE

    @property
    def has_transaction(self) -> bool:
        """Whether it has a transaction open here."""
        return self.transaction_first_offset != NO_OFFSET

    def find(self, epoch: int, first_sequence: int, last_sequence: int) -> BatchMetadata | None:
        """The batch of these sequence numbers, if it is one of the last."""
        if epoch == self.epoch:
            for batch in self.batches:
                if batch.last_sequence == last_sequence and batch.first_sequence == first_sequence:
                    return batch
        return None

    def is_past(self, sequence: int) -> bool:
        """Whether a sequence number has been used in this epoch, as far as numbers that go around can tell."""
        return is_before(sequence, self.next_sequence)

    def add_batch(self, epoch: int, batch: BatchMetadata) -> None:
        """Take note of a batch; one of a new epoch begins a new window."""
        if epoch != self.epoch:
            self._begin_epoch(epoch)
        self.batches.append(batch)
        self.next_sequence = _following(batch.last_sequence)
        self.last_timestamp_ms = batch.timestamp_ms

    def end_transaction(self, epoch: int, coordinator_epoch: int, timestamp_ms: int) -> None:
        """Take note of a marker; one of a new epoch begins a new window."""
        if epoch != self.epoch:
            self._begin_epoch(epoch)
        self.coordinator_epoch = coordinator_epoch
        self.last_timestamp_ms = timestamp_ms
        self.transaction_first_offset = NO_OFFSET

    def _begin_epoch(self, epoch: int) -> None:
        self.epoch = epoch
        self.batches.clear()
        self.next_sequence = 0


def is_before(sequence: int, other: int) -> bool:
    """Which of two sequence numbers comes first; numbers that go around are never half the circle apart."""
    return (sequence - other) & MAX_SEQUENCE > MAX_SEQUENCE // 2


def _following(sequence: int) -> int:
    return (sequence + 1) & MAX_SEQUENCE
