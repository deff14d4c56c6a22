"""A file system in memory that writes down, in order, everything that is done to it.

Files and directories are inodes, and a name is an entry in a directory, as on a disk: what happens to a file's bytes
and what happens to its name reach the disk independently of each other.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path, PosixPath
from typing import NamedTuple

from minikafka.errors import StorageError
from minikafka.storage.fs import Buffer, DirectoryEntry

ROOT = 0
"""The inode of the directory "/"."""
_BITS = 16
"""An inode is the number of its directory, and which one it was there: what happens elsewhere makes no difference."""


class Write(NamedTuple):
    """Bytes that were added to a file.

    Attributes:
        inode: Of the file.
        position: Where they are in it.
        data: The bytes.
        continues: Whether the write before has taken the beginning of what was to be written, and this is the rest.
    """

    inode: int
    position: int
    data: bytes
    continues: bool = False


class Truncate(NamedTuple):
    """A file that was cut."""

    inode: int
    size: int


class Sync(NamedTuple):
    """An fdatasync that has returned; it covers the operations of the trace before ``begun_at``."""

    inode: int
    begun_at: int


class Link(NamedTuple):
    """A new name, of a new file or directory."""

    directory: int
    name: str
    inode: int
    is_directory: bool


class Unlink(NamedTuple):
    """A name that was removed."""

    directory: int
    name: str


class Rename(NamedTuple):
    """A name that was changed, within one directory."""

    directory: int
    source: str
    target: str


class SyncDirectory(NamedTuple):
    """An fsync of a directory that has returned; it covers the operations of the trace before ``begun_at``."""

    directory: int
    begun_at: int


class Mark(NamedTuple):
    """Not an operation: what whoever uses the files expects of them from here on."""

    value: object


NameOperation = Link | Unlink | Rename
Operation = Write | Truncate | Sync | NameOperation | SyncDirectory | Mark


def change(directories: dict[int, dict[str, int]], files: dict[int, bytes], operation: Operation) -> None:
    """Do an operation to the entries of directories and the bytes of files."""
    if isinstance(operation, Write):
        files[operation.inode] = files.get(operation.inode, b"") + operation.data
    elif isinstance(operation, Truncate):
        files[operation.inode] = files.get(operation.inode, b"")[: operation.size]
    elif isinstance(operation, Link):
        if operation.is_directory:
            directories.setdefault(operation.inode, {})
        directories[operation.directory][operation.name] = operation.inode
    elif isinstance(operation, Unlink):
        del directories[operation.directory][operation.name]
    elif isinstance(operation, Rename):
        entries = directories[operation.directory]
        entries[operation.target] = entries.pop(operation.source)


class Episode(NamedTuple):
    """Part of a trace, and how many operations there were before it."""

    begun_at: int
    operations: Sequence[Operation]

    def concerns_only(self, directory: int) -> bool:
        """Whether it is about nothing but a directory and the files in it."""
        inodes = {
            operation.inode if isinstance(operation, Write | Truncate | Sync) else operation.directory
            for operation in self.operations
            if not isinstance(operation, Mark)
        }
        return all(directory in {inode, inode >> _BITS} for inode in inodes)


@dataclass(frozen=True, slots=True)
class Image:
    """A whole disk: the entries of each directory and the bytes of each file, by inode."""

    directories: Mapping[int, Mapping[str, int]]
    files: Mapping[int, bytes]


EMPTY = Image({ROOT: {}}, {})


class KnownPath(PosixPath):
    """A path that makes those below it only once; nothing else is done so often."""

    def __truediv__(self, name: str | PathLike[str]) -> KnownPath:
        known: dict[object, KnownPath] = self.__dict__.setdefault("known", {})
        below = known.get(name)
        if below is None:
            below = known[name] = KnownPath(str(self), name)
        return below


class WriteFault(NamedTuple):
    """What becomes of a write to a segment: so many bytes are taken, or it fails."""

    taken: int
    fails: bool = False


class RecordingFile:
    """An open file: its inode, whatever names that has."""

    __slots__ = ("_fs", "_inode", "_path")

    def __init__(self, fs: RecordingFileSystem, path: Path, inode: int) -> None:
        self._fs = fs
        self._path = path
        self._inode = inode

    @property
    def path(self) -> Path:
        return self._path

    def writev(self, buffers: Sequence[Buffer]) -> int:
        return self._fs.write(self._path, self._inode, b"".join(buffers))

    def pread(self, size: int, position: int) -> bytes:
        return bytes(self._fs.files[self._inode][position : position + size])

    def pread_into(self, target: memoryview, position: int) -> int:
        content = self.pread(len(target), position)
        target[: len(content)] = content
        return len(content)

    def size(self) -> int:
        return len(self._fs.files[self._inode])

    def modified_ms(self) -> int:
        return 0

    def truncate(self, size: int) -> None:
        self._fs.files[self._inode] = self._fs.files[self._inode][:size]
        self._fs.trace.append(Truncate(self._inode, size))

    def fdatasync(self) -> None:
        begun_at = self._fs.sync_begins()
        self._fs.trace.append(Sync(self._inode, begun_at))

    def close(self) -> None:
        """There is nothing to let go of."""


class RecordingLock:
    """A lock, as long as the process lives."""

    def __init__(self, locks: set[Path], path: Path) -> None:
        self._locks = locks
        self._path = path

    def release(self) -> None:
        self._locks.discard(self._path)


class RecordingFileSystem:
    """Implements :class:`minikafka.storage.fs.FileSystem`; ``trace`` has the operations.

    Args:
        image: What is on the disk at first.
        boot: Which start of the machine this is.
    """

    def __init__(self, image: Image = EMPTY, boot: int = 0) -> None:
        self.directories = {inode: dict(entries) for inode, entries in image.directories.items()}
        self.files = dict(image.files)
        self.trace: list[Operation] = []
        self.write_faults: deque[WriteFault] = deque()
        """What becomes of the next writes to segments; those after them succeed."""
        self.meanwhile: Callable[[], None] | None = None
        """Called while a sync is under way, to do what other threads would."""
        self._is_cut = False
        self._boot = boot
        self._locks: set[Path] = set()
        self._last_inodes = {
            inode: max(entries.values(), default=inode << _BITS) for inode, entries in self.directories.items()
        }

    def mark(self, value: object) -> None:
        """Note what is expected from here on."""
        self.trace.append(Mark(value))

    def replay(self, episode: Episode) -> None:
        """Do again what was done on another disk, where everything that it concerns was the same."""
        later = len(self.trace) - episode.begun_at
        for operation in episode.operations:
            if isinstance(operation, Sync | SyncDirectory):
                self.trace.append(operation._replace(begun_at=operation.begun_at + later))
                continue
            self.trace.append(operation)
            if isinstance(operation, Link):
                self._link(operation)
            else:
                change(self.directories, self.files, operation)

    def contents(self, path: Path) -> Sequence[tuple[str, int, bytes | None]]:
        """Of a directory, and of everything in it, the name, the inode, and the bytes if it is a file."""
        inode = self._inode(path)
        children = self.directories[inode].items()
        return (".", inode, None), *((name, child, self.files.get(child)) for name, child in children)

    def process_died(self) -> None:
        """Release the locks, as the end of a process does; all that was written stays."""
        self._locks.clear()

    def write(self, path: Path, inode: int, data: bytes) -> int:
        continues, self._is_cut = self._is_cut, False
        if self.write_faults and path.suffix == ".log":
            fault = self.write_faults.popleft()
            if fault.fails:
                raise StorageError(f"cannot write to {path}: No space left on device")
            self._is_cut = fault.taken < len(data)
            data = data[: fault.taken]
        content = self.files[inode]
        self.files[inode] = content + data
        self.trace.append(Write(inode, len(content), data, continues))
        return len(data)

    def sync_begins(self) -> int:
        """Where in the trace a sync began, after others had time to do something until it ended."""
        begun_at = len(self.trace)
        if self.meanwhile is not None:
            self.meanwhile()
        return begun_at

    def open(self, path: Path, *, create: bool = False, exclusive: bool = False) -> RecordingFile:
        inode = self._find(path)
        if inode is None:
            if not (create or exclusive) or self._find(path.parent) is None:
                raise StorageError(f"cannot open {path}: No such file or directory")
            inode = self._new(path, is_directory=False)
        elif exclusive or inode in self.directories:
            raise StorageError(f"cannot open {path}: File exists")
        return RecordingFile(self, path, inode)

    def rename(self, source: Path, target: Path) -> None:
        assert source.parent == target.parent
        entries = self._entries(source.parent, "rename")
        if source.name not in entries:
            raise StorageError(f"cannot rename {source}: No such file or directory")
        self.trace.append(Rename(self._inode(source.parent), source.name, target.name))
        entries[target.name] = entries.pop(source.name)

    def unlink(self, path: Path) -> None:
        entries = self._entries(path.parent, "remove")
        if entries.get(path.name) not in self.files:
            raise StorageError(f"cannot remove {path}: No such file")
        self._unlink(path)

    def make_directory(self, path: Path) -> None:
        if not self.exists(path):
            self.make_directory(path.parent)
            self._new(path, is_directory=True)

    def remove_directory(self, path: Path) -> None:
        if self._entries(path, "remove"):
            raise StorageError(f"cannot remove {path}: Directory not empty")
        self._unlink(path)

    def list_directory(self, path: Path) -> list[DirectoryEntry]:
        return [
            DirectoryEntry(name, inode in self.directories, len(self.files.get(inode, b"")))
            for name, inode in self._entries(path, "list").items()
        ]

    def exists(self, path: Path) -> bool:
        return self._find(path) is not None

    def sync_directory(self, path: Path) -> None:
        self._entries(path, "sync")
        begun_at = self.sync_begins()
        self.trace.append(SyncDirectory(self._inode(path), begun_at))

    def lock(self, path: Path) -> RecordingLock:
        self.open(path, create=True)
        if path in self._locks:
            raise StorageError(f"cannot lock {path}: another process holds it")
        self._locks.add(path)
        return RecordingLock(self._locks, path)

    def boot_id(self) -> str:
        return f"boot-{self._boot}"

    def _find(self, path: Path) -> int | None:
        inode: int | None = ROOT
        for part in path.parts[1:]:
            inode = self.directories.get(inode, {}).get(part) if inode is not None else None
        return inode

    def _inode(self, path: Path) -> int:
        inode = self._find(path)
        assert inode is not None
        return inode

    def _entries(self, path: Path, action: str) -> dict[str, int]:
        inode = self._find(path)
        if inode not in self.directories:
            raise StorageError(f"cannot {action} {path}: No such directory")
        return self.directories[inode]

    def _new(self, path: Path, *, is_directory: bool) -> int:
        directory = self._inode(path.parent)
        link = Link(directory, path.name, self._last_inodes[directory] + 1, is_directory)
        self._link(link)
        self.trace.append(link)
        return link.inode

    def _link(self, link: Link) -> None:
        change(self.directories, self.files, link)
        self._last_inodes[link.directory] = link.inode
        if link.is_directory:
            self._last_inodes[link.inode] = link.inode << _BITS
        else:
            self.files[link.inode] = b""

    def _unlink(self, path: Path) -> None:
        directory = self._inode(path.parent)
        self.trace.append(Unlink(directory, path.name))
        del self.directories[directory][path.name]
