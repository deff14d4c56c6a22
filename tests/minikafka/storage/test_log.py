from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from minikafka.errors import (
    CorruptMessage,
    ErrorCode,
    FencedLeaderEpoch,
    OffsetOutOfRange,
    RecordListTooLarge,
    StorageError,
)
from minikafka.observability import events
from minikafka.records.batch import RecordBatch
from minikafka.storage import checkpoint
from minikafka.storage.append import prepare
from minikafka.storage.batch_headers import CorruptSegment
from minikafka.storage.filenames import LEADER_EPOCHS, LOG_START_OFFSETS, RECOVERY_POINTS
from minikafka.storage.leader_epochs import EpochEntry, LeaderEpochs
from tests.support.memory_fs import MemoryFileSystem
from tests.support.storage import (
    DATA,
    PARTITION,
    SMALL,
    LogHarness,
    append,
    apply_retention,
    make_batch,
    prepared,
    values_from,
)

FIRST = DATA / "orders-0" / f"{0:020d}.log"


@pytest.fixture
def fs() -> MemoryFileSystem:
    return MemoryFileSystem()


@pytest.fixture
def harness(fs: MemoryFileSystem) -> LogHarness:
    return LogHarness(fs)


def names(fs: MemoryFileSystem) -> list[str]:
    return [path.name for path in fs.files() if path.parent.name == "orders-0"]


def log_files(fs: MemoryFileSystem) -> list[str]:
    return [name for name in names(fs) if name.endswith(".log")]


def synced(fs: MemoryFileSystem) -> list[str]:
    return [Path(path).name for name, path in fs.calls if name in {"fdatasync", "sync_directory"}]


# appending


def test_batches_get_consecutive_offsets_and_the_leaders_epoch(fs: MemoryFileSystem, harness: LogHarness) -> None:
    log = harness.log
    info = log.append_as_leader(prepared(make_batch(b"a", b"b")), 3)
    assert info == (0, 1, 2, len(fs.content(FIRST)), -1, 0)
    second = log.append_as_leader(prepared(make_batch(b"c")), 3)
    assert (second.base_offset, second.last_offset, second.end_offset) == (2, 2, 3)
    content = memoryview(bytes(fs.content(FIRST)))
    batch = RecordBatch.parse(content, info.size_bytes)
    assert (batch.base_offset, batch.partition_leader_epoch) == (2, 3)
    batch.verify_crc()
    assert log.log_end_offset == 3
    assert log.size_bytes == len(content)


def test_the_brokers_date_is_told(harness: LogHarness) -> None:
    config = replace(SMALL, message_timestamp_type="LogAppendTime")
    info = harness.log.append_as_leader(prepare(make_batch(b"a"), config, 777), 0)
    assert info.log_append_time_ms == 777


def test_a_batch_costs_one_write_and_nothing_else(fs: MemoryFileSystem, harness: LogHarness) -> None:
    append(harness.log, b"a")
    fs.calls.clear()
    append(harness.log, b"b")
    assert fs.calls == [("writev", str(FIRST))]


def test_a_failed_append_moves_nothing(fs: MemoryFileSystem, harness: LogHarness) -> None:
    log = harness.log
    append(log, b"a")
    fs.fail("writev", short=30)
    fs.fail("writev", nth=2, reason="No space left on device")
    with pytest.raises(StorageError, match="No space") as raised:
        append(log, b"b", epoch=5)
    assert raised.value.code is ErrorCode.KAFKA_STORAGE_ERROR
    assert (log.log_end_offset, log.leader_epochs.latest_epoch, log.is_offline) == (1, 0, False)
    assert append(log, b"c") == 1
    assert values_from(log) == [b"a", b"c"]


