"""What a disk may look like after a crash, given the operations that came before it.

*The process dies*: the operating system has everything that was handed to it.  Each prefix of the trace is a state,
with the last write cut anywhere.

*The power goes*: what was synced is there.  Of the rest

- each write may be absent, whole or cut; or the file has its new length, but zeros, garbage or what was there before
  in place of some sectors or all of them; one that took several calls is one write, for a sector that holds the end of
  a call and the beginning of the next is not written in parts;
- each truncation may have happened or not;
- names change in the order in which they were changed, up to some point: in one order for all directories on a file
  system with a journal, where syncing a new file makes its name durable too; in an order for each directory, and only
  by syncing that directory, on one that does no more than POSIX asks for.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import Enum, auto
from itertools import repeat
from random import Random
from typing import NamedTuple

from tests.crash.recording_fs import (
    Image,
    Link,
    Mark,
    NameOperation,
    Operation,
    Rename,
    Sync,
    SyncDirectory,
    Truncate,
    Unlink,
    Write,
    change,
)

_SECTOR = 512


class Crash(Enum):
    """What it was that ended."""

    PROCESS = "the process died"
    POWER = "the power went"


class Flavour(Enum):
    """What kind of file system it is."""

    JOURNAL = auto()
    POSIX = auto()


class Landing(Enum):
    """How much of an operation that was not synced has reached the disk."""

    ABSENT = auto()
    WHOLE = auto()
    PREFIX = auto()
    SECTORS = auto()
    ZEROS = auto()
    GARBAGE = auto()


_LANDINGS = tuple(Landing)
_EXTREME_LANDINGS = (Landing.ABSENT, Landing.WHOLE, Landing.ZEROS)
_Choice = Callable[[], Landing]


class Pending(NamedTuple):
    """An operation that may or may not be on the disk, and its place in the trace."""

    at: int
    operation: Write | Truncate | NameOperation


class CrashState(NamedTuple):
    """A disk after a crash."""

    crash: Crash
    first_at: int
    """How many operations of the trace had been done, at least."""
    last_at: int
    """How many at most: those in between are marks, and leave the disk as it is."""
    image: Image


class Disk:
    """Follows a trace, and knows of each operation whether it must be on the disk or may be.

    Args:
        image: What is on the disk for certain at first.
        flavour: What syncing a file means to names.
    """

    def __init__(self, image: Image, flavour: Flavour) -> None:
        self._flavour = flavour
        self._directories = {inode: dict(entries) for inode, entries in image.directories.items()}
        self._files = dict(image.files)
        self._pending_data: dict[int, list[Pending]] = {}
        self._pending_names: dict[int, list[Pending]] = {}
        self._created: dict[int, int] = {}

    def apply(self, at: int, operation: Operation) -> None:
        """Take note of the operation at place ``at`` of the trace."""
        if isinstance(operation, Write | Truncate):
            pending = self._pending_data.setdefault(operation.inode, [])
            if isinstance(operation, Write) and operation.continues and pending:
                begun = pending.pop().operation
                assert isinstance(begun, Write), "nothing else comes between the calls"
                operation = begun._replace(data=begun.data + operation.data)
            pending.append(Pending(at, operation))
        elif isinstance(operation, Link | Unlink | Rename):
            if isinstance(operation, Link):
                self._created[operation.inode] = at
                if operation.is_directory:
                    self._directories[operation.inode] = {}
            self._pending_names.setdefault(self._group(operation.directory), []).append(Pending(at, operation))
        elif isinstance(operation, Sync):
            self._sync_data(operation)
        elif isinstance(operation, SyncDirectory):
            self._sync_names(self._group(operation.directory), operation.begun_at)

    def names_pending(self) -> list[int]:
        """How many changes of names are pending, for each group of them that has an order."""
        return [len(group) for group in self._pending_names.values()]

    def has_data_pending(self) -> bool:
        """Whether any data may or may not be on the disk."""
        return bool(self._pending_data)

    def image(self, names_landed: Sequence[int], landing: _Choice, random: Random) -> Image:
        """The disk, if of each group so many changes of names, and of the data what ``landing`` says, have landed."""
        directories = {inode: dict(entries) for inode, entries in self._directories.items()}
        files = dict(self._files)
        for count, group in zip(names_landed, self._pending_names.values(), strict=True):
            for _, operation in group[:count]:
                change(directories, files, operation)
        for inode, pending in self._pending_data.items():
            content = bytearray(files.get(inode, b""))
            for _, operation in pending:
                _land(content, operation, landing(), random)
            files[inode] = bytes(content)
        return _reachable(directories, files)

    def _group(self, directory: int) -> int:
        return directory if self._flavour is Flavour.POSIX else -1

    def _sync_data(self, sync: Sync) -> None:
        pending = self._pending_data.pop(sync.inode, [])
        count = _count_before(pending, sync.begun_at)
        content = bytearray(self._files.get(sync.inode, b""))
        for _, operation in pending[:count]:
            _land(content, operation, Landing.WHOLE, _NO_CHANCE)
        self._files[sync.inode] = bytes(content)
        if pending[count:]:
            self._pending_data[sync.inode] = pending[count:]
        created_at = self._created.get(sync.inode)
        if self._flavour is Flavour.JOURNAL and created_at is not None:
            self._sync_names(-1, created_at + 1)

    def _sync_names(self, group: int, begun_at: int) -> None:
        pending = self._pending_names.pop(group, [])
        count = _count_before(pending, begun_at)
        for _, operation in pending[:count]:
            change(self._directories, self._files, operation)
        if pending[count:]:
            self._pending_names[group] = pending[count:]


_NO_CHANCE = Random(0)


def _count_before(pending: Sequence[Pending], begun_at: int) -> int:
    return bisect_left(pending, begun_at, key=lambda one: one.at)


def _land(content: bytearray, operation: Write | Truncate | NameOperation, landing: Landing, random: Random) -> None:
    if landing is Landing.ABSENT:
        return
    if isinstance(operation, Truncate):
        del content[operation.size :]
    elif isinstance(operation, Write):
        position, data = operation.position, operation.data
        if len(content) < position:
            content.extend(bytes(position - len(content)))
        if landing is not Landing.WHOLE:
            data = _torn(data, landing, bytes(content[position : position + len(data)]), position, random)
        content[position : position + len(data)] = data


def _torn(data: bytes, landing: Landing, before: bytes, position: int, random: Random) -> bytes:
    """What a write leaves of its bytes, where there was ``before``."""
    if landing is Landing.PREFIX:
        return data[: random.randrange(len(data) + 1)]
    if landing is Landing.ZEROS:
        return bytes(len(data))
    if landing is Landing.GARBAGE:
        return random.randbytes(len(data))
    mixed = bytearray(before.ljust(len(data), b"\0"))
    start = 0
    while start < len(data):
        end = start + _SECTOR - (position + start) % _SECTOR
        if random.random() < 0.5:
            mixed[start:end] = data[start:end]
        start = end
    return bytes(mixed)


def _reachable(directories: Mapping[int, Mapping[str, int]], files: Mapping[int, bytes]) -> Image:
    """What has a name, copied."""
    kept_directories: dict[int, dict[str, int]] = {}
    kept_files: dict[int, bytes] = {}
    waiting = [0]
    while waiting:
        inode = waiting.pop()
        entries = kept_directories[inode] = dict(directories[inode])
        for child in entries.values():
            if child in directories:
                waiting.append(child)
            else:
                kept_files[child] = files.get(child, b"")
    return Image(kept_directories, kept_files)


def process_deaths(
    image: Image, trace: Sequence[Operation], random: Random, cuts: int, since: int = 0
) -> Iterator[CrashState]:
    """The states that the process's death may leave, after each operation and in the middle of each write.

    Args:
        image: What was on the disk at first.
        trace: What happened then.
        random: Chooses where writes are cut.
        cuts: In how many places each of them is.
        since: How many operations have been done at least.
    """
    directories = {inode: dict(entries) for inode, entries in image.directories.items()}
    files = dict(image.files)
    for first_at, last_at in _pauses(trace):
        operation = trace[first_at - 1] if first_at else None
        if isinstance(operation, Write) and first_at >= since:
            before = files.get(operation.inode, b"")
            sizes = range(1, len(operation.data))
            for size in sorted(random.sample(sizes, min(cuts, len(sizes)))):
                files[operation.inode] = before + operation.data[:size]
                yield CrashState(Crash.PROCESS, first_at - 1, first_at - 1, _reachable(directories, files))
            files[operation.inode] = before
        if operation is not None:
            change(directories, files, operation)
        if first_at >= since:
            yield CrashState(Crash.PROCESS, first_at, last_at, _reachable(directories, files))


def power_losses(
    image: Image, trace: Sequence[Operation], random: Random, samples: int, since: int = 0
) -> Iterator[CrashState]:
    """States that a loss of power may leave: the extreme ones, every prefix of the names, and random ones.

    Args:
        image: What was on the disk at first.
        trace: What happened then.
        random: Chooses the random ones.
        samples: How many of those to make after each operation, for each kind of file system.
        since: How many operations have been done at least.
    """
    disks = [Disk(image, flavour) for flavour in Flavour]
    for first_at, last_at in _pauses(trace):
        for disk in disks:
            if first_at:
                disk.apply(first_at - 1, trace[first_at - 1])
            if first_at < since:
                continue
            for extreme in _extremes(disk):
                yield CrashState(Crash.POWER, first_at, last_at, extreme)
            if first_at and not isinstance(trace[first_at - 1], Write | Truncate):
                for extreme in _name_prefixes(disk):
                    yield CrashState(Crash.POWER, first_at, last_at, extreme)
            for _ in range(samples if disk.names_pending() or disk.has_data_pending() else 0):
                yield CrashState(Crash.POWER, first_at, last_at, _random_image(disk, random))


def _pauses(trace: Sequence[Operation]) -> Iterator[tuple[int, int]]:
    """The places in a trace at which the disk is the same: from before an operation's marks to after them."""
    first_at = 0
    for at, operation in enumerate(trace):
        if not isinstance(operation, Mark):
            yield first_at, at
            first_at = at + 1
    yield first_at, len(trace)


