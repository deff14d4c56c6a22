"""CreateTopics over the wire."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from minikafka.cluster.topic_requests import MAX_PARTITIONS_PER_REQUEST
from minikafka.config.describe import ConfigSource
from minikafka.config.topic import TOPIC_KEYS
from minikafka.errors import ErrorCode
from minikafka.protocol.api_keys import ApiKey
from minikafka.types import ZERO_UUID
from tests.support.broker import running_broker
from tests.support.control_plane import ControlPlaneClient, administering, new_topic, versions_of


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[ControlPlaneClient]:
    async with (
        running_broker(tmp_path / "data", "num.partitions=3") as broker,
        administering(broker) as connected,
    ):
        yield connected


@pytest.mark.parametrize("version", versions_of(ApiKey.CREATE_TOPICS))
async def test_a_topic_can_be_produced_to_when_the_answer_is_out(client: ControlPlaneClient, version: int) -> None:
    (created,) = await client.create(new_topic("orders", 2), version=version)
    assert (created.name, created.error_code, created.error_message) == ("orders", 0, None)
    assert [(await client.produce("orders", index)).base_offset for index in range(2)] == [0, 0]
    if version >= 7:
        (described,) = (await client.metadata(["orders"])).topics
        assert created.topic_id == described.topic_id != ZERO_UUID


@pytest.mark.parametrize("version", [5, 6, 7])
async def test_the_answer_has_the_numbers_and_every_config_with_its_source(
    client: ControlPlaneClient, version: int
) -> None:
    (created,) = await client.create(new_topic("orders", -1, -1, {"retention.ms": "1000"}), version=version)
    assert (created.num_partitions, created.replication_factor) == (3, 1)
    assert created.topic_config_error_code == 0
    assert created.configs is not None
    configs = {config.name: config for config in created.configs}
    assert configs.keys() == TOPIC_KEYS.keys()
    assert (configs["retention.ms"].value, configs["retention.ms"].config_source) == (
        "1000",
        ConfigSource.DYNAMIC_TOPIC_CONFIG,
    )
    assert configs["segment.bytes"].config_source == ConfigSource.DEFAULT_CONFIG
    assert not any(config.read_only or config.is_sensitive for config in created.configs)


async def test_minus_one_stands_for_the_brokers_defaults(client: ControlPlaneClient) -> None:
    await client.create(new_topic("orders", -1, -1), version=4)
    (described,) = (await client.metadata(["orders"])).topics
    assert len(described.partitions) == 3


async def test_validation_alone_creates_nothing(client: ControlPlaneClient) -> None:
    (result,) = await client.create(new_topic("orders", 2), validate_only=True)
    assert (result.error_code, result.num_partitions) == (0, 2)
    assert await client.topic_names() == set()


async def test_a_topic_that_exists_is_refused(client: ControlPlaneClient) -> None:
    await client.create_topic("orders")
    (result,) = await client.create(new_topic("orders"))
    assert result.error_code == ErrorCode.TOPIC_ALREADY_EXISTS
    assert result.error_message == "Topic 'orders' already exists."


async def test_what_cannot_be_created_is_refused_and_hinders_nothing(client: ControlPlaneClient) -> None:
    cases = [
        (new_topic("no-partitions", 0), ErrorCode.INVALID_PARTITIONS),
        (new_topic("negative-partitions", -2), ErrorCode.INVALID_PARTITIONS),
        (new_topic("least-partitions", -(2**31)), ErrorCode.INVALID_PARTITIONS),
        (new_topic("no-replicas", 1, 0), ErrorCode.INVALID_REPLICATION_FACTOR),
        (new_topic("negative-replicas", 1, -2), ErrorCode.INVALID_REPLICATION_FACTOR),
        (new_topic("more-replicas-than-brokers", 1, 2), ErrorCode.INVALID_REPLICATION_FACTOR),
        (new_topic("most-replicas", 1, 2**15 - 1), ErrorCode.INVALID_REPLICATION_FACTOR),
        (new_topic("partitions-twice", 1, -1, assignments={0: [1]}), ErrorCode.INVALID_REQUEST),
        (new_topic("replicas-twice", -1, 1, assignments={0: [1]}), ErrorCode.INVALID_REQUEST),
        (new_topic("without-brokers", -1, -1, assignments={0: []}), ErrorCode.INVALID_REPLICA_ASSIGNMENT),
        (new_topic("absent-broker", -1, -1, assignments={0: [7]}), ErrorCode.INVALID_REPLICA_ASSIGNMENT),
        (new_topic("same-broker", -1, -1, assignments={0: [1, 1]}), ErrorCode.INVALID_REPLICA_ASSIGNMENT),
        (new_topic("begins-at-1", -1, -1, assignments={1: [1]}), ErrorCode.INVALID_REPLICA_ASSIGNMENT),
        (new_topic("unknown-key", configs={"no.such.key": "1"}), ErrorCode.INVALID_CONFIG),
        (new_topic("no-number", configs={"retention.ms": "soon"}), ErrorCode.INVALID_CONFIG),
        (new_topic("out-of-bounds", configs={"retention.ms": "-2"}), ErrorCode.INVALID_CONFIG),
        (new_topic("no-choice", configs={"cleanup.policy": "shred"}), ErrorCode.INVALID_CONFIG),
        (new_topic("null", configs={"retention.ms": None}), ErrorCode.INVALID_CONFIG),
        (new_topic("__cluster_metadata"), ErrorCode.INVALID_REQUEST),
        (new_topic("good"), ErrorCode.NONE),
    ]
    results = await client.create(*(topic for topic, _ in cases))
    errors = {result.name: ErrorCode(result.error_code) for result in results}
    assert errors == {topic.name: error for topic, error in cases}
    assert all(result.error_message for result in results if result.error_code)
    assert await client.topic_names() == {"good"}


async def test_replicas_may_be_chosen_by_hand(client: ControlPlaneClient) -> None:
    (created,) = await client.create(new_topic("orders", -1, -1, assignments={1: [1], 0: [1]}))
    assert (created.error_code, created.num_partitions, created.replication_factor) == (0, 2, 1)
    assert (await client.produce("orders", 1)).base_offset == 0


async def test_a_name_that_is_listed_twice_is_refused_once(client: ControlPlaneClient) -> None:
    results = await client.create(new_topic("a"), new_topic("b"), new_topic("a"), new_topic("a"))
    assert [(result.name, result.error_code) for result in results] == [("a", ErrorCode.INVALID_REQUEST), ("b", 0)]
    assert await client.topic_names() == {"b"}


async def test_an_illegal_name_makes_no_file_anywhere(tmp_path: Path) -> None:
    names = ["", ".", "..", "../escaped", "a/b", "a\0b", "a b", "x" * 250, "x" * 32_000, "t\u03bfpic", "%2e%2e", "a\\b"]
    async with running_broker(tmp_path / "inside" / "data") as broker, administering(broker) as client:
        before = _files(tmp_path)
        results = await client.create(*(new_topic(name) for name in names))
        described = (await client.metadata(names, create=True)).topics
        errors = {(result.name, ErrorCode(result.error_code)) for result in [*results, *described]}
        assert errors == {(name, ErrorCode.INVALID_TOPIC_EXCEPTION) for name in names}
        assert _files(tmp_path) == before
        assert await client.topic_names() == set()


async def test_a_name_that_metrics_could_not_tell_from_another_is_refused(client: ControlPlaneClient) -> None:
    await client.create_topic("a.b")
    (result,) = await client.create(new_topic("a_b"))
    assert result.error_code == ErrorCode.INVALID_TOPIC_EXCEPTION


async def test_too_many_partitions_are_refused_before_any_is_made(client: ControlPlaneClient) -> None:
    await client.create_topic("warm")
    (one,) = await client.create(new_topic("many", 100_000))
    together = await client.create(*(new_topic(f"t{index}", MAX_PARTITIONS_PER_REQUEST // 2) for index in range(3)))
    assert {one.error_code, *(result.error_code for result in together)} == {ErrorCode.POLICY_VIOLATION}
    assert await client.topic_names() == {"warm"}


async def test_many_topics_come_in_one_request(client: ControlPlaneClient) -> None:
    results = await client.create(*(new_topic(f"t{index}") for index in range(50)))
    assert {result.error_code for result in results} == {0}
    assert len(await client.topic_names()) == 50


async def test_no_topics_are_no_error(client: ControlPlaneClient) -> None:
    assert await client.create() == []


def _files(root: Path) -> set[Path]:
    # SQLite's own files come and go beside the store, and so do checkpoints and what becomes one.
    return {path for path in root.rglob("*") if "sqlite" not in path.name and "checkpoint" not in path.name}
