"""A file system in memory that fails on request: what the log does when the disk is full, dies or takes half."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from minikafka.errors import StorageError
from minikafka.storage.fs import Buffer, DirectoryEntry


@dataclass(slots=True)
class _Inode:
    data: bytearray = field(default_factory=bytearray)
    modified_ms: int = 0


@dataclass(slots=True)
class _Fault:
    operation: str
    path_part: str
    nth: int
    times: int
    reason: str
    short: int | None
    seen: int = 0


class MemoryFile:
    """An open file: its inode, whatever names that has."""

    def __init__(self, fs: MemoryFileSystem, path: Path, inode: _Inode) -> None:
        self._fs = fs
        self._path = path
        self._inode = inode
        self.is_closed = False

    @property
    def path(self) -> Path:
        return self._path

    def writev(self, buffers: Sequence[Buffer]) -> int:
        content = b"".join(buffers)
        short = self._fs.come_by("writev", self._path)
        if short is None:
            short = self._fs.max_write
        taken = content[:short]
        self._inode.data += taken
        self._inode.modified_ms = self._fs.now_ms
        return len(taken)

    def pread(self, size: int, position: int) -> bytes:
        self._fs.come_by("pread", self._path)
        return bytes(self._inode.data[position : position + size])

    def pread_into(self, target: memoryview, position: int) -> int:
        content = self.pread(len(target), position)
        target[: len(content)] = content
        return len(content)

    def size(self) -> int:
        return len(self._inode.data)

    def modified_ms(self) -> int:
        return self._inode.modified_ms

    def truncate(self, size: int) -> None:
        self._fs.come_by("truncate", self._path)
        del self._inode.data[size:]
        self._inode.data.extend(bytes(size - len(self._inode.data)))

    def fdatasync(self) -> None:
        self._fs.come_by("fdatasync", self._path)

    def close(self) -> None:
        self.is_closed = True


class MemoryLock:
    def __init__(self, fs: MemoryFileSystem, path: Path) -> None:
        self._fs = fs
        self._path = path

    def release(self) -> None:
        self._fs.locks.discard(self._path)


class MemoryFileSystem:
    """Implements :class:`minikafka.storage.fs.FileSystem`.

    ``calls`` holds the name and the path of every call that changes or syncs something, in order.
    """

    def __init__(self) -> None:
        self.calls: list[tuple[str, str]] = []
        self.counts: Counter[str] = Counter()
        self.max_write: int | None = None
        """The most that one ``writev`` takes; None for all of it."""
        self.now_ms = 0
        self.current_boot_id = "boot-1"
        self.locks: set[Path] = set()
        self._inodes: dict[Path, _Inode] = {}
        self._directories: set[Path] = {Path("/")}
        self._faults: list[_Fault] = []

    def fail(
        self,
        operation: str,
        *,
        path_part: str = "",
        nth: int = 1,
        times: int = 1,
        reason: str = "Input/output error",
        short: int | None = None,
    ) -> None:
        """Make the ``nth`` call from now on fail, and ``times`` in all.

        Args:
            operation: The name of the method.
            path_part: Only calls whose path contains it count.
            nth: 1 is the next one.
            times: How many calls in a row.
            reason: What the error says.
            short: For ``writev``: take that many bytes instead of failing.
        """
        self._faults.append(_Fault(operation, path_part, nth, times, reason, short))

    def heal(self) -> None:
        """Forget every fault."""
        self._faults.clear()

    def process_died(self) -> None:
        """Release the locks, as the end of a process does; all that was written stays."""
        self.locks.clear()

    def machine_restarted(self) -> None:
        """As :meth:`process_died`, and tell the log that what was not synced may be missing."""
        self.process_died()
        self.current_boot_id += "+"

    def content(self, path: Path) -> bytearray:
        """The bytes of a file, to be looked at and damaged."""
        return self._inodes[path].data

    def files(self) -> list[Path]:
        """Every file's name."""
        return sorted(self._inodes)

    def come_by(self, operation: str, path: Path) -> int | None:
        """Count a call, and fail it if it is its turn; the number of bytes to take if it is cut short."""
        self.counts[operation] += 1
        if operation not in {"pread", "list_directory"}:
            self.calls.append((operation, str(path)))
        matching = [f for f in self._faults if f.operation == operation and f.path_part in str(path)]
        for fault in matching:
            fault.seen += 1
        for fault in matching:
            if fault.nth <= fault.seen < fault.nth + fault.times:
                if fault.short is not None:
                    return fault.short
                raise StorageError(f"cannot {operation} {path}: {fault.reason}")
        return None

    def open(self, path: Path, *, create: bool = False, exclusive: bool = False) -> MemoryFile:
        self.come_by("open", path)
        inode = self._inodes.get(path)
        if inode is not None and exclusive:
            raise StorageError(f"cannot open {path}: File exists")
        if inode is None:
            if not (create or exclusive) or path.parent not in self._directories:
                raise StorageError(f"cannot open {path}: No such file or directory")
            inode = self._inodes[path] = _Inode(modified_ms=self.now_ms)
        return MemoryFile(self, path, inode)

    def rename(self, source: Path, target: Path) -> None:
        self.come_by("rename", source)
        if source in self._inodes:
            self._inodes[target] = self._inodes.pop(source)
            return
        if source not in self._directories or target in self._directories:
            raise StorageError(f"cannot rename {source}: No such file or directory")
        for path in [path for path in self._inodes if source in path.parents]:
            self._inodes[target / path.relative_to(source)] = self._inodes.pop(path)
        for path in [path for path in self._directories if source in path.parents or path == source]:
            self._directories.remove(path)
            self._directories.add(target / path.relative_to(source))

    def unlink(self, path: Path) -> None:
        self.come_by("unlink", path)
        if self._inodes.pop(path, None) is None:
            raise StorageError(f"cannot remove {path}: No such file or directory")

    def make_directory(self, path: Path) -> None:
        self.come_by("make_directory", path)
        self._directories |= {path, *path.parents}

    def remove_directory(self, path: Path) -> None:
        self.come_by("remove_directory", path)
        if any(path in other.parents for other in (*self._inodes, *self._directories)):
            raise StorageError(f"cannot remove {path}: Directory not empty")
        self._directories.remove(path)

    def list_directory(self, path: Path) -> list[DirectoryEntry]:
        self.come_by("list_directory", path)
        if path not in self._directories:
            raise StorageError(f"cannot list {path}: No such file or directory")
        files = [DirectoryEntry(p.name, False, len(i.data)) for p, i in self._inodes.items() if p.parent == path]
        return files + [DirectoryEntry(p.name, True, 0) for p in self._directories if p.parent == path and p != path]

    def exists(self, path: Path) -> bool:
        return path in self._inodes or path in self._directories

    def sync_directory(self, path: Path) -> None:
        self.come_by("sync_directory", path)
        if path not in self._directories:
            raise StorageError(f"cannot sync {path}: No such file or directory")

    def lock(self, path: Path) -> MemoryLock:
        self.open(path, create=True)
        if path in self.locks:
            raise StorageError(f"cannot lock {path}: another process holds it")
        self.locks.add(path)
        return MemoryLock(self, path)

    def boot_id(self) -> str:
        return self.current_boot_id
