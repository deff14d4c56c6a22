"""DeleteTopics (API key 20): take topics away, by name or (from version 6) by id.

When the answer is out the files are gone, and the name is free for a topic with another id.

Source: Kafka, ControllerApis.deleteTopics.
"""

from __future__ import annotations

from collections import Counter
from typing import Protocol

from minikafka.broker.context import RequestContext
from minikafka.broker.fairness import Turns
from minikafka.broker.services import Services
from minikafka.cluster.metadata import MetadataCache, TopicMetadata
from minikafka.errors import (
    InvalidRequest,
    KafkaError,
    TopicDeletionDisabled,
    UnknownTopicId,
    UnknownTopicOrPartition,
)
from minikafka.protocol.messages.delete_topics import (
    DeletableTopicResult,
    DeleteTopicsRequest,
    DeleteTopicsResponse,
    DeleteTopicState,
)
from minikafka.types import ZERO_UUID

FIRST_VERSION_WITH_DISABLED_ERROR = 3


class TopicRemover(Protocol):
    """What the handler needs of the topic service."""

    @property
    def deletes_topics(self) -> bool:
        """Whether topics can be deleted at all."""
        ...

    async def delete(self, name: str) -> None:
        """Delete a topic and its files."""
        ...


class DeleteTopicsHandler:
    """Deletes the topics of one request one after the other."""

    __slots__ = ("_metadata", "_topics")

    def __init__(self, metadata: MetadataCache, topics: TopicRemover) -> None:
        self._metadata = metadata
        self._topics = topics

    async def __call__(self, request: DeleteTopicsRequest, ctx: RequestContext) -> DeleteTopicsResponse:
        """Answer ``request``: one result for each topic, however often it is listed."""
        wanted = [*request.topics, *(DeleteTopicState(name=name, topic_id=ZERO_UUID) for name in request.topic_names)]
        counts = Counter((state.name, state.topic_id) for state in wanted)
        if not self._topics.deletes_topics:
            refused = _deletion_disabled(ctx.api_version)
            return DeleteTopicsResponse(responses=[_result(name, topic_id, refused) for name, topic_id in counts])
        found = {asked: self._find(*asked, count) for asked, count in counts.items()}
        times = Counter(topic.topic_id for topic in found.values() if isinstance(topic, TopicMetadata))
        turns = Turns()
        responses = []
        for (name, topic_id), topic in found.items():
            if turns.is_over:
                await turns.next()
            if isinstance(topic, KafkaError):
                responses.append(_result(name, topic_id, topic))
            elif times[topic.topic_id] > 1:
                error = InvalidRequest("The provided topic name maps to an ID that was already supplied.")
                responses.append(_result(name, topic_id, error))
            else:
                responses.append(await self._delete(topic))
        return DeleteTopicsResponse(responses=responses)

    async def _delete(self, topic: TopicMetadata) -> DeletableTopicResult:
        try:
            await self._topics.delete(topic.name)
        except KafkaError as error:
            return _result(topic.name, topic.topic_id, error)
        return _result(topic.name, topic.topic_id, None)

    def _find(self, name: str | None, topic_id: bytes, count: int) -> TopicMetadata | KafkaError:
        if name is None and topic_id == ZERO_UUID:
            return InvalidRequest("Neither topic name nor id were specified.")
        if name is not None and topic_id != ZERO_UUID:
            return InvalidRequest("You may not specify both topic name and topic id.")
        if count > 1:
            return InvalidRequest("Duplicate topic name." if name is not None else "Duplicate topic id.")
        if name is None:
            by_id = self._metadata.topic_by_id(topic_id)
            return UnknownTopicId("This server does not host this topic ID.") if by_id is None else by_id
        by_name = self._metadata.topic(name)
        if by_name is None:
            return UnknownTopicOrPartition("This server does not host this topic-partition.")
        return by_name


def _deletion_disabled(version: int) -> KafkaError:
    if version < FIRST_VERSION_WITH_DISABLED_ERROR:
        return InvalidRequest("Topic deletion is disabled.")
    return TopicDeletionDisabled("Topic deletion is disabled.")


def _result(name: str | None, topic_id: bytes, error: KafkaError | None) -> DeletableTopicResult:
    return DeletableTopicResult(
        name=name,
        topic_id=topic_id,
        error_code=0 if error is None else error.code,
        error_message=None if error is None else str(error),
    )


def build(services: Services) -> DeleteTopicsHandler:
    """The handler, with what it needs of the broker."""
    return DeleteTopicsHandler(services.metadata, services.topics)
