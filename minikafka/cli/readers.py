"""Reading a topic and printing it: from place to place, or as a member of a group."""

from __future__ import annotations

import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import click

from minikafka.cli.console import plural
from minikafka.cli.exits import ExitCode, Failure
from minikafka.cli.formats import Formatter
from minikafka.cli.places import Place
from minikafka.errors import RebalanceInProgress
from minikafka.types import TopicPartition
from minikafka_client.consumer.message import Message
from minikafka_client.errors import CommitFailed
from minikafka_client.sync import Consumer

_RECORDS_PER_POLL = 5_000
_POLL_MS = 200


@dataclass(frozen=True, slots=True)
class Limits:
    """When to stop: after so many records, or when nothing comes for so long."""

    count: int | None = None
    timeout_s: float | None = None


class OutputClosed(Exception):
    """Whoever read standard output, such as ``head``, has seen enough."""


class Reader(ABC):
    """Polls and prints until it is time to stop."""

    def __init__(self, consumer: Consumer, topic: str, limits: Limits, format_messages: Formatter) -> None:
        self.count = 0
        self._consumer = consumer
        self._topic = topic
        self._limits = limits
        self._format = format_messages

    def run(self) -> None:
        """Print what is to be read.

        Raises:
            Failure: There is no such partition, or nothing came for too long.
            OutputClosed: Nobody reads what is printed.
        """
        self._begin(self._consumer.partitions_for_topic(self._topic))
        last_news = time.monotonic()
        while not self._has_enough() and not self._is_at_end():
            messages = self._consumer.poll(_POLL_MS, self._records_wanted())
            now = time.monotonic()
            if messages:
                last_news = now
                self._print(messages)
            elif self._limits.timeout_s is not None and now - last_news >= self._limits.timeout_s:
                raise Failure(f"nothing came for {self._limits.timeout_s:g} s", ExitCode.TIMEOUT)

    @abstractmethod
    def summary(self) -> str:
        """What was read, after how many and how long."""

    @abstractmethod
    def _begin(self, partitions: Sequence[TopicPartition]) -> None:
        """Have the consumer read; ``partitions`` are those of the topic."""

    @abstractmethod
    def _is_at_end(self) -> bool:
        """Whether all was read that is to be read."""

    def _print(self, messages: Sequence[Message]) -> None:
        self.count += len(messages)
        try:
            sys.stdout.buffer.write(self._format(messages))
            sys.stdout.buffer.flush()
        except BrokenPipeError:
            raise OutputClosed from None

    def _has_enough(self) -> bool:
        return self._limits.count is not None and self.count >= self._limits.count

    def _records_wanted(self) -> int:
        limit = self._limits.count
        return _RECORDS_PER_POLL if limit is None else min(_RECORDS_PER_POLL, limit - self.count)


class PlaceReader(Reader):
    """Reads from one place to another, or without end.

    Args:
        consumer: What reads.
        topic: The topic.
        limits: When to stop besides.
        format_messages: How to print.
        start: Where to begin.
        until: Where to stop, None for nowhere.
        numbers: Which partitions to read; none of them stands for all.
    """

    def __init__(
        self,
        consumer: Consumer,
        topic: str,
        limits: Limits,
        format_messages: Formatter,
        *,
        start: Place,
        until: Place | None,
        numbers: Collection[int],
    ) -> None:
        super().__init__(consumer, topic, limits, format_messages)
        self._start = start
        self._until = until
        self._numbers = numbers
        self._partitions: Sequence[TopicPartition] = ()
        self._stops: dict[TopicPartition, int] = {}
        self._unfinished: set[TopicPartition] = set()

    def summary(self) -> str:
        """What was read."""
        return f"{plural(len(self._partitions), 'partition')}, no group (nothing committed)"

    def _begin(self, partitions: Sequence[TopicPartition]) -> None:
        self._partitions = self._chosen(partitions)
        starts = self._start.resolve(self._consumer, self._partitions)
        if self._until is not None:
            self._stops = self._until.resolve(self._consumer, self._partitions)
            self._unfinished = set(self._partitions)
        self._consumer.assign(self._partitions)
        for partition, offset in starts.items():
            self._consumer.seek(partition, offset)

    def _chosen(self, known: Sequence[TopicPartition]) -> Sequence[TopicPartition]:
        unknown = set(self._numbers) - {where.partition for where in known}
        if unknown:
            topic = self._topic
            raise Failure(f"{topic} has no partition {min(unknown)}; see 'minikafka topic describe {topic}'")
        return [where for where in known if where.partition in self._numbers] if self._numbers else known

    def _print(self, messages: Sequence[Message]) -> None:
        if self._stops:
            messages = [message for message in messages if message.offset < self._stops[_place(message)]]
        super()._print(messages)

    def _is_at_end(self) -> bool:
        if self._until is None:
            return False
        # Positions, not messages: the last offsets before the stop may hold none.
        ended = [where for where in self._unfinished if self._consumer.position(where) >= self._stops[where]]
        if ended:
            self._consumer.pause(*ended)
            self._unfinished -= set(ended)
        return not self._unfinished


class GroupReader(Reader):
    """Reads what its group gives it, and commits what was printed.

    Args:
        consumer: What reads; it commits nothing by itself.
        topic: The topic.
        limits: When to stop besides.
        format_messages: How to print.
        group_id: The group that ``consumer`` is to join.
        exit_at_end: Whether to stop when all of its partitions are read to what is their end now.
    """

    def __init__(
        self,
        consumer: Consumer,
        topic: str,
        limits: Limits,
        format_messages: Formatter,
        *,
        group_id: str,
        exit_at_end: bool,
    ) -> None:
        super().__init__(consumer, topic, limits, format_messages)
        self._group_id = group_id
        self._exit_at_end = exit_at_end
        self._ends: dict[TopicPartition, int] = {}

    def summary(self) -> str:
        """What was read."""
        return f"{plural(len(self._consumer.assignment), 'partition')}, group {self._group_id} (committed)"

    def _begin(self, partitions: Sequence[TopicPartition]) -> None:
        if self._exit_at_end:
            self._ends = self._consumer.end_offsets(partitions)
        self._consumer.subscribe([self._topic])

    def _print(self, messages: Sequence[Message]) -> None:
        super()._print(messages)
        try:
            self._consumer.commit()
        except RebalanceInProgress:
            return  # the next commit has these too, unless they go to somebody who reads them again
        except CommitFailed as error:
            click.echo(f"minikafka: {error}", err=True)

    def _is_at_end(self) -> bool:
        if not self._exit_at_end:
            return False
        mine = self._consumer.assignment
        return bool(mine) and all(self._consumer.position(where) >= self._ends.get(where, 0) for where in mine)


def _place(message: Message) -> TopicPartition:
    return TopicPartition(message.topic, message.partition)
