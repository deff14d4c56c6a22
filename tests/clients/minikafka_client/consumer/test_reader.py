from __future__ import annotations

import pytest

from minikafka.errors import KafkaError
from minikafka.records.builder import RecordBatchBuilder
from minikafka.types import TopicPartition
from minikafka_client import DeserializationError, Message
from minikafka_client.consumer.chunk import Chunk
from minikafka_client.consumer.decode import Decoder
from minikafka_client.consumer.positions import Assignment, Start
from minikafka_client.consumer.reader import Reader

ORDERS = TopicPartition("orders", 0)
OTHER = TopicPartition("orders", 1)


def batch(base_offset: int, *values: bytes) -> bytes:
    builder = RecordBatchBuilder()
    for value in values:
        builder.append(1, None, value)
    return builder.build(base_offset)


class Program:
    """A reader of two partitions, both at 0, and how often it wanted more to be read."""

    def __init__(self, decoder: Decoder | None = None) -> None:
        self.assignment = Assignment()
        self.assignment.replace([ORDERS, OTHER], Start.EARLIEST)
        self.wakes = 0
        self.reader = Reader(self.assignment, decoder or Decoder(), self._wake)
        for state in self.assignment:
            state.seek(0)

    def _wake(self) -> None:
        self.wakes += 1

    def bring(self, where: TopicPartition, base_offset: int, *values: bytes) -> None:
        self.assignment[where].chunks.append(Chunk(memoryview(batch(base_offset, *values))))

    def next(self) -> Message | None:
        """As iterating does it."""
        message = self.reader.next_decoded()
        if message is None:
            self.reader.asked_for_more()
            message = self.reader.serve_next()
        return message


def values(messages: list[Message]) -> list[bytes]:
    return [message.value for message in messages]


def test_what_a_poll_handed_out_is_processed_when_the_next_asks() -> None:
    program = Program()
    program.bring(ORDERS, 0, b"a", b"b", b"c")
    assert values(program.reader.take(2)) == [b"a", b"b"]
    assert program.reader.processed()[ORDERS] == 0
    assert program.reader.positions()[ORDERS] == 2
    program.reader.asked_for_more()
    assert program.reader.processed()[ORDERS] == 2


def test_the_message_in_hand_is_not_processed_until_the_next_is_asked_for() -> None:
    program = Program()
    program.bring(ORDERS, 0, b"a", b"b")
    for done in range(2):
        assert program.next() is not None
        assert program.reader.processed()[ORDERS] == done
        assert program.reader.positions()[ORDERS] == done + 1
    assert program.next() is None
    assert program.reader.processed()[ORDERS] == 2


def test_an_interrupted_iteration_still_has_its_message_in_hand() -> None:
    program = Program()
    program.bring(ORDERS, 0, b"a", b"b")
    program.next()
    program.reader.interrupt()
    assert program.reader.next_decoded() is None
    assert program.reader.processed()[ORDERS] == 0
    message = program.next()
    assert message is not None
    assert message.value == b"b"


def test_partitions_are_served_in_turn() -> None:
    program = Program()
    program.bring(ORDERS, 0, b"a", b"b")
    program.bring(OTHER, 0, b"x")
    program.bring(ORDERS, 2, b"c")
    assert [message.value for _ in range(3) if (message := program.next())] == [b"a", b"b", b"x"]
    assert values(program.reader.take(10)) == [b"c"]


def test_a_poll_takes_from_all_partitions_up_to_its_limit() -> None:
    program = Program()
    program.bring(ORDERS, 0, b"a", b"b")
    program.bring(OTHER, 0, b"x", b"y")
    assert values(program.reader.take(3)) == [b"a", b"b", b"x"]
    assert program.wakes == 1
    assert values(program.reader.take(3)) == [b"y"]
    assert program.reader.take(3) == []
    assert program.wakes == 2, "nothing was taken, so that there is no more room than before"


def test_a_paused_partition_gives_nothing_even_in_the_middle() -> None:
    program = Program()
    program.bring(ORDERS, 0, b"a", b"b")
    program.next()
    program.assignment[ORDERS].is_paused = True
    assert program.next() is None
    assert program.reader.take(5) == []
    program.assignment[ORDERS].is_paused = False
    assert values(program.reader.take(5)) == [b"b"]


def test_an_error_is_raised_once_after_the_messages_before_it() -> None:
    program = Program()
    program.bring(ORDERS, 0, b"a")
    program.assignment[OTHER].error = KafkaError("no")
    assert values(program.reader.take(5)) == [b"a"]
    with pytest.raises(KafkaError, match="no"):
        program.reader.take(5)
    assert program.reader.take(5) == []


def test_a_message_that_cannot_be_deserialized_is_met_again_and_can_be_passed() -> None:
    program = Program(Decoder(value_deserializer=int))  # type: ignore[arg-type]
    program.bring(ORDERS, 0, b"1", b"two", b"3")
    assert values(program.reader.take(5)) == [1]
    for _ in range(2):
        with pytest.raises(DeserializationError, match="orders-0@1: the value") as raised:
            program.reader.take(5)
        assert (raised.value.topic_partition, raised.value.offset) == (ORDERS, 1)
        assert program.reader.positions()[ORDERS] == 1
    program.assignment[ORDERS].seek(2)
    program.bring(ORDERS, 0, b"1", b"two", b"3")
    assert values(program.reader.take(5)) == [3]


def test_a_partition_without_position_is_neither_processed_nor_committed() -> None:
    program = Program()
    program.assignment[OTHER].restart(Start.LATEST)
    assert program.reader.positions() == {ORDERS: 0}
    assert program.reader.processed() == {ORDERS: 0}


def test_what_was_in_hand_does_not_matter_after_a_seek() -> None:
    program = Program()
    program.bring(ORDERS, 0, b"a", b"b")
    program.reader.take(2)
    program.assignment[ORDERS].seek(7)
    program.reader.sought([ORDERS])
    assert program.reader.processed()[ORDERS] == 7


def test_progress_is_seen_message_by_message() -> None:
    program = Program()
    program.bring(ORDERS, 0, b"a", b"b", b"c")
    seen = [program.reader.progress()]
    for _ in range(3):
        program.next()
        seen.append(program.reader.progress())
    assert len(set(seen)) == 4
