from __future__ import annotations

import pytest

from minikafka.errors import StorageError
from minikafka.storage import checkpoint
from minikafka.storage.data_directory import DataDirectory
from minikafka.storage.filenames import CLEAN_SHUTDOWN, META_PROPERTIES, RECOVERY_POINTS
from minikafka.storage.fs import read_file, write_fully
from minikafka.types import TopicPartition
from tests.support.memory_fs import MemoryFileSystem
from tests.support.storage import DATA

A, B = TopicPartition("a", 0), TopicPartition("b", 1)
POINTS = DATA / RECOVERY_POINTS


@pytest.fixture
def fs() -> MemoryFileSystem:
    return MemoryFileSystem()


@pytest.fixture
def home(fs: MemoryFileSystem) -> DataDirectory:
    home = DataDirectory(DATA, fs)
    home.lock()
    return home


def test_two_brokers_never_share_a_directory(fs: MemoryFileSystem, home: DataDirectory) -> None:
    with pytest.raises(StorageError, match="another process"):
        DataDirectory(DATA, fs).lock()
    home.release()
    home.release()
    DataDirectory(DATA, fs).lock()


def test_the_names_of_new_directories_are_on_the_disk(fs: MemoryFileSystem) -> None:
    home = DataDirectory(DATA / "a" / "b", fs)
    home.lock()
    assert {path for name, path in fs.calls if name == "sync_directory"} == {"/", "/data", "/data/a"}
    home.release()
    fs.calls.clear()
    home.lock()
    assert not [path for name, path in fs.calls if name == "sync_directory"]


def test_a_directory_is_claimed_once(fs: MemoryFileSystem, home: DataDirectory) -> None:
    assert home.identity is None
    claimed = home.claim("cluster-1", 3)
    assert (claimed.cluster_id, claimed.node_id, len(claimed.directory_id)) == ("cluster-1", 3, 22)
    assert home.claim("cluster-1", 3) == claimed == home.identity
    lines = read_file(fs, DATA / META_PROPERTIES).decode().splitlines()
    assert lines[:3] == ["version=1", "cluster.id=cluster-1", "node.id=3"]
    assert lines[-1].startswith("#crc32c ")


def test_another_clusters_directory_is_refused_with_both_names(home: DataDirectory) -> None:
    home.claim("cluster-1", 3)
    with pytest.raises(StorageError, match=r"/data holds data of cluster cluster-1, .* cluster-2"):
        home.claim("cluster-2", 3)
    with pytest.raises(StorageError, match=r"broker 3, this is broker 4"):
        home.claim("cluster-1", 4)


def test_kafkas_properties_are_understood(fs: MemoryFileSystem, home: DataDirectory) -> None:
    text = b"#\n#Tue Nov 24 09:00:00 UTC 2026\nnode.id=7\ndirectory.id=abc\nversion=1\ncluster.id=x=y\n"
    write_fully(fs.open(DATA / META_PROPERTIES, create=True), (text,))
    assert home.identity == ("x=y", 7, "abc")


def test_damaged_properties_are_written_anew(fs: MemoryFileSystem, home: DataDirectory) -> None:
    home.claim("cluster-1", 3)
    fs.content(DATA / META_PROPERTIES)[12] ^= 1
    assert home.identity is None
    assert home.claim("cluster-1", 3).cluster_id == "cluster-1"


def test_the_clean_marker_is_taken_once_and_for_good(fs: MemoryFileSystem, home: DataDirectory) -> None:
    assert not home.take_clean_marker()
    home.write_clean_marker()
    fs.calls.clear()
    assert home.take_clean_marker()
    assert fs.calls == [("unlink", str(DATA / CLEAN_SHUTDOWN)), ("sync_directory", str(DATA))]
    assert not home.take_clean_marker()


def test_the_clean_marker_is_on_the_disk(fs: MemoryFileSystem, home: DataDirectory) -> None:
    fs.calls.clear()
    home.write_clean_marker()
    assert [name for name, _ in fs.calls] == ["open", "truncate", "writev", "fdatasync", "sync_directory"]


def test_a_restart_of_the_machine_is_noticed(fs: MemoryFileSystem, home: DataDirectory) -> None:
    assert home.has_machine_restarted()
    home.remember_boot()
    assert not home.has_machine_restarted()
    fs.machine_restarted()
    assert home.has_machine_restarted()


def test_where_nobody_knows_the_worst_is_assumed(fs: MemoryFileSystem, home: DataDirectory) -> None:
    fs.current_boot_id = ""
    home.remember_boot()
    assert home.has_machine_restarted()


def test_remembering_again_writes_nothing(fs: MemoryFileSystem, home: DataDirectory) -> None:
    home.remember_boot()
    fs.calls.clear()
    home.remember_boot()
    assert all(name == "open" for name, _ in fs.calls)


