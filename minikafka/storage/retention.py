"""Which segments have had their time."""

from __future__ import annotations

from collections.abc import Iterable

from minikafka.config.topic import TopicConfig
from minikafka.storage.segment import Segment


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
