from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minikafka.config.topic import TopicConfig
from minikafka.errors import StorageError
from minikafka.observability import events
from minikafka.storage.filenames import LEADER_EPOCHS
from minikafka.storage.leader_epochs import EpochEntry
from minikafka.storage.log import Log
from minikafka.storage.recovery import CorruptLog
from tests.support.memory_fs import MemoryFileSystem
from tests.support.storage import DATA, SMALL, LogHarness, append, make_batch, values_from

DIRECTORY = DATA / "orders-0"
ONE_SEGMENT = replace(SMALL, segment_bytes=100_000)
BATCH = len(make_batch(b"%016d" % 0))


def written(
    batches: int = 6, *, flushed: int = 0, config: TopicConfig = ONE_SEGMENT
) -> tuple[MemoryFileSystem, LogHarness]:
    """A log of one-record batches, in one segment, and how much of it was flushed."""
    fs = MemoryFileSystem()
    harness = LogHarness(fs, config)
    for number in range(batches):
        append(harness.log, b"%016d" % number)
        if number + 1 == flushed:
            harness.log.flush()
    return fs, harness


def values(*numbers: int) -> list[bytes]:
    return [b"%016d" % number for number in numbers]


def first(base_offset: int = 0, suffix: str = "log") -> Path:
    return DIRECTORY / f"{base_offset:020d}.{suffix}"


def state(fs: MemoryFileSystem) -> dict[str, bytes]:
    return {path.name: bytes(fs.content(path)) for path in fs.files() if path.suffix == ".log"}


def go_on(log: Log) -> None:
    end_offset = log.log_end_offset
    assert append(log, b"more", epoch=99) == end_offset
    assert values_from(log, end_offset) == [b"more"]


# what a crash does


def test_after_a_process_death_everything_is_there() -> None:
    fs, harness = written()
    before = state(fs)
    log = harness.reopen()
    assert values_from(log) == values(*range(6))
    assert state(fs) == before
    go_on(log)


@given(cut=st.integers(1, BATCH - 1), flushed=st.integers(0, 5), machine_restarted=st.booleans())
def test_a_torn_tail_is_truncated(cut: int, flushed: int, machine_restarted: bool) -> None:
    fs, harness = written(flushed=flushed)
    del fs.content(first())[-cut:]
    log = harness.reopen(machine_restarted=machine_restarted)
    assert values_from(log) == values(*range(5))
    assert len(fs.content(first())) == 5 * BATCH
    go_on(log)


def test_what_recovery_cuts_off_is_an_event(tmp_path: Path) -> None:
    fs, harness = written()
    del fs.content(first())[-1:]
    events.open_log(tmp_path / "events")
    try:
        harness.reopen()
    finally:
        events.open_log(None)
    (told,) = [json.loads(line) for line in (tmp_path / "events").read_text().splitlines()]
    del told["monotonic"]
    assert told == {"event": "LogTruncated", "topic": "orders", "partition": 0, "end_offset": 5, "reason": "recovery"}


@pytest.mark.parametrize("machine_restarted", [False, True])
@pytest.mark.parametrize("zeros", [1, 11, 12, 61, 5000])
def test_a_tail_of_zeros_is_the_end_of_the_log(zeros: int, machine_restarted: bool) -> None:
    fs, harness = written(flushed=6)
    fs.content(first()).extend(bytes(zeros))
    log = harness.reopen(machine_restarted=machine_restarted)
    assert values_from(log) == values(*range(6))
    assert len(fs.content(first())) == 6 * BATCH
    go_on(log)


def test_a_cut_is_on_the_disk_before_the_log_is_used() -> None:
    fs, harness = written()
    del fs.content(first())[-1:]
    fs.calls.clear()
    harness.reopen()
    position = fs.calls.index(("truncate", str(first())))
    assert fs.calls[position + 1] == ("fdatasync", str(first()))