def test_an_append_that_cannot_be_taken_back_puts_the_directory_offline(
    fs: MemoryFileSystem, harness: LogHarness
) -> None:
    log = harness.log
    append(log, b"a")
    fs.fail("writev", short=30)
    fs.fail("writev", nth=2)
    fs.fail("truncate")
    with pytest.raises(StorageError):
        append(log, b"b")
    assert log.is_offline
    assert harness.home.offline_reason is not None
    with pytest.raises(StorageError, match="orders-0 is offline"):
        append(log, b"c")
    with pytest.raises(StorageError, match="orders-0 is offline"):
        log.read(0, 100, 1, min_one_batch=True)
    fs.heal()
    log = harness.reopen()
    assert values_from(log) == [b"a"]


def test_a_batch_larger_than_a_segment_is_refused(harness: LogHarness) -> None:
    with pytest.raises(RecordListTooLarge):
        append(harness.log, bytes(1000))
    assert harness.log.log_end_offset == 0


def test_an_older_leader_is_fenced(harness: LogHarness) -> None:
    append(harness.log, b"a", epoch=4)
    with pytest.raises(FencedLeaderEpoch):
        append(harness.log, b"b", epoch=3)
    assert harness.log.log_end_offset == 1


def test_an_epoch_begins_with_its_first_record(harness: LogHarness) -> None:
    log = harness.log
    for epoch in (0, 0, 2, 2, 5):
        append(log, b"x", epoch=epoch)
    assert log.leader_epochs.entries == (EpochEntry(0, 0), EpochEntry(2, 2), EpochEntry(5, 4))
    assert [log.leader_epochs.epoch_at(offset) for offset in range(5)] == [0, 0, 2, 2, 5]


def test_a_follower_keeps_the_bytes_of_its_leader(fs: MemoryFileSystem, harness: LogHarness) -> None:
    leader = harness.log
    append(leader, b"a", b"b", epoch=1)
    append(leader, b"c", epoch=2)
    sent = memoryview(leader.read(0, 10_000, 3, min_one_batch=True).read())
    follower_fs = MemoryFileSystem()
    follower = LogHarness(follower_fs).log
    info = follower.append_as_follower(memoryview(bytes(sent) + sent[:30]))
    assert info == (0, 2, 3, len(sent), -1, 0)
    assert bytes(follower_fs.content(FIRST)) == bytes(sent)
    assert follower.leader_epochs.entries == leader.leader_epochs.entries


@pytest.mark.parametrize("base_offset", [0, 3])
def test_a_follower_refuses_what_does_not_go_on(harness: LogHarness, base_offset: int) -> None:
    append(harness.log, b"a", b"b")
    with pytest.raises(CorruptSegment, match=f"offset {base_offset}"):
        harness.log.append_as_follower(memoryview(make_batch(b"c", base_offset=base_offset)))


def test_a_follower_refuses_a_fallen_epoch_and_a_damaged_batch(harness: LogHarness) -> None:
    append(harness.log, b"a", epoch=2)
    with pytest.raises(CorruptSegment, match="epoch 1"):
        harness.log.append_as_follower(memoryview(make_batch(b"c", base_offset=1, leader_epoch=1)))
    with pytest.raises(CorruptMessage):
        harness.log.append_as_follower(memoryview(make_batch(b"c", base_offset=1, leader_epoch=2)[:-1] + b"!"))


# rolling


def test_a_full_segment_is_closed_with_its_indexes_written(fs: MemoryFileSystem, harness: LogHarness) -> None:
    for _ in range(3):
        append(harness.log, bytes(400))
    assert names(fs) == [
        f"{0:020d}.index",
        f"{0:020d}.log",
        f"{0:020d}.timeindex",
        f"{2:020d}.log",
        f"{2:020d}.snapshot",
        "partition.metadata",
    ]
    assert values_from(harness.log) == [bytes(400)] * 3


def test_an_empty_segment_does_not_roll(fs: MemoryFileSystem, harness: LogHarness) -> None:
    harness.log.roll()
    append(harness.log, b"a")
    harness.log.roll()
    harness.log.roll()
    assert log_files(fs) == [f"{0:020d}.log", f"{1:020d}.log"]


