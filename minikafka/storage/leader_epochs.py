"""Where each leader epoch of a partition begins in its log (KIP-101).

::

    0            version
    2            number of entries
    0 0          epoch, and the offset of the first record that its leader wrote
    3 1200
    crc32c ...

Source: Kafka, storage/internals/epoch/LeaderEpochFileCache.java.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from itertools import pairwise
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

from minikafka.errors import FencedLeaderEpoch
from minikafka.storage import checkpoint, filenames
from minikafka.storage.fs import File, FileSystem, write_fully
from minikafka.types import NO_LEADER_EPOCH, NO_OFFSET

_BY_EPOCH = attrgetter("epoch")
_BY_OFFSET = attrgetter("start_offset")


class EpochEntry(NamedTuple):
    """An epoch and the offset it begins at."""

    epoch: int
    start_offset: int


class EpochEndOffset(NamedTuple):
    """An epoch and the offset after its last record; -1 in both when it is unknown."""

    leader_epoch: int
    end_offset: int


UNKNOWN_EPOCH = EpochEndOffset(NO_LEADER_EPOCH, NO_OFFSET)


class LeaderEpochs:
    """The epochs of one log, growing in both columns.

    The file is written before records of a new epoch count as forced to disk.
    """

    __slots__ = ("_entries", "is_dirty", "latest_epoch")

    def __init__(self, entries: Iterable[EpochEntry] = ()) -> None:
        self._entries = list(entries)
        self.latest_epoch = self._entries[-1].epoch if self._entries else NO_LEADER_EPOCH
        """The epoch of the last record, -1 without any."""
        self.is_dirty = False
        """Whether there is more here than in the file."""

    @property
    def entries(self) -> Sequence[EpochEntry]:
        """The epochs, oldest first."""
        return tuple(self._entries)

    def check_not_over(self, epoch: int) -> None:
        """Check that records of ``epoch`` may follow.

        Raises:
            FencedLeaderEpoch: There are records of a newer one.
        """
        if epoch < self.latest_epoch:
            raise FencedLeaderEpoch(
                f"records of epoch {self.latest_epoch} cannot be followed by those of epoch {epoch}"
            )

    def assign(self, epoch: int, start_offset: int) -> None:
        """Note that the record at ``start_offset`` is of ``epoch``; nothing happens unless that is a new epoch."""
        if epoch <= self.latest_epoch:
            return
        # A leader that wrote nothing leaves an entry at the offset where the next one begins.
        while self._entries and self._entries[-1].start_offset >= start_offset:
            self._entries.pop()
        self._entries.append(EpochEntry(epoch, start_offset))
        self._changed()

    def end_offset_for(self, epoch: int, log_end_offset: int) -> EpochEndOffset:
        """The largest epoch at or below ``epoch`` that the log knows, and the offset after its last record.

        For an epoch before all the known ones: itself, and the offset at which the first known one begins.
        """
        if epoch == NO_LEADER_EPOCH or epoch > self.latest_epoch:
            return UNKNOWN_EPOCH
        if epoch == self.latest_epoch:
            return EpochEndOffset(epoch, log_end_offset)
        following = bisect_right(self._entries, epoch, key=_BY_EPOCH)
        known = self._entries[following - 1].epoch if following else epoch
        return EpochEndOffset(known, self._entries[following].start_offset)

    def epoch_at(self, offset: int) -> int:
        """The epoch of the record at ``offset``, -1 when it is not known."""
        number = bisect_right(self._entries, offset, key=_BY_OFFSET)
        return self._entries[number - 1].epoch if number else NO_LEADER_EPOCH

    def truncate_from_end(self, end_offset: int) -> None:
        """Forget the epochs that begin at or after ``end_offset``."""
        number = bisect_left(self._entries, end_offset, key=_BY_OFFSET)
        if number < len(self._entries):
            del self._entries[number:]
            self._changed()

    def truncate_from_start(self, start_offset: int) -> None:
        """Forget the epochs that end at or before ``start_offset``; the one that goes on begins there now."""
        number = bisect_right(self._entries, start_offset, key=_BY_OFFSET)
        begun = [EpochEntry(self._entries[number - 1].epoch, start_offset)] if number else []
        if self._entries[:number] != begun:
            self._entries[:number] = begun
            self._changed()

    def save(self, fs: FileSystem, directory: Path) -> File:
        """Replace the file, and return it: the caller forces it and its name to disk.

        Until that is done a power loss may damage it.  Its CRC tells, and the epochs are made anew from the batches.

        Raises:
            StorageError: The old file may still be in place.
        """
        path = directory / filenames.LEADER_EPOCHS
        temporary = path.with_name(path.name + filenames.TEMPORARY_SUFFIX)
        file = fs.open(temporary, create=True)
        file.truncate(0)
        write_fully(file, (checkpoint.encode(self.lines()),))
        fs.rename(temporary, path)
        self.is_dirty = False
        return file

    @classmethod
    def load(cls, fs: FileSystem, directory: Path) -> LeaderEpochs | None:
        """The epochs in the file; None when it is missing or damaged."""
        return cls.parse(checkpoint.read(fs, directory / filenames.LEADER_EPOCHS))

    def lines(self) -> list[str]:
        """The checkpoint's lines."""
        return checkpoint.entry_lines([f"{epoch} {start_offset}" for epoch, start_offset in self._entries])

    @classmethod
    def parse(cls, lines: Sequence[str] | None) -> LeaderEpochs | None:
        """The epochs that :meth:`lines` laid out; None when the lines are missing or say something else."""
        fields = checkpoint.parse_entries(lines)
        if fields is None:
            return None
        try:
            entries = [EpochEntry(int(epoch), int(start_offset)) for epoch, start_offset in fields]
        except ValueError:
            return None
        if any(a.epoch >= b.epoch or a.start_offset >= b.start_offset for a, b in pairwise(entries)):
            return None
        return cls(entries)

    def _changed(self) -> None:
        self.latest_epoch = self._entries[-1].epoch if self._entries else NO_LEADER_EPOCH
        self.is_dirty = True
