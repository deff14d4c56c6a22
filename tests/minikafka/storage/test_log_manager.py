from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from minikafka.errors import StorageError
from minikafka.storage import checkpoint
from minikafka.storage.filenames import CLEAN_SHUTDOWN, RECOVERY_POINTS
from minikafka.storage.fs import FileSystem, OsFileSystem
from minikafka.storage.log_manager import LogManager
from minikafka.types import TopicPartition, new_uuid
from tests.support.clock import ManualClock
from tests.support.memory_fs import MemoryFileSystem
from tests.support.storage import DATA, SMALL, append, values_from

A, B = TopicPartition("a", 0), TopicPartition("b", 3)
MARKER = DATA / CLEAN_SHUTDOWN


def manager(fs: FileSystem, *directories: Path) -> LogManager:
    made = LogManager(directories or (DATA,), fs, ManualClock(), SMALL)
    made.lock()
    made.claim("cluster-1", 1)
    made.open_all()
    return made


def killed(fs: MemoryFileSystem) -> LogManager:
    fs.process_died()
    return manager(fs)


def first_segment(topic_partition: TopicPartition) -> Path:
    return DATA / str(topic_partition) / f"{0:020d}.log"


@pytest.fixture
def fs() -> MemoryFileSystem:
    return MemoryFileSystem()


def test_logs_are_made_and_found(fs: MemoryFileSystem) -> None:
    logs = manager(fs)
    log = logs.create(A, new_uuid())
    assert logs.get(A) is log
    assert logs.get(B) is None
    assert dict(logs.logs) == {A: log}
    with pytest.raises(StorageError, match="exists"):
        logs.create(A, new_uuid())


def test_everything_is_there_after_a_clean_stop(fs: MemoryFileSystem) -> None:
    logs = manager(fs)
    topic_id = new_uuid()
    append(logs.create(A, topic_id), b"one")
    logs.create(B, new_uuid())
    logs.close()
    assert fs.exists(MARKER)
    again = manager(fs)
    assert not fs.exists(MARKER)
    assert set(again.logs) == {A, B}
    log = again.logs[A]
    assert (log.topic_id, values_from(log), log.flushed_end_offset) == (topic_id, [b"one"], 1)


def test_everything_is_there_after_a_process_death(fs: MemoryFileSystem) -> None:
    logs = manager(fs)
    log = logs.create(A, new_uuid())
    for number in range(40):
        append(log, b"%030d" % number)
    again = killed(fs)
    assert values_from(again.logs[A]) == [b"%030d" % number for number in range(40)]


def test_real_files_do_as_well(tmp_path: Path) -> None:
    logs = manager(OsFileSystem(), tmp_path)
    log = logs.create(A, new_uuid())
    for number in range(40):
        append(log, b"%030d" % number)
    log.flush()
    logs.checkpoint_recovery_points()
    append(log, b"torn")
    for home in logs.directories:
        home.release()
    last = max((tmp_path / "a-0").glob("*.log"))
    last.write_bytes(last.read_bytes()[:-3])
    again = manager(OsFileSystem(), tmp_path)
    assert values_from(again.logs[A]) == [b"%030d" % number for number in range(40)]
    again.delete(A)
    assert not (tmp_path / "a-0").exists()
    again.close()


def test_the_marker_is_written_last(fs: MemoryFileSystem) -> None:
    logs = manager(fs)
    append(logs.create(A, new_uuid()), b"x")
    fs.calls.clear()
    logs.close()
    calls = [(name, Path(path).name) for name, path in fs.calls]
    marker = calls.index(("open", CLEAN_SHUTDOWN))
    assert ("fdatasync", first_segment(A).name) in calls[:marker]
    assert ("sync_directory", "data") in calls[:marker]
    assert all(name in {CLEAN_SHUTDOWN, "data"} for _, name in calls[marker:])


@pytest.mark.parametrize("operation", ["fdatasync", "writev", "rename", "sync_directory"])
def test_a_stop_that_fails_is_not_called_clean(fs: MemoryFileSystem, operation: str) -> None:
    logs = manager(fs)
    append(logs.create(A, new_uuid()), b"x")
    fs.fail(operation, times=1000)
    logs.close()
    fs.heal()
    assert not fs.exists(MARKER) or operation == "sync_directory"
    assert values_from(manager(fs).logs[A]) == [b"x"]


def test_each_log_has_its_own_configuration(fs: MemoryFileSystem) -> None:
    logs = manager(fs)
    logs.create(A, new_uuid())
    logs.create(B, new_uuid())
    logs.close()
    other = replace(SMALL, segment_bytes=77)
    again = LogManager((DATA,), fs, ManualClock(), SMALL)
    again.lock()
    again.open_all({"b": other})
    assert again.logs[A].config is SMALL
    assert again.logs[B].config is other
    assert again.create(TopicPartition("c", 0), new_uuid(), other).config is other


