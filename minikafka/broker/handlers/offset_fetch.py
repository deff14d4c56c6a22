"""OffsetFetch (API key 9): how far groups have come.

A group or a partition without a committed offset is no error: the offset is -1.  Since version 8 a request asks for
several groups, each with an error of its own.  A client that wants stable offsets (version 7, KIP-447) waits for those
that are being committed; where a transaction is open that commits offsets, it is to come again.

Source: Kafka, KafkaApis.handleOffsetFetchRequest, OffsetMetadataManager.fetchOffsets, OffsetFetchResponse.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, NamedTuple

from minikafka.broker.context import RequestContext
from minikafka.broker.services import Services
from minikafka.cluster.metadata import MetadataCache
from minikafka.coordinator.group.coordinator import GroupCoordinator
from minikafka.coordinator.group.shard import GroupShard
from minikafka.coordinator.group.values import CommittedOffset, MemberClaim
from minikafka.errors import ErrorCode, KafkaError
from minikafka.protocol.messages.offset_fetch import (
    OffsetFetchRequest,
    OffsetFetchRequestGroup,
    OffsetFetchRequestTopics,
    OffsetFetchResponse,
    OffsetFetchResponseGroup,
    OffsetFetchResponsePartition,
    OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic,
    OffsetFetchResponseTopics,
)
from minikafka.types import NO_OFFSET, ZERO_UUID, TopicPartition

FIRST_VERSION_WITH_ERROR = 2
FIRST_VERSION_WITH_GROUPS = 8
FIRST_VERSION_BY_TOPIC_ID = 10

_NOTHING_COMMITTED = CommittedOffset(NO_OFFSET)


class Asked(NamedTuple):
    """What a request wants to know, whichever version it has."""

    groups: list[OffsetFetchRequestGroup]
    require_stable: bool
    by_topic_id: bool


class OffsetFetchHandler:
    """Looks committed offsets up."""

    __slots__ = ("_groups", "_metadata")

    def __init__(self, groups: GroupCoordinator, metadata: MetadataCache) -> None:
        self._groups = groups
        self._metadata = metadata

    def __call__(
        self, request: OffsetFetchRequest, ctx: RequestContext
    ) -> OffsetFetchResponse | Coroutine[Any, Any, OffsetFetchResponse]:
        """Answer ``request``; a client that wants stable offsets waits for those that are being committed."""
        asked = Asked(
            request.groups if ctx.api_version >= FIRST_VERSION_WITH_GROUPS else [_only_group(request)],
            require_stable=request.require_stable,
            by_topic_id=ctx.api_version >= FIRST_VERSION_BY_TOPIC_ID,
        )
        unsettled = self._unsettled(asked.groups) if asked.require_stable else []
        if unsettled:
            return self._answer_later(unsettled, asked, ctx)
        return self._answer(asked, ctx)

    def _unsettled(self, wanted: Iterable[OffsetFetchRequestGroup]) -> list[asyncio.Future[None]]:
        """What is done when every commit that has begun is visible."""
        unsettled = []
        for group_id in dict.fromkeys(group.group_id for group in wanted):
            try:
                settled = self._groups.shard_of(group_id).settled()
            except KafkaError:
                continue  # becomes the group's error right after
            if settled is not None:
                unsettled.append(settled)
        return unsettled

    async def _answer_later(
        self, unsettled: list[asyncio.Future[None]], asked: Asked, ctx: RequestContext
    ) -> OffsetFetchResponse:
        await asyncio.wait(unsettled)
        return self._answer(asked, ctx)

    def _answer(self, asked: Asked, ctx: RequestContext) -> OffsetFetchResponse:
        groups = [self._fetch(group, asked) for group in asked.groups]
        if ctx.api_version >= FIRST_VERSION_WITH_GROUPS:
            return OffsetFetchResponse(groups=groups)
        return _for_one_group(groups[0], asked.groups[0], ctx)

    def _fetch(self, wanted: OffsetFetchRequestGroup, asked: Asked) -> OffsetFetchResponseGroup:
        claim = None if wanted.member_id is None else MemberClaim(wanted.member_id, None, wanted.member_epoch)
        try:
            shard = self._groups.shard_of(wanted.group_id)
            shard.check_fetch(wanted.group_id, claim)
        except KafkaError as error:
            return OffsetFetchResponseGroup(group_id=wanted.group_id, topics=[], error_code=error.code)
        if wanted.topics is None:
            topics = self._everything(shard, wanted.group_id, asked)
        else:
            topics = [self._topic(shard, wanted.group_id, topic, asked) for topic in wanted.topics]
        return OffsetFetchResponseGroup(group_id=wanted.group_id, topics=topics)

    def _topic(
        self, shard: GroupShard, group_id: str, wanted: OffsetFetchRequestTopics, asked: Asked
    ) -> OffsetFetchResponseTopics:
        name: str | None = wanted.name
        if asked.by_topic_id:
            name = self._metadata.topic_name(wanted.topic_id)
        committed = shard.offsets.all_of(group_id)
        partitions = []
        for index in wanted.partition_indexes:
            if name is None:
                partition = _partition(index, _NOTHING_COMMITTED, ErrorCode.UNKNOWN_TOPIC_ID)
            elif asked.require_stable and shard.offsets.is_pending(group_id, TopicPartition(name, index)):
                partition = _partition(index, _NOTHING_COMMITTED, ErrorCode.UNSTABLE_OFFSET_COMMIT)
            else:
                partition = _partition(index, committed.get(TopicPartition(name, index), _NOTHING_COMMITTED))
            partitions.append(partition)
        return OffsetFetchResponseTopics(name=wanted.name, topic_id=wanted.topic_id, partitions=partitions)

    def _everything(self, shard: GroupShard, group_id: str, asked: Asked) -> list[OffsetFetchResponseTopics]:
        """All that a group has committed; of topics that are gone, which have no id, too."""
        topics: dict[str, OffsetFetchResponseTopics] = {}
        for (name, index), committed in shard.offsets.all_of(group_id).items():
            topic = topics.get(name)
            if topic is None:
                known = self._metadata.topic(name)
                topic_id = ZERO_UUID if known is None else known.topic_id
                topic = topics[name] = OffsetFetchResponseTopics(name=name, topic_id=topic_id, partitions=[])
            if asked.require_stable and shard.offsets.is_pending(group_id, TopicPartition(name, index)):
                partition = _partition(index, _NOTHING_COMMITTED, ErrorCode.UNSTABLE_OFFSET_COMMIT)
            else:
                partition = _partition(index, committed)
            topic.partitions.append(partition)
        return list(topics.values())


def build(services: Services) -> OffsetFetchHandler:
    """The handler, with what it needs of the broker."""
    return OffsetFetchHandler(services.groups, services.metadata)


def _only_group(request: OffsetFetchRequest) -> OffsetFetchRequestGroup:
    """The one group of a request before version 8, as a later request would name it."""
    topics = None
    if request.topics is not None:
        topics = [
            OffsetFetchRequestTopics(name=topic.name, partition_indexes=topic.partition_indexes)
            for topic in request.topics
        ]
    return OffsetFetchRequestGroup(group_id=request.group_id, topics=topics)


def _for_one_group(
    group: OffsetFetchResponseGroup, wanted: OffsetFetchRequestGroup, ctx: RequestContext
) -> OffsetFetchResponse:
    """The answer before version 8; version 1 has no place for the group's error but its partitions."""
    if group.error_code and ctx.api_version < FIRST_VERSION_WITH_ERROR:
        return OffsetFetchResponse(topics=[_refused(topic, group.error_code) for topic in wanted.topics or []])
    topics = [
        OffsetFetchResponseTopic(name=topic.name, partitions=[_as_before(partition) for partition in topic.partitions])
        for topic in group.topics
    ]
    return OffsetFetchResponse(topics=topics, error_code=group.error_code)


def _refused(wanted: OffsetFetchRequestTopics, error_code: int) -> OffsetFetchResponseTopic:
    partitions = [_as_before(_partition(index, _NOTHING_COMMITTED)) for index in wanted.partition_indexes]
    for partition in partitions:
        partition.error_code = error_code
    return OffsetFetchResponseTopic(name=wanted.name, partitions=partitions)


def _partition(index: int, committed: CommittedOffset, error_code: int = 0) -> OffsetFetchResponsePartitions:
    return OffsetFetchResponsePartitions(
        partition_index=index,
        committed_offset=committed.offset,
        committed_leader_epoch=committed.leader_epoch,
        metadata=committed.metadata,
        error_code=error_code,
    )


def _as_before(partition: OffsetFetchResponsePartitions) -> OffsetFetchResponsePartition:
    return OffsetFetchResponsePartition(
        partition_index=partition.partition_index,
        committed_offset=partition.committed_offset,
        committed_leader_epoch=partition.committed_leader_epoch,
        metadata=partition.metadata,
        error_code=partition.error_code,
    )
