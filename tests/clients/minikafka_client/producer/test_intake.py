from __future__ import annotations

import pytest

from minikafka.errors import MessageTooLarge
from minikafka.records.builder import RecordBatchBuilder
from minikafka_client.errors import SerializationError
from minikafka_client.producer.intake import RECORD_OVERHEAD_BYTES, Extras, Inbox, Intake, headers_size
from minikafka_client.producer.options import partitioner_value
from minikafka_client.producer.partitioner import Partitioner, RoundRobinPartitioner, partition_for_key


def intake(*, buffer_memory: int = 1_000, partitioner: Partitioner | None = None) -> Intake:
    made = Intake(buffer_memory=buffer_memory, max_record_size=800, partitioner=partitioner or RoundRobinPartitioner())
    made.inboxes["orders"] = Inbox("orders", 3)
    return made


def test_a_plain_record_comes_without_extras() -> None:
    records = intake()
    delivery = records.try_send("orders", b"x")
    taken = records.inboxes["orders"].take()
    assert (taken.deliveries, taken.values, taken.extras) == ([delivery], [b"x"], [])
    assert records.in_bytes == RECORD_OVERHEAD_BYTES + 1


def test_a_record_comes_with_all_that_it_has() -> None:
    records = intake()
    records.try_send("orders", None, "key", 2, {"name": "content"}, 17)
    taken = records.inboxes["orders"].take()
    assert taken.values == [None]
    size_bytes = RECORD_OVERHEAD_BYTES + 3 + headers_size([("name", b"content")])
    assert taken.extras == [Extras(2, 17, b"key", [("name", b"content")], size_bytes)]
    assert records.in_bytes == size_bytes


def test_records_are_taken_once_and_in_their_order() -> None:
    records = intake()
    inbox = records.inboxes["orders"]
    for number in range(3):
        records.try_send("orders", b"%d" % number)
    assert inbox.take().values == [b"0", b"1", b"2"]
    records.try_send("orders", b"3")
    assert inbox.take().values == [b"3"]
    assert inbox.take().values == []


def test_a_key_chooses_the_partition_and_no_key_leaves_it_to_the_loop() -> None:
    records = intake()
    records.try_send("orders", b"x", b"UA")
    records.try_send("orders", b"x", timestamp_ms=1)
    partitions = [None if extras is None else extras.partition for extras in records.inboxes["orders"].take().extras]
    assert partitions == [partition_for_key(b"UA", 3), None]


def test_an_own_partitioner_is_asked_for_records_without_a_key_too() -> None:
    asked: list[tuple[str, bytes | None, int]] = []

    def choose(topic: str, key: bytes | None, partition_count: int) -> int:
        asked.append((topic, key, partition_count))
        return 1

    records = intake(partitioner=partitioner_value(choose))
    records.try_send("orders", b"x")
    records.try_send("orders", b"x", b"key")
    assert asked == [("orders", None, 3), ("orders", b"key", 3)]
    assert [extras and extras.partition for extras in records.inboxes["orders"].take().extras] == [1, 1]


def test_a_choice_that_does_not_exist_is_refused_and_names_it() -> None:
    records = intake(partitioner=partitioner_value(lambda topic, key, partition_count: 3))
    with pytest.raises(ValueError, match="partition 3 of the 3 that orders has"):
        records.try_send("orders", b"x")
    assert records.in_bytes == 0


def test_a_partitioner_is_not_asked_while_the_memory_is_full() -> None:
    asked: list[bytes | None] = []

    def choose(topic: str, key: bytes | None, partition_count: int) -> int:
        asked.append(key)
        return 0

    records = intake(partitioner=partitioner_value(choose))
    assert records.try_send("orders", bytes(700)) is not None
    assert records.try_send("orders", bytes(700)) is None
    assert len(asked) == 1


def test_what_has_to_be_waited_for_is_not_sent() -> None:
    records = intake()
    assert records.try_send("not known", b"x") is None
    assert records.try_send("orders", b"x", partition=3) is None
    assert records.try_send("orders", bytes(700)) is not None
    assert records.try_send("orders", bytes(400)) is None
    assert len(records.inboxes["orders"].take().values) == 1


def test_nothing_is_taken_after_closing() -> None:
    records = intake()
    records.close()
    assert records.try_send("orders", b"x") is None


def test_a_record_that_is_too_large_is_refused() -> None:
    with pytest.raises(MessageTooLarge, match="812 bytes exceeds the limit of 800"):
        intake().try_send("orders", bytes(800))


@pytest.mark.parametrize(("value", "key", "part"), [(object(), b"table 7", "value"), (b"x", object(), "key")])
def test_what_has_no_bytes_is_refused_and_the_record_is_named(value: object, key: object, part: str) -> None:
    records = intake()
    with pytest.raises(SerializationError, match=f"the {part} of a record for topic 'orders', key .*: an object of"):
        records.try_send("orders", value, key)
    assert records.in_bytes == 0


def test_a_serializer_that_makes_no_bytes_is_named_for_what_it_made() -> None:
    records = Intake(
        buffer_memory=1_000,
        max_record_size=800,
        partitioner=RoundRobinPartitioner(),
        value_serializer=lambda value: "text",  # type: ignore[arg-type, return-value]
    )
    records.inboxes["orders"] = Inbox("orders", 1)
    with pytest.raises(SerializationError, match="made no bytes of it, but str"):
        records.try_send("orders", b"x")


def test_the_loop_is_told_once_until_it_looks_no_more() -> None:
    records = intake()
    told: list[None] = []
    records.on_work = lambda: told.append(None)
    for _ in range(5):
        records.try_send("orders", b"x")
    assert len(told) == 1
    records.inboxes["orders"].is_watched = False
    records.try_send("orders", b"x")
    assert len(told) == 2


def test_the_loop_is_told_when_much_is_new() -> None:
    records = intake(buffer_memory=10_000)
    records.try_send("orders", b"x")
    records.limit(news_bytes=700)
    told: list[None] = []
    records.on_work = lambda: told.append(None)
    records.try_send("orders", bytes(600))
    assert not told
    records.try_send("orders", bytes(600))
    assert told
    assert records.is_full


def test_the_size_of_a_record_is_close_to_what_it_takes() -> None:
    records = intake(buffer_memory=1_000_000)
    builder = RecordBatchBuilder()
    headers = [("name", b"value"), ("other", None)]
    for _ in range(100):
        records.try_send("orders", bytes(100), b"key", headers=headers)
        builder.append(1, b"key", bytes(100), headers)
    assert 0.9 < records.in_bytes / builder.size_bytes < 1.2
