"""IncrementalAlterConfigs (API key 44): set, delete, append to and subtract from single keys.

When the answer is out, the broker goes by the new values, and so does every later start.

Source: KIP-339; Kafka, ConfigAdminManager and ConfigurationControlManager.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from minikafka.broker.configs import ResourceType, alter_each, named_broker, unknown_resource_type
from minikafka.broker.context import RequestContext
from minikafka.broker.services import Services
from minikafka.config.alter import AlterOperation, ConfigAlteration
from minikafka.errors import InvalidRequest
from minikafka.protocol.messages.incremental_alter_configs import (
    AlterableConfig,
    AlterConfigsResource,
    AlterConfigsResourceResponse,
    IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse,
)


class ConfigAlterer(Protocol):
    """What the handler needs of the topic service."""

    async def alter_topic_config(
        self, name: str, alterations: Sequence[ConfigAlteration], *, validate_only: bool
    ) -> None:
        """Change some of a topic's settings."""
        ...

    async def alter_broker_config(
        self, broker_id: int | None, alterations: Sequence[ConfigAlteration], *, validate_only: bool
    ) -> None:
        """Change some settings of this broker, or of all when None."""
        ...


class IncrementalAlterConfigsHandler:
    """Alters the resources of one request one after the other."""

    __slots__ = ("_broker_id", "_configs")

    def __init__(self, broker_id: int, configs: ConfigAlterer) -> None:
        self._broker_id = broker_id
        self._configs = configs

    async def __call__(
        self, request: IncrementalAlterConfigsRequest, ctx: RequestContext
    ) -> IncrementalAlterConfigsResponse:
        """Answer ``request``: one result for each resource listed."""

        async def alter(resource: AlterConfigsResource) -> None:
            await self._alter(resource, request.validate_only)

        return IncrementalAlterConfigsResponse(
            responses=[
                AlterConfigsResourceResponse(
                    error_code=outcome.error_code,
                    error_message=outcome.error_message,
                    resource_type=outcome.resource_type,
                    resource_name=outcome.resource_name,
                )
                for outcome in await alter_each(request.resources, alter)
            ]
        )

    async def _alter(self, resource: AlterConfigsResource, validate_only: bool) -> None:
        alterations = [_alteration(config) for config in resource.configs]
        if resource.resource_type == ResourceType.TOPIC:
            await self._configs.alter_topic_config(resource.resource_name, alterations, validate_only=validate_only)
        elif resource.resource_type == ResourceType.BROKER:
            broker_id = named_broker(resource.resource_name, self._broker_id)
            await self._configs.alter_broker_config(broker_id, alterations, validate_only=validate_only)
        else:
            raise unknown_resource_type(resource.resource_type)


def _alteration(config: AlterableConfig) -> ConfigAlteration:
    try:
        operation = AlterOperation(config.config_operation)
    except ValueError:
        raise InvalidRequest(f"Unknown operations type {config.config_operation}") from None
    return ConfigAlteration(config.name, operation, config.value)


def build(services: Services) -> IncrementalAlterConfigsHandler:
    """The handler, with what it needs of the broker."""
    return IncrementalAlterConfigsHandler(services.loaded_config.config.node_id, services.topics)
