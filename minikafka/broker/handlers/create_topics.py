"""CreateTopics (API key 19): make topics, each for itself: one that cannot be made does not hinder the others.

When the answer is out, every topic in it that has no error can be produced to.

Source: Kafka, ControllerApis.createTopics and ReplicationControlManager.createTopics.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Protocol

from minikafka.broker.context import RequestContext
from minikafka.broker.fairness import Turns
from minikafka.broker.services import Services
from minikafka.cluster.metadata import TopicMetadata
from minikafka.cluster.topic_requests import DEFAULT, ManualReplicas, TopicSpec, refuse_too_many
from minikafka.config.describe import ConfigDescription
from minikafka.errors import InvalidRequest, KafkaError
from minikafka.protocol.messages.create_topics import (
    CreatableTopic,
    CreatableTopicConfigs,
    CreatableTopicResult,
    CreateTopicsRequest,
    CreateTopicsResponse,
)

FIRST_VERSION_WITH_CONFIGS = 5

_RAFT_TOPIC = "__cluster_metadata"


class TopicMaker(Protocol):
    """What the handler needs of the topic service."""

    @property
    def default_partition_count(self) -> int:
        """How many partitions -1 stands for."""
        ...

    async def create(self, spec: TopicSpec, *, validate_only: bool) -> TopicMetadata:
        """Create a topic; a KafkaError says why not."""
        ...

    def describe_config(self, topic: TopicMetadata) -> Sequence[ConfigDescription]:
        """Every configuration key of a topic."""
        ...


class CreateTopicsHandler:
    """Creates the topics of one request one after the other."""

    __slots__ = ("_topics",)

    def __init__(self, topics: TopicMaker) -> None:
        self._topics = topics

    async def __call__(self, request: CreateTopicsRequest, ctx: RequestContext) -> CreateTopicsResponse:
        """Answer ``request``, in its order."""
        counts = Counter(topic.name for topic in request.topics)
        try:
            refuse_too_many(sum(map(self._partition_count, request.topics)))
        except KafkaError as error:
            return CreateTopicsResponse(topics=[_failed(name, error) for name in counts])
        turns = Turns()
        results = []
        for topic in request.topics:
            if turns.is_over:
                await turns.next()
            if counts[topic.name] == 1:
                results.append(await self._create(topic, request.validate_only, ctx))
            elif counts.pop(topic.name, None):
                results.append(_failed(topic.name, InvalidRequest("Duplicate topic name.")))
        return CreateTopicsResponse(topics=results)

    async def _create(self, topic: CreatableTopic, validate_only: bool, ctx: RequestContext) -> CreatableTopicResult:
        try:
            if topic.name == _RAFT_TOPIC:
                raise InvalidRequest(f"Creation of internal topic {_RAFT_TOPIC} is prohibited.")
            created = await self._topics.create(_spec(topic), validate_only=validate_only)
        except KafkaError as error:
            return _failed(topic.name, error)
        result = CreatableTopicResult(name=created.name, topic_id=created.topic_id, error_message=None)
        if ctx.api_version >= FIRST_VERSION_WITH_CONFIGS:
            result.num_partitions = len(created.partitions)
            result.replication_factor = created.replication_factor
            result.configs = [_config(description) for description in self._topics.describe_config(created)]
        return result

    def _partition_count(self, topic: CreatableTopic) -> int:
        if topic.assignments:
            return len(topic.assignments)
        return self._topics.default_partition_count if topic.num_partitions == DEFAULT else max(topic.num_partitions, 1)


def _spec(topic: CreatableTopic) -> TopicSpec:
    return TopicSpec(
        topic.name,
        topic.num_partitions,
        topic.replication_factor,
        [ManualReplicas(one.partition_index, tuple(one.broker_ids)) for one in topic.assignments],
        {config.name: config.value for config in topic.configs},
    )


def _config(description: ConfigDescription) -> CreatableTopicConfigs:
    return CreatableTopicConfigs(
        name=description.name,
        value=description.value,
        read_only=description.is_read_only,
        config_source=description.source,
        is_sensitive=description.is_sensitive,
    )


def _failed(name: str, error: KafkaError) -> CreatableTopicResult:
    return CreatableTopicResult(name=name, error_code=error.code, error_message=str(error))


def build(services: Services) -> CreateTopicsHandler:
    """The handler, with what it needs of the broker."""
    return CreateTopicsHandler(services.topics)
