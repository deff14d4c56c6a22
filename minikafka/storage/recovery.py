"""Opening the directory of a log: what is in it, where it ends, and how much of that can be believed.

After a clean stop everything can be: the end is looked up and that is all.  After a crash every batch from the
recovery point on is read and checked, up to the first bad one.  What that one means depends on what happened:

- Below the recovery point everything had been forced to disk: the disk has lost it.  The log is refused.
- If the machine went down, everything above the recovery point may be there or not, in any mixture.  The log ends at
  the first bad batch.
- If only the process died, the file system has all that was written, so that only the last batch can be incomplete.
  When a valid batch comes after the bad one, it was damaged later.  The log is refused.

Source: Kafka, storage/internals/log/LogLoader.java, which cuts the log in all three cases.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from minikafka.config.definition import MAX_LONG
from minikafka.config.topic import TopicConfig
from minikafka.errors import StorageError
from minikafka.observability import events
from minikafka.observability.logging import get_logger
from minikafka.storage import filenames
from minikafka.storage.batch_headers import BatchHeader
from minikafka.storage.fs import DirectoryEntry, File, FileSystem, failpoint
from minikafka.storage.leader_epochs import LeaderEpochs
from minikafka.storage.producer_recovery import KnownProducers, load_producers
from minikafka.storage.producer_snapshot import offsets_in
from minikafka.storage.scan import BadBatch, Scanner, end_of_data, find_later_batch
from minikafka.storage.segment import Segment
from minikafka.storage.segment_swap import settle_swaps

_log = get_logger(__name__)


class CorruptLog(StorageError):
    """A log has lost, or holds damaged, what it must still have; it is left as it is."""


class LastStop(NamedTuple):
    """What is known of the time before a log is opened."""

    was_clean: bool
    machine_restarted: bool
    """Whether what was not forced to disk may be missing."""
    recovery_point: int
    """Everything below this offset had been forced to disk."""
    log_start_offset: int
    """Everything below this offset had been deleted."""
    was_compacted: bool = False
    """Whether compaction has ever been here: then offsets may be missing, whatever the topic's policy is now."""

    @property
    def kept_end_offset(self) -> int:
        """Everything below this offset must be there, but for what had been deleted.

        Of deleted segments anything may have come back.
        """
        return self.recovery_point if self.recovery_point > self.log_start_offset else 0


@dataclass(slots=True)
class LoadedLog:
    """A log as it was found, and made whole."""

    segments: list[Segment]
    leader_epochs: LeaderEpochs
    log_start_offset: int
    recovery_point: int
    producers: KnownProducers = field(default_factory=KnownProducers)
    unsynced_files: list[File] = field(default_factory=list)
    """Files that may hold data which is not on the disk yet."""
    unsynced_bytes: int = 0
    unsynced_directories: list[Path] = field(default_factory=list)
    """Directories whose names may not all be on the disk."""

    @property
    def log_end_offset(self) -> int:
        """The offset of the next record."""
        return self.segments[-1].end_offset


def load_log(fs: FileSystem, directory: Path, config: TopicConfig, last_stop: LastStop, now_ms: int) -> LoadedLog:
    """Open the log in ``directory``, recovering it unless it was stopped cleanly.

    Doing it again, whether it was interrupted or not, comes to the same end.

    Raises:
        CorruptLog: The log is damaged in a way that no crash explains; nothing has been changed.
        StorageError: A file cannot be read or written.
    """
    settle_swaps(fs, directory)
    entries = _remove_leftovers(fs, directory)
    segments = _find_segments(fs, directory, entries, config, now_ms)
    while len(segments) > 1 and segments[0].end_offset <= last_stop.log_start_offset:
        segments.pop(0).unlink()  # deleted before the stop, or about to be
    epochs = LeaderEpochs.load(fs, directory)
    first_offset = segments[0].base_offset if segments else 0
    loaded = LoadedLog(
        segments,
        epochs or LeaderEpochs(),
        max(last_stop.log_start_offset, first_offset),
        max(last_stop.recovery_point, first_offset),
    )
    if not segments and last_stop.kept_end_offset:
        raise CorruptLog(
            f"{directory} has no segment, but up to offset {last_stop.kept_end_offset} all was on the disk; restore "
            f"them, or remove it"
        )
    if segments:
        if not (last_stop.was_clean and _find_end(segments[-1])):
            _Recovery(fs, directory, config, last_stop, loaded).run(has_epochs=epochs is not None)
        elif epochs is None:
            _rebuild_epochs(loaded.leader_epochs, segments)
    if not segments or loaded.log_end_offset < loaded.log_start_offset:
        _begin_at_log_start(fs, directory, config, loaded, now_ms)
    loaded.recovery_point = min(loaded.recovery_point, loaded.log_end_offset)
    loaded.leader_epochs.truncate_from_end(loaded.log_end_offset)
    loaded.leader_epochs.truncate_from_start(loaded.log_start_offset)
    _load_producers(fs, directory, entries, last_stop, loaded)
    return loaded


