"""Metadata (API key 3): which brokers there are, and who leads which partition of which topic.

The request every client sends first.  Addresses are those that fit its connection; a topic that does not exist yet is
created on the spot when client and broker both allow it, and is in the answer complete with its partitions.

Source: Kafka, KafkaApis.handleTopicMetadataRequest and KRaftMetadataCache.getTopicMetadata.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Protocol

from minikafka.broker.advertise import Advertiser
from minikafka.broker.context import RequestContext
from minikafka.broker.operations import CLUSTER_OPERATIONS, NOT_ASKED, TOPIC_OPERATIONS
from minikafka.broker.reachability import Reachability
from minikafka.broker.services import Services
from minikafka.cluster.metadata import MetadataCache, PartitionState, TopicMetadata
from minikafka.errors import ErrorCode, KafkaError
from minikafka.protocol.messages.metadata import (
    MetadataRequest,
    MetadataRequestTopic,
    MetadataResponse,
    MetadataResponseBroker,
    MetadataResponsePartition,
    MetadataResponseTopic,
)
from minikafka.types import INTERNAL_TOPICS, ZERO_UUID, is_legal_topic_name

FIRST_VERSION_WITH_IDS = 12
FIRST_VERSION_WITH_LISTENER_ERRORS = 6

MAX_CREATED_PER_REQUEST = 1000
"""Topics that one request creates; the rest are answered LEADER_NOT_AVAILABLE, and the client asks again."""


class TopicCreator(Protocol):
    """What the handler needs of the topic service."""

    def creates_automatically(self, name: str) -> bool:
        """Whether a client that asks for a topic which is not there brings it into being."""
        ...

    async def create_automatically(self, name: str) -> None:
        """Create a topic with the broker's defaults; that somebody else was faster is no error."""
        ...


class MetadataHandler:
    """Answers from the cache, and waits only for topics that it creates."""

    __slots__ = ("_advertiser", "_metadata", "_topics")

    def __init__(self, metadata: MetadataCache, advertiser: Advertiser, topics: TopicCreator) -> None:
        self._metadata = metadata
        self._advertiser = advertiser
        self._topics = topics

    def __call__(
        self, request: MetadataRequest, ctx: RequestContext
    ) -> MetadataResponse | Coroutine[Any, Any, MetadataResponse]:
        """Answer ``request``; null topics are all, an empty list is none (in version 0: all)."""
        wanted = request.topics
        if wanted is None or (ctx.api_version == 0 and not wanted):
            return self._answer(request, ctx, self._all(request, ctx))
        if ctx.api_version < FIRST_VERSION_WITH_IDS and any(map(_asks_by_id, wanted)):
            return self._answer(
                request, ctx, [_failed(ErrorCode.INVALID_REQUEST, topic.name or "") for topic in wanted]
            )
        if any(topic.topic_id != ZERO_UUID for topic in wanted):
            ids = dict.fromkeys(topic.topic_id for topic in wanted if topic.topic_id != ZERO_UUID)
            return self._answer(request, ctx, self._by_id(ids, request, ctx))
        names = list(dict.fromkeys(topic.name or "" for topic in wanted))
        missing = [name for name in names if self._metadata.topic(name) is None]
        if request.allow_auto_topic_creation:
            to_create = [name for name in missing if self._topics.creates_automatically(name)]
            if to_create:
                return self._create_and_answer(to_create, names, request, ctx)
        return self._answer(request, ctx, self._by_name(names, {}, request, ctx))

    async def _create_and_answer(
        self, to_create: list[str], names: list[str], request: MetadataRequest, ctx: RequestContext
    ) -> MetadataResponse:
        errors = dict.fromkeys(to_create[MAX_CREATED_PER_REQUEST:], ErrorCode.LEADER_NOT_AVAILABLE)
        for name in to_create[:MAX_CREATED_PER_REQUEST]:
            try:
                await self._topics.create_automatically(name)
            except KafkaError as error:
                errors[name] = error.code
        return self._answer(request, ctx, self._by_name(names, errors, request, ctx))

    def _all(self, request: MetadataRequest, ctx: RequestContext) -> list[MetadataResponseTopic]:
        describe = self._describer(request, ctx)
        return [describe(topic) for topic in self._metadata.topics]

    def _by_id(
        self, ids: Iterable[bytes], request: MetadataRequest, ctx: RequestContext
    ) -> list[MetadataResponseTopic]:
        describe = self._describer(request, ctx)
        answers = []
        for topic_id in ids:
            topic = self._metadata.topic_by_id(topic_id)
            answers.append(_failed(ErrorCode.UNKNOWN_TOPIC_ID, None, topic_id) if topic is None else describe(topic))
        return answers

    def _by_name(
        self, names: Iterable[str], errors: dict[str, ErrorCode], request: MetadataRequest, ctx: RequestContext
    ) -> list[MetadataResponseTopic]:
        describe = self._describer(request, ctx)
        answers = []
        for name in names:
            topic = self._metadata.topic(name)
            if topic is not None:
                answers.append(describe(topic))
                continue
            failed = _failed(errors.get(name, _why_missing(name)), name)
            failed.topic_authorized_operations = _operations(request)
            answers.append(failed)
        return answers

    def _describer(
        self, request: MetadataRequest, ctx: RequestContext
    ) -> Callable[[TopicMetadata], MetadataResponseTopic]:
        brokers = self._advertiser.reachability(ctx.connection)
        operations = _operations(request)
        version = ctx.api_version

        def describe(topic: TopicMetadata) -> MetadataResponseTopic:
            return MetadataResponseTopic(
                name=topic.name,
                topic_id=topic.topic_id,
                is_internal=topic.is_internal,
                partitions=[
                    _describe_partition(index, state, brokers, version) for index, state in enumerate(topic.partitions)
                ],
                topic_authorized_operations=operations,
            )

        return describe

    def _answer(
        self, request: MetadataRequest, ctx: RequestContext, topics: list[MetadataResponseTopic]
    ) -> MetadataResponse:
        brokers = self._advertiser.brokers(ctx.connection)
        self._advertiser.metadata_answered(ctx.connection)
        return MetadataResponse(
            brokers=[
                MetadataResponseBroker(node_id=at.broker_id, host=at.address.host, port=at.address.port)
                for at in brokers
            ],
            cluster_id=self._metadata.cluster_id,
            controller_id=self._metadata.controller_id,
            topics=topics,
            cluster_authorized_operations=(
                CLUSTER_OPERATIONS if request.include_cluster_authorized_operations else NOT_ASKED
            ),
        )


