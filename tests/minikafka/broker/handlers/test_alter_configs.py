"""AlterConfigs over the wire."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest

from minikafka.broker.configs import ResourceType
from minikafka.config.describe import ConfigSource
from minikafka.errors import ErrorCode
from minikafka.protocol.api_keys import ApiKey
from minikafka.protocol.messages.alter_configs import (
    AlterableConfig,
    AlterConfigsRequest,
    AlterConfigsResource,
    AlterConfigsResourceResponse,
)
from tests.support.broker import running_broker
from tests.support.control_plane import ControlPlaneClient, administering, versions_of


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[ControlPlaneClient]:
    async with running_broker(tmp_path / "data") as broker, administering(broker) as connected:
        await connected.create_topic("orders", configs={"retention.ms": "1000"})
        yield connected


def resource(resource_type: int, name: str, settings: Mapping[str, str | None]) -> AlterConfigsResource:
    configs = [AlterableConfig(name=key, value=value) for key, value in settings.items()]
    return AlterConfigsResource(resource_type=resource_type, resource_name=name, configs=configs)


async def alter(
    client: ControlPlaneClient, *resources: AlterConfigsResource, version: int = 2, validate_only: bool = False
) -> list[AlterConfigsResourceResponse]:
    request = AlterConfigsRequest(resources=list(resources), validate_only=validate_only)
    return (await client.ask(request, version)).responses


async def topic_value(client: ControlPlaneClient, key: str) -> tuple[str | None, int]:
    found = (await client.describe_config(ResourceType.TOPIC, "orders", key))[key]
    return found.value, found.config_source


@pytest.mark.parametrize("version", versions_of(ApiKey.ALTER_CONFIGS))
async def test_what_is_not_listed_goes_back_to_its_default(client: ControlPlaneClient, version: int) -> None:
    settings = {"max.message.bytes": "100"}
    (result,) = await alter(client, resource(ResourceType.TOPIC, "orders", settings), version=version)
    assert (result.error_code, result.error_message) == (0, None)
    assert (result.resource_type, result.resource_name) == (ResourceType.TOPIC, "orders")
    assert await topic_value(client, "max.message.bytes") == ("100", ConfigSource.DYNAMIC_TOPIC_CONFIG)
    assert await topic_value(client, "retention.ms") == ("604800000", ConfigSource.DEFAULT_CONFIG)
    assert (await client.produce("orders", value=b"x" * 500)).error_code == ErrorCode.MESSAGE_TOO_LARGE


async def test_validation_alone_changes_nothing(client: ControlPlaneClient) -> None:
    changed = resource(ResourceType.TOPIC, "orders", {"max.message.bytes": "100"})
    (result,) = await alter(client, changed, validate_only=True)
    assert result.error_code == 0
    assert await topic_value(client, "retention.ms") == ("1000", ConfigSource.DYNAMIC_TOPIC_CONFIG)


@pytest.mark.parametrize(("name", "source"), [("", 3), ("1", 2)])
async def test_a_brokers_settings_are_replaced(client: ControlPlaneClient, name: str, source: int) -> None:
    await alter(client, resource(ResourceType.TOPIC, "orders", {}))
    await alter(client, resource(ResourceType.BROKER, name, {"log.retention.ms": "5000"}))
    assert await topic_value(client, "retention.ms") == ("5000", source)
    await alter(client, resource(ResourceType.BROKER, name, {}))
    assert await topic_value(client, "retention.ms") == ("604800000", ConfigSource.DEFAULT_CONFIG)


async def test_what_cannot_be_set_is_refused_for_its_resource_alone(client: ControlPlaneClient) -> None:
    await client.create_topic("good")
    for bad, error in (
        (resource(ResourceType.TOPIC, "orders", {"no.such.key": "1"}), ErrorCode.INVALID_CONFIG),
        (resource(ResourceType.TOPIC, "orders", {"retention.ms": "soon"}), ErrorCode.INVALID_CONFIG),
        (resource(ResourceType.TOPIC, "orders", {"retention.ms": None}), ErrorCode.INVALID_REQUEST),
        (resource(ResourceType.TOPIC, "absent", {}), ErrorCode.UNKNOWN_TOPIC_OR_PARTITION),
        (resource(ResourceType.TOPIC, "../orders", {}), ErrorCode.UNKNOWN_TOPIC_OR_PARTITION),
        (resource(ResourceType.BROKER, "2", {}), ErrorCode.INVALID_REQUEST),
        (resource(ResourceType.BROKER, "1", {"node.id": "5"}), ErrorCode.INVALID_REQUEST),
        (resource(8, "1", {}), ErrorCode.INVALID_REQUEST),
    ):
        refused, altered = await alter(client, bad, resource(ResourceType.TOPIC, "good", {"retention.ms": "2000"}))
        assert (refused.error_code, altered.error_code) == (error, 0), bad
        assert refused.error_message
        assert await topic_value(client, "retention.ms") == ("1000", ConfigSource.DYNAMIC_TOPIC_CONFIG)


async def test_a_key_or_a_resource_that_is_listed_twice_is_not_altered(client: ControlPlaneClient) -> None:
    twice = resource(ResourceType.TOPIC, "orders", {"retention.ms": "1"})
    twice.configs *= 2
    (result,) = await alter(client, twice)
    assert result.error_code == ErrorCode.INVALID_REQUEST
    results = await alter(client, *[resource(ResourceType.TOPIC, "orders", {})] * 2)
    assert [result.error_code for result in results] == [ErrorCode.INVALID_REQUEST] * 2
    assert await topic_value(client, "retention.ms") == ("1000", ConfigSource.DYNAMIC_TOPIC_CONFIG)