@pytest.mark.parametrize("damage", ["flip", "zeros"])
def test_after_a_power_loss_the_log_ends_at_the_first_bad_batch(damage: str) -> None:
    fs, harness = written(flushed=2)
    content = fs.content(first())
    if damage == "flip":
        content[3 * BATCH + 70] ^= 1
    else:
        content[3 * BATCH : 4 * BATCH] = bytes(BATCH)
    log = harness.reopen(machine_restarted=True)
    assert values_from(log) == values(0, 1, 2)
    go_on(log)


@pytest.mark.parametrize("damage", ["flip", "zeros", "length"])
def test_without_one_a_bad_batch_before_a_good_one_is_corruption(damage: str) -> None:
    fs, harness = written(flushed=2)
    content = fs.content(first())
    if damage == "flip":
        content[3 * BATCH + 70] ^= 1
    elif damage == "zeros":
        content[3 * BATCH : 4 * BATCH] = bytes(BATCH)
    else:
        content[3 * BATCH + 8] = 0x7F
    before = state(fs)
    with pytest.raises(CorruptLog, match=r"position 252, offset 3 .* follows at offset 4") as raised:
        harness.reopen()
    assert f"minikafka log verify --repair {DIRECTORY}" in str(raised.value)
    assert state(fs) == before


def test_a_good_batch_that_follows_is_found_though_it_ends_with_zeros() -> None:
    """As a batch without headers does: its last byte is the count of them."""
    fs, harness = written(3)
    content = fs.content(first())
    assert content[-1] == 0
    content[BATCH + 70] ^= 1
    with pytest.raises(CorruptLog, match="follows at offset 2"):
        harness.reopen()


def test_a_bad_last_batch_is_cut_off() -> None:
    fs, harness = written(flushed=2)
    fs.content(first())[-1] ^= 1
    assert values_from(harness.reopen()) == values(*range(5))


@pytest.mark.parametrize("machine_restarted", [False, True])
@pytest.mark.parametrize("number", [0, 2, 4])
def test_damage_below_the_recovery_point_is_corruption(number: int, machine_restarted: bool) -> None:
    fs, harness = written(flushed=5)
    fs.unlink(first(suffix="index")) if fs.exists(first(suffix="index")) else None
    fs.content(first())[number * BATCH + 70] ^= 1
    before = state(fs)
    with pytest.raises(CorruptLog, match="all was on the disk"):
        harness.reopen(machine_restarted=machine_restarted)
    assert state(fs) == before


@pytest.mark.parametrize("machine_restarted", [False, True])
def test_records_missing_below_the_recovery_point_are_corruption(machine_restarted: bool) -> None:
    fs, harness = written(flushed=6)
    del fs.content(first())[5 * BATCH :]
    with pytest.raises(CorruptLog, match="ends at offset 5"):
        harness.reopen(machine_restarted=machine_restarted)


# what is not read again


def test_what_is_below_the_recovery_point_is_not_read_again() -> None:
    fs, harness = written(200, flushed=200)
    harness.log.close()
    for number in range(200, 203):
        append(harness.log, b"%016d" % number)
    fs.content(first())[70] ^= 1
    log = harness.reopen()
    assert log.log_end_offset == 203


def test_closed_segments_below_the_recovery_point_are_not_opened() -> None:
    fs, harness = written(60, flushed=60, config=SMALL)
    bases = [segment.base_offset for segment in harness.log._segments]
    assert len(bases) > 4
    fs.calls.clear()
    harness.reopen()
    opened = {path for name, path in fs.calls if name == "open" and path.endswith(".log")}
    assert opened == {str(first(bases[-1]))}


def test_a_wrong_index_only_makes_recovery_longer() -> None:
    fs, harness = written(50, flushed=50)
    harness.log.close()
    append(harness.log, b"%016d" % 50)
    index = fs.content(first(suffix="index"))
    index[-1] ^= 1
    log = harness.reopen()
    assert values_from(log) == values(*range(51))


