from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minikafka.storage import checkpoint
from minikafka.storage.leader_epochs import UNKNOWN_EPOCH, EpochEntry, LeaderEpochs
from tests.support.memory_fs import MemoryFileSystem
from tests.support.storage import DATA

ENTRIES = st.lists(st.tuples(st.integers(0, 50), st.integers(0, 200)), max_size=8).map(
    lambda pairs: [
        EpochEntry(epoch, offset)
        for epoch, offset in zip(sorted({e for e, _ in pairs}), sorted({o for _, o in pairs}), strict=False)
    ]
)


def test_an_epoch_begins_where_it_is_first_seen() -> None:
    epochs = LeaderEpochs()
    for epoch, offset in [(0, 0), (0, 5), (2, 10), (1, 12), (2, 20)]:
        epochs.assign(epoch, offset)
    assert epochs.entries == (EpochEntry(0, 0), EpochEntry(2, 10))
    assert epochs.latest_epoch == 2


def test_an_epoch_without_records_gives_way() -> None:
    epochs = LeaderEpochs([EpochEntry(1, 0), EpochEntry(2, 10)])
    epochs.assign(3, 10)
    assert epochs.entries == (EpochEntry(1, 0), EpochEntry(3, 10))


@pytest.mark.parametrize(
    ("epoch", "expected"),
    [(-1, (-1, -1)), (0, (0, 10)), (1, (1, 20)), (2, (1, 20)), (3, (1, 20)), (4, (4, 35)), (5, (-1, -1))],
)
def test_the_end_of_an_epoch_is_where_the_next_one_begins(epoch: int, expected: tuple[int, int]) -> None:
    epochs = LeaderEpochs([EpochEntry(1, 10), EpochEntry(4, 20)])
    assert epochs.end_offset_for(epoch, log_end_offset=35) == expected


def test_without_epochs_every_end_is_unknown() -> None:
    assert LeaderEpochs().end_offset_for(0, 5) == UNKNOWN_EPOCH
    assert LeaderEpochs().epoch_at(0) == -1


@given(ENTRIES, st.integers(-1, 250))
def test_the_epoch_of_a_record_is_the_last_that_began(entries: list[EpochEntry], offset: int) -> None:
    expected = max((entry.epoch for entry in entries if entry.start_offset <= offset), default=-1)
    assert LeaderEpochs(entries).epoch_at(offset) == expected


@given(ENTRIES, st.integers(0, 250))
def test_cutting_the_end_changes_no_earlier_record(entries: list[EpochEntry], end_offset: int) -> None:
    epochs = LeaderEpochs(entries)
    epochs.truncate_from_end(end_offset)
    assert all(entry.start_offset < end_offset for entry in epochs.entries)
    for offset in range(end_offset):
        assert epochs.epoch_at(offset) == LeaderEpochs(entries).epoch_at(offset)
    assert epochs.latest_epoch == LeaderEpochs(entries).epoch_at(end_offset - 1)


@given(ENTRIES, st.integers(0, 250))
def test_cutting_the_start_changes_no_later_record(entries: list[EpochEntry], start_offset: int) -> None:
    epochs = LeaderEpochs(entries)
    epochs.truncate_from_start(start_offset)
    assert all(entry.start_offset >= start_offset for entry in epochs.entries)
    for offset in range(start_offset, 260):
        assert epochs.epoch_at(offset) == LeaderEpochs(entries).epoch_at(offset)


def test_only_a_change_makes_them_dirty() -> None:
    epochs = LeaderEpochs([EpochEntry(1, 10)])
    epochs.assign(1, 20)
    epochs.truncate_from_end(11)
    epochs.truncate_from_start(10)
    assert not epochs.is_dirty
    epochs.assign(2, 20)
    assert epochs.is_dirty


@given(ENTRIES)
def test_the_file_is_read_back(entries: list[EpochEntry]) -> None:
    fs = MemoryFileSystem()
    fs.make_directory(DATA)
    epochs = LeaderEpochs(entries)
    epochs.save(fs, DATA)
    loaded = LeaderEpochs.load(fs, DATA)
    assert loaded is not None
    assert loaded.entries == tuple(entries)
    assert not epochs.is_dirty


@pytest.mark.parametrize("entries", [["1"], ["a 0"], ["1 2 3"], ["1 0", "1 5"], ["2 0", "1 5"], ["1 5", "2 5"]])
def test_a_file_that_makes_no_sense_counts_as_missing(entries: list[str]) -> None:
    assert LeaderEpochs.parse(checkpoint.entry_lines(entries)) is None


def test_a_missing_file_is_told_from_an_empty_one() -> None:
    fs = MemoryFileSystem()
    fs.make_directory(DATA)
    assert LeaderEpochs.load(fs, DATA) is None
    LeaderEpochs().save(fs, DATA)
    assert LeaderEpochs.load(fs, DATA) is not None
