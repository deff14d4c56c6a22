"""When a log begins a new segment."""

from __future__ import annotations

from minikafka.clock import Clock
from minikafka.config.definition import MAX_LONG
from minikafka.config.topic import TopicConfig
from minikafka.errors import RecordListTooLarge
from minikafka.records.crc32c import crc32c
from minikafka.storage.offset_index import MAX_RELATIVE_OFFSET
from minikafka.storage.segment import Segment


class RollPolicy:
    """Says, once before each append, whether the batch belongs into a new segment, and now and then without one.

    Where records are dated, an append goes by their time, so that a log which is written anew, or copied, gets the
    segments that it had.  A log to which nothing is appended goes by the clock; in Kafka it keeps its last segment.

    Args:
        config: The topic's.
        clock: For segments whose records have no times.
        segment: The one that is written.

    Source: Kafka, LogSegment.shouldRoll, LogConfig.maxSegmentMs, LogConfig.randomSegmentJitter.
    """

    __slots__ = ("_clock", "_config", "_index_room", "_max_age_ms", "_segment_bytes")

    def __init__(self, config: TopicConfig, clock: Clock, segment: Segment) -> None:
        self._config = config
        self._segment_bytes = config.segment_bytes
        self._clock = clock
        self._index_room = 0  # so many batches, at least, cannot fill the indexes
        self._max_age_ms = _max_age_ms(config) - _jitter_ms(config, segment)

    def must_roll(self, segment: Segment, size: int, last_offset: int, max_timestamp_ms: int) -> bool:
        """Whether a batch of this size, offset and time does not fit into ``segment`` any more.

        Raises:
            RecordListTooLarge: It fits into none.
        """
        limit = self._segment_bytes
        if size > limit:
            raise RecordListTooLarge(f"a batch of {size} bytes exceeds segment.bytes, {limit}")
        if segment.size == 0:
            return False
        first_timestamp_ms = segment.first_timestamp_ms
        if first_timestamp_ms >= 0:
            age_ms = max_timestamp_ms - first_timestamp_ms
        else:
            age_ms = self._clock.now_ms() - segment.created_ms
        if (
            segment.size + size > limit
            or age_ms > self._max_age_ms
            or last_offset - segment.base_offset > MAX_RELATIVE_OFFSET
        ):
            return True
        self._index_room -= 1
        if self._index_room <= 0:
            self._index_room = segment.indexes.room(self._config.segment_index_bytes)
        return self._index_room <= 0

    def is_old(self, segment: Segment, now_ms: int) -> bool:
        """Whether ``segment`` has records and was made, or found, so long ago that it ends without another append."""
        return segment.size > 0 and now_ms - segment.created_ms >= self._max_age_ms


def _max_age_ms(config: TopicConfig) -> int:
    """Compaction leaves the segment alone that is written: records would be overdue in it."""
    return min(config.segment_ms, config.max_compaction_lag_ms if "compact" in config.cleanup_policy else MAX_LONG)


def _jitter_ms(config: TopicConfig, segment: Segment) -> int:
    """What is taken off the age of a segment, so that logs do not roll together; the same in every run."""
    most_ms = min(config.segment_jitter_ms, config.segment_ms)
    return crc32c(str(segment.path).encode()) % most_ms if most_ms > 0 else 0
