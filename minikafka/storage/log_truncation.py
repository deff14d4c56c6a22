"""Cutting the end off a log: in every file, and so that nothing of it comes back.

Source: Kafka, UnifiedLog.truncateTo.
"""

from __future__ import annotations

from pathlib import Path

from minikafka.storage.environment import LogEnvironment
from minikafka.storage.flush import FlushState
from minikafka.storage.leader_epochs import LeaderEpochs
from minikafka.storage.log_producers import LogProducers
from minikafka.storage.segments import Segments
from minikafka.types import TopicPartition


class LogTruncation:
    """What has to be cut with a log.

    Args:
        environment: The file system, and the data directory, which must not remember more than there is.
        topic_partition: Whose log it is.
        directory: Of the log.
        segments: Of the log.
        flush: Of the log.
        leader_epochs: Of the log.
        producers: Of the log.
    """

    __slots__ = ("_directory", "_epochs", "_flush", "_fs", "_home", "_producers", "_segments", "_topic_partition")

    def __init__(
        self,
        environment: LogEnvironment,
        topic_partition: TopicPartition,
        directory: Path,
        *,
        segments: Segments,
        flush: FlushState,
        leader_epochs: LeaderEpochs,
        producers: LogProducers,
    ) -> None:
        self._fs = environment.fs
        self._home = environment.home
        self._topic_partition = topic_partition
        self._directory = directory
        self._segments = segments
        self._flush = flush
        self._epochs = leader_epochs
        self._producers = producers

    def cut(self, end_offset: int) -> None:
        """Remove the records from ``end_offset`` on, and those that share a batch with it, for good.

        Raises:
            StorageError: It is not known what the log has now.
        """
        kept_end_offset = self._end_of_what_is_kept(end_offset)
        self._home.lower_recovery_point(self._topic_partition, kept_end_offset)
        self._home.lower_cleaned_offset(self._topic_partition, kept_end_offset)
        self._producers.truncate(kept_end_offset)
        self._segments.cut(end_offset)
        self._fs.sync_directory(self._directory)
        log_end_offset = self._segments.active.end_offset
        self._flush.truncated(log_end_offset)
        self._epochs.truncate_from_end(log_end_offset)
        self._producers.truncated()

    def _end_of_what_is_kept(self, end_offset: int) -> int:
        """Where the log will end: a batch that holds ``end_offset`` goes as a whole, and a gap before it too.

        Not lower than that, for a start takes a gap for one of compaction only below the recovery point.
        """
        segment = self._segments.at(end_offset)
        header = None if segment is None else segment.find_batch(end_offset)
        if segment is None or header is None:
            return end_offset
        return min(end_offset, segment.end_before(header))
