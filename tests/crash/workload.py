"""A broker's storage at work, by chance but the same for the same seed, on a file system that writes it down.

Everything is the real thing: partitions, group commit, log manager, logs.  Only the worker thread is not one: what
it is given runs at once, and while a sync is under way, more is appended, as the event loop would do meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from random import Random
from typing import Any, TypeVar
from unittest.mock import patch

from minikafka.cluster.metadata import PartitionState
from minikafka.config.definition import MAX_LONG
from minikafka.config.topic import TopicConfig
from minikafka.errors import StorageError
from minikafka.records.batch import PREFIX_SIZE
from minikafka.records.builder import RecordBatchBuilder
from minikafka.records.compression import Compression
from minikafka.replication.group_commit import GroupCommit
from minikafka.replication.partition import ACKS_ALL, Partition
from minikafka.replication.partitions import Partitions
from minikafka.replication.state import DurabilityPolicy
from minikafka.storage.append import PreparedBatch
from minikafka.storage.compaction import CompactionMeans
from minikafka.storage.log import Log
from minikafka.storage.log_manager import LogManager
from minikafka.storage.log_producers import SNAPSHOT_INTERVAL_BYTES
from minikafka.storage.offset_map import ENTRY_BYTES
from minikafka.types import TopicPartition
from tests.crash.producing import some_marker, some_producers_batch
from tests.crash.promises import Deletion, LogPromise, Promises, Written
from tests.crash.recording_fs import KnownPath, Operation, RecordingFileSystem, WriteFault
from tests.support.clock import ManualClock
from tests.support.storage import make_batch, prepared

DATA = KnownPath("/data")
CLUSTER_ID = "a-cluster"
BROKER_ID = 1
_STEPS = 16
"""How much is done from one start to the next stop."""

_ORDERS = TopicPartition("orders", 0)
_AUDIT = TopicPartition("audit", 0)
_PARTITIONS = (_ORDERS, _ORDERS, _ORDERS, _AUDIT)
_RETENTION_MS = 300_000
_DELETE_RETENTION_MS = 200
_FEW_ENTRIES = 2
_KEYS = 6

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Policy:
    """When records are forced to disk, and what kind they are."""

    name: str
    flush_on_acks_all: str
    flush_messages: int = MAX_LONG
    max_unflushed_bytes: int = 1 << 30
    compacts: bool = False
    has_producers: bool = False
    snapshot_interval_bytes: int = SNAPSHOT_INTERVAL_BYTES

    @property
    def config(self) -> TopicConfig:
        """For topics whose segments hold a few batches, and whose indexes have several entries."""
        return replace(
            TopicConfig(),
            segment_bytes=2_000,
            index_interval_bytes=100,
            retention_bytes=5_000,
            retention_ms=_RETENTION_MS,
            flush_messages=self.flush_messages,
            cleanup_policy=frozenset({"compact", "delete"} if self.compacts else {"delete"}),
            delete_retention_ms=_DELETE_RETENTION_MS,
        )


POLICIES = (
    Policy("commit", "auto"),
    Policy("messages", "never", flush_messages=4),
    Policy("background", "never", max_unflushed_bytes=1_000),
    Policy("never", "never"),
    Policy("compact", "auto", compacts=True),
    Policy("transactions", "auto", has_producers=True, snapshot_interval_bytes=400),
)


def record(seed: int, policy: Policy) -> Sequence[Operation]:
    """What brokers do to a disk, one after the other: the first two are killed, the third one stops cleanly."""
    with (
        patch("minikafka.storage.log._UNSAVED_ENTRIES_LIMIT", _FEW_ENTRIES),
        patch("minikafka.storage.log_producers.SNAPSHOT_INTERVAL_BYTES", policy.snapshot_interval_bytes),
    ):
        workload = _Workload(Random(f"{seed} {policy.name}"), policy)
        workload.live(_STEPS, stops_cleanly=False)
        workload.live(_STEPS, stops_cleanly=False)
        workload.live(_STEPS, stops_cleanly=True)
        workload.live(_STEPS // 2, stops_cleanly=False)
    return workload.fs.trace


class _InlineExecutor(Executor):
    """Runs what it is given at once."""

    def __init__(self, fs: RecordingFileSystem, meanwhile: Callable[[], None]) -> None:
        self._fs = fs
        self._meanwhile = meanwhile

    def submit(self, function: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        future: Future[T] = Future()
        with self._others_working():
            try:
                future.set_result(function(*args, **kwargs))
            except StorageError as error:
                future.set_exception(error)
        return future

    @contextmanager
    def _others_working(self) -> Iterator[None]:
        self._fs.meanwhile = self._work
        try:
            yield
        finally:
            self._fs.meanwhile = None

    def _work(self) -> None:
        self._fs.meanwhile = None  # one sync of the event loop's does not wait for another
        self._meanwhile()
        self._fs.meanwhile = self._work


class _Workload:
    def __init__(self, random: Random, policy: Policy) -> None:
        self.fs = RecordingFileSystem()
        self._random = random
        self._policy = policy
        self._clock = ManualClock()
        self._logs: dict[TopicPartition, LogPromise] = {}
        self._deletions: dict[bytes, Deletion] = {}
        self._epochs: dict[TopicPartition, int] = {}
        self._settled: dict[TopicPartition, int] = {}
        self._manager: LogManager
        self._group_commit: GroupCommit
        self._partitions: Partitions

    def live(self, steps: int, *, stops_cleanly: bool) -> None:
        """Start a broker's storage, work with it, and stop it or let it die."""
        loop = asyncio.new_event_loop()
        loop.set_exception_handler(
            lambda _loop, _context: None
        )  # nobody hears of acknowledgements that fail at the end
        try:
            loop.run_until_complete(self._live(steps, stops_cleanly))
        finally:
            loop.close()  # what it still had to do is not done any more
        self.fs.process_died()

    async def _live(self, steps: int, stops_cleanly: bool) -> None:
        self._start()
        actions = [action for action, weight in self._actions().items() for _ in range(weight)]
        for _ in range(steps):
            self._clock.advance(10)
            action = self._random.choice(actions)
            await self._turns()
            action()
            self._note_flushed()
        if stops_cleanly:
            await self._group_commit.drain()
            self._manager.close()
            for partition, promise in self._logs.items():
                self._promise(partition, kept_on_power_loss=promise.end_offset)

    def _actions(self) -> Mapping[Callable[[], None], int]:
        more: dict[Callable[[], None], int] = {self._compact: 12} if self._policy.compacts else {}
        if self._policy.has_producers:
            more[self._end_transaction] = 8
        return more | {
            self._append: 24,
            self._fail_to_append: 3,
            self._flush: 3,
            self._roll: 3,
            self._checkpoint: 5,
            self._delete_records: 2,
            self._retain: 2,
            self._expire: 1,
            self._truncate: 5,
            self._elect: 2,
            self._recreate: 1,
        }

    async def _turns(self) -> None:
        """Let the event loop go on, or not: then several appends share a flush."""
        for _ in range(self._random.choice((0, 0, 0, 1, 2, 8))):
            await asyncio.sleep(0)
            self._note_flushed()

    def _start(self) -> None:
        config = self._policy.config
        self._manager = LogManager([DATA], self.fs, self._clock, config)
        self._manager.lock()
        self._manager.claim(CLUSTER_ID, BROKER_ID)
        self._manager.open_all()
        self._group_commit = GroupCommit(_InlineExecutor(self.fs, self._meanwhile))
        durability = DurabilityPolicy(self._policy.flush_on_acks_all, self._policy.max_unflushed_bytes)
        self._partitions = Partitions(BROKER_ID, self._group_commit, durability)
        for partition in (_ORDERS, _AUDIT):
            log = self._manager.get(partition)
            if log is None:
                self._create(partition)
            else:
                self._lead(log)

    def _create(self, partition: TopicPartition) -> None:
        topic_id = self._random.randbytes(16)
        self._logs[partition] = LogPromise(topic_id, is_compacted=self._policy.compacts)
        self._settled[partition] = 0
        self._mark()
        log = self._manager.create(partition, topic_id, self._policy.config)
        self._promise(partition, kept_on_process_death=0)
        self._lead(log)

    def _lead(self, log: Log) -> None:
        epoch = self._epochs.setdefault(log.topic_partition, 0)
        self._partitions.become_leader(log, PartitionState(BROKER_ID, epoch, (BROKER_ID,), (BROKER_ID,)))

    def _meanwhile(self) -> None:
        if self._random.random() < 0.15:
            self._append()
        if self._random.random() < 0.03:
            self._random.choice((self._truncate, self._roll, self._append))()

    def _while_compacting(self) -> None:
        self._meanwhile()
        if self._random.random() < 0.04:
            self._random.choice((self._expire, self._delete_records, self._retain))()

    def _any(self) -> Partition:
        return self._partitions.leader(*self._random.choice(_PARTITIONS))

    # what is done, and what it promises

    def _append(self, faults: Sequence[WriteFault] = ()) -> None:
        partition = self._any()
        self._append_to(partition, self._some_batch(partition.log), faults)

    def _append_to(self, partition: Partition, batch: PreparedBatch, faults: Sequence[WriteFault] = ()) -> None:
        log, tp = partition.log, partition.topic_partition
        prefix = batch.batch.stamped_prefix(log.log_end_offset, partition.leader_epoch)
        end_offset = log.log_end_offset + batch.batch.records_count
        written = Written(log.log_end_offset, end_offset, prefix + bytes(batch.batch.view[PREFIX_SIZE:]))
        before = self._logs[tp].batches
        self._promise(tp, batches=(*before, written))
        acks = self._random.choice((1, ACKS_ALL, ACKS_ALL))
        self.fs.write_faults.extend(faults or self._short_writes())
        try:
            partition.append_as_leader(batch, acks)
        except StorageError:
            self._promise(tp, batches=before)
            if not faults:
                raise
        else:
            self._promise(tp, kept_on_process_death=end_offset)
            acknowledged = partition.wait_acknowledged(end_offset) if acks == ACKS_ALL else None
            if acknowledged is not None:
                acknowledged.add_done_callback(partial(self._acknowledged, tp, written))
        finally:
            self.fs.write_faults.clear()

    def _fail_to_append(self) -> None:
        self._append([WriteFault(self._random.choice((1, 16, 40, 90))), WriteFault(0, fails=True)])

    def _short_writes(self) -> list[WriteFault]:
        if self._random.random() > 0.15:
            return []
        return [WriteFault(self._random.randint(1, 60)) for _ in range(self._random.randint(1, 3))]

    def _end_transaction(self) -> None:
        partition = self._any()
        self._clock.advance(10)
        marker = some_marker(self._random, partition.log, self._clock.now_ms())
        if marker is not None:
            self._append_to(partition, marker)

    def _some_batch(self, log: Log) -> PreparedBatch:
        self._clock.advance(10)
        length = self._random.choice((0, 20, 20, 60, 60, 150, 300, 1_100))
        values = [self._random.randbytes(length)]
        values += [self._random.randbytes(10) for _ in range(self._random.choice((0, 1, 2, 3)))]
        now_ms = self._clock.now_ms()
        if self._policy.has_producers and self._random.random() < 0.8:
            return some_producers_batch(self._random, log, values, now_ms)
        if self._policy.compacts:
            return prepared(self._keyed(values))
        return prepared(make_batch(*values, timestamps_ms=tuple(now_ms + i for i in range(len(values)))))

    def _keyed(self, values: Sequence[bytes]) -> bytes:
        builder = RecordBatchBuilder(self._random.choice((Compression.NONE, Compression.NONE, Compression.LZ4)))
        for i, value in enumerate(values):
            key = bytes((self._random.randrange(_KEYS),))
            builder.append(self._clock.now_ms() + i, key, None if self._random.random() < 0.2 else value)
        return builder.build()

    def _acknowledged(self, tp: TopicPartition, written: Written, acknowledged: asyncio.Future[None]) -> None:
        if acknowledged.exception() is None and written in self._logs[tp].batches:
            self._promise(tp, kept_on_power_loss=max(self._logs[tp].kept_on_power_loss, written.end_offset))

    def _note_flushed(self) -> None:
        """A log's own word that records are on the disk is a promise too, unless those have all been deleted."""
        for tp, promise in self._logs.items():
            log = self._manager.get(tp)
            if log is not None and log.flushed_end_offset > max(promise.kept_on_power_loss, log.log_start_offset):
                self._promise(tp, kept_on_power_loss=log.flushed_end_offset)

    def _flush(self) -> None:
        self._any().log.flush()

    def _roll(self) -> None:
        self._any().log.roll()

    def _checkpoint(self) -> None:
        tickets = self._manager.begin_checkpoint()
        executor = _InlineExecutor(self.fs, self._meanwhile)
        for ticket in tickets:
            executor.submit(ticket.run).result()
        self._manager.end_checkpoint(tickets)

    def _delete_records(self) -> None:
        partition = self._any()
        offset = self._random.randint(partition.log_start_offset, partition.high_watermark)
        self._promise(partition.topic_partition, start_at_most=offset)
        partition.delete_records(offset)
        self._promise(partition.topic_partition, start_at_least=offset)

    def _retain(self) -> None:
        for tp, promise in self._logs.items():
            self._promise(tp, start_at_most=promise.end_offset)
        self._manager.apply_retention(self._clock.now_ms())
        for partition in self._partitions.all():
            start = partition.log_start_offset
            self._promise(partition.topic_partition, start_at_least=start, start_at_most=start)

    def _expire(self) -> None:
        self._clock.advance(2 * _RETENTION_MS)
        self._retain()

    def _truncate(self) -> None:
        log = self._any().log
        promise = self._logs[log.topic_partition]
        first = max(log.log_start_offset, self._settled[log.topic_partition])
        candidates = [batch for batch in promise.batches if batch.base_offset >= first]
        if not candidates:
            return
        cut = self._random.choice(candidates[-3:])
        self._promise(
            log.topic_partition,
            kept_on_process_death=min(promise.kept_on_process_death, cut.base_offset),
            kept_on_power_loss=min(promise.kept_on_power_loss, cut.base_offset),
        )
        log.truncate_to(self._random.randrange(cut.base_offset, cut.end_offset))
        kept = tuple(batch for batch in promise.batches if batch.end_offset <= cut.base_offset)
        self._promise(log.topic_partition, batches=kept)
        self._lead(log)

    def _compact(self) -> None:
        log = self._any().log
        if self._random.random() < 0.7:
            log.roll()
        if self._random.random() < 0.7:
            log.flush()
            self._checkpoint()
        # Nobody takes back what is committed, and nothing else is compacted.
        batches = self._logs[log.topic_partition].batches
        committed = self._random.choice([0, *(batch.end_offset for batch in batches[-8:])])
        self._settled[log.topic_partition] = max(self._settled[log.topic_partition], committed)
        memory_bytes = ENTRY_BYTES * self._random.choice((1, 3, 100))
        ticket = log.begin_compaction(committed, CompactionMeans(memory_bytes, 300, 1 << 20, lambda _: None))
        executor = _InlineExecutor(self.fs, self._while_compacting)
        while ticket is not None and not ticket.is_done:
            executor.submit(ticket.run).result()
            log.end_compaction(ticket)
        self._clock.advance(self._random.choice((0, _DELETE_RETENTION_MS)))

    def _elect(self) -> None:
        log = self._any().log
        self._epochs[log.topic_partition] += 1
        self._lead(log)

    def _recreate(self) -> None:
        topic_id = self._logs.pop(_AUDIT).topic_id
        self._deletions[topic_id] = Deletion(_AUDIT, has_returned=False)
        self._mark()
        self._partitions.delete(_AUDIT)
        self._manager.delete(_AUDIT)
        self._deletions[topic_id] = Deletion(_AUDIT, has_returned=True)
        self._epochs[_AUDIT] = 0
        self._create(_AUDIT)

    def _promise(self, tp: TopicPartition, **changes: Any) -> None:
        self._logs[tp] = replace(self._logs[tp], **changes)
        self._mark()

    def _mark(self) -> None:
        self.fs.mark(Promises(dict(self._logs), dict(self._deletions)))
