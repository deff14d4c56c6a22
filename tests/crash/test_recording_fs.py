"""The file system of the model does what a real one does, as far as the storage can see."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given
from hypothesis import strategies as st

from minikafka.errors import StorageError
from minikafka.storage.fs import FileSystem, OsFileSystem, read_file, write_fully
from tests.crash.recording_fs import (
    Episode,
    Link,
    RecordingFileSystem,
    Rename,
    Sync,
    SyncDirectory,
    Truncate,
    Unlink,
    Write,
)

_FILE_ACTIONS = st.sampled_from(("create", "exclusive", "append", "cut", "rename", "unlink", "read"))
_FILES = st.sampled_from(("dir/a", "dir/b", "dir/sub/a", "other/b"))
_DIRECTORY_ACTIONS = st.sampled_from(("mkdir", "mkdir", "rmdir", "sync"))
_DIRECTORIES = st.sampled_from(("dir", "dir/sub", "other"))
_STEPS = st.lists(
    st.tuples(_FILE_ACTIONS, _FILES, st.sampled_from("ab"), st.integers(0, 20))
    | st.tuples(_DIRECTORY_ACTIONS, _DIRECTORIES, st.just(""), st.just(0)),
    max_size=25,
)
Step = tuple[str, str, str, int]


def do(fs: FileSystem, root: Path, step: Step) -> object:
    """One step, and what comes of it; None for a failure."""
    action, name, other, number = step
    path = root / name
    try:
        match action:
            case "create" | "exclusive":
                fs.open(path, create=True, exclusive=action == "exclusive").close()
            case "append":
                write_fully(fs.open(path), [bytes([number]) * number, b"end"])
            case "cut":
                file = fs.open(path)
                file.truncate(min(number, file.size()))
            case "rename":
                fs.rename(path, path.with_name(other))
            case "unlink":
                fs.unlink(path)
            case "mkdir":
                fs.make_directory(path)
            case "rmdir":
                fs.remove_directory(path)
            case "sync":
                fs.sync_directory(path)
            case "read":
                return read_file(fs, path)
    except StorageError:
        return None
    return True


def contents(fs: FileSystem, directory: Path) -> dict[str, object]:
    """All files and directories below a directory."""
    found: dict[str, object] = {}
    for entry in fs.list_directory(directory):
        path = directory / entry.name
        if entry.is_directory:
            found[entry.name] = contents(fs, path)
        else:
            found[entry.name] = read_file(fs, path)
            assert entry.size == len(read_file(fs, path))
    return found


@given(_STEPS)
def test_it_behaves_as_the_operating_systems_does(steps: list[Step]) -> None:
    recording, root = RecordingFileSystem(), Path("/data")
    recording.make_directory(root)
    with TemporaryDirectory() as directory:
        for step in steps:
            assert do(recording, root, step) == do(OsFileSystem(), Path(directory), step), step
        assert contents(recording, root) == contents(OsFileSystem(), Path(directory))


def test_a_directory_is_renamed_with_what_is_in_it() -> None:
    fs = RecordingFileSystem()
    fs.make_directory(Path("/data/old"))
    write_fully(fs.open(Path("/data/old/a"), create=True), [b"12"])
    fs.rename(Path("/data/old"), Path("/data/new"))
    assert contents(fs, Path("/data")) == {"new": {"a": b"12"}}


def test_everything_that_changes_a_disk_is_written_down() -> None:
    fs = RecordingFileSystem()
    fs.make_directory(Path("/data"))
    file = fs.open(Path("/data/a"), create=True)
    file.writev([b"12", b"34"])
    file.truncate(3)
    file.fdatasync()
    fs.rename(Path("/data/a"), Path("/data/b"))
    fs.sync_directory(Path("/data"))
    fs.unlink(Path("/data/b"))
    assert file.pread(10, 1) == b"23"
    inode = (1 << 16) + 1
    assert fs.trace == [
        Link(0, "data", 1, is_directory=True),
        Link(1, "a", inode, is_directory=False),
        Write(inode, 0, b"1234"),
        Truncate(inode, 3),
        Sync(inode, 4),
        Rename(1, "a", "b"),
        SyncDirectory(1, 6),
        Unlink(1, "b"),
    ]


def test_what_was_done_to_a_directory_can_be_done_again_on_another_disk() -> None:
    disks = [RecordingFileSystem(), RecordingFileSystem()]
    for fs in disks:
        fs.make_directory(Path("/data"))
        write_fully(fs.open(Path("/data/a"), create=True), [b"12"])
    first, second = disks
    first.make_directory(Path("/other"))
    begun_at = len(second.trace)
    second.rename(Path("/data/a"), Path("/data/b"))
    second.open(Path("/data/a"), create=True).fdatasync()
    write_fully(second.open(Path("/data/a")), [b"34"])
    done = Episode(begun_at, second.trace[begun_at:])
    first.replay(done)
    assert contents(first, Path("/data")) == contents(second, Path("/data")) == {"a": b"34", "b": b"12"}
    assert first.trace[-2:] == [Sync((1 << 16) + 2, len(first.trace) - 2), second.trace[-1]]
    assert done.concerns_only(1)
    assert not Episode(0, first.trace).concerns_only(1)
