"""What a log remembers of its producers, in memory and on disk, whatever happens to it."""

from __future__ import annotations

from dataclasses import replace
from unittest.mock import patch

import pytest

from minikafka.errors import InvalidTxnState, OutOfOrderSequenceNumber, StorageError
from minikafka.storage.append import AppendOrigin
from minikafka.storage.producer_snapshot import decode
from minikafka.storage.transaction_index import AbortedTransaction
from minikafka.storage.transaction_verification import VerificationGuard
from tests.support.memory_fs import MemoryFileSystem
from tests.support.storage import (
    DIRECTORY,
    SMALL,
    LogHarness,
    append,
    apply_retention,
    end_transaction,
    make_batch,
    prepared,
    send,
    values_from,
)


@pytest.fixture
def fs() -> MemoryFileSystem:
    return MemoryFileSystem()


@pytest.fixture
def harness(fs: MemoryFileSystem) -> LogHarness:
    return LogHarness(fs, replace(SMALL, retention_ms=-1))


def snapshots(fs: MemoryFileSystem) -> list[int]:
    return [int(path.stem) for path in fs.files() if path.suffix == ".snapshot"]


def sent_twice(harness: LogHarness) -> None:
    """Two producers have written, and the last batch of each is known again."""
    assert [send(harness.log, 1, 0), send(harness.log, 2, 0), send(harness.log, 1, 0)] == [0, 1, 0]


def test_a_repeated_batch_is_written_once_and_answered_as_before(harness: LogHarness) -> None:
    batch = make_batch(b"a", b"b", timestamps_ms=(1000, 1005), producer=(7, 0, 0))
    first = harness.log.append_as_leader(prepared(batch), 0)
    append(harness.log, b"c")
    again = harness.log.append_as_leader(prepared(batch), 0)
    assert (again.base_offset, again.last_offset, again.end_offset) == (0, 1, 2) == first[:3]
    assert (again.size_bytes, again.log_append_time_ms) == (0, 1005)
    assert values_from(harness.log) == [b"a", b"b", b"c"]


def test_a_batch_that_could_not_be_written_is_new_when_it_comes_again(
    fs: MemoryFileSystem, harness: LogHarness
) -> None:
    send(harness.log, 7, 0)
    fs.fail("writev", path_part=".log")
    with pytest.raises(StorageError):
        send(harness.log, 7, 1)
    assert send(harness.log, 7, 1) == 1
    assert send(harness.log, 7, 2) == 2


def test_an_offline_log_does_not_answer_for_what_it_knows(harness: LogHarness) -> None:
    send(harness.log, 7, 0)
    harness.log.mark_offline("for the test")
    with pytest.raises(StorageError):
        send(harness.log, 7, 0)


def test_what_a_follower_is_given_is_remembered_unchecked(harness: LogHarness) -> None:
    harness.log.append_as_follower(memoryview(make_batch(b"a", b"b", producer=(7, 3, 10))))
    harness.log.append_as_follower(memoryview(make_batch(b"c", base_offset=2, producer=(7, 3, 50))))
    assert send(harness.log, 7, 50, epoch=3) == 2
    assert send(harness.log, 7, 51, epoch=3) == 3


@pytest.mark.parametrize("was_clean", [False, True], ids=["killed", "stopped"])
def test_after_a_restart_the_whole_window_is_known(harness: LogHarness, was_clean: bool) -> None:
    for sequence in range(7):
        send(harness.log, 1, sequence)
    if was_clean:
        harness.log.close()
    harness.reopen(was_clean=was_clean)
    assert [send(harness.log, 1, sequence) for sequence in range(2, 7)] == [2, 3, 4, 5, 6]
    with pytest.raises(OutOfOrderSequenceNumber):
        send(harness.log, 1, 1)
    assert send(harness.log, 1, 7) == 7


def test_a_clean_stop_leaves_a_snapshot_at_the_end_so_that_no_batch_is_read(
    fs: MemoryFileSystem, harness: LogHarness
) -> None:
    send(harness.log, 1, 0)
    harness.log.close()
    assert snapshots(fs) == [1]
    with patch("minikafka.storage.segment.Segment.headers", side_effect=AssertionError):
        harness.reopen(was_clean=True)
    assert send(harness.log, 1, 0) == 0