def test_a_segment_that_cannot_be_made_fails_the_append_alone(fs: MemoryFileSystem, harness: LogHarness) -> None:
    append(harness.log, bytes(500))
    append(harness.log, bytes(300))
    fs.fail("open", path_part=f"{2:020d}.log", reason="Too many open files")
    with pytest.raises(StorageError, match="Too many"):
        append(harness.log, bytes(500))
    assert append(harness.log, bytes(500)) == 2


def test_indexes_that_cannot_be_written_do_not_stop_a_roll(fs: MemoryFileSystem, harness: LogHarness) -> None:
    fs.fail("writev", path_part="index", times=100)
    for _ in range(12):
        append(harness.log, bytes(150))
    fs.heal()
    assert len(values_from(harness.log)) == 12


# flushing


def test_a_flush_syncs_the_file_and_the_names_on_the_way_to_it(fs: MemoryFileSystem, harness: LogHarness) -> None:
    append(harness.log, b"a")
    fs.calls.clear()
    harness.log.flush()
    assert synced(fs) == ["partition.metadata", LEADER_EPOCHS + ".tmp", f"{0:020d}.log", "orders-0", "data"]
    assert harness.log.flushed_end_offset == 1
    append(harness.log, b"b")
    fs.calls.clear()
    harness.log.flush()
    assert synced(fs) == [f"{0:020d}.log"]


def test_nothing_new_needs_no_flush(harness: LogHarness) -> None:
    append(harness.log, b"a")
    harness.log.flush()
    assert harness.log.begin_flush() is None


def test_what_is_appended_during_a_flush_is_not_covered(harness: LogHarness) -> None:
    log = harness.log
    append(log, b"a")
    ticket = log.begin_flush()
    assert ticket is not None
    append(log, b"b")
    ticket.run()
    log.end_flush(ticket)
    assert ticket.end_offset == log.flushed_end_offset == 1
    assert log.unflushed_bytes > 0


def test_a_rolled_segment_is_synced_before_the_recovery_point_passes_it(
    fs: MemoryFileSystem, harness: LogHarness
) -> None:
    append(harness.log, b"a")
    harness.log.flush()
    append(harness.log, b"b")
    harness.log.roll()
    append(harness.log, b"c")
    assert harness.log.flushed_end_offset == 1
    fs.calls.clear()
    harness.log.flush()
    order = synced(fs)
    assert order.index(f"{0:020d}.log") < order.index(f"{2:020d}.log")
    assert {f"{0:020d}.timeindex", "orders-0"} <= set(order)
    assert harness.log.flushed_end_offset == 3


def test_a_roll_during_a_flush_is_left_to_the_next_one(fs: MemoryFileSystem, harness: LogHarness) -> None:
    log = harness.log
    append(log, b"a")
    first = log.begin_flush()
    assert first is not None
    append(log, b"b")
    log.roll()
    first.run()
    log.end_flush(first)
    assert log.flushed_end_offset == 1
    fs.calls.clear()
    log.flush()
    assert f"{0:020d}.log" in synced(fs)
    assert log.flushed_end_offset == 2


def test_overlapping_flushes_each_cover_everything(fs: MemoryFileSystem, harness: LogHarness) -> None:
    log = harness.log
    append(log, b"a")
    log.roll()
    first = log.begin_flush()
    append(log, b"b")
    second = log.begin_flush()
    assert first is not None
    assert second is not None
    fs.calls.clear()
    second.run()
    assert {f"{0:020d}.log", f"{1:020d}.log"} <= set(synced(fs))
    log.end_flush(second)
    first.run()
    log.end_flush(first)
    assert log.flushed_end_offset == 2


def test_a_failed_sync_is_final(fs: MemoryFileSystem, harness: LogHarness) -> None:
    log = harness.log
    append(log, b"a")
    log.flush()
    append(log, b"b")
    fs.fail("fdatasync", path_part=".log")
    with pytest.raises(StorageError, match="Input/output error"):
        log.flush()
    assert log.flushed_end_offset == 1
    assert log.is_offline
    for attempt in (log.flush, log.begin_flush, lambda: append(log, b"c")):
        with pytest.raises(StorageError, match="offline"):
            attempt()


