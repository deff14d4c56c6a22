"""DescribeTopicPartitions (API key 75): the partitions of topics, page by page.

Topics come in the order of their names, and a page ends after so many partitions; where it ended is the cursor with
which the client asks for the next.

Source: KIP-966; Kafka, DescribeTopicPartitionsRequestHandler.
"""

from __future__ import annotations

from collections.abc import Iterable

from minikafka.broker.advertise import Advertiser
from minikafka.broker.context import RequestContext
from minikafka.broker.operations import NOT_ASKED, TOPIC_OPERATIONS
from minikafka.broker.reachability import Reachability
from minikafka.broker.services import Services
from minikafka.cluster.metadata import MetadataCache, PartitionState, TopicMetadata
from minikafka.errors import ErrorCode, InvalidRequest, KafkaError
from minikafka.protocol.messages.describe_topic_partitions import (
    Cursor,
    DescribeTopicPartitionsRequest,
    DescribeTopicPartitionsResponse,
    DescribeTopicPartitionsResponsePartition,
    DescribeTopicPartitionsResponseTopic,
)
from minikafka.types import INTERNAL_TOPICS, ZERO_UUID, is_legal_topic_name

MAX_PARTITIONS_PER_PAGE = 2000
"""Kafka's default of ``max.request.partition.size.limit``."""


class DescribeTopicPartitionsHandler:
    """Answers from the cache."""

    __slots__ = ("_advertiser", "_metadata")

    def __init__(self, metadata: MetadataCache, advertiser: Advertiser) -> None:
        self._metadata = metadata
        self._advertiser = advertiser

    def __call__(self, request: DescribeTopicPartitionsRequest, ctx: RequestContext) -> DescribeTopicPartitionsResponse:
        """Answer ``request``; no topics stand for all of them."""
        try:
            names = self._wanted(request)
        except KafkaError as error:
            return DescribeTopicPartitionsResponse(
                topics=[_failed(topic.name, error.code, NOT_ASKED) for topic in request.topics]
            )
        return self._page(names, request, self._advertiser.reachability(ctx.connection))

    def _wanted(self, request: DescribeTopicPartitionsRequest) -> list[str]:
        """The names from the cursor on, sorted.

        Raises:
            InvalidRequest: The cursor points to a topic that is not asked for, or to no partition.
        """
        cursor = request.cursor
        first_name = "" if cursor is None else cursor.topic_name
        listed: Iterable[str] = (topic.name for topic in request.topics or self._metadata.topics)
        names = sorted({name for name in listed if name >= first_name})
        if cursor is not None and request.topics and first_name not in names:
            raise InvalidRequest(f"the list of topics should contain the cursor's topic {first_name}")
        if cursor is not None and cursor.partition_index < 0:
            raise InvalidRequest(f"the cursor's partition {cursor.partition_index} is none")
        return names

    def _page(
        self, names: Iterable[str], request: DescribeTopicPartitionsRequest, brokers: Reachability
    ) -> DescribeTopicPartitionsResponse:
        cursor = request.cursor
        remaining = max(1, min(request.response_partition_limit, MAX_PARTITIONS_PER_PAGE))
        page = DescribeTopicPartitionsResponse(topics=[])
        for name in names:
            if remaining == 0:
                page.next_cursor = Cursor(topic_name=name, partition_index=0)
                break
            topic = self._metadata.topic(name)
            if topic is None:
                page.topics.append(_failed(name, _why_missing(name), TOPIC_OPERATIONS))
                continue
            first = cursor.partition_index if cursor is not None and cursor.topic_name == name else 0
            end = min(len(topic.partitions), first + remaining)
            page.topics.append(_describe(topic, range(first, end), brokers))
            remaining -= max(0, end - first)
            if end < len(topic.partitions):
                page.next_cursor = Cursor(topic_name=name, partition_index=end)
                break
        return page


def _describe(topic: TopicMetadata, indexes: range, brokers: Reachability) -> DescribeTopicPartitionsResponseTopic:
    return DescribeTopicPartitionsResponseTopic(
        name=topic.name,
        topic_id=topic.topic_id,
        is_internal=topic.is_internal,
        partitions=[_describe_partition(index, topic.partitions[index], brokers) for index in indexes],
        topic_authorized_operations=TOPIC_OPERATIONS,
    )


def _describe_partition(
    index: int, state: PartitionState, brokers: Reachability
) -> DescribeTopicPartitionsResponsePartition:
    leader_id, error_code = brokers.leader_of(state)
    return DescribeTopicPartitionsResponsePartition(
        error_code=error_code,
        partition_index=index,
        leader_id=leader_id,
        leader_epoch=state.leader_epoch,
        replica_nodes=list(state.replicas),
        isr_nodes=list(state.isr),
        # Null is legal, and makes the admin client of Java 4 fail.
        eligible_leader_replicas=[],
        last_known_elr=[],
        offline_replicas=brokers.offline(state.replicas),
    )


def _why_missing(name: str) -> ErrorCode:
    return ErrorCode.UNKNOWN_TOPIC_OR_PARTITION if is_legal_topic_name(name) else ErrorCode.INVALID_TOPIC_EXCEPTION


def _failed(name: str, code: ErrorCode, operations: int) -> DescribeTopicPartitionsResponseTopic:
    return DescribeTopicPartitionsResponseTopic(
        error_code=code,
        name=name,
        topic_id=ZERO_UUID,
        is_internal=name in INTERNAL_TOPICS,
        partitions=[],
        topic_authorized_operations=operations,
    )


def build(services: Services) -> DescribeTopicPartitionsHandler:
    """The handler, with what it needs of the broker."""
    return DescribeTopicPartitionsHandler(services.metadata, services.advertiser)