def test_a_stop_that_changes_nothing_writes_nothing(fs: MemoryFileSystem, harness: LogHarness) -> None:
    harness.log.close()
    assert snapshots(fs) == []
    send(harness.reopen(was_clean=True), 1, 0)
    harness.log.close()
    harness.reopen(was_clean=True)
    fs.calls.clear()
    harness.log.close()
    assert not any(name == "open" and path.endswith(".snapshot") for name, path in fs.calls)


def test_a_new_segment_begins_with_a_snapshot_which_a_flush_forces_to_disk(
    fs: MemoryFileSystem, harness: LogHarness
) -> None:
    send(harness.log, 1, 0)
    harness.log.roll()
    path = DIRECTORY / f"{1:020d}.snapshot"
    assert [state.producer_id for state in decode(bytes(fs.content(path)))] == [1]
    assert ("fdatasync", str(path)) not in fs.calls
    harness.log.flush()
    assert ("fdatasync", str(path)) in fs.calls


def test_a_long_segment_gets_snapshots_with_its_flushes_of_which_two_are_kept(
    fs: MemoryFileSystem, harness: LogHarness
) -> None:
    with patch("minikafka.storage.log_producers.SNAPSHOT_INTERVAL_BYTES", 150):
        for sequence in range(8):
            send(harness.log, 1, sequence)
            harness.log.flush()
    assert snapshots(fs) == [3, 6]
    harness.log.roll()
    assert snapshots(fs) == [8]
    assert send(harness.reopen(), 1, 7) == 7


def test_a_snapshot_at_the_end_of_a_stop_stays_when_the_segment_ends_there(
    fs: MemoryFileSystem, harness: LogHarness
) -> None:
    send(harness.log, 1, 0)
    harness.log.close()
    harness.reopen(was_clean=True).roll()
    assert snapshots(fs) == [1]


def test_a_snapshot_goes_with_its_segment(fs: MemoryFileSystem, harness: LogHarness) -> None:
    for sequence in range(3):
        send(harness.log, 1, sequence)
        harness.log.roll()
    assert snapshots(fs) == [1, 2, 3]
    harness.log.delete_records(2)
    apply_retention(harness.log, 0)
    assert snapshots(fs) == [2, 3]
    assert send(harness.reopen(), 1, 2) == 2


def test_a_cut_brings_back_what_was_known_there(fs: MemoryFileSystem, harness: LogHarness) -> None:
    for sequence in range(4):
        send(harness.log, 1, sequence)
        harness.log.roll()
    send(harness.log, 2, 0)
    harness.log.truncate_to(2)
    assert snapshots(fs) == [1]
    assert send(harness.log, 1, 1) == 1
    with pytest.raises(OutOfOrderSequenceNumber, match="2 is next"):
        send(harness.log, 1, 3)
    assert send(harness.log, 1, 2) == 2
    assert harness.log.producers.states.get(2) is None


def test_a_cut_within_a_segment_is_one_within_what_is_known(harness: LogHarness) -> None:
    send(harness.log, 1, 0)
    harness.log.roll()
    for sequence in range(1, 5):
        send(harness.log, 1, sequence)
    harness.log.truncate_to(3)
    assert [send(harness.log, 1, sequence) for sequence in range(4)] == [0, 1, 2, 3]


# transactions


def test_a_restart_finds_the_transactions_open_that_were_open(harness: LogHarness) -> None:
    append(harness.log, b"plain")
    send(harness.log, 1, 0, is_transactional=True)
    send(harness.log, 2, 0, is_transactional=True)
    end_transaction(harness.log, 1, is_commit=True)
    for was_clean in (False, True):
        if was_clean:
            harness.log.close()
        harness.reopen(was_clean=was_clean)
        assert harness.log.producers.states.first_unstable_offset == 2
        assert send(harness.log, 2, 0, is_transactional=True) == 2
    end_transaction(harness.log, 2)
    assert harness.log.producers.states.first_unstable_offset is None


def test_aborted_transactions_are_found_by_offset_across_segments(harness: LogHarness) -> None:
    send(harness.log, 1, 0, is_transactional=True)
    harness.log.roll()
    send(harness.log, 2, 0, is_transactional=True)
    end_transaction(harness.log, 2)
    end_transaction(harness.log, 1)
    append(harness.log, b"plain")
    second, first = AbortedTransaction(2, 1, 2, 0), AbortedTransaction(1, 0, 3, 4)
    assert harness.log.find_aborted(0, 1) == [first]
    assert harness.log.find_aborted(0, 2) == [second, first]
    assert harness.log.find_aborted(3, 5) == [first]
    assert harness.log.find_aborted(4, 5) == []