def test_a_directory_that_cannot_be_synced_is_no_better(fs: MemoryFileSystem, harness: LogHarness) -> None:
    append(harness.log, b"a")
    fs.fail("sync_directory")
    with pytest.raises(StorageError):
        harness.log.flush()
    assert harness.log.is_offline
    assert harness.log.flushed_end_offset == 0


def test_a_log_deleted_during_a_flush_is_no_fault(harness: LogHarness) -> None:
    append(harness.log, b"a")
    ticket = harness.log.begin_flush()
    assert ticket is not None
    harness.log.delete()
    ticket.run()
    harness.log.end_flush(ticket)
    assert harness.home.offline_reason is None
    assert harness.home.recovery_points == {}


def test_a_truncation_during_a_flush_voids_it(harness: LogHarness) -> None:
    log = harness.log
    append(log, b"a")
    append(log, b"b")
    ticket = log.begin_flush()
    assert ticket is not None
    ticket.run()
    log.truncate_to(1)
    append(log, b"other")
    log.end_flush(ticket)
    assert log.flushed_end_offset == 0
    log.flush()
    assert log.flushed_end_offset == 2


def test_index_entries_of_a_long_segment_are_written_before_it_is_closed(fs: MemoryFileSystem) -> None:
    harness = LogHarness(fs, replace(SMALL, segment_bytes=10_000_000, index_interval_bytes=1))
    for _ in range(600):
        append(harness.log, b"x")
    fs.calls.clear()
    harness.log.flush()
    assert len(fs.content(FIRST.with_suffix(".index"))) > 500 * 8
    synced = {Path(path).suffix for name, path in fs.calls if name == "fdatasync"}
    assert synced >= {".log", ".index", ".timeindex"}  # a clean stop will say that the indexes are whole


# the start of the log


def test_deleted_records_are_gone_for_good_when_the_call_returns(fs: MemoryFileSystem, harness: LogHarness) -> None:
    log = harness.log
    for _ in range(3):
        append(log, b"a", b"b")
    fs.calls.clear()
    log.delete_records(3)
    assert [name for name, _ in fs.calls][-3:] == ["fdatasync", "rename", "sync_directory"]
    assert checkpoint.read_offsets(fs, DATA / LOG_START_OFFSETS) == {PARTITION: 3}
    assert log.log_start_offset == 3
    assert log.append_as_leader(prepared(make_batch(b"c")), 0).log_start_offset == 3


def test_a_start_that_cannot_be_written_does_not_move(fs: MemoryFileSystem, harness: LogHarness) -> None:
    append(harness.log, b"a", b"b")
    fs.fail("fdatasync")
    with pytest.raises(StorageError):
        harness.log.delete_records(1)
    assert harness.log.log_start_offset == 0
    harness.log.delete_records(2)
    assert checkpoint.read_offsets(fs, DATA / LOG_START_OFFSETS) == {PARTITION: 2}


def test_the_start_neither_passes_the_end_nor_goes_back(harness: LogHarness) -> None:
    append(harness.log, b"a", b"b")
    with pytest.raises(OffsetOutOfRange):
        harness.log.delete_records(3)
    harness.log.delete_records(2)
    harness.log.delete_records(1)
    assert harness.log.log_start_offset == 2


def test_deleted_records_do_not_come_back(harness: LogHarness) -> None:
    append(harness.log, b"a", b"b")
    harness.log.delete_records(2)
    assert harness.reopen().log_start_offset == 2


def retained(fs: MemoryFileSystem, **changes: int) -> LogHarness:
    harness = LogHarness(fs, replace(SMALL, retention_ms=-1, **changes))  # type: ignore[arg-type]
    for number in range(5):
        append(harness.log, bytes(500), timestamps_ms=(1000 * number,))
    return harness


