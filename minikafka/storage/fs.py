"""Files: the few primitives that the log is made of, and the operating system's version of them.

Everything that the log does to a disk goes through a :class:`FileSystem`, so that tests can count, fail, cut short or
lose any of it.  Every ``OSError`` becomes a :class:`StorageError` here and nowhere else.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, Protocol

from minikafka.errors import StorageError
from minikafka.observability.failpoints import hit

if sys.platform != "win32":
    import fcntl

Buffer = bytes | bytearray | memoryview

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
# macOS has no fdatasync; there fsync is the nearest.
_fdatasync = getattr(os, "fdatasync", os.fsync)


class DirectoryEntry(NamedTuple):
    """One name in a directory; the size of a directory means nothing."""

    name: str
    is_directory: bool
    size: int


class File(Protocol):
    """An open file that is written at its end and read anywhere.

    It stays readable when its name is removed, and is closed with its last reference: a reader that holds one never
    sees it closed, or its number used again for another file, under its feet.
    """

    @property
    def path(self) -> Path:
        """The name it was opened by."""
        ...

    def writev(self, buffers: Sequence[Buffer]) -> int:
        """Append the buffers in one call; the number of bytes written may be smaller than what was given."""
        ...

    def pread(self, size: int, position: int) -> bytes:
        """Up to ``size`` bytes from ``position``; fewer only at the end of the file."""
        ...

    def pread_into(self, target: memoryview, position: int) -> int:
        """Fill ``target`` with the bytes from ``position``; returns how many, fewer only at the end of the file."""
        ...

    def size(self) -> int:
        """The length of the file in bytes."""
        ...

    def modified_ms(self) -> int:
        """When it was last written to, in milliseconds since the epoch."""
        ...

    def truncate(self, size: int) -> None:
        """Cut the file to ``size`` bytes."""
        ...

    def fdatasync(self) -> None:
        """Return when every byte written before the call is on the disk.

        An error is final: the pages that could not be written count as clean afterwards, so that the next call
        would succeed without them.
        """
        ...

    def close(self) -> None:
        """Close it now; closing twice is harmless."""
        ...


class Lock(Protocol):
    """A held lock; the process's death releases it too."""

    def release(self) -> None:
        """Let the next one have it."""
        ...


class FileSystem(Protocol):
    """What the log asks of a file system.  Every method raises :class:`StorageError` when it fails."""

    def open(self, path: Path, *, create: bool = False, exclusive: bool = False) -> File:
        """Open a file for reading and appending.

        Args:
            path: Its name.
            create: Make it when it is missing.
            exclusive: Make it, and fail when it is there.
        """
        ...

    def rename(self, source: Path, target: Path) -> None:
        """Give a file or a directory a new name, replacing what had it, in one step."""
        ...

    def unlink(self, path: Path) -> None:
        """Remove a file's name."""
        ...

    def make_directory(self, path: Path) -> None:
        """Make a directory and those above it; one that is there is left alone."""
        ...

    def remove_directory(self, path: Path) -> None:
        """Remove an empty directory."""
        ...

    def list_directory(self, path: Path) -> list[DirectoryEntry]:
        """What a directory holds, in no order."""
        ...

    def exists(self, path: Path) -> bool:
        """Whether anything has this name."""
        ...

    def sync_directory(self, path: Path) -> None:
        """Return when the names in a directory are on the disk."""
        ...

    def lock(self, path: Path) -> Lock:
        """Lock a file, making it first, or fail at once if another process holds it."""
        ...

    def boot_id(self) -> str:
        """A text that changes when the machine restarts; empty when nobody knows."""
        ...