@pytest.mark.parametrize("machine_restarted", [False, True])
@pytest.mark.parametrize("is_index_lost", [False, True])
def test_after_a_crash_the_aborted_transactions_are_found_again(
    fs: MemoryFileSystem, harness: LogHarness, machine_restarted: bool, is_index_lost: bool
) -> None:
    send(harness.log, 1, 0, is_transactional=True)
    end_transaction(harness.log, 1)
    before = harness.log.find_aborted(0, 2)
    assert len(before) == 1
    index = DIRECTORY / f"{0:020d}.txnindex"
    if is_index_lost:
        fs.unlink(index)
    harness.reopen(machine_restarted=machine_restarted)
    assert harness.log.find_aborted(0, 2) == before
    harness.log.flush()
    assert ("fdatasync", str(index)) in fs.calls


def test_what_was_noted_before_a_crash_is_forced_to_disk_after_it(fs: MemoryFileSystem, harness: LogHarness) -> None:
    send(harness.log, 1, 0, is_transactional=True)
    end_transaction(harness.log, 1)
    harness.log.roll()
    harness.reopen(recovery_point=0)
    fs.calls.clear()
    harness.log.flush()
    assert ("fdatasync", str(DIRECTORY / f"{0:020d}.txnindex")) in fs.calls


def test_an_abort_that_cannot_be_noted_puts_the_log_out_of_use(fs: MemoryFileSystem, harness: LogHarness) -> None:
    send(harness.log, 1, 0, is_transactional=True)
    fs.fail("writev", path_part=".txnindex", short=10)
    fs.fail("writev", path_part=".txnindex", nth=2)
    with pytest.raises(StorageError):
        end_transaction(harness.log, 1)
    assert harness.log.is_offline
    harness.reopen()
    assert harness.log.find_aborted(0, 2) == [AbortedTransaction(1, 0, 1, 2)]
    assert harness.log.producers.states.first_unstable_offset is None


def test_a_cut_takes_aborts_back(harness: LogHarness) -> None:
    send(harness.log, 1, 0, is_transactional=True)
    end_transaction(harness.log, 1)
    send(harness.log, 1, 1, is_transactional=True)
    end_transaction(harness.log, 1)
    harness.log.truncate_to(3)
    assert harness.log.find_aborted(0, 3) == [AbortedTransaction(1, 0, 1, 2)]
    assert harness.log.producers.states.first_unstable_offset == 2
    harness.log.truncate_to(1)
    assert harness.log.find_aborted(0, 1) == []
    assert harness.log.producers.states.first_unstable_offset == 0


def test_the_index_of_a_deleted_segment_goes_with_it(fs: MemoryFileSystem, harness: LogHarness) -> None:
    send(harness.log, 1, 0, is_transactional=True)
    end_transaction(harness.log, 1)
    harness.log.roll()
    harness.log.delete_records(2)
    apply_retention(harness.log, 0)
    assert not [path for path in fs.files() if path.suffix == ".txnindex"]


def test_the_coordinator_writes_records_without_sequence_numbers(harness: LogHarness) -> None:
    def write(guard: VerificationGuard | None) -> int:
        batch = prepared(make_batch(b"offset", producer=(7, 0, -1), is_transactional=True))
        batch.origin = AppendOrigin.COORDINATOR
        batch.guard = guard
        return harness.log.append_as_leader(batch, 0).base_offset

    with pytest.raises(InvalidTxnState):
        write(None)
    states = harness.log.producers.states
    batch = prepared(make_batch(b"offset", producer=(7, 0, -1), is_transactional=True)).batch
    guard = states.begin_verification(batch, bumps_epochs=False, now_ms=0)
    assert [write(guard), write(None)] == [0, 1]
    assert states.begin_verification(batch, bumps_epochs=False, now_ms=0) is None
    end_transaction(harness.log, 7, is_commit=True)
    guard = states.begin_verification(batch, bumps_epochs=False, now_ms=0)
    assert guard is not None
    assert write(guard) == 3
    assert states.first_unstable_offset == 3
