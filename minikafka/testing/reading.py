"""What stands in a topic, read from one offset to another."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping
from heapq import merge
from math import inf

from minikafka.errors import UnknownTopicOrPartition
from minikafka_client import Admin, Consumer, Message, TopicPartition

_TOPIC_POLL_S = 0.01
_STEP_MS = 100

Offsets = Mapping[TopicPartition, int]


def partitions_of(bootstrap_servers: str, topic: str) -> list[TopicPartition]:
    """The partitions of a topic.

    Raises:
        UnknownTopicOrPartition: There is no such topic.
    """
    with Admin(bootstrap_servers) as admin:  # it says at once what a consumer waits a while for
        described = admin.describe_topics([topic])[topic]
    return [TopicPartition(topic, partition.partition) for partition in described.partitions]


def read_topic(bootstrap_servers: str, topic: str) -> list[Message]:
    """The messages that are in a topic now.

    Those of one partition are in its order, those of different partitions in the order of their timestamps.

    Raises:
        UnknownTopicOrPartition: There is no such topic.
    """
    partitions = partitions_of(bootstrap_servers, topic)
    with Consumer(bootstrap_servers, auto_offset_reset="earliest") as consumer:
        consumer.assign(partitions)
        return in_order(_read_to_the_end(consumer))


def end_offsets(bootstrap_servers: str, topic: str) -> Offsets:
    """Where the partitions of a topic end now; nothing when there is no such topic."""
    try:
        partitions = partitions_of(bootstrap_servers, topic)
    except UnknownTopicOrPartition:
        return {}
    with Consumer(bootstrap_servers) as consumer:
        return consumer.end_offsets(partitions)


def lag_of(bootstrap_servers: str, group_id: str, topic: str) -> int:
    """How many messages of a topic lie after what a group has committed, or are there at all where it has not.

    Raises:
        UnknownTopicOrPartition: There is no such topic.
    """
    partitions = partitions_of(bootstrap_servers, topic)
    with Admin(bootstrap_servers) as admin:
        committed = admin.list_group_offsets(group_id, partitions)
    with Consumer(bootstrap_servers) as consumer:
        beginnings = consumer.beginning_offsets(partitions)
        ends = consumer.end_offsets(partitions)
    reached = {partition: offset.offset for partition, offset in committed.items()}
    return sum(max(0, ends[where] - max(beginnings[where], reached.get(where, 0))) for where in partitions)


def read_since(bootstrap_servers: str, topic: str, starts: Offsets, enough: int, timeout_ms: float) -> list[Message]:
    """What came to a topic since it ended at ``starts``, at least ``enough`` messages unless they take too long.

    A topic that is not there yet is waited for; a partition that ``starts`` does not name is read from its beginning.

    Args:
        bootstrap_servers: Where the broker is.
        topic: The topic.
        starts: The first offset to read, by partition.
        enough: How many messages to wait for; if there are more by then, they are read too.
        timeout_ms: How long to wait for them.
    """
    deadline = time.monotonic() + timeout_ms / 1_000
    partitions = _wait_for_topic(bootstrap_servers, topic, deadline if enough else -inf)
    with Consumer(bootstrap_servers, auto_offset_reset="earliest") as consumer:
        consumer.assign(partitions)
        for partition in partitions:
            consumer.seek(partition, starts.get(partition, 0))
        messages: list[Message] = []
        while len(messages) < enough and (remaining_s := deadline - time.monotonic()) > 0:
            messages += consumer.poll(timeout_ms=remaining_s * 1_000)
        return in_order(messages + _read_to_the_end(consumer))


def in_order(messages: list[Message]) -> list[Message]:
    """Messages of several partitions by their time, without changing the order within a partition."""
    by_partition: defaultdict[int, list[Message]] = defaultdict(list)
    for message in messages:
        by_partition[message.partition].append(message)
    return list(merge(*by_partition.values(), key=lambda message: message.timestamp_ms))


def _wait_for_topic(bootstrap_servers: str, topic: str, deadline: float) -> list[TopicPartition]:
    """The partitions of a topic, which may be made only now; none if it is not."""
    while True:
        try:
            return partitions_of(bootstrap_servers, topic)
        except UnknownTopicOrPartition:
            if time.monotonic() > deadline:
                return []
            time.sleep(_TOPIC_POLL_S)  # a topic that is made sends no word


def _read_to_the_end(consumer: Consumer) -> list[Message]:
    """What is there now beyond the positions of ``consumer``."""
    ends = consumer.end_offsets(consumer.assignment)
    messages: list[Message] = []
    while any(consumer.position(partition) < end for partition, end in ends.items()):
        messages += consumer.poll(timeout_ms=_STEP_MS)
    return messages