def _remove_leftovers(fs: FileSystem, directory: Path) -> dict[str, DirectoryEntry]:
    entries = {entry.name: entry for entry in fs.list_directory(directory) if not entry.is_directory}
    for name in list(entries):
        base_offset = filenames.base_offset_of(name)
        is_orphan = (
            base_offset is not None
            and name.endswith((filenames.INDEX_SUFFIX, filenames.TIME_INDEX_SUFFIX, filenames.TRANSACTION_INDEX_SUFFIX))
            and filenames.segment_file(base_offset, filenames.LOG_SUFFIX) not in entries
        )
        if is_orphan or name.endswith((filenames.DELETED_SUFFIX, filenames.TEMPORARY_SUFFIX)):
            fs.unlink(directory / name)
            del entries[name]
    return entries


def _find_segments(
    fs: FileSystem, directory: Path, entries: dict[str, DirectoryEntry], config: TopicConfig, now_ms: int
) -> list[Segment]:
    sizes = {
        base_offset: entry.size
        for name, entry in entries.items()
        if name.endswith(filenames.LOG_SUFFIX) and (base_offset := filenames.base_offset_of(name)) is not None
    }
    segments = [
        Segment(
            fs,
            directory,
            base_offset,
            size=sizes[base_offset],
            index_interval_bytes=config.index_interval_bytes,
            created_ms=now_ms,
        )
        for base_offset in sorted(sizes)
    ]
    for segment, following in pairwise(segments):
        segment.end_offset = following.base_offset
    return segments


def _find_end(segment: Segment) -> bool:
    """Set the end offset of the last segment; False when its end is not where a batch ends."""
    if segment.size == 0:
        return True
    try:
        last = segment.last_batch()
    except StorageError:
        return False
    segment.end_offset = last.last_offset + 1
    return True


def _rebuild_epochs(epochs: LeaderEpochs, segments: list[Segment]) -> None:
    for segment in segments:
        for header in segment.headers():
            epochs.assign(header.leader_epoch, header.base_offset)


def _load_producers(
    fs: FileSystem, directory: Path, names: Iterable[str], last_stop: LastStop, loaded: LoadedLog
) -> None:
    synced_end_offset = last_stop.recovery_point if last_stop.machine_restarted else MAX_LONG
    loaded.producers = load_producers(
        fs, directory, loaded.segments, offsets_in(names), synced_end_offset=synced_end_offset
    )
    if not last_stop.was_clean:
        # What was read from a snapshot has not been written anew, and may be on the disk in part only.
        unsynced = [segment for segment in loaded.segments if segment.end_offset > last_stop.recovery_point]
        loaded.unsynced_files += [file for segment in unsynced if (file := segment.aborted_file) is not None]


def _begin_at_log_start(fs: FileSystem, directory: Path, config: TopicConfig, loaded: LoadedLog, now_ms: int) -> None:
    while loaded.segments:
        loaded.segments.pop().unlink()
    loaded.unsynced_files.clear()
    loaded.unsynced_bytes = 0
    segment = Segment.create(fs, directory, loaded.log_start_offset, config.index_interval_bytes, now_ms)
    loaded.segments.append(segment)


