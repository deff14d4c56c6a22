"""IncrementalAlterConfigs over the wire."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from minikafka.broker.configs import ResourceType
from minikafka.config.alter import AlterOperation
from minikafka.config.describe import ConfigSource
from minikafka.errors import ErrorCode
from minikafka.protocol.api_keys import ApiKey
from minikafka.protocol.messages.incremental_alter_configs import (
    AlterableConfig,
    AlterConfigsResource,
    AlterConfigsResourceResponse,
    IncrementalAlterConfigsRequest,
)
from tests.support.broker import running_broker
from tests.support.control_plane import ControlPlaneClient, administering, versions_of

ALL_VERSIONS = versions_of(ApiKey.INCREMENTAL_ALTER_CONFIGS)
SET, DELETE, APPEND, SUBTRACT = AlterOperation


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[ControlPlaneClient]:
    async with running_broker(tmp_path / "data") as broker, administering(broker) as connected:
        await connected.create_topic("orders")
        yield connected


def change(key: str, operation: int, value: str | None = None) -> AlterableConfig:
    return AlterableConfig(name=key, config_operation=operation, value=value)


def topic(name: str, *changes: AlterableConfig) -> AlterConfigsResource:
    return AlterConfigsResource(resource_type=ResourceType.TOPIC, resource_name=name, configs=list(changes))


def broker(name: str, *changes: AlterableConfig) -> AlterConfigsResource:
    return AlterConfigsResource(resource_type=ResourceType.BROKER, resource_name=name, configs=list(changes))


async def alter(
    client: ControlPlaneClient, *resources: AlterConfigsResource, version: int = 1, validate_only: bool = False
) -> list[AlterConfigsResourceResponse]:
    request = IncrementalAlterConfigsRequest(resources=list(resources), validate_only=validate_only)
    return (await client.ask(request, version)).responses


async def topic_value(client: ControlPlaneClient, key: str) -> tuple[str | None, int]:
    found = (await client.describe_config(ResourceType.TOPIC, "orders", key))[key]
    return found.value, found.config_source


@pytest.mark.parametrize("version", ALL_VERSIONS)
async def test_a_key_is_set_and_deleted(client: ControlPlaneClient, version: int) -> None:
    (result,) = await alter(client, topic("orders", change("retention.ms", SET, "1000")), version=version)
    assert (result.error_code, result.error_message) == (0, None)
    assert (result.resource_type, result.resource_name) == (ResourceType.TOPIC, "orders")
    assert await topic_value(client, "retention.ms") == ("1000", ConfigSource.DYNAMIC_TOPIC_CONFIG)
    (result,) = await alter(client, topic("orders", change("retention.ms", DELETE)), version=version)
    assert result.error_code == 0
    assert await topic_value(client, "retention.ms") == ("604800000", ConfigSource.DEFAULT_CONFIG)


@pytest.mark.parametrize("version", ALL_VERSIONS)
async def test_a_list_is_appended_to_and_subtracted_from(client: ControlPlaneClient, version: int) -> None:
    await alter(client, topic("orders", change("cleanup.policy", APPEND, "compact")), version=version)
    assert await topic_value(client, "cleanup.policy") == ("compact,delete", ConfigSource.DYNAMIC_TOPIC_CONFIG)
    await alter(client, topic("orders", change("cleanup.policy", SUBTRACT, "delete")), version=version)
    assert await topic_value(client, "cleanup.policy") == ("compact", ConfigSource.DYNAMIC_TOPIC_CONFIG)


async def test_other_keys_stay_as_they_are(client: ControlPlaneClient) -> None:
    await alter(client, topic("orders", change("retention.ms", SET, "1000"), change("segment.bytes", SET, "2000")))
    await alter(client, topic("orders", change("segment.bytes", SET, "3000")))
    assert await topic_value(client, "retention.ms") == ("1000", 1)
    assert await topic_value(client, "segment.bytes") == ("3000", 1)


async def test_a_new_limit_counts_for_the_next_batch(client: ControlPlaneClient) -> None:
    assert (await client.produce("orders", value=b"x" * 500)).error_code == 0
    await alter(client, topic("orders", change("max.message.bytes", SET, "100")))
    assert (await client.produce("orders", value=b"x" * 500)).error_code == ErrorCode.MESSAGE_TOO_LARGE
    await alter(client, topic("orders", change("max.message.bytes", DELETE)))
    assert (await client.produce("orders", value=b"x" * 500)).error_code == 0


async def test_a_broker_default_counts_for_topics_without_a_setting(client: ControlPlaneClient) -> None:
    (result,) = await alter(client, broker("", change("message.max.bytes", SET, "100")))
    assert result.error_code == 0
    assert (await client.produce("orders", value=b"x" * 500)).error_code == ErrorCode.MESSAGE_TOO_LARGE
    assert await topic_value(client, "max.message.bytes") == ("100", ConfigSource.DYNAMIC_DEFAULT_BROKER_CONFIG)
    everybody = await client.describe_config(ResourceType.BROKER, "")
    assert {key: (found.value, found.config_source) for key, found in everybody.items()} == {
        "message.max.bytes": ("100", ConfigSource.DYNAMIC_DEFAULT_BROKER_CONFIG)
    }
    await alter(client, broker("1", change("message.max.bytes", SET, "2000")))
    assert (await client.produce("orders", value=b"x" * 500)).error_code == 0
    assert await topic_value(client, "max.message.bytes") == ("2000", ConfigSource.DYNAMIC_BROKER_CONFIG)


async def test_validation_alone_changes_nothing(client: ControlPlaneClient) -> None:
    (result,) = await alter(client, topic("orders", change("retention.ms", SET, "1000")), validate_only=True)
    assert result.error_code == 0
    assert await topic_value(client, "retention.ms") == ("604800000", ConfigSource.DEFAULT_CONFIG)
    (result,) = await alter(client, topic("orders", change("retention.ms", SET, "soon")), validate_only=True)
    assert result.error_code == ErrorCode.INVALID_CONFIG


async def test_a_setting_outlives_the_broker(tmp_path: Path) -> None:
    async with running_broker(tmp_path / "data") as running, administering(running) as client:
        await client.create_topic("orders")
        await alter(client, topic("orders", change("max.message.bytes", SET, "100")))
        await alter(client, broker("1", change("log.retention.ms", SET, "5000")))
    async with running_broker(tmp_path / "data") as running, administering(running) as client:
        assert (await client.produce("orders", value=b"x" * 500)).error_code == ErrorCode.MESSAGE_TOO_LARGE
        assert await topic_value(client, "retention.ms") == ("5000", ConfigSource.DYNAMIC_BROKER_CONFIG)


async def test_what_cannot_be_set_is_refused_for_its_resource_alone(client: ControlPlaneClient) -> None:
    await client.create_topic("good")
    before = await client.describe_config(ResourceType.TOPIC, "orders")
    for resource, error in (
        (topic("orders", change("no.such.key", SET, "1")), ErrorCode.INVALID_CONFIG),
        (topic("orders", change("retention.ms", SET, "soon")), ErrorCode.INVALID_CONFIG),
        (topic("orders", change("retention.ms", SET, "-2")), ErrorCode.INVALID_CONFIG),
        (topic("orders", change("retention.ms", APPEND, "1")), ErrorCode.INVALID_CONFIG),
        (topic("orders", change("retention.ms", SUBTRACT, "1")), ErrorCode.INVALID_CONFIG),
        (topic("orders", change("cleanup.policy", APPEND, "shred")), ErrorCode.INVALID_CONFIG),
        (topic("orders", change("retention.ms", SET, None)), ErrorCode.INVALID_REQUEST),
        (topic("orders", change("retention.ms", 9, "1")), ErrorCode.INVALID_REQUEST),
        (
            topic("orders", change("retention.ms", SET, "1"), change("retention.ms", DELETE)),
            ErrorCode.INVALID_REQUEST,
        ),
        (topic("absent", change("retention.ms", SET, "1")), ErrorCode.UNKNOWN_TOPIC_OR_PARTITION),
        (topic("../orders", change("retention.ms", SET, "1")), ErrorCode.UNKNOWN_TOPIC_OR_PARTITION),
        (topic("x" * 32_000, change("retention.ms", SET, "1")), ErrorCode.UNKNOWN_TOPIC_OR_PARTITION),
        (broker("2", change("log.retention.ms", SET, "1")), ErrorCode.INVALID_REQUEST),
        (broker("../1", change("log.retention.ms", SET, "1")), ErrorCode.INVALID_REQUEST),
        (broker("1", change("listeners", SET, "PLAINTEXT://:1")), ErrorCode.INVALID_REQUEST),
        (broker("1", change("no.such.key", SET, "1")), ErrorCode.INVALID_CONFIG),
        (broker("1", change("log.retention.ms", SET, "soon")), ErrorCode.INVALID_CONFIG),
        (AlterConfigsResource(resource_type=8, resource_name="1", configs=[]), ErrorCode.INVALID_REQUEST),
        (AlterConfigsResource(resource_type=-1, resource_name="orders", configs=[]), ErrorCode.INVALID_REQUEST),
    ):
        bad, good = await alter(client, resource, topic("good", change("retention.ms", SET, "1000")))
        assert (bad.error_code, good.error_code) == (error, 0), resource
        assert bad.error_message
        assert await client.describe_config(ResourceType.TOPIC, "orders") == before


async def test_a_resource_that_is_listed_twice_is_not_altered(client: ControlPlaneClient) -> None:
    results = await alter(
        client,
        topic("orders", change("retention.ms", SET, "1000")),
        topic("orders", change("segment.bytes", SET, "2000")),
    )
    assert [result.error_code for result in results] == [ErrorCode.INVALID_REQUEST] * 2
    assert await topic_value(client, "retention.ms") == ("604800000", ConfigSource.DEFAULT_CONFIG)
