"""Which log is compacted next.

Source: Kafka, core/log/LogCleanerManager.scala (grabFilthiestCompactedLog).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from minikafka.clock import Clock
from minikafka.errors import KafkaError, StorageError
from minikafka.observability.logging import get_logger
from minikafka.storage.log import Log
from minikafka.types import TopicPartition

_log = get_logger(__name__)

RETRY_AFTER_S = 300.0
"""So long a log is left alone that could not be compacted: it may be damaged, or the disk full."""


class Cleaner:
    """Chooses among the logs whose topic is compacted.

    Args:
        logs: Every log of the broker, as they come and go.
        committed_end: Up to where the records of a partition cannot be taken back any more; None when nobody knows.
        clock: For topics that keep records out of compaction for some time.
    """

    def __init__(
        self,
        logs: Mapping[TopicPartition, Log],
        committed_end: Callable[[TopicPartition], int | None],
        clock: Clock,
    ) -> None:
        self._logs = logs
        self._committed_end = committed_end
        self._clock = clock
        self._retry_at: dict[TopicPartition, float] = {}

    def choose(self, but_not: Collection[TopicPartition] = ()) -> Log | None:
        """The log of which the largest share is new, of those where it is worth a pass."""
        best: Log | None = None
        best_ratio = 0.0
        for log in self._logs.values():
            if "compact" not in log.config.cleanup_policy or log.is_offline or log.topic_partition in but_not:
                continue
            if self._is_left_alone(log):
                continue
            try:
                cleanable = log.find_cleanable(self.end_offset_of(log))
            except StorageError as error:
                self.failed(log, error)
                continue
            if cleanable.is_due(log.config) and cleanable.dirty_ratio > best_ratio:
                best, best_ratio = log, cleanable.dirty_ratio
        return best

    def end_offset_of(self, log: Log) -> int:
        """Up to where a log may be compacted at the moment."""
        end_offset = self._committed_end(log.topic_partition)
        return log.log_start_offset if end_offset is None else end_offset

    def failed(self, log: Log, error: KafkaError) -> None:
        """Take note that a pass has come to nothing, and leave the log alone for some time."""
        self._retry_at[log.topic_partition] = self._clock.monotonic() + RETRY_AFTER_S
        _log.error("compaction_failed", partition=str(log.topic_partition), error=str(error))

    def _is_left_alone(self, log: Log) -> bool:
        retry_at = self._retry_at.get(log.topic_partition)
        if retry_at is None or retry_at > self._clock.monotonic():
            return retry_at is not None
        del self._retry_at[log.topic_partition]
        return False
