"""A compacted log against the list of everything that was ever written to it, whatever is done to both.

At every moment the log holds nothing but what was written, at the offsets where it was written; and of each key the
last value that counts.  A consumer that reads what is committed, at its own pace, ends up with the same table as one
that has seen everything; if it is slower than ``delete.retention.ms`` it may miss that a key was deleted, as in Kafka,
and nothing else.  And the log knows its producers, even when only its batches tell of them.
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
from minikafka.records.control import ControlType
from minikafka.records.record import Record, iter_records
from minikafka.storage.compaction import CompactionTicket
from minikafka.storage.log import Log
from minikafka.storage.log_manager import LogManager
from minikafka.storage.offset_map import ENTRY_BYTES
from tests.support.clock import ManualClock
from tests.support.compaction import MEANS, keyed, marker
from tests.support.memory_fs import MemoryFileSystem
from tests.support.storage import DATA, PARTITION, SMALL, TOPIC_ID, prepared

DELETE_RETENTION_MS = 1_000
RETENTION_MS = 100_000
# A segment takes the largest batch that is made here, and few of the others.
CONFIG = replace(
    SMALL,
    segment_bytes=550,
    retention_ms=RETENTION_MS,
    cleanup_policy=frozenset({"compact", "delete"}),
    delete_retention_ms=DELETE_RETENTION_MS,
)
KEYS = (b"a", b"b", b"c", b"a key that is long enough for a digest")
PAIRS = st.lists(st.tuples(st.sampled_from(KEYS), st.none() | st.binary(max_size=40)), min_size=1, max_size=5)
BATCHES = st.lists(PAIRS, min_size=1, max_size=6)
PRODUCERS = st.sampled_from((7, 8))
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


@dataclass(frozen=True, slots=True)
class Entry:
    """What was written at an offset: a record, of a transaction or of none, or the marker that ends one."""

    record: Record
    producer_id: int = -1
    ends_with: ControlType | None = None


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
        self.written: list[Entry] = []
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
            self.written += [Entry(Record(base_offset + i, now_ms + i, *pair)) for i, pair in enumerate(pairs)]
        if are_committed:
            self.committed = len(self.written)

    @rule(producer_id=PRODUCERS, batches=BATCHES, end=st.sampled_from((None, ControlType.ABORT, ControlType.COMMIT)))
    def transact(self, producer_id: int, batches: list[list[Pair]], end: ControlType | None) -> None:
        """Begin a transaction or go on with it, and end it or not; the leader that took it is elsewhere."""
        for pairs in batches:
            self.clock.advance(1)
            now_ms = self.clock.now_ms()
            base_offset = self.log.log_end_offset
            content = keyed(
                *pairs,
                first_ms=now_ms,
                base_offset=base_offset,
                producer_id=producer_id,
                base_sequence=self._next_sequence(producer_id),
                is_transactional=True,
            )
            self.log.append_as_follower(memoryview(content))
            records = (Record(base_offset + i, now_ms + i, *pair) for i, pair in enumerate(pairs))
            self.written += (Entry(record, producer_id) for record in records)
        if end is not None:
            offset = self.log.log_end_offset
            self.log.append_as_follower(marker(end, offset, producer_id, first_ms=self.clock.now_ms()).view)
            self.written.append(Entry(Record(offset, self.clock.now_ms(), None, None), producer_id, end))
        self.committed = len(self.written)

    def _next_sequence(self, producer_id: int) -> int:
        return sum(entry.producer_id == producer_id and entry.ends_with is None for entry in self.written)

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
        self.pass_under_way = self.log.begin_compaction(self.stable, means) or self.pass_under_way

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
    def die_and_lose_what_is_known_of_producers(self) -> None:
        before = {state.producer_id: (state.epoch, state.last_sequence) for state in self.log.producers.states.all}
        for path in self.fs.files():
            if path.suffix == ".snapshot":
                self.fs.unlink(path)
        self.die()
        if self.log.log_start_offset == 0:
            after = {state.producer_id: (state.epoch, state.last_sequence) for state in self.log.producers.states.all}
            assert after == before

    @rule()
    def stop_and_start(self) -> None:
        self.manager.close()
        self.die()

    def _compare(self, consumer: Consumer) -> None:
        expected = table_of(self._counting(consumer.started_at))
        if self.clock.now_ms() - consumer.started_ms < DELETE_RETENTION_MS:
            assert consumer.table == expected
        else:
            assert {key: consumer.table[key] for key in expected} == expected
            assert all(self._was_deleted(key, consumer) for key in consumer.table.keys() - expected.keys())

    def _was_deleted(self, key: bytes | None, consumer: Consumer) -> bool:
        return any(record.key == key and record.value is None for record in self._counting(consumer.started_at))

    @property
    def stable(self) -> int:
        """Up to where records are committed and their transactions have ended."""
        first_unstable = self.log.producers.states.first_unstable_offset
        return self.committed if first_unstable is None else min(self.committed, first_unstable)

    def _counting(self, offset: int) -> list[Record]:
        """The records that count among those that were written from an offset on, and are stable.

        The marker of a transaction may be where nothing is stable yet, behind the beginning of another.
        """
        outcome: dict[int, ControlType] = {}
        counting = []
        stable = range(offset, self.stable)
        for entry in reversed(self.written):
            if entry.ends_with is not None:
                outcome[entry.producer_id] = entry.ends_with
            elif outcome.get(entry.producer_id) is not ControlType.ABORT and entry.record.offset in stable:
                counting.append(entry.record)
        return counting[::-1]

    def _read(self, offset: int) -> list[Record]:
        """What a consumer is given that reads what is committed, from an offset on."""
        found: list[Record] = []
        aborted = sorted(self.log.find_aborted(offset, self.stable), key=lambda one: one.first_offset)
        producers: set[int] = set()
        while offset < self.stable:
            content = self.log.read(offset, 1 << 20, self.stable, min_one_batch=True).read()
            for batch in iter_batches(memoryview(content)):
                batch.verify_crc()
                while aborted and aborted[0].first_offset <= batch.last_offset:
                    producers.add(aborted.pop(0).producer_id)
                if batch.is_control:
                    producers.discard(batch.producer_id)
                elif not (batch.is_transactional and batch.producer_id in producers):
                    found += [one for one in iter_records(batch, budget_bytes=1 << 20) if one.offset >= offset]
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
        counting = {record.offset: record for record in self._counting(self.log.log_start_offset)}
        assert all(counting.get(record.offset) == record for record in self._read(self.log.log_start_offset))

    @invariant()
    def the_last_value_of_every_key_is_there(self) -> None:
        start = self.log.log_start_offset
        assert table_of(self._read(start)) == table_of(self._counting(start))

    def teardown(self) -> None:
        self._consume([MAX_LONG] * len(SPEEDS))
        files: Mapping[str, int] = {
            path.name: len(self.fs.content(path)) for path in self.fs.files() if path.suffix == ".log"
        }
        assert self.log.size_bytes == sum(files.values())


CompactedLogModel.TestCase.settings = settings(max_examples=40, stateful_step_count=40)
TestCompactedLogModel = CompactedLogModel.TestCase
