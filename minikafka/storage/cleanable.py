"""How much of a log can be compacted, and whether that is worth it.

Source: Kafka, core/log/LogCleanerManager.scala (cleanableOffsets, maxCompactionDelay, LogToClean).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from minikafka.config.definition import MAX_LONG
from minikafka.config.topic import TopicConfig
from minikafka.storage.segment import Segment
from minikafka.storage.segments import Segments


class Cleanable(NamedTuple):
    """The part of a log that may be compacted: whole segments, from its start on."""

    first_dirty_offset: int
    """What is below it was compacted before."""
    segments: Sequence[Segment]
    clean_bytes: int
    dirty_bytes: int
    is_overdue: bool
    """Whether a dirty record is older than ``max.compaction.lag.ms``."""

    @property
    def dirty_ratio(self) -> float:
        """The dirty share of what may be compacted, 0 when nothing may."""
        total_bytes = self.clean_bytes + self.dirty_bytes
        return self.dirty_bytes / total_bytes if total_bytes else 0.0

    def is_due(self, config: TopicConfig) -> bool:
        """Whether a pass is worth it."""
        return self.dirty_bytes > 0 and (self.is_overdue or self.dirty_ratio > config.min_cleanable_dirty_ratio)


def find_cleanable(
    segments: Segments, config: TopicConfig, first_dirty_offset: int, end_offset: int, now_ms: int
) -> Cleanable:
    """Measure what may be compacted.

    Args:
        segments: The log's; the active one is never compacted.
        config: The topic's.
        first_dirty_offset: What is below it was compacted before.
        end_offset: Only segments that end at or below it: what is above may still be taken back.
        now_ms: The present time.
    """
    taken: list[Segment] = []
    clean_bytes = dirty_bytes = 0
    is_overdue = False
    for segment in segments:
        is_dirty = segment.end_offset > first_dirty_offset
        if segment is segments.active or segment.end_offset > end_offset:
            break
        if is_dirty and _is_too_new(segment, config, now_ms):
            break
        taken.append(segment)
        if is_dirty:
            dirty_bytes += segment.size
            is_overdue = is_overdue or _is_overdue(segment, config, now_ms)
            segments.used(segment)
        else:
            clean_bytes += segment.size
    return Cleanable(first_dirty_offset, taken, clean_bytes, dirty_bytes, is_overdue)


def _is_too_new(segment: Segment, config: TopicConfig, now_ms: int) -> bool:
    lag_ms = config.min_compaction_lag_ms
    return lag_ms > 0 and segment.latest.timestamp_ms > now_ms - lag_ms


def _is_overdue(segment: Segment, config: TopicConfig, now_ms: int) -> bool:
    lag_ms = config.max_compaction_lag_ms
    return lag_ms < MAX_LONG and 0 < segment.first_timestamp_ms < now_ms - lag_ms
