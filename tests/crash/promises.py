"""What was promised to whoever wrote to a log, and whether the log keeps it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from minikafka.records.batch import RecordBatch
from minikafka.records.record import Record, iter_records
from minikafka.types import ZERO_UUID, TopicPartition
from tests.crash.states import Crash

NOTHING = -1
"""Instead of the end of the records that are kept: the log itself may be gone."""


class Written(NamedTuple):
    """A batch, as it was written."""

    base_offset: int
    end_offset: int
    content: bytes


@dataclass(frozen=True, slots=True)
class LogPromise:
    """What must be in a log, and what may be.

    Attributes:
        topic_id: Of the topic.
        batches: Everything that was written, from offset 0 on: also the batch that is being written, and those at the
            beginning that have been deleted since.
        kept_on_process_death: Where the records end that the death of the process may not take.
        kept_on_power_loss: Where the records end that a loss of power may not take.
        start_at_least: Everything before this offset must be gone.
        start_at_most: Everything from this offset on must be there.
        is_compacted: Whether records may be missing that a later one of the same key makes superfluous.
    """

    topic_id: bytes
    batches: tuple[Written, ...] = ()
    kept_on_process_death: int = NOTHING
    kept_on_power_loss: int = NOTHING
    start_at_least: int = 0
    start_at_most: int = 0
    is_compacted: bool = False

    def kept(self, crash: Crash) -> int:
        """Where the records end that this crash may not take."""
        return self.kept_on_process_death if crash is Crash.PROCESS else self.kept_on_power_loss

    @property
    def end_offset(self) -> int:
        """Where the records end that were written."""
        return self.batches[-1].end_offset if self.batches else 0


class Deletion(NamedTuple):
    """The end of a topic: while it is under way its log may be there or not, or parts of it."""

    partition: TopicPartition
    has_returned: bool


@dataclass(frozen=True, slots=True)
class Promises:
    """What all the logs must hold; ``deletions`` are by the topic's id."""

    logs: Mapping[TopicPartition, LogPromise] = field(default_factory=dict)
    deletions: Mapping[bytes, Deletion] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FoundLog:
    """What a log holds after a start; ``batches`` from the one that holds ``start_offset`` on."""

    topic_id: bytes
    start_offset: int
    end_offset: int
    batches: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """What a start has found.

    Attributes:
        logs: Those that can be used.
        refused: Why the others cannot.
        faults: Where the logs contradict themselves.
    """

    logs: Mapping[TopicPartition, FoundLog]
    refused: Mapping[TopicPartition, str]
    faults: tuple[str, ...] = ()


def broken_promises(promises: Promises, found: Found, crash: Crash) -> list[str]:
    """Everything that is not as it was promised."""
    broken = list(found.faults)
    left_over = _may_be_left_over(promises, crash)
    for partition in promises.logs.keys() | found.logs.keys() | found.refused.keys():
        log = found.logs.get(partition)
        promise = promises.logs.get(partition)
        kept = NOTHING if promise is None else promise.kept(crash)
        ids = left_over.get(partition, set())
        if kept == NOTHING and ids and (log is None or log.topic_id in {*ids, ZERO_UUID}):
            continue
        if log is None:
            if partition in found.refused:
                broken.append(f"{partition} is refused: {found.refused[partition]}")
            elif kept != NOTHING:
                broken.append(f"{partition} is gone")
        elif promise is None:
            broken.append(f"{partition} should not be there")
        else:
            broken += (f"{partition}: {fault}" for fault in _faults_of(promise, log, kept))
    return broken


def _may_be_left_over(promises: Promises, crash: Crash) -> dict[TopicPartition, set[bytes]]:
    """The ids of deleted topics, of each partition, whose logs may still be there."""
    left_over: dict[TopicPartition, set[bytes]] = {}
    for topic_id, deletion in promises.deletions.items():
        if crash is Crash.POWER or not deletion.has_returned:
            left_over.setdefault(deletion.partition, set()).add(topic_id)
    return left_over


def _faults_of(promise: LogPromise, log: FoundLog, kept: int) -> Iterator[str]:
    if log.topic_id != promise.topic_id and (log.topic_id != ZERO_UUID or kept != NOTHING):
        yield f"the topic's id is {log.topic_id.hex()}"
    if not promise.start_at_least <= log.start_offset <= promise.start_at_most:
        yield f"begins at {log.start_offset}, not within {promise.start_at_least} and {promise.start_at_most}"
    if log.end_offset < kept:
        yield f"ends at {log.end_offset}, and what is below {kept} was to be kept"
    if log.end_offset > promise.end_offset:
        yield f"ends at {log.end_offset}, and only what is below {promise.end_offset} was written"
    if promise.is_compacted:
        yield from _compaction_faults(promise, log)
        return
    wanted = [batch.content for batch in promise.batches if log.start_offset < batch.end_offset <= log.end_offset]
    if wanted != list(log.batches):
        yield f"does not hold what was written from {log.start_offset} to {log.end_offset}"


@lru_cache(maxsize=4096)
def records_of(content: bytes) -> tuple[Record, ...]:
    """The records of a batch."""
    return tuple(iter_records(RecordBatch.parse(memoryview(content)), budget_bytes=1 << 20))


def _compaction_faults(promise: LogPromise, log: FoundLog) -> Iterator[str]:
    """Of each key the first records may be missing, and the last one only if it says that the key is gone."""
    written = {
        record.offset: record
        for batch in promise.batches
        if batch.end_offset <= log.end_offset
        for record in records_of(batch.content)
    }
    found = {record.offset: record for content in log.batches for record in records_of(content)}
    if any(written.get(offset) != record for offset, record in found.items()):
        yield f"holds what was not written from {log.start_offset} to {log.end_offset}"
    by_key: dict[bytes | None, list[int]] = {}
    for offset, record in written.items():
        if offset >= log.start_offset:
            by_key.setdefault(record.key, []).append(offset)
    for key, offsets in by_key.items():
        there = [offset in found for offset in offsets]
        if there != sorted(there):
            yield f"has lost the record of key {key!r} at {offsets[there.index(False, there.index(True))]}"
        elif not there[-1] and written[offsets[-1]].value is not None:
            yield f"has lost key {key!r}, last written at {offsets[-1]}"
