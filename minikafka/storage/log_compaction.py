"""Compaction as a log sees it: where its dirty part begins, which pass is under way, putting its work in place."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from minikafka.config.topic import TopicConfig
from minikafka.observability import events
from minikafka.storage.cleanable import Cleanable, find_cleanable
from minikafka.storage.environment import LogEnvironment
from minikafka.storage.log_producers import LogProducers
from minikafka.storage.segment import Segment
from minikafka.storage.segment_swap import remove_cleaned, swap_in
from minikafka.storage.segments import Segments
from minikafka.types import TopicPartition

if TYPE_CHECKING:
    from minikafka.storage.compaction import Cleaned, CompactionMeans, CompactionTicket
    from minikafka.storage.transaction_index import AbortedTransaction


class LogCompaction:
    """What a log knows of its compaction.

    Args:
        environment: The file system, and the data directory, which remembers how far the log has been compacted.
        topic_partition: Whose log it is.
        directory: Of the log.
        segments: Of the log.
        producers: Of the log.
    """

    __slots__ = ("_directory", "_fs", "_home", "_is_closed", "_producers", "_segments", "_ticket", "_topic_partition")

    def __init__(
        self,
        environment: LogEnvironment,
        topic_partition: TopicPartition,
        directory: Path,
        *,
        segments: Segments,
        producers: LogProducers,
    ) -> None:
        self._fs = environment.fs
        self._home = environment.home
        self._topic_partition = topic_partition
        self._directory = directory
        self._segments = segments
        self._producers = producers
        self._ticket: CompactionTicket | None = None
        self._is_closed = False

    def find(self, config: TopicConfig, log_start_offset: int, end_offset: int, now_ms: int) -> Cleanable:
        """Measure what of the log may be compacted, below ``end_offset``."""
        first_dirty_offset = self._home.cleaned_offsets.get(self._topic_partition, log_start_offset)
        first_dirty_offset = max(first_dirty_offset, log_start_offset)
        return find_cleanable(self._segments, config, first_dirty_offset, end_offset, now_ms)

    def begin(
        self, config: TopicConfig, cleanable: Cleanable, now_ms: int, means: CompactionMeans
    ) -> CompactionTicket | None:
        """Begin a pass over what may be compacted; None when that is nothing, or another pass is under way.

        Raises:
            StorageError: An index of aborted transactions cannot be read.
        """
        is_under_way = self._ticket is not None and not self._ticket.is_done
        if self._is_closed or is_under_way or not cleanable.dirty_bytes:
            return None
        # Late, as a broker that starts does not wait for what only compaction needs.
        from minikafka.storage.batch_filter import ProducerEnd  # noqa: PLC0415
        from minikafka.storage.compaction import CompactionTicket, Source  # noqa: PLC0415

        self._ticket = CompactionTicket(
            self._fs,
            self._directory,
            config,
            [Source(segment.base_offset, segment.end_offset, segment.size) for segment in cleanable.segments],
            first_dirty_offset=cleanable.first_dirty_offset,
            aborted=self._aborted(),
            producers={
                state.producer_id: ProducerEnd(state.batches[-1].last_offset if state.batches else None, state.epoch)
                for state in self._producers.states.all
            },
            now_ms=now_ms,
            means=means,
        )
        return self._ticket

    def end(self, ticket: CompactionTicket, index_interval_bytes: int) -> int | None:
        """Put what a run has written in its place; at the end of the pass, note how far the log is compacted.

        Returns:
            How many bytes the log has lost; None when its segments are the same as before.

        Raises:
            StorageError: It is not known which segments the next start will find.
        """
        cleaned, ticket.cleaned = ticket.cleaned, None
        if ticket.is_aborted:
            if cleaned is not None:
                remove_cleaned(self._fs, self._directory, cleaned.base_offset)
            return None
        if ticket.is_done:
            self._home.cleaned_offsets[self._topic_partition] = ticket.end_offset
            events.record(events.LogCompacted(*self._topic_partition, ticket.end_offset))
        return None if cleaned is None else self._replace(cleaned, index_interval_bytes)

    def abort(self) -> None:
        """Give up the pass that is under way: the segments that it goes by are about to change."""
        if self._ticket is not None:
            self._ticket.abort()
            self._ticket = None

    def close(self) -> None:
        """Give up for good: the directory may become another log's."""
        self.abort()
        self._is_closed = True

    def _aborted(self) -> list[AbortedTransaction]:
        """All of the log: a transaction may end after what is compacted, and have records in it."""
        found: list[AbortedTransaction] = []
        for segment in self._segments:
            if segment.aborted:
                found += segment.aborted
                self._segments.used(segment)
        return found

    def _replace(self, cleaned: Cleaned, index_interval_bytes: int) -> int:
        base_offset = cleaned.base_offset
        first = self._segments.at(base_offset)
        assert first is not None
        swap_in(self._fs, self._directory, base_offset, [source.base_offset for source in cleaned.sources])
        segment = Segment(
            self._fs,
            self._directory,
            base_offset,
            size=cleaned.size,
            index_interval_bytes=index_interval_bytes,
            created_ms=first.created_ms,
        )
        segment.end_offset = cleaned.end_offset
        old = self._segments.replace(len(cleaned.sources), segment)
        return sum(one.size for one in old) - cleaned.size
