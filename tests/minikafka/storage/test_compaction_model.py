"""A compacted log against the list of everything that was ever written to it, whatever is done to both.

At every moment the log holds nothing but what was written, at the offsets where it was written; and of each key the
last value.  A consumer that reads along, at its own pace, ends up with the same table as one that has seen everything;
if it is slower than ``delete.retention.ms`` it may miss that a key was deleted, as in Kafka, and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from minikafka.config.definition import MAX_LONG
from minikafka.errors import StorageError
from minikafka.records.batch import iter_batches
from minikafka.records.compression import Compression
from minikafka.records.record import Record, iter_records
from minikafka.storage.compaction import CompactionTicket
from minikafka.storage.log import Log
from minikafka.storage.log_manager import LogManager
from minikafka.storage.offset_map import ENTRY_BYTES
from tests.support.clock import ManualClock
from tests.support.compaction import MEANS, keyed
from tests.support.memory_fs import MemoryFileSystem
from tests.support.storage import DATA, PARTITION, SMALL, TOPIC_ID, prepared

DELETE_RETENTION_MS = 1_000
RETENTION_MS = 100_000
CONFIG = replace(
    SMALL,
    segment_bytes=300,
    retention_ms=RETENTION_MS,
    cleanup_policy=frozenset({"compact", "delete"}),
    delete_retention_ms=DELETE_RETENTION_MS,
)
KEYS = (b"a", b"b", b"c", b"a key that is long enough for a digest")
PAIRS = st.lists(st.tuples(st.sampled_from(KEYS), st.none() | st.binary(max_size=40)), min_size=1, max_size=5)
BATCHES = st.lists(PAIRS, min_size=1, max_size=6)
SHARE = st.floats(0, 1)
SPEEDS = (1, 3, 10)
"""How many records the consumers read between any two things that happen."""

Pair = tuple[bytes, bytes | None]
Table = dict[bytes | None, bytes]


@dataclass
class Consumer:
    """Reads a log from its start to its end, and keeps the last value of each key."""

    started_at: int
    started_ms: int
    position: int
    table: Table = field(default_factory=dict)

    def take(self, record: Record) -> None:
        if record.value is None:
            self.table.pop(record.key, None)
        else:
            self.table[record.key] = record.value
        self.position = record.offset + 1


def table_of(records: Sequence[Record]) -> Table:
    consumer = Consumer(0, 0, 0)
    for record in records:
        consumer.take(record)
    return consumer.table


class CompactedLogModel(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.fs = MemoryFileSystem()
        self.clock = ManualClock()
        self.written: list[Record] = []
        self.committed = 0
        self.pass_under_way: CompactionTicket | None = None
        self.manager = self._started()
        self.log: Log = self.manager.create(PARTITION, TOPIC_ID, CONFIG)
        self.consumers = [self._new_consumer() for _ in SPEEDS]

    def _started(self) -> LogManager:
        manager = LogManager((DATA,), self.fs, self.clock, CONFIG)
        manager.lock()
        manager.claim("cluster", 1)
        manager.open_all()
        assert not manager.offline_partitions
        return manager

    def _new_consumer(self) -> Consumer:
        return Consumer(self.log.log_start_offset, self.clock.now_ms(), self.log.log_start_offset)

    @rule(batches=BATCHES, codec=st.sampled_from((Compression.NONE, Compression.LZ4)), are_committed=st.booleans())
    def append(self, batches: list[list[tuple[bytes, bytes | None]]], codec: Compression, are_committed: bool) -> None:
        for pairs in batches:
            self.clock.advance(1)
            now_ms = self.clock.now_ms()
            batch = prepared(keyed(*pairs, first_ms=now_ms, codec=codec))
            base_offset = self.log.append_as_leader(batch, 0).base_offset
            assert base_offset == len(self.written)
            self.written += [Record(base_offset + i, now_ms + i, *pair) for i, pair in enumerate(pairs)]
        if are_committed:
            self.committed = len(self.written)

    @rule(ms=st.sampled_from((1, DELETE_RETENTION_MS // 2, DELETE_RETENTION_MS, RETENTION_MS // 2)))
    def wait(self, ms: int) -> None:
        self.clock.advance(ms)

    @rule()
    def roll(self) -> None:
        self.log.roll()

    @rule(share=SHARE)
    def delete_records(self, share: float) -> None:
        start = self.log.log_start_offset
        self.log.delete_records(start + round(share * max(self.committed - start, 0)))

    @rule()
    def apply_retention(self) -> None:
        self.manager.apply_retention(self.clock.now_ms())
        self.committed = max(self.committed, self.log.log_start_offset)

    @rule(share=SHARE)
    def truncate(self, share: float) -> None:
        """Nothing is taken back that is committed, nor what was in a segment with it when that was compacted."""
        first = max(self.committed, self.log.log_start_offset)
        offset = first + round(share * (len(self.written) - first))
        self.log.truncate_to(offset)
        assert first <= self.log.log_end_offset <= max(offset, first)
        del self.written[self.log.log_end_offset :]

    @rule(batches=BATCHES, entries=st.sampled_from((1, 2, 4, 1_000, 1_000)), are_committed=st.booleans())
    def begin_pass(self, batches: list[list[Pair]], entries: int, are_committed: bool) -> None:
        self.append(batches, Compression.NONE, are_committed)
        if are_committed:
            self.log.roll()
        self.log.flush()
        self.manager.checkpoint_recovery_points()
        means = replace(MEANS, dedupe_buffer_bytes=entries * ENTRY_BYTES, io_buffer_bytes=200)
        self.pass_under_way = self.log.begin_compaction(self.committed, means) or self.pass_under_way

    @rule(batches=BATCHES)
    def compact(self, batches: list[list[Pair]]) -> None:
        """A whole pass, that nothing comes between."""
        self.begin_pass(batches, 1_000, True)
        if self.pass_under_way is not None:
            self.go_on_with_the_pass(1_000)

    @precondition(lambda self: self.pass_under_way is not None)
    @rule()
    def write_one_group(self) -> None:
        assert self.pass_under_way is not None
        self.pass_under_way.run()

    @precondition(lambda self: self.pass_under_way is not None)
    @rule(steps=st.integers(1, 10))
    def go_on_with_the_pass(self, steps: int) -> None:
        ticket = self.pass_under_way
        assert ticket is not None
        self.log.end_compaction(ticket)
        for _ in range(steps):
            if not ticket.is_done:
                ticket.run()
                self.log.end_compaction(ticket)
        if ticket.is_done:
            ticket.close()
            self.pass_under_way = None

    @precondition(lambda self: self.pass_under_way is not None)
    @rule(operation=st.sampled_from(("rename", "unlink", "sync_directory")), nth=st.integers(1, 6))
    def die_while_segments_are_swapped(self, operation: str, nth: int) -> None:
        ticket = self.pass_under_way
        assert ticket is not None
        if not ticket.is_done:
            ticket.run()
        self.fs.fail(operation, nth=nth, times=1_000)
        with suppress(StorageError):
            self.log.end_compaction(ticket)
        self.fs.heal()
        self.die()

    @rule()
    def die(self) -> None:
        self.pass_under_way = None
        self.fs.process_died()
        self.manager = self._started()
        self.log = self.manager.logs[PARTITION]

    @rule()
    def stop_and_start(self) -> None:
        self.manager.close()
        self.die()

    def _compare(self, consumer: Consumer) -> None:
        expected = table_of(self.written[consumer.started_at : self.committed])
        if self.clock.now_ms() - consumer.started_ms < DELETE_RETENTION_MS:
            assert consumer.table == expected
        else:
            assert {key: consumer.table[key] for key in expected} == expected
            assert all(self._was_deleted(key, consumer) for key in consumer.table.keys() - expected.keys())

    def _was_deleted(self, key: bytes | None, consumer: Consumer) -> bool:
        return any(record.key == key and record.value is None for record in self.written[consumer.started_at :])

    def _read(self, offset: int) -> list[Record]:
        """The committed records from an offset on."""
        found: list[Record] = []
        while offset < self.committed:
            content = self.log.read(offset, 1 << 20, self.committed, min_one_batch=True).read()
            for batch in iter_batches(memoryview(content)):
                batch.verify_crc()
                found += [record for record in iter_records(batch, budget_bytes=1 << 20) if record.offset >= offset]
            if not content:
                break
            offset = batch.next_offset
        return found

    @invariant()
    def consumers_miss_nothing(self) -> None:
        self._consume(SPEEDS)

    def _consume(self, counts: Sequence[int]) -> None:
        for number, count in enumerate(counts):
            consumer = self.consumers[number]
            if consumer.position < self.log.log_start_offset:
                consumer = self._new_consumer()  # what it was about to read has been deleted
            left = self._read(consumer.position)
            for record in left[:count]:
                consumer.take(record)
            if len(left) <= count:
                self._compare(consumer)
                consumer = self._new_consumer()
            self.consumers[number] = consumer

    @invariant()
    def nothing_is_there_that_was_not_written_there(self) -> None:
        assert self.log.log_end_offset == len(self.written)
        assert all(self.written[record.offset] == record for record in self._read(self.log.log_start_offset))

    @invariant()
    def the_last_value_of_every_key_is_there(self) -> None:
        start = self.log.log_start_offset
        assert table_of(self._read(start)) == table_of(self.written[start : self.committed])

    def teardown(self) -> None:
        self._consume([MAX_LONG] * len(SPEEDS))
        files: Mapping[str, int] = {
            path.name: len(self.fs.content(path)) for path in self.fs.files() if path.suffix == ".log"
        }
        assert self.log.size_bytes == sum(files.values())


CompactedLogModel.TestCase.settings = settings(max_examples=50, stateful_step_count=40, deadline=None)
TestCompactedLogModel = CompactedLogModel.TestCase
