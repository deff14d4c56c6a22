"""Finding out what a log knows of its producers: the last good snapshot, and the headers of the batches after it.

What the indexes of aborted transactions say of these batches is made anew, and forced to the disk: they were there
already, the recovery point says so, and a snapshot that is taken next says that nobody has to make them again.

Source: Kafka, UnifiedLog.rebuildProducerState, ProducerStateManager.truncateAndReload.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from minikafka.config.definition import MAX_LONG
from minikafka.errors import InvalidRecord, StorageError
from minikafka.observability.logging import get_logger
from minikafka.records.batch import CONTROL_FLAG, TRANSACTIONAL_FLAG
from minikafka.records.control import EndTransactionMarker, marker_of
from minikafka.storage import producer_snapshot
from minikafka.storage.batch_headers import BatchHeader, CorruptSegment
from minikafka.storage.fs import File, FileSystem
from minikafka.storage.producer_states import ProducerStates
from minikafka.storage.segment import Segment

_log = get_logger(__name__)


@dataclass(slots=True)
class KnownProducers:
    """What a log knows of its producers at its end."""

    states: ProducerStates = field(default_factory=ProducerStates)
    snapshots: Sequence[int] = ()
    """The offsets of the snapshots there are, the newest last."""


def load_producers(
    fs: FileSystem,
    directory: Path,
    segments: Sequence[Segment],
    snapshots: Iterable[int],
    *,
    synced_end_offset: int = MAX_LONG,
) -> KnownProducers:
    """Find out what a log knows of its producers at its end.

    Args:
        fs: The file system.
        directory: Of the log.
        segments: Of the log; their ends are known.
        snapshots: The offsets of the snapshots that may be there.
        synced_end_offset: What is above may have been lost in any mixture, a snapshot or part of what it is about.

    Raises:
        CorruptSegment: The batches do not follow one another, or a marker makes no sense.
        StorageError: The log cannot be read, an index not be written, or a snapshot of what it does not have not be
            removed.
    """
    end_offset = min(segments[-1].end_offset, synced_end_offset)
    usable = remove_snapshots_above(fs, directory, snapshots, end_offset)
    usable = _remove_strays(fs, directory, usable, [segment.base_offset for segment in segments])
    known = KnownProducers(_read_last_good(fs, directory, usable), usable)
    next_offset = usable[-1] if usable else segments[0].base_offset
    # Markers that a crash has taken may have left their entries, even where the log ends at a snapshot.
    segments[-1].forget_aborted(end_offset)
    indexes: dict[File, None] = {}
    for segment in segments:
        if segment.end_offset > next_offset:
            segment.forget_aborted(next_offset)
            indexes |= dict.fromkeys(_read_headers(segment, next_offset, known.states))
            if segment is not segments[-1]:
                segment.release()
    if indexes:
        for index in indexes:
            index.fdatasync()
        fs.sync_directory(directory)
    return known


def remove_snapshots_above(fs: FileSystem, directory: Path, snapshots: Iterable[int], end_offset: int) -> list[int]:
    """Remove the snapshots of what the log does not have, for good: it may be written anew, and then be another.

    Returns:
        The offsets of the others.

    Raises:
        StorageError: Some may still be there.
    """
    offsets = list(snapshots)
    usable = [offset for offset in offsets if offset <= end_offset]
    for offset in offsets:
        path = producer_snapshot.path_of(directory, offset)
        if offset > end_offset and fs.exists(path):
            fs.unlink(path)
    if len(usable) < len(offsets):
        fs.sync_directory(directory)
    return usable


def _remove_strays(fs: FileSystem, directory: Path, snapshots: Iterable[int], base_offsets: Sequence[int]) -> list[int]:
    """Remove the snapshots that are within closed segments, or below the log; return the others."""
    bases = set(base_offsets)
    kept = []
    for offset in snapshots:
        if offset in bases or offset > base_offsets[-1]:
            kept.append(offset)
        else:
            producer_snapshot.remove(fs, directory, offset)
    return kept


def _read_last_good(fs: FileSystem, directory: Path, snapshots: list[int]) -> ProducerStates:
    """What the last good snapshot says; those after it are removed, from the list too."""
    while snapshots:
        offset = snapshots[-1]
        try:
            return ProducerStates(producer_snapshot.load(fs, directory, offset))
        except StorageError as error:
            _log.warning("snapshot_ignored", directory=str(directory), offset=offset, error=str(error))
            producer_snapshot.remove(fs, directory, snapshots.pop())
    return ProducerStates()


def _read_headers(segment: Segment, first_offset: int, states: ProducerStates) -> Iterator[File]:
    """Take over what the headers say; the index is given each time that a transaction has been added to it."""
    start = segment.find_batch(first_offset) if segment.size else None
    if start is None:
        return
    for header in segment.headers(start.position):
        if header.producer_id < 0:
            continue
        if header.attributes & CONTROL_FLAG:
            index = _add_marker(segment, header, states)
            if index is not None:
                yield index
            continue
        states.add_batch(
            header.producer_id,
            header.producer_epoch,
            header.base_sequence,
            base_offset=header.base_offset,
            last_offset=header.last_offset,
            timestamp_ms=header.max_timestamp_ms,
            is_transactional=header.attributes & TRANSACTIONAL_FLAG != 0,
        )


def _add_marker(segment: Segment, header: BatchHeader, states: ProducerStates) -> File | None:
    marker = _read_marker(segment, header)
    if marker is None:
        return None
    aborted = states.add_marker(
        header.producer_id,
        header.producer_epoch,
        marker,
        offset=header.base_offset,
        timestamp_ms=header.max_timestamp_ms,
    )
    return None if aborted is None else segment.add_aborted(aborted)


def _read_marker(segment: Segment, header: BatchHeader) -> EndTransactionMarker | None:
    try:
        return marker_of(segment.read_batch(header))
    except InvalidRecord as error:
        raise CorruptSegment(f"{segment.path} has a bad marker at offset {header.base_offset}: {error}") from error
