"""OffsetCommit (API key 8): store how far a group has come.

All partitions of a request that can be committed are written as one batch, and answered when it is durable.

Versions 2 to 4 let the client choose how long the offsets are kept; from version 10 topics are named by their ids.

Source: Kafka, KafkaApis.handleOffsetCommitRequest, OffsetMetadataManager.commitOffset.
"""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from minikafka.broker.context import RequestContext
from minikafka.broker.services import Services
from minikafka.clock import Clock
from minikafka.cluster.metadata import MetadataCache, TopicMetadata
from minikafka.coordinator.group.coordinator import GroupCoordinator
from minikafka.coordinator.group.values import CommittedOffset, MemberClaim
from minikafka.errors import (
    CoordinatorNotAvailable,
    KafkaError,
    OffsetMetadataTooLarge,
    UnknownTopicId,
    UnknownTopicOrPartition,
)
from minikafka.net.handler import CarriedOut
from minikafka.protocol.messages.offset_commit import (
    OffsetCommitRequest,
    OffsetCommitRequestPartition,
    OffsetCommitRequestTopic,
    OffsetCommitResponse,
    OffsetCommitResponsePartition,
    OffsetCommitResponseTopic,
)
from minikafka.types import NO_TIMESTAMP, TopicPartition

FIRST_VERSION_WITH_EPOCHS = 9
FIRST_VERSION_BY_TOPIC_ID = 10

_AS_THE_BROKER_SAYS = -1
"""The retention of a client that does not choose one."""


class Taken(NamedTuple):
    """What of a request can be committed, and the answer that already says what cannot."""

    offsets: dict[TopicPartition, CommittedOffset]
    answers: list[OffsetCommitResponsePartition]
    """Of the partitions that can."""
    response: OffsetCommitResponse


class OffsetCommitHandler:
    """Commits offsets."""

    __slots__ = ("_clock", "_groups", "_max_metadata_length", "_metadata", "_timeout_ms")

    def __init__(
        self,
        groups: GroupCoordinator,
        metadata: MetadataCache,
        clock: Clock,
        *,
        max_metadata_length: int,
        timeout_ms: int,
    ) -> None:
        self._groups = groups
        self._metadata = metadata
        self._clock = clock
        self._max_metadata_length = max_metadata_length
        self._timeout_ms = timeout_ms

    def __call__(
        self, request: OffsetCommitRequest, ctx: RequestContext
    ) -> OffsetCommitResponse | CarriedOut[OffsetCommitResponse]:
        """Answer ``request``; what is not durable yet is waited for while the client's next requests are begun."""
        taken = self._take(request, ctx)
        if not taken.answers:
            return taken.response
        claim = MemberClaim(request.member_id, request.group_instance_id, request.generation_id_or_member_epoch)
        try:
            durable = self._groups.shard_of(request.group_id).commit(
                request.group_id,
                claim,
                taken.offsets,
                knows_epochs=ctx.api_version >= FIRST_VERSION_WITH_EPOCHS,
            )
        except KafkaError as error:
            return _refuse(taken, error)
        if durable is None:
            return taken.response
        return CarriedOut(self._wait(durable, taken, ctx))

    async def _wait(self, durable: asyncio.Future[None], taken: Taken, ctx: RequestContext) -> OffsetCommitResponse:
        try:
            async with asyncio.timeout_at(ctx.deadline(self._timeout_ms)):
                await asyncio.shield(durable)
        except TimeoutError:
            return _refuse(taken, CoordinatorNotAvailable("the offsets are not durable yet"))
        except KafkaError as error:
            return _refuse(taken, error)
        return taken.response

    def _take(self, request: OffsetCommitRequest, ctx: RequestContext) -> Taken:
        now_ms = self._clock.now_ms()
        expires_ms = NO_TIMESTAMP
        if request.retention_time_ms != _AS_THE_BROKER_SAYS:
            expires_ms = now_ms + request.retention_time_ms
        taken = Taken({}, [], OffsetCommitResponse(topics=[]))
        for wanted in request.topics:
            topic = self._find(wanted, ctx)
            answered = OffsetCommitResponseTopic(name=wanted.name, topic_id=wanted.topic_id, partitions=[])
            taken.response.topics.append(answered)
            for partition in wanted.partitions:
                error = self._why_not(topic, partition)
                answer = OffsetCommitResponsePartition(
                    partition_index=partition.partition_index, error_code=0 if error is None else error.code
                )
                answered.partitions.append(answer)
                if error is None and isinstance(topic, TopicMetadata):
                    where = TopicPartition(topic.name, partition.partition_index)
                    taken.offsets[where] = _committed(partition, now_ms, expires_ms, topic.topic_id)
                    taken.answers.append(answer)
        return taken

    def _find(self, wanted: OffsetCommitRequestTopic, ctx: RequestContext) -> TopicMetadata | KafkaError:
        if ctx.api_version >= FIRST_VERSION_BY_TOPIC_ID:
            return self._metadata.topic_by_id(wanted.topic_id) or UnknownTopicId("no topic has this id")
        return self._metadata.topic(wanted.name) or UnknownTopicOrPartition("there is no such topic")

    def _why_not(self, topic: TopicMetadata | KafkaError, partition: OffsetCommitRequestPartition) -> KafkaError | None:
        """Why an offset cannot be committed; None when it can."""
        if isinstance(topic, KafkaError):
            return topic
        if not 0 <= partition.partition_index < len(topic.partitions):
            return UnknownTopicOrPartition("the topic has no such partition")
        if len(partition.committed_metadata or "") > self._max_metadata_length:
            return OffsetMetadataTooLarge(f"the metadata is longer than {self._max_metadata_length}")
        return None


def build(services: Services) -> OffsetCommitHandler:
    """The handler, with what it needs of the broker."""
    config = services.loaded_config.config
    return OffsetCommitHandler(
        services.groups,
        services.metadata,
        services.clock,
        max_metadata_length=config.offset_metadata_max_bytes,
        timeout_ms=config.offsets_commit_timeout_ms,
    )


def _committed(
    partition: OffsetCommitRequestPartition, now_ms: int, expires_ms: int, topic_id: bytes
) -> CommittedOffset:
    return CommittedOffset(
        offset=partition.committed_offset,
        leader_epoch=partition.committed_leader_epoch,
        metadata=partition.committed_metadata or "",
        commit_timestamp_ms=now_ms,
        expire_timestamp_ms=expires_ms,
        topic_id=topic_id,
    )


def _refuse(taken: Taken, error: KafkaError) -> OffsetCommitResponse:
    for answer in taken.answers:
        answer.error_code = error.code
    return taken.response