# Ten times as dear as a try block, so not for what happens to every batch, or to every file at a start.
@contextmanager
def _translated(action: str, path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _storage_error(action, path, error) from error


def _storage_error(action: str, path: Path, error: OSError) -> StorageError:
    return StorageError(f"cannot {action} {path}: {error.strerror or error}")


class OsFile:
    """A file of the operating system, by its raw descriptor: nothing is buffered in Python."""

    __slots__ = ("_fd", "_path")

    def __init__(self, path: Path, fd: int) -> None:
        self._path = path
        self._fd = fd

    @property
    def path(self) -> Path:  # noqa: D102 - see File
        return self._path

    def writev(self, buffers: Sequence[Buffer]) -> int:  # noqa: D102 - see File
        try:
            return os.writev(self._fd, buffers)
        except OSError as error:
            raise _storage_error("write to", self._path, error) from error

    def pread(self, size: int, position: int) -> bytes:  # noqa: D102 - see File
        try:
            return os.pread(self._fd, size, position)
        except OSError as error:
            raise _storage_error("read", self._path, error) from error

    def pread_into(self, target: memoryview, position: int) -> int:  # noqa: D102 - see File
        try:
            return os.preadv(self._fd, (target,), position)
        except OSError as error:
            raise _storage_error("read", self._path, error) from error

    def size(self) -> int:  # noqa: D102 - see File
        try:
            return os.fstat(self._fd).st_size
        except OSError as error:
            raise _storage_error("stat", self._path, error) from error

    def modified_ms(self) -> int:  # noqa: D102 - see File
        with _translated("stat", self._path):
            return os.fstat(self._fd).st_mtime_ns // 1_000_000

    def truncate(self, size: int) -> None:  # noqa: D102 - see File
        with _translated("truncate", self._path):
            os.ftruncate(self._fd, size)

    def fdatasync(self) -> None:  # noqa: D102 - see File
        with _translated("sync", self._path):
            _fdatasync(self._fd)

    def close(self) -> None:  # noqa: D102 - see File
        fd, self._fd = self._fd, -1
        if fd >= 0:
            try:
                os.close(fd)
            except OSError as error:
                raise _storage_error("close", self._path, error) from error

    def __del__(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)


class _OsLock:
    __slots__ = ("_file",)

    def __init__(self, file: OsFile) -> None:
        self._file = file

    def release(self) -> None:
        self._file.close()


class OsFileSystem:
    """The operating system's files."""

    __slots__ = ()

    def open(self, path: Path, *, create: bool = False, exclusive: bool = False) -> OsFile:  # noqa: D102
        flags = os.O_RDWR | os.O_APPEND | os.O_CLOEXEC
        if create or exclusive:
            flags |= os.O_CREAT
        if exclusive:
            flags |= os.O_EXCL
        try:
            return OsFile(path, os.open(path, flags, 0o644))
        except OSError as error:
            raise _storage_error("open", path, error) from error

    def rename(self, source: Path, target: Path) -> None:  # noqa: D102
        with _translated("rename", source):
            os.replace(source, target)

    def unlink(self, path: Path) -> None:  # noqa: D102
        with _translated("remove", path):
            os.unlink(path)

    def make_directory(self, path: Path) -> None:  # noqa: D102
        with _translated("make", path):
            os.makedirs(path, exist_ok=True)

    def remove_directory(self, path: Path) -> None:  # noqa: D102
        with _translated("remove", path):
            os.rmdir(path)

    def list_directory(self, path: Path) -> list[DirectoryEntry]:  # noqa: D102
        with _translated("list", path), os.scandir(path) as entries:
            return [_directory_entry(entry) for entry in entries]

    def exists(self, path: Path) -> bool:  # noqa: D102
        return os.path.exists(path)

    def sync_directory(self, path: Path) -> None:  # noqa: D102
        with _translated("sync", path):
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)

    def lock(self, path: Path) -> Lock:  # noqa: D102
        file = self.open(path, create=True)
        with _translated("lock", path):
            try:
                fcntl.flock(file._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno in {errno.EWOULDBLOCK, errno.EACCES}:
                    raise StorageError(f"cannot lock {path}: another process holds it") from None
                raise
        return _OsLock(file)

    def boot_id(self) -> str:  # noqa: D102
        try:
            return _BOOT_ID.read_text().strip()
        except OSError:
            return ""


def _directory_entry(entry: os.DirEntry[str]) -> DirectoryEntry:
    is_directory = entry.is_dir(follow_symlinks=False)
    return DirectoryEntry(entry.name, is_directory, 0 if is_directory else entry.stat().st_size)


def failpoint(name: str) -> None:
    """Come by a failpoint.

    Raises:
        StorageError: It is set to fail.
    """
    try:
        hit(name)
    except OSError as error:
        raise StorageError(str(error)) from error


def read_file(fs: FileSystem, path: Path) -> bytes:
    """The whole of a small file.

    Raises:
        StorageError: It cannot be read, or is not there.
    """
    file = fs.open(path)
    try:
        return file.pread(file.size(), 0)
    finally:
        file.close()


def write_fully(file: File, buffers: Sequence[Buffer]) -> None:
    """Append all the buffers, in as many calls as it takes.

    Raises:
        StorageError: A call failed; some of the bytes may have been written.
    """
    size = sum(map(len, buffers))
    written = file.writev(buffers)
    while written < size:
        more = file.writev((memoryview(b"".join(buffers))[written:],))
        if more <= 0:
            raise StorageError(f"cannot write to {file.path}: nothing is taken")
        written += more


def remove_tree(fs: FileSystem, directory: Path) -> None:
    """Remove a directory with the files and directories in it.

    Raises:
        StorageError: Something is left.
    """
    for entry in fs.list_directory(directory):
        path = directory / entry.name
        if entry.is_directory:
            remove_tree(fs, path)
        else:
            fs.unlink(path)
    fs.remove_directory(directory)
