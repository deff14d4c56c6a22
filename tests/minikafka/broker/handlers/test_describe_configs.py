"""DescribeConfigs over the wire."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from minikafka.broker.configs import ResourceType
from minikafka.config.broker import BROKER_KEYS
from minikafka.config.definition import ConfigType
from minikafka.config.describe import ConfigSource
from minikafka.config.topic import TOPIC_KEYS
from minikafka.errors import ErrorCode
from minikafka.protocol.api_keys import ApiKey
from minikafka.protocol.messages.describe_configs import DescribeConfigsRequest, DescribeConfigsResource
from tests.support.broker import running_broker
from tests.support.control_plane import ControlPlaneClient, administering, versions_of

ALL_VERSIONS = versions_of(ApiKey.DESCRIBE_CONFIGS)
KAFKAS_TOPIC_KEYS = [
    "cleanup.policy",
    "compression.gzip.level",
    "compression.lz4.level",
    "compression.type",
    "compression.zstd.level",
    "delete.retention.ms",
    "file.delete.delay.ms",
    "flush.messages",
    "flush.ms",
    "index.interval.bytes",
    "local.retention.bytes",
    "local.retention.ms",
    "max.compaction.lag.ms",
    "max.message.bytes",
    "message.timestamp.after.max.ms",
    "message.timestamp.before.max.ms",
    "message.timestamp.type",
    "min.cleanable.dirty.ratio",
    "min.compaction.lag.ms",
    "min.insync.replicas",
    "preallocate",
    "remote.log.copy.disable",
    "remote.log.delete.on.disable",
    "remote.storage.enable",
    "retention.bytes",
    "retention.ms",
    "segment.bytes",
    "segment.index.bytes",
    "segment.jitter.ms",
    "segment.ms",
    "unclean.leader.election.enable",
]


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[ControlPlaneClient]:
    async with (
        running_broker(tmp_path / "data", "log.segment.bytes=5000000") as broker,
        administering(broker) as connected,
    ):
        await connected.create_topic("orders", configs={"retention.ms": "1000"})
        yield connected


def resource(resource_type: int, name: str, keys: list[str] | None = None) -> DescribeConfigsResource:
    return DescribeConfigsResource(resource_type=resource_type, resource_name=name, configuration_keys=keys)


@pytest.mark.parametrize("version", ALL_VERSIONS)
@pytest.mark.parametrize("keys", [None, []])
async def test_every_topic_key_is_described(client: ControlPlaneClient, version: int, keys: list[str] | None) -> None:
    asked = DescribeConfigsRequest(resources=[resource(ResourceType.TOPIC, "orders", keys)])
    (result,) = (await client.ask(asked, version)).results
    assert (result.error_code, result.resource_type, result.resource_name) == (0, ResourceType.TOPIC, "orders")
    configs = {config.name: config for config in result.configs}
    assert sorted(configs) == KAFKAS_TOPIC_KEYS
    assert (configs["retention.ms"].value, configs["retention.ms"].config_source) == ("1000", 1)
    assert (configs["segment.bytes"].value, configs["segment.bytes"].config_source) == ("5000000", 4)
    assert (configs["max.message.bytes"].value, configs["max.message.bytes"].config_source) == ("1048588", 5)
    assert not any(config.read_only or config.is_sensitive or config.synonyms for config in result.configs)


@pytest.mark.parametrize("version", ALL_VERSIONS)
async def test_types_and_texts_are_told_from_version_3_on(client: ControlPlaneClient, version: int) -> None:
    asked = DescribeConfigsRequest(resources=[resource(ResourceType.TOPIC, "orders")])
    asked.include_documentation = version >= 3
    (result,) = (await client.ask(asked, version)).results
    configs = {config.name: config for config in result.configs}
    if version < 3:
        assert {config.config_type for config in result.configs} == {0}
        return
    assert configs["retention.ms"].config_type == ConfigType.LONG
    assert configs["cleanup.policy"].config_type == ConfigType.LIST
    assert configs["preallocate"].config_type == ConfigType.BOOLEAN
    assert configs["min.cleanable.dirty.ratio"].config_type == ConfigType.DOUBLE
    assert all(config.documentation for config in result.configs)


async def test_texts_are_left_out_unless_asked_for(client: ControlPlaneClient) -> None:
    asked = DescribeConfigsRequest(resources=[resource(ResourceType.TOPIC, "orders")])
    (result,) = (await client.ask(asked, 4)).results
    assert {config.documentation for config in result.configs} == {None}


async def test_synonyms_say_what_would_count_otherwise(client: ControlPlaneClient) -> None:
    configs = await client.describe_config(ResourceType.TOPIC, "orders")
    synonyms = {name: [(s.name, s.value, s.source) for s in config.synonyms] for name, config in configs.items()}
    assert synonyms["retention.ms"] == [
        ("retention.ms", "1000", ConfigSource.DYNAMIC_TOPIC_CONFIG),
        ("log.retention.hours", "168", ConfigSource.DEFAULT_CONFIG),
    ]
    assert synonyms["segment.bytes"] == [
        ("log.segment.bytes", "5000000", ConfigSource.STATIC_BROKER_CONFIG),
        ("log.segment.bytes", "1073741824", ConfigSource.DEFAULT_CONFIG),
    ]


@pytest.mark.parametrize("version", ALL_VERSIONS)
async def test_only_the_keys_asked_for_are_described(client: ControlPlaneClient, version: int) -> None:
    asked = DescribeConfigsRequest(
        resources=[resource(ResourceType.TOPIC, "orders", ["retention.ms", "no.such.key", "segment.bytes"])]
    )
    (result,) = (await client.ask(asked, version)).results
    assert {config.name for config in result.configs} == {"retention.ms", "segment.bytes"}


@pytest.mark.parametrize("version", ALL_VERSIONS)
async def test_every_broker_key_is_described(client: ControlPlaneClient, version: int) -> None:
    asked = DescribeConfigsRequest(resources=[resource(ResourceType.BROKER, "1")])
    (result,) = (await client.ask(asked, version)).results
    configs = {config.name: config for config in result.configs}
    assert configs.keys() == BROKER_KEYS.keys()
    assert "advertised.listeners" in configs
    assert configs["listeners"].read_only
    assert not configs["log.retention.ms"].read_only
    assert configs["log.segment.bytes"].config_source == ConfigSource.STATIC_BROKER_CONFIG
    assert configs["num.partitions"].config_source == ConfigSource.DEFAULT_CONFIG


async def test_the_resource_of_all_brokers_has_only_what_was_set_for_them(client: ControlPlaneClient) -> None:
    assert await client.describe_config(ResourceType.BROKER, "") == {}


async def test_a_resource_that_is_not_there_is_an_error_of_its_own(client: ControlPlaneClient) -> None:
    cases = [
        (ResourceType.TOPIC, "absent", ErrorCode.UNKNOWN_TOPIC_OR_PARTITION),
        (ResourceType.TOPIC, "../orders", ErrorCode.INVALID_TOPIC_EXCEPTION),
        (ResourceType.TOPIC, "", ErrorCode.INVALID_TOPIC_EXCEPTION),
        (ResourceType.BROKER, "2", ErrorCode.INVALID_REQUEST),
        (ResourceType.BROKER, "one", ErrorCode.INVALID_REQUEST),
        (ResourceType.BROKER, "-1", ErrorCode.INVALID_REQUEST),
        (ResourceType.BROKER, "../1", ErrorCode.INVALID_REQUEST),
        (ResourceType.BROKER, "\u0661", ErrorCode.INVALID_REQUEST),
        (ResourceType.BROKER, "1" * 30_000, ErrorCode.INVALID_REQUEST),
        (0, "orders", ErrorCode.INVALID_REQUEST),
        (8, "1", ErrorCode.INVALID_REQUEST),
        (127, "orders", ErrorCode.INVALID_REQUEST),
    ]
    resources = [resource(resource_type, name) for resource_type, name, _ in cases]
    asked = DescribeConfigsRequest(resources=[*resources, resource(ResourceType.TOPIC, "orders")])
    *bad, good = (await client.ask(asked, 4)).results
    errors = [(result.resource_type, result.resource_name, ErrorCode(result.error_code)) for result in bad]
    assert errors == cases
    assert not any(result.configs for result in bad)
    assert (good.error_code, len(good.configs)) == (0, len(TOPIC_KEYS))


async def test_a_resource_that_is_listed_again_and_again_is_described_once(client: ControlPlaneClient) -> None:
    orders = resource(ResourceType.TOPIC, "orders")
    some_keys = resource(ResourceType.TOPIC, "orders", ["retention.ms"])
    asked = DescribeConfigsRequest(resources=[orders, some_keys, *[orders] * 10_000])
    whole, part = (await client.ask(asked, 4)).results
    assert (len(whole.configs), len(part.configs)) == (len(KAFKAS_TOPIC_KEYS), 1)
