"""Which snapshots are believed, and what is read instead of the others."""

from __future__ import annotations

from dataclasses import replace
from unittest.mock import patch

import pytest

from minikafka.errors import StorageError
from minikafka.storage.producer_snapshot import encode, path_of
from minikafka.storage.producer_state import BatchMetadata, ProducerState
from tests.support.memory_fs import MemoryFileSystem
from tests.support.storage import DIRECTORY, SMALL, LogHarness, append, apply_retention, end_transaction, send

LIE = encode([ProducerState(1, 9, batches=[BatchMetadata(90, 0, 0, 0)])])


@pytest.fixture
def fs() -> MemoryFileSystem:
    return MemoryFileSystem()


@pytest.fixture
def harness(fs: MemoryFileSystem) -> LogHarness:
    """Three segments, each with a batch of producer 1, and snapshots at their starts."""
    made = LogHarness(fs, replace(SMALL, retention_ms=-1))
    for sequence in range(3):
        send(made.log, 1, sequence)
        made.log.roll()
    made.log.flush()
    return made


def snapshots(fs: MemoryFileSystem) -> list[int]:
    return [int(path.stem) for path in fs.files() if path.suffix == ".snapshot"]


def write(fs: MemoryFileSystem, offset: int, content: bytes = LIE) -> None:
    file = fs.open(path_of(DIRECTORY, offset), create=True)
    file.truncate(0)
    file.writev((content,))


def check_all_known(harness: LogHarness) -> None:
    """The log is as good as new."""
    assert [send(harness.log, 1, sequence) for sequence in range(3)] == [0, 1, 2]
    end_offset = harness.log.log_end_offset
    assert send(harness.log, 1, 3) == end_offset


@pytest.mark.parametrize("content", [b"", LIE[:-1], bytes(100)], ids=["empty", "torn", "zeros"])
@pytest.mark.parametrize("how_many", [1, 2, 3])
def test_a_damaged_snapshot_is_ignored_for_good(
    fs: MemoryFileSystem, harness: LogHarness, content: bytes, how_many: int
) -> None:
    for offset in (3, 2, 1)[:how_many]:
        write(fs, offset, content)
    harness.reopen()
    assert snapshots(fs) == [1, 2, 3][: 3 - how_many]
    check_all_known(harness)


def test_a_snapshot_that_cannot_be_read_is_ignored(fs: MemoryFileSystem, harness: LogHarness) -> None:
    fs.fail("pread", path_part=".snapshot")
    harness.reopen()
    check_all_known(harness)


def test_a_snapshot_of_what_the_log_does_not_have_goes_before_anything_is_written(
    fs: MemoryFileSystem, harness: LogHarness
) -> None:
    write(fs, 4)
    fs.calls.clear()
    harness.reopen()
    assert 4 not in snapshots(fs)
    gone = fs.calls.index(("unlink", str(path_of(DIRECTORY, 4))))
    assert ("sync_directory", str(DIRECTORY)) in fs.calls[gone:]
    check_all_known(harness)


def test_a_log_whose_false_snapshot_cannot_be_removed_is_not_opened(fs: MemoryFileSystem, harness: LogHarness) -> None:
    write(fs, 4)
    fs.fail("unlink", path_part=".snapshot")
    with pytest.raises(StorageError):
        harness.reopen()


def test_after_a_power_loss_a_snapshot_above_the_recovery_point_is_not_believed(
    fs: MemoryFileSystem, harness: LogHarness
) -> None:
    append(harness.log, b"plain")
    write(fs, 4)
    harness.reopen(machine_restarted=True, recovery_point=3)
    assert snapshots(fs) == [1, 2, 3]
    check_all_known(harness)


def test_after_the_death_of_the_process_it_is(fs: MemoryFileSystem, harness: LogHarness) -> None:
    append(harness.log, b"plain")
    write(fs, 4)
    harness.reopen(recovery_point=3)
    state = harness.log.producers.states.get(1)
    assert state is not None
    assert state.epoch == 9


def test_snapshots_within_closed_segments_or_below_the_log_are_swept_away(
    fs: MemoryFileSystem, harness: LogHarness
) -> None:
    for sequence in range(3, 6):
        send(harness.log, 1, sequence)
    harness.log.roll()
    write(fs, 5)
    harness.log.delete_records(2)
    apply_retention(harness.log, 0)
    write(fs, 1)
    harness.reopen()
    assert snapshots(fs) == [2, 3, 6]


def test_without_snapshots_the_headers_of_the_whole_log_are_read(fs: MemoryFileSystem, harness: LogHarness) -> None:
    send(harness.log, 2, 0, is_transactional=True)
    end_transaction(harness.log, 2)
    for offset in snapshots(fs):
        fs.unlink(path_of(DIRECTORY, offset))
    harness.log.close()
    for offset in snapshots(fs):
        fs.unlink(path_of(DIRECTORY, offset))
    harness.reopen(was_clean=True)
    assert harness.log.find_aborted(0, 9) == [(2, 3, 4, 5)]
    check_all_known(harness)


def test_only_what_follows_the_snapshot_is_read(fs: MemoryFileSystem, harness: LogHarness) -> None:
    send(harness.log, 1, 3)
    read = []

    def note(segment: object, position: int = 0) -> object:
        read.append((segment, position))
        return iter(())

    with patch("minikafka.storage.segment.Segment.headers", note):
        harness.reopen()
    assert [(segment.base_offset, position) for segment, position in read] == [(3, 0)]  # type: ignore[attr-defined]


def test_an_abort_that_a_crash_has_taken_is_forgotten_even_where_the_log_ends_at_a_snapshot(
    fs: MemoryFileSystem, harness: LogHarness
) -> None:
    harness.log.close()
    send(harness.reopen(was_clean=True), 1, 3, is_transactional=True)
    end_transaction(harness.log, 1)
    assert len(harness.log.find_aborted(0, 5)) == 1
    active = DIRECTORY / f"{3:020d}.log"
    del fs.content(active)[:]
    harness.reopen(machine_restarted=True, recovery_point=3)
    assert harness.log.log_end_offset == 3
    assert harness.log.find_aborted(0, 10) == []
    assert not fs.content(DIRECTORY / f"{3:020d}.txnindex")


@pytest.mark.parametrize("made_anew_by", ["start", "truncation"])
def test_what_is_made_anew_of_aborts_is_on_the_disk_before_a_snapshot_says_that_it_is_there(
    fs: MemoryFileSystem, harness: LogHarness, made_anew_by: str
) -> None:
    send(harness.log, 1, 3, is_transactional=True)
    end_transaction(harness.log, 1)
    end_offset = harness.log.log_end_offset
    append(harness.log, b"is cut off")
    harness.log.flush()
    fs.calls.clear()
    if made_anew_by == "start":
        harness.reopen(machine_restarted=True, recovery_point=end_offset)
    else:
        harness.log.truncate_to(end_offset)
    index = str(DIRECTORY / f"{3:020d}.txnindex")
    calls = [call for call, path in fs.calls if path == index]
    assert calls[-2:] == ["writev", "fdatasync"]
    assert fs.calls.index(("sync_directory", str(DIRECTORY)), fs.calls.index(("writev", index))) > 0
    assert len(harness.log.find_aborted(0, end_offset)) == 1
