from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from minikafka.cli.exits import Failure
from minikafka.cli.topic_state import PartitionState, count_keys, measure, partitions_of, print_change, sizes_of
from minikafka.types import TopicPartition
from minikafka_client.admin.types import NewTopic
from minikafka_client.sync import Admin, Consumer, Producer

FIRST, SECOND = TopicPartition("orders", 0), TopicPartition("orders", 1)
BEFORE = {FIRST: PartitionState(0, 10, 700), SECOND: PartitionState(3, 9, 500)}
AFTER = {FIRST: PartitionState(4, 10, 300), SECOND: PartitionState(3, 9, 500)}


@pytest.fixture
def admin(bootstrap: str, topic: str) -> Iterator[Admin]:
    with Admin(bootstrap) as admin, Producer(bootstrap) as producer:
        admin.create_topics([NewTopic(topic, 2)])
        for number in range(9):
            producer.send(topic, b"v", key=b"%d" % (number % 2), partition=1)
        producer.flush()
        yield admin


def test_a_topic_is_measured_partition_by_partition(admin: Admin, topic: str) -> None:
    partitions = partitions_of(admin, topic)
    empty, full = measure(admin, partitions).values()
    assert empty == PartitionState(0, 0, 0)
    assert (full.start_offset, full.end_offset) == (0, 9)
    assert full.size_bytes > 61
    assert list(sizes_of(admin, partitions).values()) == [0, full.size_bytes]


def test_partitions_that_are_not_there_are_not_measured(admin: Admin, topic: str) -> None:
    assert partitions_of(admin, topic, [1]) == [TopicPartition(topic, 1)]
    with pytest.raises(Failure, match="no partition 7"):
        partitions_of(admin, topic, [1, 7])


def test_keys_are_counted_up_to_an_offset(admin: Admin, topic: str, bootstrap: str) -> None:
    with Consumer(bootstrap, allow_auto_create_topics=False) as consumer:
        all_of_them = count_keys(consumer, TopicPartition(topic, 1), 0, 9)
        assert (all_of_them.record_count, all_of_them.key_count, all_of_them.is_compacted) == (9, 2, False)
        assert count_keys(consumer, TopicPartition(topic, 1), 3, 5).is_compacted
        assert count_keys(consumer, TopicPartition(topic, 0), 0, 0).is_compacted


def test_the_table_shows_what_has_changed(capsys: pytest.CaptureFixture[str]) -> None:
    print_change("orders", BEFORE, AFTER, "table")
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == ["PARTITION", "START", "END", "BYTES"]
    assert lines[1] == ["0", "0", "->", "4", "10", "700", "->", "300"]
    assert lines[2] == ["1", "3", "9", "500"]


def test_programs_get_both_states(capsys: pytest.CaptureFixture[str]) -> None:
    print_change("orders", BEFORE, {FIRST: PartitionState(4, 10, 300, 5), SECOND: BEFORE[SECOND]}, "json")
    found = json.loads(capsys.readouterr().out)
    assert found["topic"] == "orders"
    assert found["partitions"][0] == {
        "partition": 0,
        "before": {"start_offset": 0, "end_offset": 10, "size_bytes": 700},
        "after": {"start_offset": 4, "end_offset": 10, "size_bytes": 300, "records": 5},
    }
