"""CreatePartitions (API key 37): give topics more partitions.

When the answer is out, the new partitions can be produced to.

Source: Kafka, ControllerApis.createPartitions and ReplicationControlManager.createPartitions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Protocol

from minikafka.broker.context import RequestContext
from minikafka.broker.fairness import Turns
from minikafka.broker.services import Services
from minikafka.cluster.metadata import MetadataCache
from minikafka.cluster.topic_requests import refuse_too_many
from minikafka.errors import InvalidRequest, KafkaError
from minikafka.protocol.messages.create_partitions import (
    CreatePartitionsRequest,
    CreatePartitionsResponse,
    CreatePartitionsTopic,
    CreatePartitionsTopicResult,
)


class PartitionMaker(Protocol):
    """What the handler needs of the topic service."""

    async def add_partitions(
        self, name: str, partition_count: int, manual: Sequence[tuple[int, ...]] | None, *, validate_only: bool
    ) -> None:
        """Give a topic ``partition_count`` partitions in all; a KafkaError says why not."""
        ...


class CreatePartitionsHandler:
    """Grows the topics of one request one after the other."""

    __slots__ = ("_metadata", "_topics")

    def __init__(self, metadata: MetadataCache, topics: PartitionMaker) -> None:
        self._metadata = metadata
        self._topics = topics

    async def __call__(self, request: CreatePartitionsRequest, ctx: RequestContext) -> CreatePartitionsResponse:
        """Answer ``request``: one result for each topic, however often it is listed."""
        counts = Counter(topic.name for topic in request.topics)
        try:
            refuse_too_many(sum(map(self._additional, request.topics)))
        except KafkaError as error:
            return CreatePartitionsResponse(results=[_result(name, error) for name in counts])
        turns = Turns()
        results = []
        for topic in request.topics:
            if turns.is_over:
                await turns.next()
            if counts[topic.name] == 1:
                results.append(await self._grow(topic, request.validate_only))
            elif counts.pop(topic.name, None):
                results.append(_result(topic.name, InvalidRequest("Duplicate topic name.")))
        return CreatePartitionsResponse(results=results)

    async def _grow(self, topic: CreatePartitionsTopic, validate_only: bool) -> CreatePartitionsTopicResult:
        manual = None if topic.assignments is None else [tuple(one.broker_ids) for one in topic.assignments]
        try:
            await self._topics.add_partitions(topic.name, topic.count, manual, validate_only=validate_only)
        except KafkaError as error:
            return _result(topic.name, error)
        return _result(topic.name, None)

    def _additional(self, topic: CreatePartitionsTopic) -> int:
        existing = self._metadata.topic(topic.name)
        return 0 if existing is None else max(0, topic.count - len(existing.partitions))


def _result(name: str, error: KafkaError | None) -> CreatePartitionsTopicResult:
    return CreatePartitionsTopicResult(
        name=name,
        error_code=0 if error is None else error.code,
        error_message=None if error is None else str(error),
    )


def build(services: Services) -> CreatePartitionsHandler:
    """The handler, with what it needs of the broker."""
    return CreatePartitionsHandler(services.metadata, services.topics)
