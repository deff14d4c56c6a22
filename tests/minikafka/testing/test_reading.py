from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minikafka.errors import UnknownTopicOrPartition
from minikafka.testing import running_broker
from minikafka.testing.reading import end_offsets, in_order, partitions_of, read_since, read_topic
from minikafka_client import Admin, Message, Producer, TopicPartition


@pytest.fixture(scope="module")
def broker():
    with running_broker() as running:
        yield running


@pytest.fixture
def at(broker):
    return broker.bootstrap_servers


def values(messages):
    return [message.value for message in messages]


def test_a_topic_is_read_whole(broker, at):
    topic = broker.topic(partitions=3)
    assert read_topic(at, topic) == []
    broker.produce(topic, *(b"%d" % number for number in range(700)))
    assert sorted(values(read_topic(at, topic))) == sorted(b"%d" % number for number in range(700))


def test_what_was_deleted_is_not_read(broker, at):
    topic = broker.topic()
    broker.produce(topic, "a", "b", "c")
    with Admin(at) as admin:
        admin.delete_records({TopicPartition(topic, 0): 2})
    assert values(read_topic(at, topic)) == [b"c"]


def test_reading_begins_where_the_topic_ended(broker, at):
    topic = broker.topic()
    broker.produce(topic, "old")
    ended = end_offsets(at, topic)
    assert ended == {TopicPartition(topic, 0): 1}
    broker.produce(topic, "new", "newer")
    assert values(read_since(at, topic, ended, enough=1, timeout_ms=10_000)) == [b"new", b"newer"]


def test_reading_waits_for_messages_and_for_the_topic(broker, at):
    with Producer(at, linger_ms=100) as producer:
        producer.send("made-by-its-first-message", "late")
        assert values(read_since(at, "made-by-its-first-message", {}, enough=1, timeout_ms=10_000)) == [b"late"]


def test_reading_ends_when_the_time_is_over(broker, at):
    topic = broker.topic()
    broker.produce(topic, "only")
    assert values(read_since(at, topic, {}, enough=2, timeout_ms=20)) == [b"only"]
    assert read_since(at, "never-made", {}, enough=1, timeout_ms=20) == []


def test_a_topic_that_is_not_there_has_no_end_and_cannot_be_read(at):
    assert end_offsets(at, "missing") == {}
    for read in (partitions_of, read_topic):
        with pytest.raises(UnknownTopicOrPartition):
            read(at, "missing")
    assert end_offsets(at, "missing") == {}  # and was not made by looking at it


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 20)), max_size=30))
def test_partitions_are_merged_by_time_and_keep_their_order(places):
    messages = [
        Message("orders", partition, offset, time, None, b"") for offset, (partition, time) in enumerate(places)
    ]
    merged = in_order(messages)
    assert sorted(merged) == sorted(messages)
    for number in range(4):
        assert [m for m in merged if m.partition == number] == [m for m in messages if m.partition == number]
    if all(a.timestamp_ms <= b.timestamp_ms for a, b in pairwise(messages)):
        assert [m.timestamp_ms for m in merged] == sorted(m.timestamp_ms for m in messages)
