"""Starts on the many disks that crashes leave: most logs are as they were in a state that was seen before.

What opening a log comes to depends on its directory, and on what is known of the time before.  So it is done once for
each of those, and when they come again, what it did to the disk is done again.  So it is with what is appended then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from minikafka.config.topic import TopicConfig
from minikafka.storage.environment import LogEnvironment
from minikafka.storage.filenames import partition_directory
from minikafka.storage.log import Log
from minikafka.storage.log_manager import LogManager
from minikafka.storage.recovery import LastStop
from minikafka.types import TopicPartition
from tests.crash.promises import Found, FoundLog
from tests.crash.recording_fs import Episode, RecordingFileSystem
from tests.crash.workload import BROKER_ID, CLUSTER_ID, DATA
from tests.support.clock import ManualClock

Look = Callable[[Log, int], tuple[FoundLog, Iterable[str]]]
"""What a log holds that is compacted up to an offset, and where it contradicts itself."""
Write = Callable[[Log, FoundLog], FoundLog]
"""Writes to a log that holds something, and returns what it holds then."""


class _Opened(NamedTuple):
    """What opening a log, and looking at it, has come to."""

    log: FoundLog | None
    faults: tuple[str, ...]
    reason: str
    is_settled: bool
    recovery_point: int
    done: Episode


class _Memory:
    """By what they depend on: what came of opening logs and of writing to them, and logs nobody has written to yet."""

    def __init__(self) -> None:
        self.opened: dict[object, _Opened] = {}
        self.written: dict[object, tuple[FoundLog, Episode]] = {}
        self.unwritten: dict[object, tuple[Log, RecordingFileSystem]] = {}


class Starts:
    """All starts on what the crashes of one trace have left.

    Args:
        config: Of all topics.
        look: Looks at a log.
        write: Writes to it.
    """

    def __init__(self, config: TopicConfig, look: Look, write: Write) -> None:
        self._config = config
        self._look = look
        self._write = write
        self._memory = _Memory()

    def start(self, fs: RecordingFileSystem) -> Start:
        """Start on a disk, and look at everything that is there."""
        start = Start(fs, self._config, self._look, self._write, self._memory)
        start.lock()
        start.claim(CLUSTER_ID, BROKER_ID)
        start.open_all()
        return start


class Start(LogManager):
    """One start; those logs are really open that were not found as others had been before."""

    def __init__(self, fs: RecordingFileSystem, config: TopicConfig, look: Look, write: Write, memory: _Memory) -> None:
        super().__init__([DATA], fs, ManualClock(), config)
        self._disk = fs
        self._look = look
        self._write = write
        self._memory = memory
        self._opened: dict[TopicPartition, tuple[object, _Opened]] = {}

    @property
    def found(self) -> Found:
        """What is there."""
        opened = {partition: one for partition, (_, one) in self._opened.items()}
        return Found(
            {partition: one.log for partition, one in opened.items() if one.log is not None},
            {partition: one.reason for partition, one in opened.items() if one.log is None},
            tuple(f"{partition}: {fault}" for partition, one in opened.items() for fault in one.faults),
        )

    def write(self) -> dict[TopicPartition, FoundLog]:
        """Write to all logs, and return what they hold then."""
        return {
            partition: self._written(partition, key, opened.log)
            for partition, (key, opened) in self._opened.items()
            if opened.log is not None
        }

    def _open(
        self, environment: LogEnvironment, topic_partition: TopicPartition, config: TopicConfig, last_stop: LastStop
    ) -> bool:
        home = environment.home
        before = self._disk.contents(home.path / partition_directory(topic_partition))
        cleaned_offset = home.cleaned_offsets.get(topic_partition, 0)
        key = topic_partition, last_stop, cleaned_offset, before
        opened = self._memory.opened.get(key)
        if opened is not None:
            self._disk.replay(opened.done)
        else:
            begun_at = len(self._disk.trace)
            is_settled = super()._open(environment, topic_partition, config, last_stop)
            log = self.logs.get(topic_partition)
            found, faults = (None, ()) if log is None else self._look(log, cleaned_offset)
            opened = _Opened(
                found,
                tuple(faults),
                self.offline_partitions.get(topic_partition, ""),
                is_settled,
                home.recovery_points.get(topic_partition, 0),
                Episode(begun_at, self._disk.trace[begun_at:]),
            )
            # What was done elsewhere depends on what is there.
            if opened.done.concerns_only(before[0][1]):
                self._memory.opened[key] = opened
                if log is not None:
                    self._memory.unwritten[key] = log, self._disk
        self._opened[topic_partition] = key, opened
        if opened.log is not None:
            home.recovery_points[topic_partition] = opened.recovery_point
            home.log_start_offsets[topic_partition] = opened.log.start_offset
        return opened.is_settled

    def _written(self, partition: TopicPartition, key: object, found: FoundLog) -> FoundLog:
        if key in self._memory.written:
            written, done = self._memory.written[key]
            self._disk.replay(done)
            return written
        log, disk = self._memory.unwritten.pop(key, (self.logs.get(partition), self._disk))
        assert log is not None
        begun_at = len(disk.trace)
        written = self._write(log, found)
        done = Episode(begun_at, disk.trace[begun_at:])
        if key in self._memory.opened:
            self._memory.written[key] = written, done
        if disk is not self._disk:
            self._disk.replay(done)
        return written
