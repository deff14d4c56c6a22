"""Which transactions were aborted: what a ``read_committed`` consumer has to leave out.

Each segment has an index of those whose abort marker it holds, in a file that is there only if there are any::

     0  version             i16   0
     2  producer_id         i64
    10  first_offset        i64   of the transaction in this partition
    18  last_offset         i64   of its marker; entries are in this order
    26  last_stable_offset  i64   of the partition when the marker was in the log

A transaction may begin in an earlier segment than it ends in, so that a search goes on from segment to segment, until
an entry tells by its last stable offset that everything that began below some offset has been met.

The file is written together with the marker.  A start makes it anew from the offset on from which it reads the log, so
that it does not matter what a crash has left of its end.

Source: Kafka, storage/internals/log/TransactionIndex.java, AbortedTxn.java.
"""

from __future__ import annotations

import struct
from bisect import bisect_left
from collections.abc import Sequence
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

from minikafka.storage.fs import File, FileSystem, read_file, write_fully

_ENTRY = struct.Struct(">hqqqq")
_VERSION = 0
_BY_LAST_OFFSET = attrgetter("last_offset")


class AbortedTransaction(NamedTuple):
    """A transaction whose records do not count."""

    producer_id: int
    first_offset: int
    last_offset: int
    """Of its marker."""
    last_stable_offset: int
    """Every other transaction that is or will be aborted with a later marker begins at or above it."""


class TransactionIndex:
    """The aborted transactions of one segment.

    Args:
        fs: The file system.
        path: Of the file.
        may_exist: Whether there may be one, to be read.

    Raises:
        StorageError: The file cannot be read.
    """

    __slots__ = ("_entries", "_file", "_fs", "_path")

    def __init__(self, fs: FileSystem, path: Path, *, may_exist: bool = True) -> None:
        self._fs = fs
        self._path = path
        self._file: File | None = None
        self._entries: list[AbortedTransaction] = []
        if may_exist and fs.exists(path):
            self._entries = decode(read_file(fs, path))

    @property
    def entries(self) -> Sequence[AbortedTransaction]:
        """The transactions, in the order of their markers."""
        return self._entries

    @property
    def file(self) -> File:
        """The file, made if need be, without what a crash has left of an entry at its end.

        Raises:
            StorageError: It cannot be opened or cut.
        """
        return self._open()

    def append(self, transaction: AbortedTransaction) -> File:
        """Add a transaction, whose marker is the last so far.

        Returns:
            The file, not forced to disk yet.

        Raises:
            StorageError: It could not be written.
        """
        file = self._open()
        write_fully(file, (encode(transaction),))
        self._entries.append(transaction)
        return file

    def truncate_to(self, end_offset: int) -> None:
        """Remove the transactions whose markers are at ``end_offset`` or above, for good.

        They must not come back after a power loss, when other records are at these offsets.

        Raises:
            StorageError: Some may still be in the file.
        """
        count = bisect_left(self._entries, end_offset, key=_BY_LAST_OFFSET)
        if count < len(self._entries):
            file = self._open()
            file.truncate(count * _ENTRY.size)
            file.fdatasync()
            del self._entries[count:]

    def _open(self) -> File:
        if self._file is None:
            self._file = self._fs.open(self._path, create=True)
            # What a crash has left of an entry would put all that follow out of step.
            self._file.truncate(len(self._entries) * _ENTRY.size)
        return self._file


def encode(transaction: AbortedTransaction) -> bytes:
    """One entry of the file."""
    return _ENTRY.pack(_VERSION, *transaction)


def decode(content: bytes) -> list[AbortedTransaction]:
    """The entries of a file, up to the first that is cut off or makes no sense."""
    entries: list[AbortedTransaction] = []
    last_offset = -1
    for version, *fields in _ENTRY.iter_unpack(content[: len(content) - len(content) % _ENTRY.size]):
        entry = AbortedTransaction(*fields)
        if version != _VERSION or not max(last_offset, entry.first_offset) < entry.last_offset:
            break
        entries.append(entry)
        last_offset = entry.last_offset
    return entries


def overlapping(
    entries: Sequence[AbortedTransaction], offset: int, end_offset: int
) -> tuple[Sequence[AbortedTransaction], bool]:
    """The aborted transactions with records from ``offset`` on and below ``end_offset``.

    Returns:
        The transactions, and whether later segments hold no more of them.
    """
    found = []
    for entry in entries[bisect_left(entries, offset, key=_BY_LAST_OFFSET) :]:
        if entry.first_offset < end_offset:
            found.append(entry)
        if entry.last_stable_offset >= end_offset:
            return found, True
    return found, False