class _Recovery:
    """One recovery of one log: scan from the recovery point, cut at the first bad batch, or refuse."""

    def __init__(
        self, fs: FileSystem, directory: Path, config: TopicConfig, last_stop: LastStop, loaded: LoadedLog
    ) -> None:
        self._fs = fs
        self._directory = directory
        self._allow_gaps = "compact" in config.cleanup_policy or last_stop.was_compacted
        # Only what is below the recovery point in the checkpoint is compacted.  Above it a batch that does not follow
        # the one before it has lost its offset, which no CRC covers, to the power failure.
        self._gapless_from = last_stop.recovery_point if last_stop.machine_restarted else MAX_LONG
        self._last_stop = last_stop
        self._loaded = loaded
        self._segments = loaded.segments
        self._epochs = loaded.leader_epochs

    def run(self, has_epochs: bool) -> None:
        first = self._first_to_scan()
        if not has_epochs:
            _rebuild_epochs(self._epochs, self._segments[:first])
        next_offset = self._segments[first].base_offset
        for number in range(first, len(self._segments)):
            segment = self._segments[number]
            may_follow = self._allow_gaps and next_offset < segment.base_offset <= self._gapless_from
            if segment.base_offset == next_offset or may_follow:
                start = self._trusted_start(segment) if number == first and has_epochs else None
                bad = self._scan(segment, start, segment.base_offset)
            else:
                bad = BadBatch(0, next_offset, f"the segment before it ends at offset {next_offset}")
            if bad is not None:
                self._cut(number, bad)
                break
            next_offset = segment.end_offset
        self._check_end()
        self._keep_unsynced(first)

    def _first_to_scan(self) -> int:
        # A segment that ends at the recovery point may have been closed after the flush: then its indexes were not in
        # it.  Those of earlier ones were, together with what came after them.
        number = len(self._segments) - 1
        while number > 0 and self._segments[number].base_offset >= self._last_stop.recovery_point:
            number -= 1
        return number

    def _trusted_start(self, segment: Segment) -> BatchHeader | None:
        """The last batch below the recovery point that the index knows, if it is where the index says.

        None when the machine has restarted: then one of the two indexes may be there, and not the other.
        """
        if self._last_stop.machine_restarted:
            return None
        try:
            segment.load_indexes()
        except (StorageError, ValueError):
            return None
        entry = segment.indexes.offsets.lookup(self._last_stop.recovery_point - 1)
        return segment.batch_at(entry) if entry.position else None

    def _scan(self, segment: Segment, start: BatchHeader | None, next_offset: int) -> BadBatch | None:
        if start is None:
            segment.clear_indexes()
            position = 0
        else:
            segment.indexes.truncate_to(start)
            position, next_offset = start.position, start.base_offset
        self._epochs.truncate_from_end(next_offset)
        scanner = Scanner(
            segment.file,
            position,
            segment.size,
            next_offset=next_offset,
            leader_epoch=self._epochs.latest_epoch,
            allow_gaps=self._allow_gaps,
            gapless_from=self._gapless_from,
        )
        indexes, epochs = segment.indexes, self._epochs
        for header in scanner:
            indexes.add_batch(header.last_offset, header.position, header.size, header.max_timestamp_ms)
            if header.leader_epoch > epochs.latest_epoch:
                epochs.assign(header.leader_epoch, header.base_offset)
        segment.end_offset = scanner.next_offset
        self._loaded.unsynced_bytes += segment.size - position
        return scanner.bad

    def _cut(self, number: int, bad: BadBatch) -> None:
        """End the log at a bad batch, or refuse to."""
        segment = self._segments[number]
        data_end = end_of_data(segment.file, bad.position, segment.size)
        kept_end_offset = self._last_stop.kept_end_offset
        if bad.expected_offset < kept_end_offset:
            raise self._corrupt(segment, bad, f"up to offset {kept_end_offset} all was on the disk")
        if not self._last_stop.machine_restarted:
            following = find_later_batch(segment.file, bad.position, segment.size, bad.expected_offset)
            for later in self._segments[number + 1 :]:
                following = following or find_later_batch(later.file, -1, later.size, later.base_offset - 1)
            if following is not None:
                raise self._corrupt(segment, bad, f"a valid batch follows at offset {following.base_offset}")
        _log.warning(
            "log_truncated",
            directory=str(self._directory),
            end_offset=bad.expected_offset,
            lost_bytes=data_end - bad.position + sum(later.size for later in self._segments[number + 1 :]),
            reason=bad.reason if data_end > bad.position else "only zeros follow",
        )
        topic_partition = filenames.parse_partition_directory(self._directory.name)
        if topic_partition is not None:
            events.record(events.LogTruncated(*topic_partition, bad.expected_offset, "recovery"))
        failpoint("recovery.before_cut")
        # The newest go first: were the damaged one cut before, a crash in between would leave a gap.
        while len(self._segments) > number + 1:
            self._segments.pop().unlink()
        if bad.position == 0 and number > 0:
            self._segments.pop().unlink()
        # Nothing of this comes back after a power loss, to be taken for what goes on after newer records.
        self._fs.sync_directory(self._directory)
        if segment is self._segments[-1]:
            segment.cut_off(bad.position)

    def _check_end(self) -> None:
        end_offset = self._loaded.log_end_offset
        kept_end_offset = self._last_stop.kept_end_offset
        if end_offset < kept_end_offset:
            raise CorruptLog(
                f"{self._directory} ends at offset {end_offset}, but up to {kept_end_offset} all was on the disk; "
                f"{_hint(self._directory)}"
            )

    def _keep_unsynced(self, first: int) -> None:
        for segment in self._segments[first:]:
            self._loaded.unsynced_files.append(segment.file)
            if segment is not self._segments[-1]:
                self._loaded.unsynced_files += segment.save_indexes()
                segment.release()

    def _corrupt(self, segment: Segment, bad: BadBatch, evidence: str) -> CorruptLog:
        return CorruptLog(
            f"{segment.path} is damaged at position {bad.position}, offset {bad.expected_offset} ({bad.reason}), and "
            f"{evidence}; {_hint(self._directory)}"
        )


def _hint(directory: Path) -> str:
    return f"restore it, or cut it there with: minikafka log verify --repair {directory}"
