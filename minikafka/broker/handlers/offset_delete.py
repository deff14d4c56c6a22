"""OffsetDelete (API key 47): forget a group's offsets of topics that it does not read any more.

Source: Kafka, KafkaApis.handleOffsetDeleteRequest, OffsetMetadataManager.deleteOffsets.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from minikafka.broker.context import RequestContext
from minikafka.broker.group_requests import check_group_id
from minikafka.broker.services import Services
from minikafka.cluster.metadata import MetadataCache
from minikafka.coordinator.group.coordinator import GroupCoordinator
from minikafka.errors import ErrorCode, KafkaError
from minikafka.protocol.messages.offset_delete import (
    OffsetDeleteRequest,
    OffsetDeleteResponse,
    OffsetDeleteResponsePartition,
    OffsetDeleteResponseTopic,
)
from minikafka.types import TopicPartition


class OffsetDeleteHandler:
    """Deletes offsets."""

    __slots__ = ("_groups", "_metadata")

    def __init__(self, groups: GroupCoordinator, metadata: MetadataCache) -> None:
        self._groups = groups
        self._metadata = metadata

    def __call__(
        self, request: OffsetDeleteRequest, ctx: RequestContext
    ) -> OffsetDeleteResponse | Coroutine[Any, Any, OffsetDeleteResponse]:
        """Answer ``request`` when the offsets are gone for good."""
        named = [
            TopicPartition(topic.name, partition.partition_index)
            for topic in request.topics
            for partition in topic.partitions
        ]
        known = [which for which in named if self._metadata.partition(*which) is not None]
        try:
            check_group_id(request.group_id)
            deleted = self._groups.shard_of(request.group_id).delete_offsets(request.group_id, known)
        except KafkaError as error:
            return OffsetDeleteResponse(error_code=error.code, topics=[])
        codes = dict.fromkeys(named, int(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION))
        codes |= {which: 0 if goes else ErrorCode.GROUP_SUBSCRIBED_TO_TOPIC for which, goes in deleted.value.items()}
        response = _response(codes)
        return response if deleted.durable is None else _wait(deleted.durable, response)


async def _wait(durable: asyncio.Future[None], response: OffsetDeleteResponse) -> OffsetDeleteResponse:
    try:
        await asyncio.shield(durable)
    except KafkaError as error:
        return OffsetDeleteResponse(error_code=error.code, topics=[])
    return response


def build(services: Services) -> OffsetDeleteHandler:
    """The handler, with what it needs of the broker."""
    return OffsetDeleteHandler(services.groups, services.metadata)


def _response(codes: dict[TopicPartition, int]) -> OffsetDeleteResponse:
    topics: dict[str, OffsetDeleteResponseTopic] = {}
    for (name, index), code in codes.items():
        topic = topics.setdefault(name, OffsetDeleteResponseTopic(name=name, partitions=[]))
        topic.partitions.append(OffsetDeleteResponsePartition(partition_index=index, error_code=code))
    return OffsetDeleteResponse(topics=list(topics.values()))
