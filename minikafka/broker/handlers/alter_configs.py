"""AlterConfigs (API key 33): replace all the settings of a resource; what is not listed goes back to its default.

Kafka deprecated it for IncrementalAlterConfigs, because two clients that change one key each undo one another.

Source: KIP-133; Kafka, ConfigAdminManager and ConfigurationControlManager.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from minikafka.broker.configs import ResourceType, alter_each, named_broker, unknown_resource_type
from minikafka.broker.context import RequestContext
from minikafka.broker.services import Services
from minikafka.errors import InvalidRequest
from minikafka.protocol.messages.alter_configs import (
    AlterConfigsRequest,
    AlterConfigsResource,
    AlterConfigsResourceResponse,
    AlterConfigsResponse,
)


class ConfigReplacer(Protocol):
    """What the handler needs of the topic service."""

    async def replace_topic_config(self, name: str, settings: Mapping[str, str | None], *, validate_only: bool) -> None:
        """Give a topic exactly these settings."""
        ...

    async def replace_broker_config(
        self, broker_id: int | None, settings: Mapping[str, str | None], *, validate_only: bool
    ) -> None:
        """Give this broker, or all when None, exactly these settings."""
        ...


class AlterConfigsHandler:
    """Alters the resources of one request one after the other."""

    __slots__ = ("_broker_id", "_configs")

    def __init__(self, broker_id: int, configs: ConfigReplacer) -> None:
        self._broker_id = broker_id
        self._configs = configs

    async def __call__(self, request: AlterConfigsRequest, ctx: RequestContext) -> AlterConfigsResponse:
        """Answer ``request``: one result for each resource listed."""

        async def alter(resource: AlterConfigsResource) -> None:
            await self._replace(resource, request.validate_only)

        return AlterConfigsResponse(
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

    async def _replace(self, resource: AlterConfigsResource, validate_only: bool) -> None:
        settings = {config.name: config.value for config in resource.configs}
        if len(settings) < len(resource.configs):
            raise InvalidRequest("Error due to duplicate config keys")
        if resource.resource_type == ResourceType.TOPIC:
            await self._configs.replace_topic_config(resource.resource_name, settings, validate_only=validate_only)
        elif resource.resource_type == ResourceType.BROKER:
            broker_id = named_broker(resource.resource_name, self._broker_id)
            await self._configs.replace_broker_config(broker_id, settings, validate_only=validate_only)
        else:
            raise unknown_resource_type(resource.resource_type)


def build(services: Services) -> AlterConfigsHandler:
    """The handler, with what it needs of the broker."""
    return AlterConfigsHandler(services.loaded_config.config.node_id, services.topics)