@settings(max_examples=60)
@given(st.binary(max_size=100), st.binary(max_size=100), st.booleans())
def test_whatever_the_indexes_hold_the_records_are_found(offsets: bytes, times: bytes, clean: bool) -> None:
    fs, harness = written(40, config=SMALL)
    harness.log.close()
    for path in fs.files():
        if path.suffix == ".index":
            fs.content(path)[:] = offsets
        elif path.suffix == ".timeindex":
            fs.content(path)[:] = times
    log = harness.reopen(was_clean=clean, recovery_point=0)
    assert values_from(log) == values(*range(40))


def test_indexes_are_rebuilt_as_they_were() -> None:
    fs, harness = written(60, config=SMALL)
    harness.log.roll()
    before = {path: bytes(fs.content(path)) for path in fs.files() if "index" in path.suffix}
    assert any(before.values())
    for path in before:
        fs.unlink(path)
    log = harness.reopen()
    log.close()
    assert {path: bytes(fs.content(path)) for path in before} == before


def test_the_indexes_of_a_segment_that_ends_at_the_recovery_point_are_not_trusted() -> None:
    fs, harness = written(60, flushed=60)
    harness.log.roll()  # its indexes are written now, and not forced to disk
    fs.content(first(suffix="timeindex")).clear()
    log = harness.reopen(machine_restarted=True)
    found = log.find_by_timestamp(1000, 60)
    assert found is not None
    assert found.offset == 0


def test_after_a_power_loss_one_index_may_be_there_without_the_other() -> None:
    fs, harness = written(60, flushed=60)
    harness.log.roll()
    append(harness.log, b"%016d" % 60)
    fs.unlink(first(60))
    fs.content(first(suffix="timeindex")).clear()
    log = harness.reopen(machine_restarted=True, recovery_point=50)
    found = log.find_by_timestamp(1000, 60)
    assert found is not None
    assert found.offset == 0


# several segments


def test_segments_after_a_torn_one_go_when_they_hold_nothing() -> None:
    fs, harness = written(6)
    harness.log.roll()
    del fs.content(first())[-3:]
    fs.content(first(6)).extend(b"garbage")
    log = harness.reopen()
    assert values_from(log) == values(*range(5))
    assert list(state(fs)) == [first().name]
    go_on(log)


def test_segments_after_a_torn_one_that_hold_batches_mean_corruption() -> None:
    fs, harness = written(6)
    harness.log.roll()
    append(harness.log, b"later")
    del fs.content(first())[-3:]
    with pytest.raises(CorruptLog, match="follows at offset 6"):
        harness.reopen()


def test_after_a_power_loss_later_segments_go_with_what_is_before_them() -> None:
    fs, harness = written(6)
    harness.log.roll()
    append(harness.log, b"later")
    del fs.content(first())[-3:]
    fs.calls.clear()
    log = harness.reopen(machine_restarted=True)
    assert values_from(log) == values(*range(5))
    order = [(name, path) for name, path in fs.calls if name in {"unlink", "truncate"}]
    snapshot = str(first(6).with_suffix(".snapshot"))
    assert order == [("unlink", str(first(6))), ("unlink", snapshot), ("truncate", str(first()))]
    assert fs.calls.index(("sync_directory", str(DIRECTORY))) < fs.calls.index(order[2])
    go_on(log)


def test_a_missing_segment_is_corruption() -> None:
    fs, harness = written(60, config=SMALL)
    bases = [segment.base_offset for segment in harness.log._segments]
    fs.unlink(first(bases[2]))
    with pytest.raises(CorruptLog, match=f"ends at offset {bases[2]}"):
        harness.reopen()


def test_a_new_segment_that_is_empty_is_where_the_log_goes_on() -> None:
    fs, harness = written(6)
    harness.log.roll()
    log = harness.reopen()
    assert log.log_end_offset == 6
    go_on(log)
    assert len(fs.content(first(6))) > 0


def test_epochs_must_not_fall_from_one_segment_to_the_next() -> None:
    fs, harness = written(2)
    append(harness.log, b"x", epoch=7)
    harness.log.roll()
    fs.content(first(3)).extend(make_batch(b"y", base_offset=3, leader_epoch=6))
    with pytest.raises(CorruptLog, match="epoch 6 comes after 7"):
        # nothing but the batch itself says that it is bad, and it is valid in itself
        harness.reopen(recovery_point=4)


