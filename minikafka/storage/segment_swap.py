"""Putting a compacted segment in the place of those that it is made of, so that a crash leaves either or.

=================  ==========================================  ==================================
files              what they are                               what a start does with them
=================  ==========================================  ==================================
``X.log.cleaned``  being written, or not needed any more       removes it
``X.log.swap``     whole, on the disk: this is the log now     removes what it replaces, renames it
``X.log``          a segment
=================  ==========================================  ==================================

The indexes go along, that of aborted transactions if there is one.  What a ``.swap`` replaces is every segment within
its offsets, with the snapshot of producers at its start: its last batch is the last one of the last segment that it is
made of, emptied if need be.

Source: Kafka, LocalLog.replaceSegments, LogLoader.completeSwapOperations.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from minikafka.errors import StorageError
from minikafka.storage.batch_headers import walk_headers
from minikafka.storage.filenames import (
    CLEANED_SUFFIX,
    INDEX_SUFFIX,
    LOG_SUFFIX,
    SEGMENT_SUFFIXES,
    SWAP_SUFFIX,
    TIME_INDEX_SUFFIX,
    TRANSACTION_INDEX_SUFFIX,
    base_offset_of,
    segment_file,
)
from minikafka.storage.fs import FileSystem, failpoint

_LOG_LAST = (TRANSACTION_INDEX_SUFFIX, INDEX_SUFFIX, TIME_INDEX_SUFFIX, LOG_SUFFIX)
_WINDOW_BYTES = 256 * 1024


def swap_in(fs: FileSystem, directory: Path, base_offset: int, replaced: Iterable[int]) -> None:
    """Make the ``.cleaned`` files at ``base_offset``, which are on the disk, a segment of the log.

    Args:
        fs: The file system.
        directory: The partition's.
        base_offset: Of the new segment.
        replaced: The base offsets of the segments that go; the first of them is ``base_offset``.

    Raises:
        StorageError: The next start finds the old segments, or the new one; it is not known which.
    """
    for suffix in _LOG_LAST:
        name = segment_file(base_offset, suffix)
        cleaned = directory / f"{name}{CLEANED_SUFFIX}"
        if suffix != TRANSACTION_INDEX_SUFFIX or fs.exists(cleaned):
            fs.rename(cleaned, directory / f"{name}{SWAP_SUFFIX}")
    failpoint("compaction.after_commit")
    # Without this the old segments could be gone after a power loss, and the new one not there yet.
    fs.sync_directory(directory)
    _finish(fs, directory, base_offset, replaced)


def settle_swaps(fs: FileSystem, directory: Path) -> None:
    """Bring every swap that a crash has interrupted to its end, or undo it.

    Doing it again, whether it was interrupted or not, comes to the same end.

    Raises:
        CorruptSegment: A ``.swap`` is not whole, although it was on the disk.
        StorageError: A file cannot be renamed or removed.
    """
    names = [entry.name for entry in fs.list_directory(directory)]
    if not any(name.endswith((CLEANED_SUFFIX, SWAP_SUFFIX)) for name in names):
        return
    bases = [base for name in names if name.endswith(LOG_SUFFIX) and (base := base_offset_of(name)) is not None]
    for name in names:
        base_offset = base_offset_of(name)
        if base_offset is not None and name.endswith(LOG_SUFFIX + SWAP_SUFFIX):
            end_offset = _end_offset(fs, directory / name, base_offset)
            _finish(fs, directory, base_offset, [base for base in bases if base_offset <= base < end_offset])
    remove_unfinished(fs, directory)


def remove_unfinished(fs: FileSystem, directory: Path) -> None:
    """Remove what was being written when compaction stopped.

    Raises:
        StorageError: Some of it is still there.
    """
    for entry in fs.list_directory(directory):
        if entry.name.endswith((CLEANED_SUFFIX, SWAP_SUFFIX)):
            fs.unlink(directory / entry.name)


def remove_cleaned(fs: FileSystem, directory: Path, base_offset: int) -> None:
    """Remove the ``.cleaned`` files at ``base_offset``, as far as they are there; the next start removes the others."""
    for suffix in _LOG_LAST:
        path = directory / segment_file(base_offset, suffix + CLEANED_SUFFIX)
        with suppress(StorageError):
            if fs.exists(path):
                fs.unlink(path)


def _finish(fs: FileSystem, directory: Path, base_offset: int, replaced: Iterable[int]) -> None:
    for base in replaced:
        for suffix in SEGMENT_SUFFIXES:
            path = directory / segment_file(base, suffix)
            if base != base_offset and fs.exists(path):
                fs.unlink(path)
    for suffix in _LOG_LAST:
        path = directory / segment_file(base_offset, suffix)
        swap = path.with_name(path.name + SWAP_SUFFIX)
        if fs.exists(swap):
            fs.rename(swap, path)


def _end_offset(fs: FileSystem, path: Path, base_offset: int) -> int:
    file = fs.open(path)
    end_offset = base_offset
    for header in walk_headers(file, 0, file.size(), _WINDOW_BYTES):
        end_offset = header.last_offset + 1
    return end_offset