def test_retention_removes_the_oldest_segments_and_moves_the_start(fs: MemoryFileSystem) -> None:
    log = retained(fs, retention_bytes=1000).log
    fs.calls.clear()
    assert apply_retention(log, 0) == 3
    assert log_files(fs) == [f"{offset:020d}.log" for offset in (3, 4)]
    assert log.log_start_offset == 3
    assert log.size_bytes == sum(len(fs.content(DATA / "orders-0" / name)) for name in log_files(fs))
    removed = [Path(path).name for name, path in fs.calls if name == "unlink" and path.endswith(".log")]
    assert removed == [f"{offset:020d}.log" for offset in (0, 1, 2)]


def test_the_new_start_is_on_the_disk_before_a_file_goes(fs: MemoryFileSystem) -> None:
    log = retained(fs, retention_bytes=1000).log
    fs.calls.clear()
    apply_retention(log, 0)
    order = [name for name, _ in fs.calls]
    assert order.index("sync_directory") < order.index("unlink")


def test_files_that_could_not_be_removed_are_tried_again(fs: MemoryFileSystem) -> None:
    log = retained(fs, retention_bytes=1000).log
    fs.fail("unlink", nth=2)
    with pytest.raises(StorageError):
        apply_retention(log, 0)
    assert log.log_start_offset == 3
    assert log.has_retired
    assert apply_retention(log, 0) == 0
    assert not log.has_retired
    assert log_files(fs) == [f"{offset:020d}.log" for offset in (3, 4)]


def test_a_log_whose_records_are_all_too_old_keeps_its_offsets(fs: MemoryFileSystem) -> None:
    harness = retained(fs)
    harness.log.reconfigure(replace(harness.config, retention_ms=10))
    fs.calls.clear()
    assert apply_retention(harness.log, 1_000_000) == 5
    order = [(name, Path(path).name) for name, path in fs.calls]
    assert order.index(("sync_directory", "orders-0")) < order.index(("unlink", f"{0:020d}.log"))
    assert log_files(fs) == [f"{5:020d}.log"]
    assert (harness.log.log_start_offset, harness.log.log_end_offset) == (5, 5)
    assert append(harness.log, b"x") == 5
    assert values_from(harness.reopen(), 5) == [b"x"]


def test_deleted_records_make_their_segments_go(fs: MemoryFileSystem) -> None:
    log = retained(fs).log
    log.delete_records(2)
    assert apply_retention(log, 0) == 2
    assert log_files(fs)[0] == f"{2:020d}.log"


# truncation


def test_truncation_removes_whole_batches(fs: MemoryFileSystem, harness: LogHarness) -> None:
    log = harness.log
    for number in range(4):
        append(log, bytes(400), b"%d" % number, epoch=number)
    log.truncate_to(5)
    assert log.log_end_offset == 4
    assert log.leader_epochs.entries == (EpochEntry(0, 0), EpochEntry(1, 2))
    assert append(log, b"new", epoch=9) == 4
    assert values_from(log, 3) == [b"1", b"new"]
    assert log_files(fs) == [f"{0:020d}.log", f"{4:020d}.log"] or len(log_files(fs)) < 4


def test_truncation_lowers_the_recovery_point_on_disk_first(fs: MemoryFileSystem, harness: LogHarness) -> None:
    log = harness.log
    for number in range(4):
        append(log, bytes(400), b"%d" % number)
    log.flush()
    harness.home.save_recovery_points()
    fs.calls.clear()
    log.truncate_to(2)
    touched = [Path(path).name for name, path in fs.calls if name in {"rename", "unlink", "truncate"}]
    assert touched[1].startswith(RECOVERY_POINTS)
    assert checkpoint.read_offsets(fs, DATA / RECOVERY_POINTS) == {PARTITION: 2}
    assert log.flushed_end_offset == 2


def test_truncation_within_a_batch_lowers_the_recovery_point_to_its_beginning(
    fs: MemoryFileSystem, harness: LogHarness
) -> None:
    append(harness.log, b"0", b"1")
    append(harness.log, b"2", b"3", b"4")
    harness.log.flush()
    harness.home.save_recovery_points()
    fs.fail("truncate", path_part=".log")  # it could as well die here, or right after it
    with pytest.raises(StorageError):
        harness.log.truncate_to(4)
    assert checkpoint.read_offsets(fs, DATA / RECOVERY_POINTS) == {PARTITION: 2}


