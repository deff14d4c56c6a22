"""Every call to the file system fails once, in turn; and every file of a data directory is damaged at random."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minikafka.errors import StorageError
from minikafka.records.batch import iter_batches
from minikafka.records.control import marker_of
from minikafka.storage.log import Log
from minikafka.storage.log_manager import LogManager
from minikafka.storage.producer_states import ProducerStates
from minikafka.types import TopicPartition
from tests.support.clock import ManualClock
from tests.support.compaction import MEANS, compact, pairs_from, put
from tests.support.memory_fs import MemoryFileSystem
from tests.support.storage import DATA, SMALL, TOPIC_ID, append, end_transaction, send, values_from

PARTITION = TopicPartition("orders", 0)
CONFIG = replace(SMALL, segment_bytes=400, retention_ms=-1)
COMPACTED = replace(CONFIG, cleanup_policy=frozenset({"compact"}))
OPERATIONS = ["writev", "fdatasync", "truncate", "open", "rename", "unlink", "sync_directory", "make_directory"]


def started(fs: MemoryFileSystem) -> LogManager:
    manager = LogManager((DATA,), fs, ManualClock(), CONFIG)
    manager.lock()
    manager.claim("cluster", 1)
    manager.open_all()
    return manager


class Journal:
    """What a client of the log was told."""

    def __init__(self) -> None:
        self.appended: list[bytes] = []
        self.acknowledged = 0
        self.start = 0
        self.failures = 0

    def work(self, manager: LogManager) -> None:
        """Append, roll, flush, truncate the start and write checkpoints, and go on after each failure."""
        self._try(lambda: manager.create(PARTITION, TOPIC_ID))
        log = manager.logs.get(PARTITION)
        if log is None:
            return
        for number in range(12):
            self._try(lambda: self._append(log))
            if number % 3 == 2:
                self._try(lambda: self._flush(log))
            if number == 5:
                self._try(manager.checkpoint_recovery_points)
            if number == 7:
                self._try(lambda: self._delete_records(log))
                self._try(lambda: manager.apply_retention(0))
        manager.close()

    def _try(self, step: Callable[[], object]) -> None:
        try:
            step()
        except StorageError:
            self.failures += 1

    def _append(self, log: Log) -> None:
        value = b"%060d" % len(self.appended)
        assert append(log, value, epoch=len(self.appended) // 4) == len(self.appended)
        self.appended.append(value)

    def _flush(self, log: Log) -> None:
        log.flush()
        self.acknowledged = log.log_end_offset

    def _delete_records(self, log: Log) -> None:
        log.delete_records(min(4, log.log_end_offset))
        self.start = log.log_start_offset


@pytest.mark.parametrize("short", [None, 5, 70])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_whatever_call_fails_nothing_acknowledged_is_lost(operation: str, short: int | None) -> None:
    if short is not None and operation != "writev":
        return
    reached = True
    nth = 0
    while reached:
        nth += 1
        fs = MemoryFileSystem()
        manager = started(fs)
        before = fs.counts[operation]
        if short is not None:
            fs.fail(operation, nth=nth, short=short)
            fs.fail(operation, nth=nth + 1, reason="No space left on device")
        else:
            fs.fail(operation, nth=nth)
        journal = Journal()
        journal.work(manager)
        reached = fs.counts[operation] - before >= nth
        fs.heal()
        fs.process_died()
        again = started(fs)
        assert not again.offline_partitions
        log = again.logs.get(PARTITION)
        if log is None:
            assert journal.acknowledged == 0
            continue
        assert log.log_start_offset >= journal.start
        assert log.log_end_offset >= journal.acknowledged
        assert values_from(log, log.log_start_offset) == journal.appended[log.log_start_offset : log.log_end_offset]
        assert log.log_end_offset == len(journal.appended)
    assert nth > 1


@pytest.mark.parametrize("operation", [*OPERATIONS[:-1], "pread", "list_directory"])
def test_whatever_call_fails_while_a_log_is_compacted_no_key_is_lost(operation: str) -> None:
    reached = True
    nth = 0
    while reached:
        nth += 1
        fs = MemoryFileSystem()
        manager = started(fs)
        log = manager.create(PARTITION, TOPIC_ID, COMPACTED)
        before = fs.counts[operation]
        fs.fail(operation, nth=nth)
        written: dict[int, tuple[bytes | None, bytes | None]] = {}
        for number in range(18):
            pair = (b"k%d" % (number % 4), None if number % 7 == 6 else b"%060d" % number)
            with suppress(StorageError):
                written[put(log, pair)] = pair
            if number % 6 == 5:
                with suppress(StorageError):
                    compact(log, replace(MEANS, io_buffer_bytes=100))
        with suppress(StorageError):
            manager.close()
        reached = fs.counts[operation] - before >= nth
        fs.heal()
        fs.process_died()
        again = started(fs)
        assert not again.offline_partitions
        found = pairs_from(again.logs[PARTITION])
        assert all(written[offset] == pair for offset, pair in found.items())
        assert dict(found.values()) == dict(written.values())
    assert nth > 1


@pytest.mark.parametrize("operation", [*OPERATIONS[:-1], "pread", "list_directory"])
def test_whatever_call_fails_a_log_knows_of_its_producers_what_is_in_it(operation: str) -> None:
    reached = True
    nth = 0
    while reached:
        nth += 1
        fs = MemoryFileSystem()
        manager = started(fs)
        log = manager.create(PARTITION, TOPIC_ID)
        before = fs.counts[operation]
        fs.fail(operation, nth=nth)
        with patch("minikafka.storage.log_producers.SNAPSHOT_INTERVAL_BYTES", 150):
            write_as_producers(log)
        with suppress(StorageError):
            manager.close()
        reached = fs.counts[operation] - before >= nth
        fs.heal()
        fs.process_died()
        again = started(fs)
        assert not again.offline_partitions
        check_producers(again.logs[PARTITION])
    assert nth > 1


def write_as_producers(log: Log) -> None:
    """Two producers, one of them in transactions of which every other is aborted; whatever fails is left out."""
    for number in range(16):
        with suppress(StorageError):
            state = log.producers.states.get(number % 2)
            send(log, number % 2, 0 if state is None else state.next_sequence, is_transactional=number % 2 == 1)
        with suppress(StorageError):
            if number % 4 == 3:
                end_transaction(log, 1, is_commit=number % 8 == 3)
        with suppress(StorageError):
            if number % 3 == 2:
                log.flush()
        with suppress(StorageError):
            if number == 11:
                log.truncate_to(log.log_end_offset - 2)


def check_producers(log: Log) -> None:
    """Compare what a log knows with what is read from it."""
    expected = ProducerStates()
    aborted = []
    offset = 0
    while content := log.read(offset, 10_000, log.log_end_offset, min_one_batch=True).read():
        for batch in iter_batches(memoryview(content)):
            offset = batch.next_offset
            marker = marker_of(batch) if batch.is_control else None
            if marker is None:
                expected.add_batch(
                    batch.producer_id,
                    batch.producer_epoch,
                    batch.base_sequence,
                    base_offset=batch.base_offset,
                    last_offset=batch.last_offset,
                    timestamp_ms=batch.max_timestamp_ms,
                    is_transactional=batch.is_transactional,
                )
            else:
                aborted.append(
                    expected.add_marker(
                        batch.producer_id,
                        batch.producer_epoch,
                        marker,
                        offset=batch.base_offset,
                        timestamp_ms=batch.max_timestamp_ms,
                    )
                )
    known = log.producers.states
    assert known.first_unstable_offset == expected.first_unstable_offset
    for state in expected.all:
        found = known.get(state.producer_id)
        assert found is not None
        assert (list(found.batches), found.next_sequence) == (list(state.batches), state.next_sequence)
    assert len(known) == len(expected)
    assert log.find_aborted(0, log.log_end_offset) == [one for one in aborted if one is not None]


@settings(max_examples=200)
@given(st.data())
def test_whatever_file_is_damaged_the_others_are_served(data: st.DataObject) -> None:
    fs = MemoryFileSystem()
    manager = started(fs)
    other = TopicPartition("other", 0)
    journal = Journal()
    if data.draw(st.booleans()):
        append(manager.create(other, TOPIC_ID), b"untouched")
        journal.work(manager)
    else:
        append(manager.create(other, TOPIC_ID), b"untouched")
        log = manager.create(PARTITION, TOPIC_ID)
        for _ in range(9):
            journal._append(log)
    fs.machine_restarted() if data.draw(st.booleans()) else fs.process_died()
    path = data.draw(st.sampled_from([path for path in fs.files() if "other-0" not in str(path)]))
    content = fs.content(path)
    kind = data.draw(st.sampled_from(["flip", "cut", "zeros", "garbage", "gone", "more"]))
    position = data.draw(st.integers(0, max(0, len(content) - 1)))
    if kind == "flip" and content:
        content[position] ^= data.draw(st.integers(1, 255))
    elif kind == "cut":
        del content[position:]
    elif kind == "zeros":
        content[position:] = bytes(len(content) - position)
    elif kind == "garbage":
        content[position:] = data.draw(st.binary(max_size=300))
    elif kind == "more":
        content += data.draw(st.binary(max_size=300))
    else:
        fs.unlink(path)
    again = started(fs)
    assert values_from(again.logs[other]) == [b"untouched"]
    assert {*again.logs, *again.offline_partitions} == {PARTITION, other}
    found = again.logs.get(PARTITION)
    if found is not None and path.suffix != ".log":
        assert values_from(found, found.log_start_offset) == journal.appended[found.log_start_offset :]
