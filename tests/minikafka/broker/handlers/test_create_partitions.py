"""CreatePartitions over the wire."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from minikafka.errors import ErrorCode
from minikafka.protocol.api_keys import ApiKey
from minikafka.protocol.messages.create_partitions import (
    CreatePartitionsAssignment,
    CreatePartitionsRequest,
    CreatePartitionsTopic,
    CreatePartitionsTopicResult,
)
from tests.support.broker import running_broker
from tests.support.control_plane import ControlPlaneClient, administering, versions_of


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[ControlPlaneClient]:
    async with running_broker(tmp_path / "data") as broker, administering(broker) as connected:
        await connected.create_topic("orders", 2)
        yield connected


def grown(name: str, count: int, replicas: Sequence[Sequence[int]] | None = None) -> CreatePartitionsTopic:
    assignments = None if replicas is None else [CreatePartitionsAssignment(broker_ids=list(ids)) for ids in replicas]
    return CreatePartitionsTopic(name=name, count=count, assignments=assignments)


async def grow(
    client: ControlPlaneClient, *topics: CreatePartitionsTopic, version: int = 3, validate_only: bool = False
) -> list[CreatePartitionsTopicResult]:
    request = CreatePartitionsRequest(topics=list(topics), timeout_ms=10_000, validate_only=validate_only)
    return (await client.ask(request, version)).results


async def partition_count(client: ControlPlaneClient, name: str = "orders") -> int:
    (topic,) = (await client.metadata([name])).topics
    return len(topic.partitions)


@pytest.mark.parametrize("version", versions_of(ApiKey.CREATE_PARTITIONS))
async def test_new_partitions_can_be_produced_to_when_the_answer_is_out(
    client: ControlPlaneClient, version: int
) -> None:
    await client.produce("orders", 0)
    (result,) = await grow(client, grown("orders", 4), version=version)
    assert (result.name, result.error_code, result.error_message) == ("orders", 0, None)
    assert [(await client.produce("orders", index)).base_offset for index in range(4)] == [1, 0, 0, 0]


async def test_validation_alone_adds_nothing(client: ControlPlaneClient) -> None:
    (result,) = await grow(client, grown("orders", 4), validate_only=True)
    assert result.error_code == 0
    assert await partition_count(client) == 2


async def test_replicas_may_be_chosen_by_hand(client: ControlPlaneClient) -> None:
    (result,) = await grow(client, grown("orders", 3, [[1]]))
    assert result.error_code == 0
    assert await partition_count(client) == 3


async def test_what_cannot_be_done_is_refused_for_its_topic_alone(client: ControlPlaneClient) -> None:
    await client.create_topic("good")
    for topic, error in (
        (grown("orders", 2), ErrorCode.INVALID_PARTITIONS),
        (grown("orders", 1), ErrorCode.INVALID_PARTITIONS),
        (grown("orders", 0), ErrorCode.INVALID_PARTITIONS),
        (grown("orders", -1), ErrorCode.INVALID_PARTITIONS),
        (grown("orders", 3, []), ErrorCode.INVALID_REPLICA_ASSIGNMENT),
        (grown("orders", 3, [[7]]), ErrorCode.INVALID_REPLICA_ASSIGNMENT),
        (grown("orders", 3, [[1, 1]]), ErrorCode.INVALID_REPLICA_ASSIGNMENT),
        (grown("orders", 4, [[1]]), ErrorCode.INVALID_REPLICA_ASSIGNMENT),
        (grown("absent", 3), ErrorCode.UNKNOWN_TOPIC_OR_PARTITION),
        (grown("../orders", 3), ErrorCode.UNKNOWN_TOPIC_OR_PARTITION),
    ):
        before = await partition_count(client, "good")
        bad, good = await grow(client, topic, grown("good", before + 1))
        assert (bad.error_code, good.error_code) == (error, 0), topic
        assert bad.error_message
        assert await partition_count(client) == 2
        assert await partition_count(client, "good") == before + 1


async def test_a_topic_that_is_listed_twice_is_refused_once(client: ControlPlaneClient) -> None:
    (result,) = await grow(client, grown("orders", 3), grown("orders", 4))
    assert result.error_code == ErrorCode.INVALID_REQUEST
    assert await partition_count(client) == 2


async def test_too_many_partitions_are_refused_before_any_is_made(client: ControlPlaneClient) -> None:
    (result,) = await grow(client, grown("orders", 2**31 - 1))
    assert result.error_code == ErrorCode.POLICY_VIOLATION
    assert await partition_count(client) == 2