def test_truncation_beyond_the_end_does_nothing(fs: MemoryFileSystem, harness: LogHarness) -> None:
    append(harness.log, b"a")
    fs.calls.clear()
    harness.log.truncate_to(1)
    harness.log.truncate_to(9)
    assert fs.calls == []


def test_everything_can_be_truncated(harness: LogHarness) -> None:
    append(harness.log, b"a")
    append(harness.log, b"b")
    harness.log.truncate_to(0)
    assert harness.log.log_end_offset == 0
    assert harness.log.size_bytes == 0
    assert append(harness.log, b"c") == 0


def test_a_failed_truncation_puts_the_log_offline(fs: MemoryFileSystem, harness: LogHarness) -> None:
    append(harness.log, b"a")
    append(harness.log, b"b")
    fs.fail("truncate", path_part=".log")
    with pytest.raises(StorageError):
        harness.log.truncate_to(1)
    assert harness.log.is_offline


# the end


def test_a_closed_log_is_whole_on_the_disk(fs: MemoryFileSystem, harness: LogHarness) -> None:
    for number in range(5):
        append(harness.log, bytes(150), epoch=number)
    harness.log.close()
    assert harness.log.flushed_end_offset == 5
    assert len(fs.content(FIRST.with_suffix(".timeindex"))) > 0
    epochs = LeaderEpochs.load(fs, DATA / "orders-0")
    assert epochs is not None
    assert epochs.latest_epoch == 4


def test_closing_an_idle_log_writes_nothing(fs: MemoryFileSystem, harness: LogHarness) -> None:
    append(harness.log, b"a")
    harness.log.close()
    log = harness.reopen(was_clean=True)
    fs.calls.clear()
    log.close()
    assert fs.calls == []


def test_an_offline_log_is_closed_without_a_flush(fs: MemoryFileSystem, harness: LogHarness) -> None:
    append(harness.log, b"a")
    harness.log.mark_offline("broken")
    fs.calls.clear()
    harness.log.close()
    assert fs.calls == []


def test_a_deleted_log_leaves_nothing(fs: MemoryFileSystem, harness: LogHarness) -> None:
    append(harness.log, b"a")
    harness.log.roll()
    taken = harness.log.read(0, 100, 1, min_one_batch=True)
    harness.log.delete()
    assert fs.files() == []
    assert len(taken.read()) == taken.size


def test_a_deletion_that_is_interrupted_has_freed_the_name(fs: MemoryFileSystem, harness: LogHarness) -> None:
    append(harness.log, b"a")
    fs.fail("unlink")
    with pytest.raises(StorageError):
        harness.log.delete()
    assert not fs.exists(harness.directory)


def test_another_configuration_counts_from_the_next_append(fs: MemoryFileSystem, harness: LogHarness) -> None:
    append(harness.log, bytes(400))
    harness.log.reconfigure(replace(SMALL, segment_bytes=600))
    append(harness.log, bytes(400))
    assert len(log_files(fs)) == 2


def test_what_happens_is_told(tmp_path: Path, fs: MemoryFileSystem) -> None:
    events.open_log(tmp_path / "events")
    try:
        harness = LogHarness(fs, replace(SMALL, retention_bytes=0))
        append(harness.log, b"a", epoch=2)
        harness.log.roll()
        append(harness.log, b"b", epoch=2)
        harness.log.flush()
        harness.log.truncate_to(1)
        apply_retention(harness.log, 0)
        harness.log.mark_offline("test")
        harness.log.delete()
    finally:
        events.open_log(None)
    told = [json.loads(line) for line in (tmp_path / "events").read_text().splitlines()]
    assert [event["event"] for event in told] == [
        "PartitionCreated",
        "EpochAssigned",
        "SegmentRolled",
        "LogFlushed",
        "LogTruncated",
        "SegmentRolled",
        "SegmentDeleted",
        "LogOffline",
        "PartitionDeleted",
    ]
    assert {(event["topic"], event["partition"]) for event in told} == {("orders", 0)}