def test_logs_are_spread_over_the_directories(fs: MemoryFileSystem) -> None:
    logs = manager(fs, Path("/one"), Path("/two"))
    for number in range(6):
        logs.create(TopicPartition("t", number), new_uuid())
    for home in logs.directories:
        assert sum(log.directory.parent == home.path for log in logs.logs.values()) == 3
    logs.directories[0].fail("broken")
    assert logs.create(TopicPartition("t", 6), new_uuid()).directory.parent == Path("/two")
    logs.directories[1].fail("broken too")
    with pytest.raises(StorageError, match="every data directory"):
        logs.create(TopicPartition("t", 7), new_uuid())


def test_a_broken_directory_takes_all_its_logs_along_and_no_others(fs: MemoryFileSystem) -> None:
    logs = manager(fs, Path("/one"), Path("/two"))
    for number in range(4):
        append(logs.create(TopicPartition("t", number), new_uuid()), b"x")
    victim = logs.logs[TopicPartition("t", 0)]
    fs.fail("fdatasync", path_part=str(victim.directory))
    with pytest.raises(StorageError):
        victim.flush()
    for log in logs.logs.values():
        assert log.is_offline == (log.directory.parent == victim.directory.parent)
    logs.close()
    fs.heal()
    broken = victim.directory.parent
    assert {path: fs.exists(path / CLEAN_SHUTDOWN) for path in (Path("/one"), Path("/two"))} == {
        broken: False,
        Path("/two") if broken == Path("/one") else Path("/one"): True,
    }


def test_another_brokers_directory_is_refused(fs: MemoryFileSystem) -> None:
    logs = manager(fs)
    assert logs.cluster_id == "cluster-1"
    other = LogManager((DATA,), fs, ManualClock(), SMALL)
    with pytest.raises(StorageError, match="another process"):
        other.lock()
    logs.close()
    other.lock()
    with pytest.raises(StorageError, match=r"cluster-1.*cluster-2"):
        other.claim("cluster-2", 1)


def test_an_unclaimed_directory_names_no_cluster(fs: MemoryFileSystem) -> None:
    logs = LogManager((DATA,), fs, ManualClock(), SMALL)
    logs.lock()
    assert logs.cluster_id is None


def damaged(fs: MemoryFileSystem) -> LogManager:
    logs = manager(fs)
    for topic_partition in (A, B):
        log = logs.create(topic_partition, new_uuid())
        for number in range(4):
            append(log, b"%d" % number)
    fs.content(first_segment(A))[80] ^= 1
    return killed(fs)


def test_a_corrupt_log_is_offline_and_the_others_are_not(fs: MemoryFileSystem) -> None:
    logs = damaged(fs)
    assert set(logs.logs) == {B}
    assert set(logs.offline_partitions) == {A}
    assert "minikafka log verify --repair /data/a-0" in logs.offline_partitions[A]
    with pytest.raises(StorageError, match="offline"):
        logs.get(A)
    with pytest.raises(StorageError, match="exists"):
        logs.create(A, new_uuid())


def test_a_corrupt_log_stays_so_until_it_is_repaired(fs: MemoryFileSystem) -> None:
    logs = damaged(fs)
    logs.close()
    assert not fs.exists(MARKER)
    assert set(manager(fs).offline_partitions) == {A}


def test_a_corrupt_log_can_be_deleted(fs: MemoryFileSystem) -> None:
    logs = damaged(fs)
    logs.delete(A)
    assert not logs.offline_partitions
    assert values_from(logs.get(B) or logs.create(B, b"")) == [b"0", b"1", b"2", b"3"]
    assert logs.create(A, new_uuid()).log_end_offset == 0


def test_after_a_power_loss_the_same_damage_is_cut_off(fs: MemoryFileSystem) -> None:
    logs = manager(fs)
    log = logs.create(A, new_uuid())
    for number in range(4):
        append(log, b"%d" % number)
    fs.content(first_segment(A))[80] ^= 1
    fs.machine_restarted()
    again = manager(fs)
    assert values_from(again.logs[A]) == [b"0"]


def test_a_recovery_that_did_not_end_does_not_make_a_power_loss_a_mere_death(fs: MemoryFileSystem) -> None:
    logs = manager(fs)
    for topic_partition in (A, B):
        log = logs.create(topic_partition, new_uuid())
        for number in range(4):
            append(log, b"%d" % number)
        fs.content(first_segment(topic_partition))[80] ^= 1
    fs.machine_restarted()
    fs.fail("truncate", path_part=".log", nth=2)
    assert len(manager(fs).offline_partitions) == 1
    fs.heal()
    again = killed(fs)
    assert {tp: values_from(log) for tp, log in again.logs.items()} == {A: [b"0"], B: [b"0"]}


