"""Configurations as the wire has them, and as :mod:`.types` has them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import IntEnum
from typing import TypeVar

from minikafka.protocol.messages.describe_configs import DescribeConfigsResourceResult
from minikafka.protocol.messages.incremental_alter_configs import (
    AlterableConfig,
    AlterConfigsResource,
    IncrementalAlterConfigsRequest,
)
from minikafka_client.admin.types import (
    AlterConfig,
    ConfigEntry,
    ConfigResource,
    ConfigSource,
    ConfigSynonym,
    ConfigType,
)

E = TypeVar("E", bound=IntEnum)


def config_entry(result: DescribeConfigsResourceResult) -> ConfigEntry:
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


def alter_request(
    changes: Mapping[ConfigResource, Iterable[AlterConfig]], *, validate_only: bool
) -> IncrementalAlterConfigsRequest:
    """The request for these changes."""
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