# the start of the log


def test_the_log_starts_where_it_did() -> None:
    fs, harness = written(60, config=SMALL)
    harness.log.delete_records(7)
    assert harness.reopen().log_start_offset == 7
    del fs


def test_segments_before_the_start_are_removed() -> None:
    fs, harness = written(60, config=SMALL)
    bases = [segment.base_offset for segment in harness.log._segments]
    harness.log.delete_records(bases[3] + 1)
    fs.unlink(first(bases[1]))  # a removal that a crash interrupted
    log = harness.reopen()
    assert log.log_start_offset == bases[3] + 1
    assert min(state(fs)) == first(bases[3]).name
    assert values_from(log, bases[3] + 1) == values(*range(bases[3] + 1, 60))


def test_a_start_beyond_what_is_left_begins_anew_there() -> None:
    fs, harness = written(6, flushed=2)
    harness.log.delete_records(5)
    del fs.content(first())[3 * BATCH :]
    log = harness.reopen(machine_restarted=True)
    assert (log.log_start_offset, log.log_end_offset) == (5, 5)
    assert list(state(fs)) == [first(5).name]
    go_on(log)


def test_a_directory_without_segments_begins_at_the_start() -> None:
    fs, harness = written(6, flushed=6)
    harness.log.delete_records(6)
    fs.unlink(first())
    log = harness.reopen()
    assert (log.log_start_offset, log.log_end_offset) == (6, 6)


def test_deleted_records_that_come_back_damaged_are_no_corruption() -> None:
    fs, harness = written(6, flushed=6)
    harness.log.delete_records(6)
    fs.content(first())[3 * BATCH + 70] ^= 1
    log = harness.reopen(machine_restarted=True, recovery_point=6)
    assert (log.log_start_offset, log.log_end_offset) == (6, 6)
    go_on(log)


def test_a_directory_that_has_lost_all_its_segments_is_refused() -> None:
    fs, harness = written(6, flushed=6)
    fs.unlink(first())
    with pytest.raises(CorruptLog, match="has no segment, but up to offset 6 all was on the disk"):
        harness.reopen()


# epochs


@pytest.mark.parametrize("damage", ["missing", "torn", "old"])
@pytest.mark.parametrize("flushed", [0, 3, 5])
@pytest.mark.parametrize("was_clean", [False, True])
def test_epochs_are_made_anew_from_the_batches(damage: str, flushed: int, was_clean: bool) -> None:
    fs = MemoryFileSystem()
    harness = LogHarness(fs, ONE_SEGMENT)
    for number, epoch in enumerate((0, 0, 2, 4, 4)):
        append(harness.log, b"x", epoch=epoch)
        if number + 1 == flushed:
            harness.log.flush()
    if was_clean:
        harness.log.close()
    path = DIRECTORY / LEADER_EPOCHS
    if fs.exists(path):
        if damage == "missing":
            fs.unlink(path)
        elif damage == "torn":
            fs.content(path)[5:] = bytes(9)
    log = harness.reopen(was_clean=was_clean)
    assert log.leader_epochs.entries == (EpochEntry(0, 0), EpochEntry(2, 2), EpochEntry(4, 3))


