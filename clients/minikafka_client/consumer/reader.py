"""Handing out messages, and knowing which of them the program is done with."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from minikafka.errors import KafkaError
from minikafka.types import TopicPartition
from minikafka_client.consumer.decode import Decoder
from minikafka_client.consumer.message import Message
from minikafka_client.consumer.positions import Assignment, PartitionState


class Reader:
    """Takes messages from the assigned partitions in turn, from what was read ahead.

    A program is done with a message when it asks for the next: until then a crash must bring the message again.  So
    beside the position, which is that of the next message to hand out, each partition has a :meth:`processed` offset.

    Args:
        assignment: The partitions.
        decoder: Makes messages of what was read ahead.
        wake: Called when there is room to read further ahead, or something to try again.
    """

    def __init__(self, assignment: Assignment, decoder: Decoder, wake: Callable[[], None]) -> None:
        self._assignment = assignment
        self._decoder = decoder
        self._wake = wake
        self._serving: PartitionState | None = None
        self._in_hand: dict[TopicPartition, int] = {}  # the first offset of those the last poll handed out

    def next_decoded(self) -> Message | None:
        """The next message if it is decoded already, else None; callable from another thread than the loop's."""
        serving = self._serving
        return None if serving is None or serving.is_paused else next(serving.decoded, None)

    def interrupt(self) -> None:
        """Have :meth:`next_decoded` return None until :meth:`serve_next`: something else comes first."""
        serving = self._serving
        if serving is not None and serving.taken:
            self._in_hand[serving.topic_partition] = serving.messages[serving.taken - 1].offset
        self._serving = None

    def asked_for_more(self) -> None:
        """The program is done with all that it was given."""
        self._serving = None
        self._in_hand.clear()

    def serve_next(self) -> Message | None:
        """The next message of the next partition that has some, which is then served for a while.

        Raises:
            KafkaError: What befell that partition.
        """
        for state in list(self._assignment):
            if state.is_paused:
                continue
            self.raise_error(state)
            if self._decoder.decode_ahead(state):
                self._serving = state
                self._assignment.rotate(state.topic_partition)
                self._wake()
                return next(state.decoded)
        return None

    def take(self, max_records: int) -> list[Message]:
        """As many messages as there are, up to ``max_records``.

        Raises:
            KafkaError: What befell a partition, if there is no message before that.
        """
        messages: list[Message] = []
        for state in list(self._assignment):
            if state.is_paused:
                continue
            if messages and state.error is not None:
                break  # first the messages; the next poll raises it
            before = len(messages)
            try:
                self.raise_error(state)
                while len(messages) < max_records and self._decoder.decode_ahead(state):
                    messages += state.take(max_records - len(messages))
            except KafkaError:
                if not messages:
                    raise
                break  # as above: the next poll meets it again
            finally:
                if len(messages) > before:
                    self._in_hand[state.topic_partition] = messages[before].offset
            if len(messages) >= max_records:
                self._assignment.rotate(state.topic_partition)
                break
        if messages:
            self._wake()
        return messages

    def raise_error(self, state: PartitionState) -> None:
        """Raise what befell a partition, once: the fetcher tries again meanwhile."""
        if state.error is not None:
            error, state.error = state.error, None
            self._wake()
            raise error

    def processed(self) -> dict[TopicPartition, int]:
        """The offset after the last message that the program is done with, in each partition that has a position."""
        return {state.topic_partition: self._processed_in(state) for state in self._assignment if state.has_position}

    def positions(self) -> dict[TopicPartition, int]:
        """The offset after the last message that was handed out, in each partition that has a position."""
        return {state.topic_partition: state.position for state in self._assignment if state.has_position}

    def sought(self, partitions: Iterable[TopicPartition]) -> None:
        """Positions were set, or partitions taken away: what was handed out of them does not matter any more."""
        for partition in partitions:
            self._in_hand.pop(partition, None)

    def progress(self) -> object:
        """A value that changes as messages are taken, also by :meth:`next_decoded`."""
        serving = self._serving
        return None if serving is None else (id(serving.messages), serving.taken)

    def _processed_in(self, state: PartitionState) -> int:
        in_hand = self._in_hand.get(state.topic_partition)
        if in_hand is not None:
            return in_hand
        if state is self._serving:
            messages, taken = state.messages, state.taken
            if 0 < taken <= len(messages):
                return messages[taken - 1].offset
        return state.position
