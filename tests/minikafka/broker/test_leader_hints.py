from __future__ import annotations

import pytest

from minikafka.broker.leader_hints import LeaderHint, LeaderHints
from minikafka.cluster.metadata import MetadataCache, PartitionState, TopicMetadata
from minikafka.net.handler import Address, ConnectionInfo
from minikafka.types import NO_LEADER, ZERO_UUID

TOPIC_ID = bytes(range(16))
CLIENT = ConnectionInfo(1, Address("127.0.0.1", 5000), Address("127.0.0.1", 9092), "PLAINTEXT")


@pytest.fixture
def metadata() -> MetadataCache:
    cache = MetadataCache()
    led = PartitionState(2, 7, (2,), (1, 2))
    leaderless = PartitionState(NO_LEADER, 8, (), (1, 2))
    cache.put_topic(TopicMetadata("t", TOPIC_ID, (led, leaderless)))
    return cache


@pytest.fixture
def hints(metadata: MetadataCache) -> LeaderHints:
    return LeaderHints(metadata, lambda broker_id, _: Address("other", 9000 + broker_id))


@pytest.mark.parametrize(("topic", "topic_id"), [("t", ZERO_UUID), ("", TOPIC_ID)], ids=["by name", "by id"])
def test_the_leader_is_told_with_its_address(hints: LeaderHints, topic: str, topic_id: bytes) -> None:
    assert hints.find(topic, topic_id, 0, CLIENT) == LeaderHint(2, 7, Address("other", 9002))


@pytest.mark.parametrize(
    ("topic", "topic_id", "partition"),
    [("t", ZERO_UUID, 1), ("t", ZERO_UUID, 2), ("t", ZERO_UUID, -1), ("u", ZERO_UUID, 0), ("", bytes(15) + b"x", 0)],
    ids=["no leader", "no partition", "negative partition", "no topic", "no topic id"],
)
def test_nothing_is_told_of_what_nobody_leads(hints: LeaderHints, topic: str, topic_id: bytes, partition: int) -> None:
    assert hints.find(topic, topic_id, partition, CLIENT) is None


def test_nothing_is_told_of_a_leader_that_is_not_alive(metadata: MetadataCache) -> None:
    assert LeaderHints(metadata, lambda *_: None).find("t", ZERO_UUID, 0, CLIENT) is None