def _extremes(disk: Disk) -> Iterator[Image]:
    """Of what is pending nothing has landed, all of it, or only lengths; the names with the data, or without."""
    every = disk.names_pending()
    for landing in _EXTREME_LANDINGS if disk.has_data_pending() else (Landing.WHOLE,):
        yield disk.image(every, repeat(landing).__next__, _NO_CHANCE)
        if every:
            yield disk.image([0] * len(every), repeat(landing).__next__, _NO_CHANCE)


def _name_prefixes(disk: Disk) -> Iterator[Image]:
    """Some of the changes of names have landed, and all of the data."""
    every = disk.names_pending()
    for group, count in enumerate(every):
        for landed in range(1, count):
            names = [*every[:group], landed, *every[group + 1 :]]
            yield disk.image(names, repeat(Landing.WHOLE).__next__, _NO_CHANCE)


def _random_image(disk: Disk, random: Random) -> Image:
    names = [random.randint(0, count) for count in disk.names_pending()]
    # Not all equally likely: a state in which most has landed, and one thing has not, is as telling as a wild one.
    usual = random.choice(_LANDINGS)
    strange = random.choice((0.1, 0.5, 1.0))
    return disk.image(names, lambda: random.choice(_LANDINGS) if random.random() < strange else usual, random)


def durable_image(image: Image, trace: Iterable[Operation]) -> Image:
    """The least that is on the disk: nothing but what was synced."""
    disk = Disk(image, Flavour.POSIX)
    for at, operation in enumerate(trace):
        disk.apply(at, operation)
    return disk.image([0] * len(disk.names_pending()), lambda: Landing.ABSENT, _NO_CHANCE)
