"""The operating system's files, of which one call fails or takes only a part."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from minikafka.errors import StorageError
from minikafka.storage.fs import Buffer, OsFile, OsFileSystem


@dataclass(frozen=True, slots=True)
class Fault:
    """What becomes of the ``nth`` call of an operation, 1 being the next.

    ``errno`` is what it fails with; None for a write that takes half of its bytes, and fails the next time.
    """

    operation: str
    nth: int
    errno: int | None = errno.EIO

    def __str__(self) -> str:
        what = "is cut short" if self.errno is None else f"fails with {errno.errorcode[self.errno]}"
        return f"{self.operation} number {self.nth} {what}"


class FailingFileSystem(OsFileSystem):
    """Implements :class:`minikafka.storage.fs.FileSystem`; one fault at a time, from any thread."""

    __slots__ = ("_fault", "_lock", "_seen", "struck")

    def __init__(self) -> None:
        self.struck: Path | None = None
        """Where the fault has come about, if it has."""
        self._fault: Fault | None = None
        self._seen = 0
        self._lock = threading.Lock()

    def arm(self, fault: Fault) -> None:
        """Begin to count."""
        self._fault = fault

    def come_by(self, operation: str, path: Path) -> bool:
        """Count a call, and fail it if it is its turn; True when it is to be cut short.

        Raises:
            StorageError: It fails.
        """
        with self._lock:
            fault = self._fault
            if fault is None or fault.operation != operation:
                return False
            self._seen += 1
            if self._seen < fault.nth:
                return False
            if fault.errno is None and self._seen == fault.nth:
                self.struck = path
                return True
            self._fault = None
            self.struck = path
            code = fault.errno or errno.ENOSPC
        raise StorageError(f"cannot {operation} {path}: {os.strerror(code)}")

    def open(self, path: Path, *, create: bool = False, exclusive: bool = False) -> OsFile:
        self.come_by("open", path)
        file = super().open(path, create=create, exclusive=exclusive)
        return _FailingFile(self, file)

    def rename(self, source: Path, target: Path) -> None:
        self.come_by("rename", source)
        super().rename(source, target)

    def unlink(self, path: Path) -> None:
        self.come_by("unlink", path)
        super().unlink(path)

    def sync_directory(self, path: Path) -> None:
        self.come_by("sync_directory", path)
        super().sync_directory(path)


class _FailingFile(OsFile):
    __slots__ = ("_fs",)

    def __init__(self, fs: FailingFileSystem, file: OsFile) -> None:
        super().__init__(file.path, file._fd)
        file._fd = -1  # this one closes it
        self._fs = fs

    def writev(self, buffers: Sequence[Buffer]) -> int:
        if self._fs.come_by("writev", self.path):
            content = b"".join(buffers)
            return super().writev([content[: len(content) // 2]])
        return super().writev(buffers)

    def truncate(self, size: int) -> None:
        self._fs.come_by("truncate", self.path)
        super().truncate(size)

    def fdatasync(self) -> None:
        self._fs.come_by("fdatasync", self.path)
        super().fdatasync()
