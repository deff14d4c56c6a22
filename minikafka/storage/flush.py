"""Forcing a log to disk without stopping it: what has to be synced, taken down before the syncing begins."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from minikafka.errors import StorageError
from minikafka.storage.fs import File, FileSystem, failpoint

WAITING_FILE_BYTES = 32 * 1024 * 1024
"""A segment that has ended has three files or more: with the default bounds it is flushed at once, as in Kafka."""


class FlushTicket:
    """One round of forcing a log to disk, made by ``Log.begin_flush`` and handed back to ``Log.end_flush``.

    :meth:`run` is the only part of the log that may run in another thread: it touches the files it was given and
    nothing else, so that appends go on meanwhile.  What they write is not covered by the round.
    """

    __slots__ = ("_active", "_fs", "_on_error", "directories", "end_offset", "files", "truncations")

    def __init__(
        self,
        fs: FileSystem,
        files: Mapping[File, int],
        directories: Mapping[Path, int],
        *,
        active: File | None,
        end_offset: int,
        truncations: int,
        on_error: Callable[[StorageError], bool],
    ) -> None:
        self.files = files
        """Files that are not written any more, and which addition of each of them the round covers."""
        self.directories = directories
        """The same of directories."""
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
            failpoint("flush.before_sync")
            for file in self.files:
                file.fdatasync()
            if self._active is not None:
                self._active.fdatasync()
            for directory in self.directories:
                self._fs.sync_directory(directory)
            failpoint("flush.after_sync")
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

    __slots__ = (
        "_additions",
        "_directories",
        "_files",
        "_fs",
        "_on_error",
        "_truncations",
        "end_offset",
        "unflushed_bytes",
    )

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
        """What has been appended since a round was begun last, and what waiting files count for."""
        self._fs = fs
        self._files: dict[File, int] = {}
        self._directories: dict[Path, int] = {}
        self._additions = 0
        self._truncations = 0
        self._on_error = on_error
        self.add_files(files)

    def add_files(self, files: Iterable[File], directory: Path | None = None) -> None:
        """Have the next rounds sync these files too, and the names in ``directory`` if these are new in it.

        They stay open until then; so that few do, each counts for many unflushed bytes.
        """
        for file in files:
            self._additions += 1
            self._files[file] = self._additions
            self.unflushed_bytes += WAITING_FILE_BYTES
        if directory is not None:
            self.add_directory(directory)

    def add_directory(self, directory: Path) -> None:
        """Have the next rounds sync the names in this directory too."""
        self._additions += 1
        self._directories[directory] = self._additions

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
            dict(self._files),
            dict(self._directories),
            active=active,
            end_offset=log_end_offset,
            truncations=self._truncations,
            on_error=self._on_error,
        )

    def end(self, ticket: FlushTicket) -> None:
        """Take note that a round has been run."""
        if ticket.truncations != self._truncations:
            return
        # What was added since stays: the active file, closed meanwhile, or a directory that has got another name in it.
        self._files = {file: n for file, n in self._files.items() if ticket.files.get(file) != n}
        self._directories = {path: n for path, n in self._directories.items() if ticket.directories.get(path) != n}
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
        for directory in list(self._directories):
            self._fs.sync_directory(directory)
            del self._directories[directory]
