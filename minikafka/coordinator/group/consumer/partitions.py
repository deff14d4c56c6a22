"""Sets of partitions, by topic id: what members own, shall own, and must let go."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from minikafka.protocol.payloads.group_records import TopicPartitions

Partitions = Mapping[bytes, frozenset[int]]
"""Partitions by topic id; no topic has an empty set, so that equal sets are equal mappings."""

NO_PARTITIONS: Final[Partitions] = MappingProxyType({})


class TopicIdPartition(NamedTuple):
    """One partition of a topic, by the topic's id."""

    topic_id: bytes
    partition: int


def gather(pairs: Iterable[TopicIdPartition]) -> Partitions:
    """These partitions, by topic."""
    by_topic: dict[bytes, set[int]] = {}
    for topic_id, partition in pairs:
        by_topic.setdefault(topic_id, set()).add(partition)
    return {topic_id: frozenset(partitions) for topic_id, partitions in by_topic.items()}


def each(partitions: Partitions) -> Iterator[TopicIdPartition]:
    """One by one, in order within a topic."""
    for topic_id, numbers in partitions.items():
        for number in sorted(numbers):
            yield TopicIdPartition(topic_id, number)


def common(some: Partitions, others: Partitions) -> Partitions:
    """What is in both."""
    found = {topic_id: numbers & others.get(topic_id, frozenset()) for topic_id, numbers in some.items()}
    return {topic_id: numbers for topic_id, numbers in found.items() if numbers}


def minus(some: Partitions, others: Partitions) -> Partitions:
    """What is only in the first."""
    left = {topic_id: numbers - others.get(topic_id, frozenset()) for topic_id, numbers in some.items()}
    return {topic_id: numbers for topic_id, numbers in left.items() if numbers}


def union(some: Partitions, others: Partitions) -> Partitions:
    """What is in either."""
    both = dict(some)
    for topic_id, numbers in others.items():
        both[topic_id] = both.get(topic_id, frozenset()) | numbers
    return both


def overlap(some: Partitions, others: Partitions) -> bool:
    """Whether anything is in both."""
    return any(not numbers.isdisjoint(others.get(topic_id, frozenset())) for topic_id, numbers in some.items())


def is_within(some: Partitions, others: Partitions) -> bool:
    """Whether the second has all of the first."""
    return all(numbers <= others.get(topic_id, frozenset()) for topic_id, numbers in some.items())


def from_record(topics: Iterable[TopicPartitions]) -> Partitions:
    """As records have them."""
    return gather(TopicIdPartition(topic.topic_id, number) for topic in topics for number in topic.partitions)


def to_record(partitions: Partitions) -> list[TopicPartitions]:
    """As records have them, in order."""
    return [
        TopicPartitions(topic_id=topic_id, partitions=sorted(partitions[topic_id])) for topic_id in sorted(partitions)
    ]
