"""Batches and logs for the tests of the storage layer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from minikafka.config.topic import TopicConfig
from minikafka.records.batch import RecordBatch, iter_batches
from minikafka.records.builder import RecordBatchBuilder
from minikafka.records.compression import Compression
from minikafka.records.control import ControlType, EndTransactionMarker
from minikafka.records.record import Record, iter_records
from minikafka.storage.append import PreparedBatch, prepare_marker
from minikafka.storage.data_directory import DataDirectory
from minikafka.storage.environment import LogEnvironment
from minikafka.storage.fs import FileSystem
from minikafka.storage.log import Log
from minikafka.storage.opening import create_log, open_log
from minikafka.storage.recovery import LastStop
from minikafka.storage.segment_cache import SegmentCache
from minikafka.types import TopicPartition
from tests.support.clock import ManualClock

DATA = Path("/data")
PARTITION = TopicPartition("orders", 0)
DIRECTORY = DATA / "orders-0"
TOPIC_ID = bytes(range(16))
SMALL = replace(TopicConfig(), segment_bytes=1000, index_interval_bytes=100)
"""A configuration under which a few batches make several segments, and several index entries."""


def make_batch(
    *values: bytes,
    timestamps_ms: tuple[int, ...] = (),
    base_offset: int = 0,
    leader_epoch: int = 0,
    codec: Compression = Compression.NONE,
    producer: tuple[int, int, int] = (-1, -1, -1),
    is_transactional: bool = False,
) -> bytes:
    """A batch of one record for each value; the times are 1000, 1001, ... unless they are given.

    A producer is its id, its epoch, and the sequence number of the first record.
    """
    producer_id, producer_epoch, base_sequence = producer
    builder = RecordBatchBuilder(
        codec,
        producer_id=producer_id,
        producer_epoch=producer_epoch,
        base_sequence=base_sequence,
        is_transactional=is_transactional,
    )
    times = timestamps_ms or tuple(range(1000, 1000 + len(values)))
    for value, timestamp_ms in zip(values, times, strict=True):
        builder.append(timestamp_ms, None, value)
    return builder.build(base_offset, leader_epoch)


def prepared(batch: bytes) -> PreparedBatch:
    """The batch, ready for a leader to append."""
    return PreparedBatch(RecordBatch.parse(memoryview(batch)))


def send(
    log: Log, producer_id: int, sequence: int, count: int = 1, *, epoch: int = 0, is_transactional: bool = False
) -> int:
    """Append a batch of an idempotent producer, with whatever confirmation it needs, and return its first offset."""
    values = [b"%d-%d-%d" % (producer_id, epoch, sequence + i) for i in range(count)]
    batch = prepared(make_batch(*values, producer=(producer_id, epoch, sequence), is_transactional=is_transactional))
    if is_transactional:
        states, now_ms = log.producers.states, log.clock.now_ms()
        batch.guard = states.begin_verification(batch.batch, bumps_epochs=False, now_ms=now_ms)
    return log.append_as_leader(batch, 0).base_offset


def end_transaction(
    log: Log, producer_id: int, *, epoch: int = 0, is_commit: bool = False, coordinator_epoch: int = 0
) -> int:
    """Append a marker, and return its offset."""
    marker = EndTransactionMarker(ControlType.COMMIT if is_commit else ControlType.ABORT, coordinator_epoch)
    end = prepare_marker(marker, producer_id=producer_id, producer_epoch=epoch, now_ms=1000)
    return log.append_as_leader(end, 0).base_offset


def append(log: Log, *values: bytes, timestamps_ms: tuple[int, ...] = (), epoch: int = 0) -> int:
    """Append one batch as the leader, and return its first offset."""
    return log.append_as_leader(prepared(make_batch(*values, timestamps_ms=timestamps_ms)), epoch).base_offset


def records_from(log: Log, offset: int, *, max_bytes: int = 1 << 20) -> list[Record]:
    """Every record from ``offset`` on, fetched as a consumer does."""
    records: list[Record] = []
    while offset < log.log_end_offset:
        content = log.read(offset, max_bytes, log.log_end_offset, min_one_batch=True).read()
        assert content, f"nothing at {offset} of {log}"
        for batch in iter_batches(memoryview(content)):
            batch.verify_crc()
            records += [record for record in iter_records(batch, budget_bytes=1 << 20) if record.offset >= offset]
            next_offset = batch.next_offset
        offset = next_offset
    return records


def values_from(log: Log, offset: int = 0) -> list[bytes | None]:
    """The values of :func:`records_from`."""
    return [record.value for record in records_from(log, offset)]


def apply_retention(log: Log, now_ms: int) -> int:
    """Delete the segments that have had their time, as the log manager does, and return how many those were."""
    count = log.retire_expired(now_ms)
    if log.has_retired:
        log._home.save_log_start_offsets()
        log.remove_retired()
    return count


class LogHarness:
    """One log on a file system, to be closed, killed and opened again.

    Args:
        fs: The file system.
        config: The topic's.
        data: The data directory.
    """

    def __init__(self, fs: FileSystem, config: TopicConfig = SMALL, data: Path = DATA) -> None:
        self.fs = fs
        self.config = config
        self.clock = ManualClock()
        self.directory = data / "orders-0"
        fs.make_directory(data)
        self.environment = LogEnvironment(fs, self.clock, DataDirectory(data, fs), SegmentCache())
        self.log = create_log(self.environment, PARTITION, TOPIC_ID, config)

    @property
    def home(self) -> DataDirectory:
        """The data directory."""
        return self.environment.home

    def reopen(
        self, *, was_clean: bool = False, machine_restarted: bool = False, recovery_point: int | None = None
    ) -> Log:
        """Open the log again, as if this process had died just now.

        The recovery point is the one that the log had, as if a checkpoint had just been written.
        """
        before = self.log
        self.environment = LogEnvironment(self.fs, self.clock, DataDirectory(self.home.path, self.fs), SegmentCache())
        last_stop = LastStop(
            was_clean,
            machine_restarted,
            before.flushed_end_offset if recovery_point is None else recovery_point,
            before.log_start_offset,
        )
        self.log = open_log(self.environment, PARTITION, self.config, last_stop)
        return self.log