def test_recovery_begins_at_the_last_checkpoint(fs: MemoryFileSystem) -> None:
    logs = manager(fs)
    log = logs.create(A, new_uuid())
    append(log, b"0")
    log.flush()
    logs.checkpoint_recovery_points()
    assert checkpoint.read_offsets(fs, DATA / RECOVERY_POINTS) == {A: 1}
    append(log, b"1")
    again = killed(fs)
    assert again.logs[A].flushed_end_offset == 1
    assert values_from(again.logs[A]) == [b"0", b"1"]


def test_a_checkpoint_can_be_written_in_another_thread(fs: MemoryFileSystem) -> None:
    logs = manager(fs)
    log = logs.create(A, new_uuid())
    append(log, b"0")
    log.flush()
    tickets = logs.begin_checkpoint()
    append(log, b"1")
    log.flush()
    for ticket in tickets:
        ticket.run()
    logs.end_checkpoint(tickets)
    assert checkpoint.read_offsets(fs, DATA / RECOVERY_POINTS) == {A: 1}
    logs.checkpoint_recovery_points()
    assert logs.begin_checkpoint() == []


def test_a_deleted_topic_of_the_same_name_leaves_no_trace(fs: MemoryFileSystem) -> None:
    logs = manager(fs)
    log = logs.create(A, new_uuid())
    for _ in range(5):
        append(log, b"old")
    log.delete_records(3)
    log.flush()
    logs.checkpoint_recovery_points()
    logs.delete(A)
    logs.delete(A)
    append(logs.create(A, new_uuid()), b"new")
    again = killed(fs)
    assert not again.offline_partitions
    assert again.logs[A].log_start_offset == 0
    assert values_from(again.logs[A]) == [b"new"]


def test_what_is_left_of_deleted_partitions_is_cleared_away(fs: MemoryFileSystem) -> None:
    logs = manager(fs)
    append(logs.create(A, new_uuid()), b"x")
    fs.fail("unlink", times=100)
    with pytest.raises(StorageError):
        logs.delete(A)
    fs.heal()
    again = killed(fs)
    assert not again.logs
    assert not [entry for entry in fs.list_directory(DATA) if entry.is_directory]


def test_what_cannot_be_cleared_away_stops_nobody(fs: MemoryFileSystem) -> None:
    logs = manager(fs)
    append(logs.create(A, new_uuid()), b"x")
    fs.fail("unlink", times=100)
    with pytest.raises(StorageError):
        logs.delete(A)
    assert not killed(fs).logs


def test_other_directories_are_left_alone(fs: MemoryFileSystem) -> None:
    fs.make_directory(DATA / "lost+found")
    fs.make_directory(DATA / "notes")
    assert not manager(fs).logs
    assert fs.exists(DATA / "notes")


def test_retention_of_all_logs_costs_one_checkpoint(fs: MemoryFileSystem) -> None:
    logs = LogManager((DATA,), fs, ManualClock(), replace(SMALL, retention_ms=-1, retention_bytes=1000))
    logs.lock()
    logs.open_all()
    for topic_partition in (A, B):
        log = logs.create(topic_partition, new_uuid())
        for _ in range(5):
            append(log, bytes(500))
    fs.counts.clear()
    assert logs.apply_retention(0) == 6
    assert fs.counts["rename"] == 1
    assert [log.log_start_offset for log in logs.logs.values()] == [3, 3]
    assert logs.apply_retention(0) == 0
    fs.process_died()
    assert {log.log_start_offset for log in manager(fs).logs.values()} == {3}


def test_a_log_whose_files_cannot_be_removed_does_not_stop_the_others(fs: MemoryFileSystem) -> None:
    logs = LogManager((DATA,), fs, ManualClock(), replace(SMALL, retention_ms=-1, retention_bytes=1000))
    logs.lock()
    logs.open_all()
    for topic_partition in (A, B):
        log = logs.create(topic_partition, new_uuid())
        for _ in range(5):
            append(log, bytes(500))
    fs.fail("unlink", path_part="a-0", times=100)
    assert logs.apply_retention(0) == 6
    assert fs.exists(first_segment(A))
    assert not fs.exists(first_segment(B))
    logs.logs[B].mark_offline("broken")
    fs.heal()
    assert logs.apply_retention(0) == 0
    assert not fs.exists(first_segment(A))


def test_a_directory_that_cannot_be_read_is_an_error(fs: MemoryFileSystem) -> None:
    logs = LogManager((DATA,), fs, ManualClock(), SMALL)
    logs.lock()
    fs.fail("list_directory")
    with pytest.raises(StorageError):
        logs.open_all()