def _describe_partition(
    index: int, state: PartitionState, brokers: Reachability, version: int
) -> MetadataResponsePartition:
    leader_id, error_code = brokers.leader_of(state)
    offline = brokers.offline(state.replicas)
    replicas, isr = list(state.replicas), list(state.isr)
    if version == 0 and offline:
        # There was no room for offline replicas then: they were left out, and that was an error.
        replicas = [replica for replica in replicas if replica not in offline]
        isr = [replica for replica in isr if replica not in offline]
        error_code = error_code or ErrorCode.REPLICA_NOT_AVAILABLE
    if error_code is ErrorCode.LISTENER_NOT_FOUND and version < FIRST_VERSION_WITH_LISTENER_ERRORS:
        error_code = ErrorCode.LEADER_NOT_AVAILABLE
    return MetadataResponsePartition(
        error_code=error_code,
        partition_index=index,
        leader_id=leader_id,
        leader_epoch=state.leader_epoch,
        replica_nodes=replicas,
        isr_nodes=isr,
        offline_replicas=offline,
    )


def _asks_by_id(topic: MetadataRequestTopic) -> bool:
    return topic.name is None or topic.topic_id != ZERO_UUID


def _why_missing(name: str) -> ErrorCode:
    return ErrorCode.UNKNOWN_TOPIC_OR_PARTITION if is_legal_topic_name(name) else ErrorCode.INVALID_TOPIC_EXCEPTION


def _failed(code: ErrorCode, name: str | None, topic_id: bytes = ZERO_UUID) -> MetadataResponseTopic:
    return MetadataResponseTopic(
        error_code=code, name=name, topic_id=topic_id, is_internal=name in INTERNAL_TOPICS, partitions=[]
    )


def _operations(request: MetadataRequest) -> int:
    return TOPIC_OPERATIONS if request.include_topic_authorized_operations else NOT_ASKED


def build(services: Services) -> MetadataHandler:
    """The handler, with what it needs of the broker."""
    return MetadataHandler(services.metadata, services.advertiser, services.topics)
