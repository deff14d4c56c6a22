"""All the logs of a broker, and the directories they are in.

Source: Kafka, core/log/LogManager.scala.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from minikafka.clock import Clock
from minikafka.config.topic import TopicConfig
from minikafka.errors import StorageError
from minikafka.observability.logging import get_logger
from minikafka.storage import filenames
from minikafka.storage.append import DEFAULT_MAX_DECOMPRESSED_BYTES
from minikafka.storage.data_directory import CheckpointTicket, DataDirectory
from minikafka.storage.environment import LogEnvironment
from minikafka.storage.fs import FileSystem, remove_tree
from minikafka.storage.log import Log
from minikafka.storage.opening import create_log, open_log
from minikafka.storage.recovery import CorruptLog, LastStop
from minikafka.storage.segment_cache import SegmentCache
from minikafka.types import TopicPartition

_log = get_logger(__name__)


class LogManager:
    """The logs of a broker.

    The order of a start: :meth:`lock`, :meth:`claim`, :meth:`open_all`; :meth:`close` ends it.

    Args:
        directories: Where the logs are; made when they are missing.
        fs: The file system.
        clock: What ages segments.
        topic_defaults: For topics that nobody gives a configuration of.
        max_decompressed_bytes: The most that the records of one batch may take when they are looked into.
        max_open_segments: How many closed segments may be open for reading at a time.
    """

    def __init__(
        self,
        directories: Sequence[Path],
        fs: FileSystem,
        clock: Clock,
        topic_defaults: TopicConfig,
        *,
        max_decompressed_bytes: int = DEFAULT_MAX_DECOMPRESSED_BYTES,
        max_open_segments: int = 256,
    ) -> None:
        cache = SegmentCache(max_open_segments)
        self._environments = [
            LogEnvironment(fs, clock, DataDirectory(path, fs), cache, max_decompressed_bytes) for path in directories
        ]
        self._fs = fs
        self._topic_defaults = topic_defaults
        self._homes: dict[TopicPartition, LogEnvironment] = {}
        self._logs: dict[TopicPartition, Log] = {}
        self._refused: dict[TopicPartition, str] = {}

    @property
    def logs(self) -> Mapping[TopicPartition, Log]:
        """The logs that are open, those that have gone offline since included."""
        return self._logs

    @property
    def offline_partitions(self) -> Mapping[TopicPartition, str]:
        """The partitions on disk that could not be opened, and why."""
        return self._refused

    @property
    def directories(self) -> Sequence[DataDirectory]:
        """The data directories."""
        return [environment.home for environment in self._environments]

    @property
    def cluster_id(self) -> str | None:
        """The cluster whose data the directories hold; None when nobody has claimed them yet."""
        identities = (home.identity for home in self.directories)
        return next((identity.cluster_id for identity in identities if identity is not None), None)

    def lock(self) -> None:
        """Make the directories if need be, and keep other brokers out of them.

        Raises:
            StorageError: Another broker uses one of them, or it cannot be made.
        """
        for home in self.directories:
            home.lock()

    def claim(self, cluster_id: str, node_id: int) -> None:
        """Make sure that the directories are this broker's.

        Raises:
            StorageError: One of them belongs to another cluster or to another broker.
        """
        for home in self.directories:
            home.claim(cluster_id, node_id)

    def open_all(self, configs: Mapping[str, TopicConfig] | None = None) -> None:
        """Open every log there is; one that is refused becomes an offline partition.

        Args:
            configs: By topic.

        Raises:
            StorageError: A directory cannot be read.
        """
        for environment in self._environments:
            self._open_directory(environment, configs or {})

    def create(self, topic_partition: TopicPartition, topic_id: bytes, config: TopicConfig | None = None) -> Log:
        """Make a log, in the directory that has the fewest.

        Raises:
            StorageError: There is one already, or it cannot be made.
        """
        if topic_partition in self._logs or topic_partition in self._refused:
            raise StorageError(f"{topic_partition} exists already")
        online = [environment for environment in self._environments if environment.home.offline_reason is None]
        if not online:
            raise StorageError("every data directory is offline")
        populations = list(self._homes.values())
        environment = min(online, key=populations.count) if len(online) > 1 else online[0]
        log = create_log(environment, topic_partition, topic_id, config or self._topic_defaults)
        self._add(environment, log)
        return log

    def get(self, topic_partition: TopicPartition) -> Log | None:
        """A partition's log; None when this broker has none.

        Raises:
            StorageError: There is one that could not be opened.
        """
        log = self._logs.get(topic_partition)
        if log is None and topic_partition in self._refused:
            raise StorageError(f"{topic_partition} is offline: {self._refused[topic_partition]}")
        return log

    def delete(self, topic_partition: TopicPartition) -> None:
        """Remove a partition's log, an offline one too; nothing happens when there is none.

        Raises:
            StorageError: Some of its files are still there; the next start clears them away.
        """
        environment = self._homes.pop(topic_partition, None)
        if environment is None:
            return
        log = self._logs.pop(topic_partition, None)
        if log is not None:
            log.delete()
            return
        del self._refused[topic_partition]
        environment.home.remove_partition(topic_partition)

    def apply_retention(self, now_ms: int, topic: str | None = None) -> int:
        """Delete the segments that have had their time, and return how many those were.

        An error in one log does not keep the others from it.

        Args:
            now_ms: The present time.
            topic: Whose logs to look at; None for all.

        Raises:
            StorageError: The new starts of the logs could not be written; the files are kept until they are.
        """
        retiring = []
        count = 0
        for log in self._logs.values():
            if log.is_offline or (topic is not None and topic != log.topic_partition.topic):
                continue
            try:
                count += log.retire_expired(now_ms)
            except StorageError as error:
                _log.error("retention_failed", partition=str(log.topic_partition), error=str(error))
            if log.has_retired:
                retiring.append(log)
        if retiring:
            self.checkpoint_log_start_offsets()
        for log in retiring:
            try:
                log.remove_retired()
            except StorageError as error:
                _log.error("retention_failed", partition=str(log.topic_partition), error=str(error))
        return count

    def begin_checkpoint(self) -> Sequence[CheckpointTicket]:
        """Take down what is to be remembered; ``run`` the tickets, in another thread if need be, and hand them back."""
        return [
            ticket for home in self.directories if home.offline_reason is None for ticket in home.begin_checkpoint()
        ]

    def end_checkpoint(self, tickets: Sequence[CheckpointTicket]) -> None:
        """Put the files that tickets have written in their places.

        Raises:
            StorageError: An old file is still in place.
        """
        for ticket in tickets:
            ticket.home.end_checkpoint(ticket)

    def checkpoint_recovery_points(self) -> None:
        """Write down up to where each log is on the disk, and compacted: less to do after a crash.

        Raises:
            StorageError: An old file is still in place.
        """
        tickets = self.begin_checkpoint()
        for ticket in tickets:
            ticket.run()
        self.end_checkpoint(tickets)

    def checkpoint_log_start_offsets(self) -> None:
        """Write down where each log begins; that is on the disk when this returns.

        Raises:
            StorageError: A directory may still have the old file.
        """
        for home in self.directories:
            if home.offline_reason is None:
                home.save_log_start_offsets()

    def close(self) -> None:
        """Force every log to disk, close it, and mark the directories clean, each when all of its logs are."""
        for environment in self._environments:
            self._close_directory(environment)
        self._logs.clear()
        self._homes.clear()

    def _open_directory(self, environment: LogEnvironment, configs: Mapping[str, TopicConfig]) -> None:
        home = environment.home
        was_clean = home.take_clean_marker()
        machine_restarted = not was_clean and home.has_machine_restarted()
        home.read_checkpoints()
        recovery_points, start_offsets = dict(home.recovery_points), dict(home.log_start_offsets)
        cleaned_offsets = dict(home.cleaned_offsets)
        is_settled = True
        for entry in self._fs.list_directory(home.path):
            if not entry.is_directory:
                continue
            if filenames.is_deleted_directory(entry.name):
                self._clear_away(home.path / entry.name)
                continue
            tp = filenames.parse_partition_directory(entry.name)
            if tp is not None:
                last_stop = LastStop(
                    was_clean,
                    machine_restarted,
                    recovery_points.pop(tp, 0),
                    start_offsets.pop(tp, 0),
                    was_compacted=cleaned_offsets.pop(tp, None) is not None,
                )
                is_settled &= self._open(environment, tp, configs.get(tp.topic, self._topic_defaults), last_stop)
        for absent in {*recovery_points, *start_offsets, *cleaned_offsets}:
            home.forget(absent)
        if is_settled:
            home.remember_boot()

    def _clear_away(self, directory: Path) -> None:
        try:
            remove_tree(self._fs, directory)
        except StorageError as error:
            _log.error("deletion_failed", directory=str(directory), error=str(error))

    def _open(
        self, environment: LogEnvironment, topic_partition: TopicPartition, config: TopicConfig, last_stop: LastStop
    ) -> bool:
        """Open a log; False when that has to be tried again, for it was neither opened nor found damaged."""
        try:
            self._add(environment, open_log(environment, topic_partition, config, last_stop))
        except StorageError as error:
            self._homes[topic_partition] = environment
            self._refused[topic_partition] = str(error)
            _log.error("log_refused", partition=str(topic_partition), reason=str(error))
            return isinstance(error, CorruptLog)
        return True

    def _add(self, environment: LogEnvironment, log: Log) -> None:
        self._logs[log.topic_partition] = log
        self._homes[log.topic_partition] = environment

    def _close_directory(self, environment: LogEnvironment) -> None:
        home = environment.home
        owned = [topic_partition for topic_partition, owner in self._homes.items() if owner is environment]
        logs = [self._logs[topic_partition] for topic_partition in owned if topic_partition in self._logs]
        # All are written before the first is synced: a file system commits many new files as fast as one.
        is_clean = len(logs) == len(owned)
        for step in (Log.write_out, Log.close):
            for log in logs:
                is_clean &= _attempt(step, log)
        try:
            if home.offline_reason is None:
                home.save_recovery_points()
                home.save_log_start_offsets()
                if home.cleaned_offsets:
                    home.save_cleaned_offsets()
                if is_clean:
                    home.write_clean_marker()
        except StorageError as error:
            _log.error("data_directory_not_closed", path=str(home.path), error=str(error))
        home.release()


def _attempt(step: Callable[[Log], None], log: Log) -> bool:
    """Take one step of closing a log; False when it fails, or the log has been offline."""
    try:
        step(log)
    except StorageError as error:
        _log.error("log_not_closed", partition=str(log.topic_partition), error=str(error))
        return False
    return not log.is_offline
