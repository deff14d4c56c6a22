"""DescribeConfigs (API key 32): every key of topics and brokers with its value, and where the value comes from.

All known keys are listed, set or not: clients read the whole, change one and write the whole back.

Source: KIP-133, KIP-226, KIP-569; Kafka, server/ConfigHelper.scala.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace

from minikafka.broker.configs import ResourceType, named_broker, unknown_resource_type
from minikafka.broker.context import RequestContext
from minikafka.broker.fairness import Turns
from minikafka.broker.services import Services
from minikafka.cluster.metadata import MetadataCache
from minikafka.config.describe import BrokerSettings, ConfigDescription, ConfigSource
from minikafka.errors import InvalidTopic, KafkaError, UnknownTopicOrPartition
from minikafka.protocol.messages.describe_configs import (
    DescribeConfigsRequest,
    DescribeConfigsResource,
    DescribeConfigsResourceResult,
    DescribeConfigsResponse,
    DescribeConfigsResult,
    DescribeConfigsSynonym,
)
from minikafka.types import is_legal_topic_name


class DescribeConfigsHandler:
    """Answers from the cache and this broker's own configuration."""

    __slots__ = ("_broker_id", "_metadata", "_settings")

    def __init__(self, broker_id: int, metadata: MetadataCache, settings: Callable[[], BrokerSettings]) -> None:
        self._broker_id = broker_id
        self._metadata = metadata
        self._settings = settings

    async def __call__(self, request: DescribeConfigsRequest, ctx: RequestContext) -> DescribeConfigsResponse:
        """Answer ``request``: one result for each resource listed, however often it is.

        A few bytes would otherwise get tens of kilobytes for an answer, a hundred thousand times.
        """
        turns = Turns()
        results = []
        for resource in {_asked(resource): resource for resource in request.resources}.values():
            if turns.is_over:
                await turns.next()
            results.append(self._result(resource, request))
        return DescribeConfigsResponse(results=results)

    def _result(self, resource: DescribeConfigsResource, request: DescribeConfigsRequest) -> DescribeConfigsResult:
        result = DescribeConfigsResult(
            error_message=None,
            resource_type=resource.resource_type,
            resource_name=resource.resource_name,
            configs=[],
        )
        try:
            descriptions = self._describe(resource)
        except KafkaError as error:
            result.error_code, result.error_message = error.code, str(error)
            return result
        wanted = set(resource.configuration_keys or ())
        result.configs = [
            _config(description, request) for description in descriptions if not wanted or description.name in wanted
        ]
        return result

    def _describe(self, resource: DescribeConfigsResource) -> Sequence[ConfigDescription]:
        if resource.resource_type == ResourceType.TOPIC:
            return self._describe_topic(resource.resource_name)
        if resource.resource_type == ResourceType.BROKER:
            if named_broker(resource.resource_name, self._broker_id) is None:
                return _only_for_all_brokers(self._settings())
            return self._settings().describe_broker()
        raise unknown_resource_type(resource.resource_type)

    def _describe_topic(self, name: str) -> Sequence[ConfigDescription]:
        if not is_legal_topic_name(name):
            raise InvalidTopic("Topic name is invalid")
        topic = self._metadata.topic(name)
        if topic is None:
            raise UnknownTopicOrPartition("This server does not host this topic-partition.")
        return self._settings().describe_topic(topic.settings)


def _asked(resource: DescribeConfigsResource) -> Hashable:
    keys = resource.configuration_keys
    return resource.resource_type, resource.resource_name, None if keys is None else tuple(keys)


def _only_for_all_brokers(settings: BrokerSettings) -> list[ConfigDescription]:
    """What was set for all brokers while they run; nothing of what this one was started with."""
    source = ConfigSource.DYNAMIC_DEFAULT_BROKER_CONFIG
    described = []
    for description in settings.describe_broker():
        synonyms = tuple(synonym for synonym in description.synonyms if synonym.source is source)
        if synonyms:
            described.append(replace(description, value=synonyms[0].value, source=source, synonyms=synonyms))
    return described


def _config(description: ConfigDescription, request: DescribeConfigsRequest) -> DescribeConfigsResourceResult:
    return DescribeConfigsResourceResult(
        name=description.name,
        value=description.value,
        read_only=description.is_read_only,
        config_source=description.source,
        is_sensitive=description.is_sensitive,
        synonyms=[
            DescribeConfigsSynonym(name=synonym.name, value=synonym.value, source=synonym.source)
            for synonym in description.synonyms
            if request.include_synonyms
        ],
        config_type=description.type,
        documentation=description.documentation if request.include_documentation else None,
    )


def build(services: Services) -> DescribeConfigsHandler:
    """The handler, with what it needs of the broker."""
    controller = services.controller
    return DescribeConfigsHandler(
        services.loaded_config.config.node_id, services.metadata, lambda: controller.broker_settings
    )
