"""After a crash at any call a start finds the old segments or the new one, never both and never parts."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from minikafka.errors import StorageError
from minikafka.storage.cleaned_segment import CleanedSegment
from minikafka.storage.segment import Segment
from minikafka.storage.segment_swap import remove_cleaned, remove_unfinished, settle_swaps, swap_in
from minikafka.storage.transaction_index import AbortedTransaction
from tests.support.memory_fs import MemoryFileSystem
from tests.support.storage import DATA, make_batch

OLD = {0: make_batch(b"a", b"b"), 2: make_batch(b"c", base_offset=2), 3: make_batch(b"d", b"e", base_offset=3)}
LATER = {5: make_batch(b"f", base_offset=5)}
NEW = (make_batch(b"x", base_offset=1), make_batch(b"d", b"y", base_offset=3))


def log_directory() -> MemoryFileSystem:
    """Three segments, one after them, and the one that is to replace the three."""
    fs = MemoryFileSystem()
    fs.make_directory(DATA)
    for base_offset, batch in (OLD | LATER).items():
        segment = Segment.create(fs, DATA, base_offset, 0, now_ms=0)
        segment.append(batch[:16], batch[16:], len(batch), base_offset, 1_000)
        segment.save_indexes()
        if base_offset == 0:
            segment.add_aborted(AbortedTransaction(7, 0, 1, 0))
    cleaned = CleanedSegment(fs, DATA, 0, index_interval_bytes=0, buffer_bytes=1 << 20)
    for batch in NEW:
        cleaned.append(batch)
    cleaned.finish([])
    return fs


def logs(fs: MemoryFileSystem) -> dict[str, bytes]:
    return {path.name.lstrip("0"): bytes(fs.content(path)) for path in fs.files() if path.suffix == ".log"}


BEFORE = {".log": OLD[0], "2.log": OLD[2], "3.log": OLD[3], "5.log": LATER[5]}
AFTER = {".log": b"".join(NEW), "5.log": LATER[5]}


def test_the_new_segment_takes_the_place_of_the_old_ones() -> None:
    fs = log_directory()
    swap_in(fs, DATA, 0, OLD)
    assert logs(fs) == AFTER
    assert {path.suffix for path in fs.files()} == {".log", ".index", ".timeindex", ".txnindex"}
    assert len(fs.files()) == 7
    assert fs.content(DATA / f"{0:020d}.txnindex") == b""


def test_the_directory_is_synced_before_an_old_segment_goes() -> None:
    fs = log_directory()
    swap_in(fs, DATA, 0, OLD)
    operations = [operation for operation, _ in fs.calls]
    assert operations.index("sync_directory") < operations.index("unlink")


@pytest.mark.parametrize("operation", ["rename", "unlink", "sync_directory"])
def test_an_interrupted_swap_is_finished_or_undone(operation: str) -> None:
    nth, reached = 0, True
    while reached:
        nth += 1
        fs = log_directory()
        before = fs.counts[operation]
        fs.fail(operation, nth=nth, times=1_000)
        with suppress(StorageError):
            swap_in(fs, DATA, 0, OLD)
        reached = fs.counts[operation] >= before + nth
        fs.heal()
        _settle_and_compare(fs)
    assert nth > 1


def _settle_and_compare(fs: MemoryFileSystem) -> None:
    settle_swaps(fs, DATA)
    assert logs(fs) in (BEFORE, AFTER)
    assert not [path for path in fs.files() if path.suffix in {".cleaned", ".swap"}]
    files = {path: bytes(fs.content(path)) for path in fs.files()}
    settle_swaps(fs, DATA)
    assert {path: bytes(fs.content(path)) for path in fs.files()} == files


@pytest.mark.parametrize("nth", range(1, 10))
def test_settling_that_was_interrupted_goes_on(nth: int) -> None:
    fs = log_directory()
    for suffix in (".txnindex", ".index", ".timeindex", ".log"):
        path = DATA / f"{0:020d}{suffix}.cleaned"
        fs.rename(path, path.with_suffix(".swap"))
    fs.fail("unlink", nth=nth, times=1_000)
    fs.fail("rename", nth=nth, times=1_000)
    with suppress(StorageError):
        settle_swaps(fs, DATA)
    fs.heal()
    settle_swaps(fs, DATA)
    assert logs(fs) == AFTER


@pytest.mark.parametrize(
    "renamed", [(), (".txnindex",), (".txnindex", ".index", ".timeindex")], ids=["none", "one", "three"]
)
def test_indexes_alone_are_no_segment(renamed: tuple[str, ...]) -> None:
    """The file of the batches is renamed last: until then the old segments are the log."""
    fs = log_directory()
    for suffix in renamed:
        cleaned = DATA / f"{0:020d}{suffix}.cleaned"
        fs.rename(cleaned, cleaned.with_suffix(".swap"))
    settle_swaps(fs, DATA)
    assert logs(fs) == BEFORE
    assert fs.content(DATA / f"{0:020d}.txnindex")


@pytest.mark.parametrize(
    "clear", [lambda fs: remove_unfinished(fs, DATA), lambda fs: remove_cleaned(fs, DATA, 0)], ids=["all", "one"]
)
def test_what_is_not_needed_any_more_goes_and_the_log_stays(clear: Callable[[MemoryFileSystem], None]) -> None:
    fs = log_directory()
    clear(fs)
    assert logs(fs) == BEFORE
    assert not [path for path in fs.files() if path.suffix == ".cleaned"]


def test_removing_does_its_best() -> None:
    fs = log_directory()
    fs.fail("unlink")
    remove_cleaned(fs, DATA, 0)
    assert len([path for path in fs.files() if path.suffix == ".cleaned"]) == 1
    remove_cleaned(fs, Path("/elsewhere"), 0)


def test_a_directory_without_swaps_is_left_alone() -> None:
    fs = log_directory()
    remove_cleaned(fs, DATA, 0)
    calls = len(fs.calls)
    settle_swaps(fs, DATA)
    assert len(fs.calls) == calls
