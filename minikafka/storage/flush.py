"""Forcing a log to disk without stopping it: what has to be synced, taken down before the syncing begins."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from minikafka.errors import StorageError
from minikafka.storage.fs import File, FileSystem


class FlushTicket:
    """One round of forcing a log to disk, made by ``Log.begin_flush`` and handed back to ``Log.end_flush``.

    :meth:`run` is the only part of the log that may run in another thread: it touches the files it was given and
    nothing else, so that appends go on meanwhile.  What they write is not covered by the round.
    """

    __slots__ = ("_active", "_fs", "_on_error", "directories", "end_offset", "files", "truncations")

    def __init__(
        self,
        fs: FileSystem,
        files: Sequence[File],
        directories: Sequence[Path],
        *,
        active: File | None,
        end_offset: int,
        truncations: int,
        on_error: Callable[[StorageError], bool],
    ) -> None:
        self.files = files
        """Files that are not written any more."""
        self.directories = directories
        self.end_offset = end_offset
        """Every record below it is on the disk once :meth:`run` has returned."""
        self.truncations = truncations
        """How often the log had been truncated when the round began."""
        self._fs = fs
        self._active = active
        self._on_error = on_error

    def run(self) -> None:
        """Sync the files, then the directories that name them.

        Raises:
            StorageError: Something could not be synced: the log is offline from here on, for nobody can tell what
                the disk has, and a second try would succeed without having written anything.
        """
        try:
            for file in self.files:
                file.fdatasync()
            if self._active is not None:
                self._active.fdatasync()
            for directory in self.directories:
                self._fs.sync_directory(directory)
        except StorageError as error:
            if self._on_error(error):
                raise


class FlushState:
    """What of a log is not known to be on the disk.

    Rounds may overlap: each covers everything that no finished round has covered.

    Args:
        fs: The file system.
        end_offset: Every record below it is on the disk.
        files: Files that are not.
        unflushed_bytes: How much they hold.
        on_error: Told of an error, in the thread of the round; False when it does not matter any more.
    """

    __slots__ = ("_directories", "_files", "_fs", "_on_error", "_truncations", "end_offset", "unflushed_bytes")

    def __init__(
        self,
        fs: FileSystem,
        end_offset: int,
        *,
        files: Iterable[File],
        unflushed_bytes: int,
        on_error: Callable[[StorageError], bool],
    ) -> None:
        self.end_offset = end_offset
        self.unflushed_bytes = unflushed_bytes
        self._fs = fs
        self._files = list(files)
        self._directories: list[Path] = []
        self._truncations = 0
        self._on_error = on_error

    def add_files(self, files: Iterable[File]) -> None:
        """Have the next rounds sync these files too."""
        self._files += files

    def add_directory(self, directory: Path) -> None:
        """Have the next rounds sync the names in this directory too."""
        if directory not in self._directories:
            self._directories.append(directory)

    def begin(self, log_end_offset: int, active: File | None) -> FlushTicket | None:
        """Take down what is to be synced; None when all is on the disk.

        Args:
            log_end_offset: The offset after the last record that the round covers.
            active: The file that is written at the moment, if it has anything new.
        """
        if active is None and not self._files and not self._directories:
            return None
        self.unflushed_bytes = 0
        return FlushTicket(
            self._fs,
            tuple(self._files),
            tuple(self._directories),
            active=active,
            end_offset=log_end_offset,
            truncations=self._truncations,
            on_error=self._on_error,
        )

    def end(self, ticket: FlushTicket) -> None:
        """Take note that a round has been run."""
        if ticket.truncations != self._truncations:
            return
        # The active file may have been written and closed meanwhile; then it is among the files, but not the ticket's.
        self._files = [file for file in self._files if not any(file is synced for synced in ticket.files)]
        self._directories = [path for path in self._directories if path not in ticket.directories]
        self.end_offset = max(self.end_offset, ticket.end_offset)

    def truncated(self, log_end_offset: int) -> None:
        """Take note that the log is written again from ``log_end_offset`` on: rounds under way do not cover that."""
        self._truncations += 1
        self.end_offset = min(self.end_offset, log_end_offset)
        if self.end_offset == log_end_offset:
            self.unflushed_bytes = 0

    def sync_directories(self) -> None:
        """Sync the names at once.

        Raises:
            StorageError: They may not be on the disk.
        """
        while self._directories:
            self._fs.sync_directory(self._directories[-1])
            self._directories.pop()
