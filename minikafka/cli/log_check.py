"""Checking the files of a partition while no broker has them, and cutting off what is damaged.

Nothing here changes a file but :func:`repair`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from minikafka.errors import StorageError
from minikafka.storage import filenames
from minikafka.storage.batch_headers import BatchHeader
from minikafka.storage.data_directory import DataDirectory
from minikafka.storage.fs import File, FileSystem, read_file
from minikafka.storage.offset_index import OffsetIndex
from minikafka.storage.scan import BadBatch, Scanner, end_of_data, find_later_batch
from minikafka.storage.time_index import TimeIndex
from minikafka.types import NO_LEADER_EPOCH, NO_TIMESTAMP

_INDEX_SUFFIXES = (filenames.INDEX_SUFFIX, filenames.TIME_INDEX_SUFFIX)


class ProblemKind(Enum):
    """What a problem means for the records."""

    TORN = "torn"
    """The end of the log was not written whole: a broker that starts after a crash cuts it off, if it was unflushed."""
    CORRUPT = "corrupt"
    """Something was damaged after it had been written."""
    INDEX = "index"
    """An index is wrong; no record is lost, the file can be removed and is made anew."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is not as it should be in one file."""

    kind: ProblemKind
    path: Path
    detail: str
    position: int = 0
    offset: int | None = None


@dataclass(slots=True)
class Report:
    """What was found in the segments of one partition; counts are of good batches."""

    directory: Path
    start_offset: int = 0
    end_offset: int = 0
    segments: int = 0
    batches: int = 0
    size_bytes: int = 0
    problems: list[Problem] = field(default_factory=list)
    lost_bytes: int = 0
    """What would go if the log were cut at its first bad batch."""

    @property
    def damage(self) -> Problem | None:
        """The problem at which the log would have to be cut."""
        return next((problem for problem in self.problems if problem.kind is not ProblemKind.INDEX), None)


def partition_directories(directory: Path) -> list[Path]:
    """The partitions in a data directory; or the directory itself, if it holds segments."""
    if segment_paths(directory):
        return [directory]
    return sorted(path for path in directory.iterdir() if path.is_dir() and segment_paths(path))


def segment_paths(directory: Path) -> list[Path]:
    """The segments of a partition, in order."""
    names = sorted(path.name for path in directory.iterdir() if path.suffix == filenames.LOG_SUFFIX)
    return [directory / name for name in names if filenames.base_offset_of(name) is not None]


def check(fs: FileSystem, segments: Sequence[Path], *, allow_gaps: bool) -> Report:
    """Read every batch of the segments of one partition, and compare the indexes with them.

    Args:
        fs: Where they are.
        segments: Segments that follow one another, at least one.
        allow_gaps: Whether compaction may have removed batches.

    Raises:
        StorageError: A file cannot be read.
    """
    first_offset = _base_offset(segments[0])
    report = Report(segments[0].parent, first_offset, first_offset)
    epoch = NO_LEADER_EPOCH
    for number, path in enumerate(segments):
        base_offset = _base_offset(path)
        if number and not (base_offset == report.end_offset or (allow_gaps and base_offset > report.end_offset)):
            bad = BadBatch(0, report.end_offset, f"the segment before it ends at offset {report.end_offset}")
        else:
            file = fs.open(path)
            scanner = Scanner(file, 0, file.size(), next_offset=base_offset, leader_epoch=epoch, allow_gaps=allow_gaps)
            _check_segment(fs, path, scanner, report)
            report.end_offset, epoch = scanner.next_offset, scanner.leader_epoch
            if scanner.bad is None:
                continue
            bad = scanner.bad
        report.problems.append(_damage(fs, segments[number:], bad, report))
        break
    return report


def repair(fs: FileSystem, report: Report) -> None:
    """Make the partition readable: cut its log at the first bad batch, and remove indexes that are wrong.

    The data directory is locked meanwhile, so that no broker is at work there, and its recovery point is lowered: a
    broker would otherwise miss what was cut.

    Raises:
        StorageError: A broker uses the directory, or a file cannot be written.
    """
    home = DataDirectory(report.directory.parent, fs)
    where = filenames.parse_partition_directory(report.directory.name)
    if where is None or home.identity is None:
        _repair_files(fs, report)  # a copy of a partition, in no data directory
        return
    home.lock()
    try:
        home.read_checkpoints()
        if report.damage is not None:
            home.lower_recovery_point(where, report.end_offset)
        _repair_files(fs, report)
    finally:
        home.release()


def _check_segment(fs: FileSystem, path: Path, scanner: Scanner, report: Report) -> None:
    report.segments += 1
    offsets = _OffsetIndexCheck(fs, path)
    times = _TimeIndexCheck(fs, path)
    for header in scanner:
        report.batches += 1
        report.size_bytes += header.size
        offsets.see(header)
        times.see(header)
    if scanner.bad is None:
        report.problems += [*offsets.end(), *times.end()]


