"""Compaction beside everything else that happens to a log."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from minikafka.errors import StorageError
from minikafka.storage.log import Log
from tests.support.compaction import MEANS, begin, compact, durable, pairs_from, put, run
from tests.support.memory_fs import MemoryFileSystem
from tests.support.storage import PARTITION, SMALL, LogHarness, apply_retention

CONFIG = replace(SMALL, segment_bytes=300, cleanup_policy=frozenset({"compact"}), retention_ms=-1)


@pytest.fixture
def made() -> LogHarness:
    """A log of which the first half is superfluous."""
    made = LogHarness(MemoryFileSystem(), CONFIG)
    for number in range(12):
        put(made.log, (b"k%d" % (number % 6), b"%d" % number + bytes(50)))
    made.log.roll()
    return made


def cleaned_offset(made: LogHarness) -> int | None:
    return made.home.cleaned_offsets.get(PARTITION)


def test_how_far_a_log_is_compacted_is_known_when_the_pass_is_done(made: LogHarness) -> None:
    ticket = begin(made.log)
    assert ticket is not None
    seen = []
    run(made.log, ticket, lambda: seen.append(cleaned_offset(made)))
    assert set(seen) == {None}
    assert cleaned_offset(made) == 12
    assert made.log.find_cleanable(12).dirty_bytes == 0


def test_the_size_of_the_log_is_that_of_its_files(made: LogHarness) -> None:
    before = made.log.size_bytes
    compact(made.log)
    assert made.log.size_bytes < before
    files = [path for path in made.fs.files() if path.suffix == ".log"]
    assert made.log.size_bytes == sum(len(made.fs.content(path)) for path in files)


def test_nothing_is_compacted_that_a_start_would_not_know_to_be_on_the_disk(made: LogHarness) -> None:
    made.log.flush()
    assert made.log.begin_compaction(12, MEANS) is None


def test_only_one_pass_is_under_way(made: LogHarness) -> None:
    first = begin(made.log)
    assert begin(made.log) is None
    run(made.log, first)
    put(made.log, (b"k0", b""))
    made.log.roll()
    assert begin(made.log) is not None


def truncated(log: Log) -> None:
    log.truncate_to(9)


def deleted_from_the_start(log: Log) -> None:
    log.delete_records(5)
    apply_retention(log, 0)


def reconfigured(log: Log) -> None:
    log.reconfigure(replace(CONFIG, cleanup_policy=frozenset({"delete"})))


def gone_offline(log: Log) -> None:
    log.mark_offline("for a test")


def closed(log: Log) -> None:
    log.close()


@pytest.mark.parametrize("change", [truncated, deleted_from_the_start, reconfigured, gone_offline, closed])
def test_what_changes_the_segments_ends_the_pass(made: LogHarness, change: Callable[[Log], None]) -> None:
    ticket = begin(made.log)
    assert ticket is not None
    ticket.run()
    assert ticket.cleaned is not None
    change(made.log)
    assert ticket.is_aborted
    made.log.end_compaction(ticket)
    assert cleaned_offset(made) is None
    assert not [path for path in made.fs.files() if path.suffix in {".cleaned", ".swap"}]


def test_appends_and_rolls_do_not(made: LogHarness) -> None:
    ticket = begin(made.log)
    assert ticket is not None

    def more() -> None:
        put(made.log, (b"new", bytes(50)))
        made.log.roll()

    run(made.log, ticket, more)
    assert cleaned_offset(made) == 12
    found = pairs_from(made.log)
    assert [offset for offset in found if offset < 12] == [6, 7, 8, 9, 10, 11]
    assert found[12][0] == b"new"


def test_a_reader_that_was_under_way_goes_on(made: LogHarness) -> None:
    slice_before = made.log.read(0, 1 << 20, 12, min_one_batch=True)
    wanted = slice_before.read()
    again = made.log.read(0, 1 << 20, 12, min_one_batch=True)
    compact(made.log)
    assert again.read() == wanted
    assert min(pairs_from(made.log)) == 6


def test_a_fetch_of_an_offset_that_is_gone_gets_what_comes_after_it(made: LogHarness) -> None:
    compact(made.log)
    assert min(pairs_from(made.log, 2)) == 6
    assert made.log.log_start_offset == 0


def test_looking_for_a_time_finds_what_is_left(made: LogHarness) -> None:
    compact(made.log)
    found = made.log.find_by_timestamp(0, 12)
    assert found is not None
    assert found.offset == 6


@pytest.mark.parametrize("was_clean", [True, False])
def test_a_compacted_log_is_the_same_after_a_start(made: LogHarness, was_clean: bool) -> None:
    compact(made.log)
    wanted = pairs_from(made.log)
    durable(made.log)
    if was_clean:
        made.log.close()
    log = made.reopen(was_clean=was_clean)
    assert pairs_from(log) == wanted
    assert log.log_end_offset == 12


def test_cutting_a_compacted_log_takes_back_how_far_it_is_compacted(made: LogHarness) -> None:
    compact(made.log)
    put(made.log, (b"k0", b""))
    made.log.truncate_to(9)
    assert made.log.log_end_offset <= 9
    assert (cleaned_offset(made) or 0) <= made.log.log_end_offset


@pytest.mark.parametrize("end_offset", range(7, 13))
def test_what_is_kept_of_a_compacted_log_outlives_a_power_loss(made: LogHarness, end_offset: int) -> None:
    """Its recovery point is not lowered below a gap, which a start would take for the end of the log."""
    made.log.reconfigure(replace(CONFIG, segment_bytes=10_000))  # one segment, in which there is a gap
    compact(made.log)
    durable(made.log)
    put(made.log, (b"k0", b""))
    before = pairs_from(made.log)
    made.log.truncate_to(end_offset)
    kept = pairs_from(made.log)
    assert kept == {offset: pair for offset, pair in before.items() if offset < end_offset}
    recovery_point = made.home.recovery_points[PARTITION]
    assert recovery_point <= made.log.log_end_offset
    log = made.reopen(machine_restarted=True, recovery_point=recovery_point)
    assert pairs_from(log) == kept


def test_an_error_while_segments_are_swapped_puts_the_log_out_of_use(made: LogHarness) -> None:
    """Nobody knows then which of them the next start will find: it finds the records in any case."""
    ticket = begin(made.log)
    assert ticket is not None
    ticket.run()
    made.fs.fail("rename", nth=3, path_part=".cleaned")
    with pytest.raises(StorageError):
        made.log.end_compaction(ticket)
    assert made.log.is_offline
    made.fs.heal()
    log = made.reopen()
    assert {key for key, _ in pairs_from(log).values()} == {b"k%d" % number for number in range(6)}
    assert not [path for path in made.fs.files() if path.suffix in {".cleaned", ".swap"}]
