"""Configurations of topics and brokers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from enum import IntEnum
from typing import TypeVar

from minikafka.protocol.api_keys import ApiKey
from minikafka.protocol.messages.describe_configs import (
    DescribeConfigsRequest,
    DescribeConfigsResource,
    DescribeConfigsResourceResult,
    DescribeConfigsResult,
)
from minikafka.protocol.messages.incremental_alter_configs import (
    AlterableConfig,
    AlterConfigsResource,
    AlterConfigsResourceResponse,
    IncrementalAlterConfigsRequest,
)
from minikafka_client.admin.requests import ANY_BROKER, AdminPart, together
from minikafka_client.admin.types import (
    AlterConfig,
    ConfigEntry,
    ConfigResource,
    ConfigSource,
    ConfigSynonym,
    ConfigType,
    ResourceType,
)
from minikafka_client.errors import Outcome, raise_failures

DESCRIBE_CONFIGS_VERSION = 4
ALTER_CONFIGS_VERSION = 1

_DOCUMENTED_FROM = 3

E = TypeVar("E", bound=IntEnum)


class ConfigAdmin(AdminPart):
    """Describes and alters configurations."""

    async def describe_configs(
        self, resources: Iterable[ConfigResource], *, keys: Iterable[str] | None = None
    ) -> dict[ConfigResource, dict[str, ConfigEntry]]:
        """The configurations of topics and brokers, by key.

        Args:
            resources: Whose.
            keys: Only these keys; all by default.

        Raises:
            UnknownTopicOrPartition, InvalidRequest, ...: As the broker says.
        """
        wanted = list(keys) if keys is not None else None
        by_broker: defaultdict[int, list[ConfigResource]] = defaultdict(list)
        for resource in resources:
            by_broker[_broker_of(resource)].append(resource)
        described = await together(
            self._describe_configs_at(node_id, theirs, wanted) for node_id, theirs in by_broker.items()
        )
        return {resource: entries for theirs in described for resource, entries in theirs.items()}

    async def alter_configs(
        self, changes: Mapping[ConfigResource, Iterable[AlterConfig]], *, validate_only: bool = False
    ) -> None:
        """Change single keys and leave the others as they are, or only check whether that could be done.

        Raises:
            InvalidConfig, UnknownTopicOrPartition, ...: As the broker says.
        """
        by_broker: defaultdict[int, dict[ConfigResource, Iterable[AlterConfig]]] = defaultdict(dict)
        for resource, resource_changes in changes.items():
            by_broker[_broker_of(resource)][resource] = resource_changes
        await together(
            self._alter_configs_at(node_id, _alter_request(theirs, validate_only=validate_only))
            for node_id, theirs in by_broker.items()
        )

    async def _alter_configs_at(self, node_id: int, request: IncrementalAlterConfigsRequest) -> None:
        response = await self._requests.ask(request, ALTER_CONFIGS_VERSION, node_id=node_id)
        raise_failures({_resource_name(r): Outcome(r.error_code, r.error_message) for r in response.responses})

    async def _describe_configs_at(
        self, node_id: int, resources: list[ConfigResource], keys: list[str] | None
    ) -> dict[ConfigResource, dict[str, ConfigEntry]]:
        connection = await self._requests.connection(node_id)
        version = connection.pick(ApiKey.DESCRIBE_CONFIGS, DESCRIBE_CONFIGS_VERSION)
        request = DescribeConfigsRequest(
            resources=[
                DescribeConfigsResource(resource_type=r.type.value, resource_name=r.name, configuration_keys=keys)
                for r in resources
            ],
            include_synonyms=True,
            include_documentation=version >= _DOCUMENTED_FROM,
        )
        response = await self._requests.ask(request, version, node_id=node_id)
        raise_failures({_resource_name(r): Outcome(r.error_code, r.error_message) for r in response.results})
        return {
            ConfigResource(ResourceType(r.resource_type), r.resource_name): {c.name: _entry(c) for c in r.configs}
            for r in response.results
        }


def _entry(result: DescribeConfigsResourceResult) -> ConfigEntry:
    """One described key."""
    return ConfigEntry(
        result.name,
        result.value,
        _known(ConfigSource, result.config_source),
        result.read_only,
        result.is_sensitive,
        _known(ConfigType, result.config_type),
        result.documentation or None,
        tuple(ConfigSynonym(s.name, s.value, _known(ConfigSource, s.source)) for s in result.synonyms),
    )


def _alter_request(
    changes: Mapping[ConfigResource, Iterable[AlterConfig]], *, validate_only: bool
) -> IncrementalAlterConfigsRequest:
    return IncrementalAlterConfigsRequest(
        resources=[
            AlterConfigsResource(
                resource_type=resource.type.value,
                resource_name=resource.name,
                configs=[
                    AlterableConfig(name=change.name, config_operation=change.operation.value, value=change.value)
                    for change in resource_changes
                ],
            )
            for resource, resource_changes in changes.items()
        ],
        validate_only=validate_only,
    )


def _known(kind: type[E], value: int) -> E:
    """A number as this client knows it; newer brokers have newer ones, which become UNKNOWN."""
    return kind(value) if value in kind._value2member_map_ else kind(0)


def _resource_name(result: AlterConfigsResourceResponse | DescribeConfigsResult) -> str:
    kind = "broker" if result.resource_type == ResourceType.BROKER else "topic"
    return f"{kind} {result.resource_name!r}"


def _broker_of(resource: ConfigResource) -> int:
    """Which broker to ask: a broker's own configuration is known to itself only, others to any."""
    return int(resource.name) if resource.type is ResourceType.BROKER and resource.name else ANY_BROKER