def _damage(fs: FileSystem, segments: Sequence[Path], bad: BadBatch, report: Report) -> Problem:
    """What kind of damage a bad batch is: torn when nothing that was written whole comes after it."""
    files = [fs.open(path) for path in segments]
    damaged = files[0]
    data_end = end_of_data(damaged, bad.position, damaged.size())
    report.lost_bytes = sum(file.size() for file in files[1:])
    if data_end > bad.position:
        report.lost_bytes += damaged.size() - bad.position
    if report.lost_bytes == 0:
        return Problem(ProblemKind.TORN, segments[0], "only zeros follow", bad.position, bad.expected_offset)
    following = find_later_batch(damaged, bad.position, damaged.size(), bad.expected_offset) or _first_batch(files[1:])
    if following is None:
        return Problem(ProblemKind.TORN, segments[0], bad.reason, bad.position, bad.expected_offset)
    detail = f"{bad.reason}; a good batch follows at offset {following.base_offset}"
    return Problem(ProblemKind.CORRUPT, segments[0], detail, bad.position, bad.expected_offset)


def _first_batch(files: Sequence[File]) -> BatchHeader | None:
    for file in files:
        found = find_later_batch(file, -1, file.size(), _base_offset(file.path) - 1)
        if found is not None:
            return found
    return None


class _OffsetIndexCheck:
    """Compares an offset index with the batches as they are read."""

    def __init__(self, fs: FileSystem, segment: Path) -> None:
        self._path = segment.with_suffix(filenames.INDEX_SUFFIX)
        self._problem = ""
        self._next = 0
        self._index = OffsetIndex(_base_offset(segment))
        content = _content(fs, self._path)
        try:
            self._index = OffsetIndex.from_bytes(self._index.base_offset, content)
        except ValueError as error:
            self._problem = str(error)

    def see(self, header: BatchHeader) -> None:
        while self._next < len(self._index) and not self._problem:
            entry = self._index.entry(self._next)
            if entry.position > header.position:
                return
            if entry.position < header.position:
                self._problem = f"no batch begins at position {entry.position}"
            elif entry.offset != header.last_offset:
                self._problem = (
                    f"the batch at position {entry.position} ends at {header.last_offset}, not {entry.offset}"
                )
            self._next += 1

    def end(self) -> Iterator[Problem]:
        if not self._problem and self._next < len(self._index):
            self._problem = f"no batch begins at position {self._index.entry(self._next).position}"
        if self._problem:
            yield Problem(ProblemKind.INDEX, self._path, self._problem)


class _TimeIndexCheck:
    """Compares a time index with the batches as they are read."""

    def __init__(self, fs: FileSystem, segment: Path) -> None:
        self._path = segment.with_suffix(filenames.TIME_INDEX_SUFFIX)
        self._problem = ""
        self._next = 0
        self._latest_ms = NO_TIMESTAMP
        self._index = TimeIndex(_base_offset(segment))
        content = _content(fs, self._path)
        try:
            self._index = TimeIndex.from_bytes(self._index.base_offset, content)
        except ValueError as error:
            self._problem = str(error)

    def see(self, header: BatchHeader) -> None:
        self._latest_ms = max(self._latest_ms, header.max_timestamp_ms)
        while self._next < len(self._index) and not self._problem:
            entry = self._index.entry(self._next)
            if entry.offset > header.last_offset:
                return
            if entry.timestamp_ms != self._latest_ms:
                self._problem = (
                    f"up to offset {entry.offset} the latest time is {self._latest_ms}, not {entry.timestamp_ms}"
                )
            self._next += 1

    def end(self) -> Iterator[Problem]:
        if not self._problem and self._next < len(self._index):
            self._problem = f"there is no offset {self._index.entry(self._next).offset} in the segment"
        if self._problem:
            yield Problem(ProblemKind.INDEX, self._path, self._problem)


def _content(fs: FileSystem, path: Path) -> bytes:
    # A missing index is no fault: that of the last segment may live in its broker's memory only.
    return read_file(fs, path) if fs.exists(path) else b""


def _repair_files(fs: FileSystem, report: Report) -> None:
    for problem in report.problems:
        if problem.kind is ProblemKind.INDEX:
            fs.unlink(problem.path)
    damage = report.damage
    if damage is not None:
        _cut(fs, report.directory, damage.path, damage.position)
    fs.sync_directory(report.directory)


def _cut(fs: FileSystem, directory: Path, damaged: Path, position: int) -> None:
    """Cut one segment and remove those after it, the newest first: a crash in between must not leave a gap."""
    segments = segment_paths(directory)
    place = segments.index(damaged)
    is_removed = position == 0 and place > 0
    for path in reversed(segments[place if is_removed else place + 1 :]):
        _remove(fs, path, filenames.SEGMENT_SUFFIXES)
    if not is_removed:
        file = fs.open(damaged)
        file.truncate(position)
        file.fdatasync()
        _remove(fs, damaged, _INDEX_SUFFIXES)


def _remove(fs: FileSystem, segment: Path, suffixes: Sequence[str]) -> None:
    for suffix in suffixes:
        path = segment.with_suffix(suffix)
        if fs.exists(path):
            fs.unlink(path)


def _base_offset(segment: Path) -> int:
    base_offset = filenames.base_offset_of(segment.name)
    if base_offset is None:
        raise StorageError(f"{segment} is not named as a segment is: 20 digits and .log")
    return base_offset
