"""The values that partitions are told and that they answer with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

from minikafka.storage.leader_epochs import EpochEndOffset
from minikafka.storage.reading import FileSlice
from minikafka.storage.transaction_index import AbortedTransaction


class OffsetSpec(IntEnum):
    """The timestamps of ListOffsets that are none, but places in a log.

    Source: Kafka, ListOffsetsRequest.java.
    """

    LATEST = -1
    EARLIEST = -2
    MAX_TIMESTAMP = -3
    EARLIEST_LOCAL = -4
    LATEST_TIERED = -5
    EARLIEST_PENDING_UPLOAD = -6


@dataclass(frozen=True, slots=True)
class DurabilityPolicy:
    """When records have to be on disk.

    Attributes:
        flush_on_acks_all: ``log.flush.on.acks.all``: auto, always or never.
        max_unflushed_bytes: A log with this many bytes waiting for the disk is flushed in the background, and all logs
            are when together they have eight times as many.
    """

    flush_on_acks_all: str
    max_unflushed_bytes: int

    @property
    def max_unflushed_bytes_of_all(self) -> int:
        """How many bytes may wait for the disk in all logs together."""
        return 8 * self.max_unflushed_bytes


class PartitionRead(NamedTuple):
    """What a fetch gets of a partition."""

    records: FileSlice
    """Not read from disk yet."""
    high_watermark: int
    last_stable_offset: int
    log_start_offset: int
    diverging_epoch: EpochEndOffset | None
    """If there is one there are no records: the reader has some that this log has not."""
    aborted: Sequence[AbortedTransaction] = ()
    """The aborted transactions that these records are of; nothing unless only what is committed was asked for."""
