"""When a log begins a new segment."""

from __future__ import annotations

from minikafka.clock import Clock
from minikafka.config.topic import TopicConfig
from minikafka.errors import RecordListTooLarge
from minikafka.records.crc32c import crc32c
from minikafka.storage.offset_index import MAX_RELATIVE_OFFSET
from minikafka.storage.segment import Segment


class RollPolicy:
    """Says before each append whether the batch belongs into a new segment.

    Args:
        config: The topic's.
        clock: For segments whose records have no times.
        segment: The one that is written.

    Source: Kafka, LogSegment.shouldRoll, LogConfig.randomSegmentJitter.
    """

    __slots__ = ("_clock", "_config", "_max_age_ms")

    def __init__(self, config: TopicConfig, clock: Clock, segment: Segment) -> None:
        self._config = config
        self._clock = clock
        self._max_age_ms = config.segment_ms - _jitter_ms(config, segment)

    def must_roll(self, segment: Segment, size: int, last_offset: int, max_timestamp_ms: int) -> bool:
        """Whether a batch of this size, offset and time does not fit into ``segment`` any more.

        Raises:
            RecordListTooLarge: It fits into none.
        """
        config = self._config
        if size > config.segment_bytes:
            raise RecordListTooLarge(f"a batch of {size} bytes exceeds segment.bytes, {config.segment_bytes}")
        if segment.size == 0:
            return False
        first_timestamp_ms = segment.first_timestamp_ms
        if first_timestamp_ms >= 0:
            age_ms = max_timestamp_ms - first_timestamp_ms
        else:
            age_ms = self._clock.now_ms() - segment.created_ms
        return (
            segment.size + size > config.segment_bytes
            or age_ms > self._max_age_ms
            or last_offset - segment.base_offset > MAX_RELATIVE_OFFSET
            or segment.indexes.is_full(config.segment_index_bytes)
        )


def _jitter_ms(config: TopicConfig, segment: Segment) -> int:
    """What is taken off the age of a segment, so that logs do not roll together; the same in every run."""
    most_ms = min(config.segment_jitter_ms, config.segment_ms)
    return crc32c(str(segment.path).encode()) % most_ms if most_ms > 0 else 0
