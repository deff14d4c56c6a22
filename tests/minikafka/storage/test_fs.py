"""Both file systems keep the same promises."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from minikafka.errors import StorageError
from minikafka.observability import failpoints
from minikafka.storage.fs import FileSystem, OsFileSystem, failpoint, read_file, remove_tree, write_fully
from tests.support.memory_fs import MemoryFileSystem


@pytest.fixture(params=["os", "memory"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[FileSystem, Path]]:
    if request.param == "os":
        yield OsFileSystem(), tmp_path
    else:
        fs = MemoryFileSystem()
        fs.make_directory(Path("/data"))
        yield fs, Path("/data")


def test_buffers_are_appended_and_read_at_any_position(place: tuple[FileSystem, Path]) -> None:
    fs, root = place
    file = fs.open(root / "a", create=True)
    assert file.writev((b"abc", bytearray(b"de"), memoryview(b"f"))) == 6
    assert file.writev((b"gh",)) == 2
    assert (file.pread(3, 2), file.pread(10, 6), file.pread(10, 8)) == (b"cde", b"gh", b"")
    assert file.size() == 8


def test_writes_go_to_the_end_after_a_truncation(place: tuple[FileSystem, Path]) -> None:
    fs, root = place
    file = fs.open(root / "a", create=True)
    file.writev((b"abcdef",))
    file.truncate(2)
    file.writev((b"X",))
    assert read_file(fs, root / "a") == b"abX"


def test_an_open_file_survives_the_removal_of_its_name(place: tuple[FileSystem, Path]) -> None:
    fs, root = place
    file = fs.open(root / "a", create=True)
    file.writev((b"abc",))
    fs.unlink(root / "a")
    assert not fs.exists(root / "a")
    assert file.pread(3, 0) == b"abc"
    file.fdatasync()


def test_exclusive_creation_refuses_an_existing_file(place: tuple[FileSystem, Path]) -> None:
    fs, root = place
    fs.open(root / "a", exclusive=True)
    with pytest.raises(StorageError, match="exists"):
        fs.open(root / "a", exclusive=True)


def test_what_is_missing_is_a_storage_error(place: tuple[FileSystem, Path]) -> None:
    fs, root = place
    missing = root / "missing"
    for call in (
        lambda: fs.open(missing),
        lambda: fs.open(missing / "below", create=True),
        lambda: fs.unlink(missing),
        lambda: fs.rename(missing, root / "b"),
        lambda: fs.list_directory(missing),
        lambda: fs.sync_directory(missing),
    ):
        with pytest.raises(StorageError, match="missing"):
            call()


def test_a_rename_replaces_the_target(place: tuple[FileSystem, Path]) -> None:
    fs, root = place
    write_fully(fs.open(root / "a", create=True), (b"new",))
    write_fully(fs.open(root / "b", create=True), (b"old",))
    fs.rename(root / "a", root / "b")
    fs.sync_directory(root)
    assert read_file(fs, root / "b") == b"new"
    assert [entry.name for entry in fs.list_directory(root)] == ["b"]


def test_a_directory_is_renamed_with_what_it_holds(place: tuple[FileSystem, Path]) -> None:
    fs, root = place
    fs.make_directory(root / "d" / "e")
    write_fully(fs.open(root / "d" / "a", create=True), (b"abc",))
    fs.rename(root / "d", root / "f")
    assert sorted(fs.list_directory(root / "f")) == [("a", False, 3), ("e", True, 0)]


def test_a_tree_is_removed(place: tuple[FileSystem, Path]) -> None:
    fs, root = place
    fs.make_directory(root / "d" / "e")
    fs.make_directory(root / "d" / "e")
    fs.open(root / "d" / "a", create=True)
    fs.open(root / "d" / "e" / "b", create=True)
    remove_tree(fs, root / "d")
    assert fs.list_directory(root) == []


def test_a_lock_is_held_by_one_at_a_time(place: tuple[FileSystem, Path]) -> None:
    fs, root = place
    lock = fs.lock(root / ".lock")
    with pytest.raises(StorageError, match="another process holds it"):
        fs.lock(root / ".lock")
    lock.release()
    fs.lock(root / ".lock").release()


def test_the_age_of_a_file_is_known(place: tuple[FileSystem, Path]) -> None:
    fs, root = place
    file = fs.open(root / "a", create=True)
    if isinstance(fs, MemoryFileSystem):
        fs.now_ms = 5_000
        file.writev((b"x",))
    else:
        os.utime(root / "a", (5, 5))
    assert file.modified_ms() == 5_000


def test_write_fully_survives_short_writes() -> None:
    fs = MemoryFileSystem()
    fs.make_directory(Path("/data"))
    fs.max_write = 3
    write_fully(fs.open(Path("/data/a"), create=True), (b"abcd", b"efgh"))
    assert read_file(fs, Path("/data/a")) == b"abcdefgh"
    assert fs.counts["writev"] == 3


def test_write_fully_gives_up_when_nothing_is_taken() -> None:
    fs = MemoryFileSystem()
    fs.make_directory(Path("/data"))
    fs.max_write = 0
    with pytest.raises(StorageError, match="nothing is taken"):
        write_fully(fs.open(Path("/data/a"), create=True), (b"abcd",))


def test_a_file_is_closed_with_its_last_reference(tmp_path: Path) -> None:
    gc.collect()  # what other tests have left
    before = os.listdir("/proc/self/fd")
    file = OsFileSystem().open(tmp_path / "a", create=True)
    assert len(os.listdir("/proc/self/fd")) == len(before) + 1
    del file
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) == len(before)


def test_a_closed_file_is_not_read_by_mistake(tmp_path: Path) -> None:
    file = OsFileSystem().open(tmp_path / "a", create=True)
    file.close()
    file.close()
    with pytest.raises(StorageError, match="read"):
        file.pread(1, 0)
    with pytest.raises(StorageError, match="write"):
        file.writev((b"x",))


def test_the_boot_id_is_the_same_until_the_machine_restarts() -> None:
    assert OsFileSystem().boot_id() == OsFileSystem().boot_id() != ""


def test_a_failpoint_fails_as_a_disk_does() -> None:
    with failpoints.active("log.after_append:error"), pytest.raises(StorageError, match="failpoint"):
        failpoint("log.after_append")