def test_epochs_are_made_anew_from_the_part_that_is_trusted_too() -> None:
    fs = MemoryFileSystem()
    harness = LogHarness(fs, ONE_SEGMENT)
    for number in range(30):
        append(harness.log, b"%016d" % number, epoch=number // 7)
    harness.log.close()
    append(harness.log, b"x", epoch=9)
    fs.unlink(DIRECTORY / LEADER_EPOCHS)
    log = harness.reopen()
    assert [entry.start_offset for entry in log.leader_epochs.entries] == [0, 7, 14, 21, 28, 30]


def test_epochs_of_lost_records_are_forgotten() -> None:
    fs = MemoryFileSystem()
    harness = LogHarness(fs)
    append(harness.log, b"x", epoch=1)
    append(harness.log, b"x", epoch=2)
    assert harness.log.begin_flush() is not None  # writes the file of epochs, and nothing is synced
    del fs.content(first())[-1:]
    log = harness.reopen(machine_restarted=True)
    assert log.leader_epochs.entries == (EpochEntry(1, 0),)
    append(log, b"y", epoch=3)
    assert harness.reopen().leader_epochs.entries == (EpochEntry(1, 0), EpochEntry(3, 1))


# doing it again


@settings(max_examples=150)
@given(st.data())
def test_recovery_ends_the_same_however_often_it_is_interrupted(data: st.DataObject) -> None:
    fs, harness = written(24, flushed=data.draw(st.integers(0, 10)), config=SMALL)
    recovery_point = harness.log.flushed_end_offset
    damaged_offset = data.draw(st.integers(recovery_point, 23))
    segment = next(segment for segment in harness.log._segments if damaged_offset < segment.end_offset)
    position = BATCH * (damaged_offset - segment.base_offset) + data.draw(st.integers(16, BATCH - 1))
    if data.draw(st.booleans()):
        del fs.content(segment.path)[position:]
    else:
        fs.content(segment.path)[position] ^= data.draw(st.integers(1, 255))
    operation = data.draw(st.sampled_from(["truncate", "unlink", "fdatasync", "open", "writev"]))
    fs.fail(operation, nth=data.draw(st.integers(1, 6)))
    recoveries = 0
    for _ in range(4):
        try:
            log = harness.reopen(machine_restarted=True, recovery_point=recovery_point)
        except StorageError:
            fs.heal()  # and once more
        else:
            assert values_from(log) == values(*range(damaged_offset))
            recoveries += 1
    assert recoveries >= 3


def test_recovered_records_are_not_taken_to_be_on_the_disk() -> None:
    fs, harness = written(6, flushed=2)
    log = harness.reopen()
    assert log.flushed_end_offset == 2
    assert log.unflushed_bytes >= 4 * BATCH
    fs.calls.clear()
    log.flush()
    assert ("fdatasync", str(first())) in fs.calls
    assert ("fdatasync", str(DIRECTORY / "partition.metadata")) in fs.calls
    assert ("sync_directory", str(DATA)) in fs.calls
    assert log.flushed_end_offset == 6


def test_recovered_segments_are_all_flushed() -> None:
    fs, harness = written(60, config=SMALL)
    log = harness.reopen()
    fs.calls.clear()
    log.flush()
    assert {path for name, path in fs.calls if name == "fdatasync"} >= {
        str(path) for path in fs.files() if path.suffix in {".log", ".index"} and fs.content(path)
    }


# after a clean stop


def test_a_clean_log_is_opened_without_reading_it() -> None:
    fs, harness = written(500, config=replace(SMALL, segment_bytes=100_000, index_interval_bytes=4096))
    harness.log.close()
    fs.counts.clear()
    log = harness.reopen(was_clean=True)
    assert log.log_end_offset == 500
    assert fs.counts["pread"] < 12


def test_a_log_that_is_not_as_clean_as_it_was_said_to_be_is_recovered() -> None:
    fs, harness = written(6)
    harness.log.close()
    del fs.content(first())[-3:]
    log = harness.reopen(was_clean=True, recovery_point=3)
    assert values_from(log) == values(*range(5))


def test_leftovers_are_removed() -> None:
    fs, harness = written(6)
    harness.log.close()
    for name in ("00000000000000000099.index", "00000000000000000009.log.deleted", LEADER_EPOCHS + ".tmp"):
        fs.open(DIRECTORY / name, create=True)
    fs.open(DIRECTORY / "notes.txt", create=True)
    harness.reopen(was_clean=True)
    names = {path.name for path in fs.files()}
    assert "notes.txt" in names
    assert not any(name.endswith((".deleted", ".tmp")) or "99" in name for name in names)
