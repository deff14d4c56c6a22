"""Which segments have had their time, and those whose files wait to be removed."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from minikafka.config.topic import TopicConfig
from minikafka.observability import events
from minikafka.observability.logging import get_logger
from minikafka.storage.segment import Segment
from minikafka.types import TopicPartition

_log = get_logger(__name__)


class RetiredSegments:
    """Segments that are no part of their log any more, but whose files are still there.

    Args:
        topic_partition: Whose log it was.
    """

    __slots__ = ("_segments", "_topic_partition")

    def __init__(self, topic_partition: TopicPartition) -> None:
        self._topic_partition = topic_partition
        self._segments: deque[Segment] = deque()

    def __bool__(self) -> bool:
        return bool(self._segments)

    def add(self, segments: Iterable[Segment]) -> None:
        """Note that these, the oldest first, are to be removed."""
        self._segments.extend(segments)

    def remove(self) -> None:
        """Remove the files, the oldest first.

        Raises:
            StorageError: Some are still there; they are tried again the next time.
        """
        while self._segments:
            segment = self._segments[0]
            segment.unlink()
            self._segments.popleft()
            _log.info("segment_deleted", partition=str(self._topic_partition), base_offset=segment.base_offset)
            events.record(events.SegmentDeleted(*self._topic_partition, segment.base_offset, "retention"))


def count_expired(
    segments: Iterable[Segment], config: TopicConfig, log_start_offset: int, size_bytes: int, now_ms: int
) -> int:
    """How many segments go, oldest first, because of ``retention.bytes``, ``retention.ms`` or the log start offset.

    An empty segment stays.  All of them may go: the log rolls first then.

    Args:
        segments: All of the log, in order.
        config: Whose limits are meant; without the policy "delete" only the log start offset counts.
        log_start_offset: What is before it was deleted by request.
        size_bytes: Of all the segments.
        now_ms: The present time.

    Source: Kafka, UnifiedLog.deleteOldSegments.
    """
    deletes = "delete" in config.cleanup_policy
    excess_bytes = size_bytes - config.retention_bytes if deletes and config.retention_bytes >= 0 else 0
    retention_ms = config.retention_ms if deletes else -1
    count = 0
    for segment in segments:
        if segment.size == 0:
            break
        excess_bytes -= segment.size
        is_surplus = excess_bytes >= 0 and deletes and config.retention_bytes >= 0
        if not (is_surplus or segment.end_offset <= log_start_offset or _is_too_old(segment, retention_ms, now_ms)):
            break
        count += 1
    return count


def _is_too_old(segment: Segment, retention_ms: int, now_ms: int) -> bool:
    if retention_ms < 0:
        return False
    timestamp_ms = segment.latest.timestamp_ms
    if timestamp_ms < 0:
        timestamp_ms = segment.modified_ms
    return now_ms - timestamp_ms > retention_ms