def test_a_checkpoint_is_written_beside_and_then_put_in_place(fs: MemoryFileSystem, home: DataDirectory) -> None:
    home.recovery_points |= {A: 5, B: 7}
    (ticket,) = home.begin_checkpoint()
    home.recovery_points[A] = 6
    ticket.run()
    assert checkpoint.read_offsets(fs, POINTS) is None
    home.end_checkpoint(ticket)
    assert checkpoint.read_offsets(fs, POINTS) == {A: 5, B: 7}


def test_what_the_file_has_is_not_written_again(home: DataDirectory) -> None:
    home.recovery_points[A] = 5
    (ticket,) = home.begin_checkpoint()
    ticket.run()
    home.end_checkpoint(ticket)
    assert not home.begin_checkpoint()
    home.recovery_points[A] = 6
    assert home.begin_checkpoint()


def test_how_far_logs_are_compacted_is_a_checkpoint_of_its_own(fs: MemoryFileSystem, home: DataDirectory) -> None:
    home.recovery_points[A] = 5
    home.cleaned_offsets[A] = 3
    for ticket in home.begin_checkpoint():
        ticket.run()
        home.end_checkpoint(ticket)
    assert checkpoint.read_offsets(fs, POINTS) == {A: 5}
    assert checkpoint.read_offsets(fs, DATA / "cleaner-offset-checkpoint") == {A: 3}
    again = DataDirectory(DATA, fs)
    again.read_checkpoints()
    assert again.cleaned_offsets == {A: 3}


def test_a_lowered_cleaned_offset_is_on_the_disk_at_once(fs: MemoryFileSystem, home: DataDirectory) -> None:
    home.cleaned_offsets |= {A: 30, B: 4}
    (ticket,) = home.begin_checkpoint()
    home.lower_cleaned_offset(A, 20)
    home.lower_cleaned_offset(B, 20)
    ticket.run()
    home.end_checkpoint(ticket)
    assert checkpoint.read_offsets(fs, DATA / "cleaner-offset-checkpoint") == {A: 20, B: 4}


def test_a_checkpoint_never_undoes_a_lowered_point(fs: MemoryFileSystem, home: DataDirectory) -> None:
    home.recovery_points[A] = 50
    (ticket,) = home.begin_checkpoint()
    home.lower_recovery_point(A, 20)
    assert checkpoint.read_offsets(fs, POINTS) == {A: 20}
    ticket.run()
    home.end_checkpoint(ticket)
    assert checkpoint.read_offsets(fs, POINTS) == {A: 20}


def test_a_point_that_is_lower_already_is_left_alone(fs: MemoryFileSystem, home: DataDirectory) -> None:
    home.recovery_points[A] = 5
    fs.calls.clear()
    home.lower_recovery_point(A, 20)
    home.lower_recovery_point(B, 20)
    assert fs.calls == []
    assert home.recovery_points == {A: 5}


def test_a_checkpoint_does_not_bring_back_a_deleted_log(fs: MemoryFileSystem, home: DataDirectory) -> None:
    home.recovery_points |= {A: 50, B: 7}
    (ticket,) = home.begin_checkpoint()
    home.forget(A)
    home.prepare_for(A)
    ticket.run()
    home.end_checkpoint(ticket)
    assert A not in (checkpoint.read_offsets(fs, POINTS) or {})


def test_a_new_log_does_not_find_the_numbers_of_a_deleted_one(fs: MemoryFileSystem, home: DataDirectory) -> None:
    home.recovery_points |= {A: 50, B: 7}
    home.log_start_offsets |= {A: 30, B: 0}
    home.cleaned_offsets |= {A: 40}
    home.save_recovery_points()
    home.save_log_start_offsets()
    home.save_cleaned_offsets()
    home.forget(A)
    home.prepare_for(A)
    again = DataDirectory(DATA, fs)
    again.read_checkpoints()
    assert again.recovery_points == {B: 7}
    assert again.log_start_offsets == {}
    assert again.cleaned_offsets == {}


def test_a_log_of_a_new_name_needs_no_write(fs: MemoryFileSystem, home: DataDirectory) -> None:
    home.recovery_points[A] = 50
    home.save_recovery_points()
    fs.calls.clear()
    home.prepare_for(B)
    assert fs.calls == []


def test_damaged_checkpoints_count_as_empty(fs: MemoryFileSystem, home: DataDirectory) -> None:
    home.recovery_points[A] = 50
    home.save_recovery_points()
    fs.content(POINTS)[5] ^= 1
    again = DataDirectory(DATA, fs)
    again.read_checkpoints()
    assert again.recovery_points == {}


def test_the_first_reason_to_be_offline_stays(home: DataDirectory) -> None:
    home.fail("the first")
    home.fail("the second")
    assert home.offline_reason == "the first"


def test_a_raised_log_start_offset_is_on_the_disk_or_as_before(fs: MemoryFileSystem, home: DataDirectory) -> None:
    home.raise_log_start_offset(A, 5)
    fs.fail("fdatasync", path_part="log-start-offset-checkpoint")
    with pytest.raises(StorageError):
        home.raise_log_start_offset(A, 9)
    assert home.log_start_offsets[A] == 5
    home.read_checkpoints()
    assert home.log_start_offsets[A] == 5
