"""What a consumer knows of each partition assigned to it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from enum import IntEnum
from itertools import islice
from operator import length_hint

from minikafka.types import NO_OFFSET, TopicPartition
from minikafka_client.consumer.chunk import Chunk
from minikafka_client.consumer.message import Message


class Start(IntEnum):
    """Where to begin; the values are ListOffsets' special timestamps."""

    LATEST = -1
    EARLIEST = -2


class PartitionState:
    """Where the consumer is in one partition, and what was read ahead of it.

    ``position`` is the offset of the next message to hand out and ``fetch_offset`` that of the next one to fetch;
    between the two lie first ``messages`` (decoded, from index ``taken`` on), then ``chunks`` as they came.  How many
    were taken is known by the iterator ``decoded``, so that taking one is a call of ``next`` and nothing else.
    """

    __slots__ = (
        "_position",
        "awaits_commit",
        "chunks",
        "decoded",
        "error",
        "fetch",
        "fetch_offset",
        "high_watermark",
        "is_paused",
        "last_stable_offset",
        "log_start_offset",
        "messages",
        "messages_end_offset",
        "not_before",
        "start",
        "topic_partition",
        "why",
    )

    def __init__(self, topic_partition: TopicPartition, start: Start | None) -> None:
        self.topic_partition = topic_partition
        self.start = start  # where to begin as long as there is no position; None: nowhere, that is an error
        self.awaits_commit = False  # where to begin is being asked of the group; start is for when it does not know
        self.why = ""  # what led to start, for people
        self._position = NO_OFFSET  # as long as none of the messages was taken
        self.fetch_offset = NO_OFFSET
        self.fetch: object | None = None  # the fetch under way that is to bring what is at fetch_offset
        self.is_paused = False
        self.high_watermark = NO_OFFSET
        self.last_stable_offset = NO_OFFSET  # known only to a reader of committed records, who cannot read beyond it
        self.log_start_offset = NO_OFFSET
        self.chunks: deque[Chunk] = deque()
        self.messages: list[Message] = []
        self.decoded = iter(self.messages)
        self.messages_end_offset = NO_OFFSET
        self.error: Exception | None = None
        self.not_before = 0.0  # loop seconds; the pause after a failed fetch ends here

    @property
    def taken(self) -> int:
        """How many of the messages were handed out."""
        return len(self.messages) - length_hint(self.decoded)

    @property
    def position(self) -> int:
        """The offset of the next message to hand out; found out when asked, for messages are taken very often."""
        taken, messages = self.taken, self.messages
        if not 0 < taken <= len(messages):
            return self._position
        return messages[taken - 1].offset + 1 if taken < len(messages) else self.messages_end_offset

    @property
    def has_position(self) -> bool:
        """Whether the next offset is known."""
        return self.position != NO_OFFSET

    @property
    def buffered_bytes(self) -> int:
        """How much was read ahead and is not decoded."""
        return sum(len(chunk.records) for chunk in self.chunks)

    @property
    def lag(self) -> int | None:
        """How many offsets lie between the position and the last that could be read; None before the first fetch."""
        if self.high_watermark == NO_OFFSET or not self.has_position:
            return None
        return max(0, self._known_end_offset - self.position)

    @property
    def may_be_behind(self) -> bool:
        """Whether, for all that is known, the broker has more to fetch."""
        return self.high_watermark == NO_OFFSET or self.fetch_offset < self._known_end_offset

    @property
    def has_messages(self) -> bool:
        """Whether decoded messages are left."""
        return length_hint(self.decoded) > 0

    def set_messages(self, messages: list[Message], end_offset: int) -> None:
        """The messages of the batch at the position, which ends before ``end_offset``; perhaps none."""
        self._position = messages[0].offset if messages else max(self.position, end_offset)
        self.messages, self.decoded = messages, iter(messages)
        self.messages_end_offset = end_offset

    def take(self, max_records: int) -> list[Message]:
        """Hand out decoded messages, moving the position on."""
        return list(islice(self.decoded, max_records))

    def seek(self, offset: int) -> None:
        """Go on at ``offset``, whatever was read ahead."""
        self._forget_read_ahead()
        self._position = self.fetch_offset = offset

    def restart(self, start: Start | None) -> None:
        """Go on at the beginning or the end, to be looked up."""
        self._forget_read_ahead()
        self._position = self.fetch_offset = NO_OFFSET
        self.start = start

    @property
    def _known_end_offset(self) -> int:
        return self.high_watermark if self.last_stable_offset == NO_OFFSET else self.last_stable_offset

    def _forget_read_ahead(self) -> None:
        self.awaits_commit = False
        self.why = ""
        self.fetch = None
        self.chunks.clear()
        self.messages = []
        self.decoded = iter(self.messages)
        self.error = None
        self.not_before = 0.0


class Assignment:
    """The partitions of a consumer, each with its state."""

    def __init__(self) -> None:
        self._states: dict[TopicPartition, PartitionState] = {}

    def __iter__(self) -> Iterator[PartitionState]:
        return iter(self._states.values())

    def __len__(self) -> int:
        return len(self._states)

    def __getitem__(self, topic_partition: TopicPartition) -> PartitionState:
        """The state of a partition.

        Raises:
            ValueError: It is not assigned.
        """
        state = self._states.get(topic_partition)
        if state is None:
            raise ValueError(f"partition {topic_partition} is not assigned to this consumer")
        return state

    def get(self, topic_partition: TopicPartition) -> PartitionState | None:
        """The state of a partition, None when it is not assigned (any more)."""
        return self._states.get(topic_partition)

    @property
    def partitions(self) -> frozenset[TopicPartition]:
        """The assigned partitions."""
        return frozenset(self._states)

    def replace(self, partitions: Iterable[TopicPartition], start: Start | None) -> None:
        """Assign exactly these; those that were assigned before go on where they are."""
        self._states = {
            partition: self._states.get(partition) or PartitionState(partition, start) for partition in partitions
        }

    def add(self, topic_partition: TopicPartition, start: Start | None) -> None:
        """Assign one more."""
        self._states.setdefault(topic_partition, PartitionState(topic_partition, start))

    def rotate(self, topic_partition: TopicPartition) -> None:
        """Put a partition that was just served behind the others."""
        state = self._states.pop(topic_partition, None)
        if state is not None:
            self._states[topic_partition] = state
