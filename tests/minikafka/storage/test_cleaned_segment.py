from __future__ import annotations

import pytest

from minikafka.errors import StorageError
from minikafka.storage.cleaned_segment import CleanedSegment
from minikafka.storage.segment import Segment
from minikafka.storage.transaction_index import AbortedTransaction
from tests.support.memory_fs import MemoryFileSystem
from tests.support.storage import DATA, make_batch

BATCHES = [make_batch(bytes(40), timestamps_ms=(5_000 - i,), base_offset=20 + 3 * i) for i in range(8)]
LOG = DATA / "00000000000000000020.log"


def directory() -> MemoryFileSystem:
    fs = MemoryFileSystem()
    fs.make_directory(DATA)
    return fs


def cleaned(fs: MemoryFileSystem, buffer_bytes: int = 1 << 20) -> CleanedSegment:
    return CleanedSegment(fs, DATA, 20, index_interval_bytes=150, buffer_bytes=buffer_bytes)


def as_segment(fs: MemoryFileSystem) -> Segment:
    """What was written, under the names of a segment."""
    for path in fs.files():
        assert path.suffix == ".cleaned"
        fs.rename(path, path.with_suffix(""))
    return Segment(fs, DATA, 20, size=len(fs.content(LOG)), index_interval_bytes=150, created_ms=0)


@pytest.mark.parametrize("buffer_bytes", [1, 250, 1 << 20])
def test_batches_are_written_with_their_indexes(buffer_bytes: int) -> None:
    fs = directory()
    segment = cleaned(fs, buffer_bytes)
    for batch in BATCHES:
        segment.append(batch)
    segment.finish(None)
    assert segment.size == sum(map(len, BATCHES))
    found = as_segment(fs)
    assert fs.content(LOG) == b"".join(BATCHES)
    found.load_indexes()
    assert len(found.indexes.offsets) > 1
    assert found.latest == (5_000, 20)
    entries = [found.indexes.offsets.entry(i) for i in range(len(found.indexes.offsets))]
    assert all(found.batch_at(entry) is not None for entry in entries)


def test_everything_is_on_the_disk_at_the_end() -> None:
    fs = directory()
    segment = cleaned(fs)
    segment.append(BATCHES[0])
    assert fs.counts["fdatasync"] == 0
    segment.finish(None)
    synced = {path for operation, path in fs.calls if operation == "fdatasync"}
    assert synced == {f"{DATA}/00000000000000000020{suffix}.cleaned" for suffix in (".log", ".index", ".timeindex")}


def test_an_index_without_entries_is_a_file_too() -> None:
    fs = directory()
    segment = cleaned(fs)
    segment.append(BATCHES[0])
    segment.finish(None)
    assert {path.suffixes[0] for path in fs.files()} == {".log", ".index", ".timeindex"}


def test_what_an_earlier_pass_has_left_is_overwritten() -> None:
    fs = directory()
    left = cleaned(fs)
    for batch in BATCHES:
        left.append(batch)
    left.finish(None)
    segment = cleaned(fs)
    segment.append(BATCHES[3])
    segment.finish(None)
    found = as_segment(fs)
    assert fs.content(LOG) == BATCHES[3]
    found.load_indexes()
    assert found.latest == (4_997, 29)


def test_an_error_of_the_disk_is_passed_on_and_does_not_come_again() -> None:
    fs = directory()
    segment = cleaned(fs)
    segment.append(BATCHES[0])
    fs.fail("writev", reason="No space left on device")
    with pytest.raises(StorageError, match="No space"):
        segment.finish(None)
    segment.abandon()


def test_aborted_transactions_are_noted_in_an_index_of_their_own() -> None:
    fs = directory()
    aborted = [AbortedTransaction(7, 20, 23, 20), AbortedTransaction(8, 21, 26, 24)]
    segment = cleaned(fs)
    segment.append(BATCHES[0])
    segment.finish(aborted)
    assert list(as_segment(fs).aborted) == aborted
    assert len([path for operation, path in fs.calls if operation == "fdatasync"]) == 4


@pytest.mark.parametrize(("aborted", "has_file"), [([], True), (None, False)], ids=["an old index", "none"])
def test_an_index_of_aborted_transactions_replaces_an_old_one_even_without_any(
    aborted: list[AbortedTransaction] | None, has_file: bool
) -> None:
    fs = directory()
    earlier = cleaned(fs)
    earlier.append(BATCHES[0])
    earlier.finish([AbortedTransaction(7, 20, 23, 20)])
    segment = cleaned(fs)
    segment.append(BATCHES[0])
    segment.finish(aborted)
    assert fs.exists(DATA / "00000000000000000020.txnindex.cleaned") == has_file
    assert not as_segment(fs).aborted
