"""TxnOffsetCommit (API key 28): store how far a group has come, as part of a transaction.

The offsets become visible with the commit of the transaction.  Before they are written it is made sure that the
transaction knows of them, or it could not decide them: since version 5 it is told here, before that it must have been
told by AddOffsetsToTxn (KIP-890).

Source: Kafka, KafkaApis.handleTxnOffsetCommitRequest, OffsetMetadataManager.commitTransactionalOffset,
GroupCoordinatorService.commitTransactionalOffsets.
"""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from minikafka.broker.context import RequestContext
from minikafka.broker.group_requests import check_group_id
from minikafka.broker.services import Services
from minikafka.broker.transaction_requests import check_transactional_id
from minikafka.clock import Clock
from minikafka.cluster.metadata import MetadataCache
from minikafka.coordinator.group.coordinator import GroupCoordinator
from minikafka.coordinator.group.values import CommittedOffset, MemberClaim
from minikafka.coordinator.transaction.verifier import TransactionVerifier
from minikafka.errors import (
    CoordinatorLoadInProgress,
    CoordinatorNotAvailable,
    IllegalGeneration,
    InvalidTxnState,
    KafkaError,
    OffsetMetadataTooLarge,
    StaleMemberEpoch,
    TransactionAbortable,
    UnknownTopicOrPartition,
)
from minikafka.protocol.messages.txn_offset_commit import (
    TxnOffsetCommitRequest,
    TxnOffsetCommitRequestPartition,
    TxnOffsetCommitResponse,
    TxnOffsetCommitResponsePartition,
    TxnOffsetCommitResponseTopic,
)
from minikafka.types import GROUP_METADATA_TOPIC, ProducerIdAndEpoch, TopicPartition

FIRST_VERSION_WITH_LOADING = 2
FIRST_VERSION_WITH_ABORTABLE = 4
FIRST_VERSION_THAT_ADDS = 5


class Taken(NamedTuple):
    """What of a request can be committed, and the answer that already says what cannot."""

    offsets: dict[TopicPartition, CommittedOffset]
    answers: list[TxnOffsetCommitResponsePartition]
    """Of the partitions that can."""
    response: TxnOffsetCommitResponse


class TxnOffsetCommitHandler:
    """Commits offsets in transactions."""

    __slots__ = ("_clock", "_groups", "_max_metadata_length", "_metadata", "_timeout_ms", "_verifier")

    def __init__(
        self,
        groups: GroupCoordinator,
        verifier: TransactionVerifier,
        metadata: MetadataCache,
        clock: Clock,
        *,
        max_metadata_length: int,
        timeout_ms: int,
    ) -> None:
        self._groups = groups
        self._verifier = verifier
        self._metadata = metadata
        self._clock = clock
        self._max_metadata_length = max_metadata_length
        self._timeout_ms = timeout_ms

    async def __call__(self, request: TxnOffsetCommitRequest, ctx: RequestContext) -> TxnOffsetCommitResponse:
        """Answer ``request`` when the offsets are durable."""
        taken = self._take(request)
        if not taken.answers:
            return taken.response
        try:
            async with asyncio.timeout_at(ctx.deadline(self._timeout_ms)):
                await self._commit(request, taken, ctx)
        except TimeoutError:
            return _refuse(taken, CoordinatorNotAvailable("the offsets are not durable yet"), ctx)
        except KafkaError as error:
            return _refuse(taken, error, ctx)
        return taken.response

    async def _commit(self, request: TxnOffsetCommitRequest, taken: Taken, ctx: RequestContext) -> None:
        check_transactional_id(request.transactional_id)
        check_group_id(request.group_id)
        producer = ProducerIdAndEpoch(request.producer_id, request.producer_epoch)
        where = TopicPartition(GROUP_METADATA_TOPIC, self._groups.topic.partition_of(request.group_id))
        confirmed = self._verifier.confirm(
            request.transactional_id, producer, [where], adds=ctx.api_version >= FIRST_VERSION_THAT_ADDS
        )
        if confirmed is not None:
            await confirmed
        durable = self._groups.shard_of(request.group_id).commit(
            request.group_id,
            MemberClaim(request.member_id, request.group_instance_id, request.generation_id),
            taken.offsets,
            producer=producer,
        )
        if durable is not None:
            await asyncio.shield(durable)

    def _take(self, request: TxnOffsetCommitRequest) -> Taken:
        now_ms = self._clock.now_ms()
        taken = Taken({}, [], TxnOffsetCommitResponse(topics=[]))
        for topic in request.topics:
            answered = TxnOffsetCommitResponseTopic(name=topic.name, partitions=[])
            taken.response.topics.append(answered)
            for partition in topic.partitions:
                where = TopicPartition(topic.name, partition.partition_index)
                error = self._why_not(where, partition)
                answer = TxnOffsetCommitResponsePartition(
                    partition_index=where.partition, error_code=0 if error is None else error.code
                )
                answered.partitions.append(answer)
                if error is None:
                    taken.offsets[where] = _committed(partition, now_ms)
                    taken.answers.append(answer)
        return taken

    def _why_not(self, where: TopicPartition, partition: TxnOffsetCommitRequestPartition) -> KafkaError | None:
        """Why an offset cannot be committed; None when it can."""
        if self._metadata.partition(*where) is None:
            return UnknownTopicOrPartition("there is no such partition")
        if len(partition.committed_metadata or "") > self._max_metadata_length:
            return OffsetMetadataTooLarge(f"the metadata is longer than {self._max_metadata_length}")
        return None


def build(services: Services) -> TxnOffsetCommitHandler:
    """The handler, with what it needs of the broker."""
    config = services.loaded_config.config
    return TxnOffsetCommitHandler(
        services.groups,
        TransactionVerifier(services.transactions),
        services.metadata,
        services.clock,
        max_metadata_length=config.offset_metadata_max_bytes,
        timeout_ms=config.offsets_commit_timeout_ms,
    )


def _committed(partition: TxnOffsetCommitRequestPartition, now_ms: int) -> CommittedOffset:
    return CommittedOffset(
        offset=partition.committed_offset,
        leader_epoch=partition.committed_leader_epoch,
        metadata=partition.committed_metadata or "",
        commit_timestamp_ms=now_ms,
    )


def _refuse(taken: Taken, error: KafkaError, ctx: RequestContext) -> TxnOffsetCommitResponse:
    code = _known_to_client(error, ctx.api_version).code
    for answer in taken.answers:
        answer.error_code = code
    return taken.response


def _known_to_client(error: KafkaError, version: int) -> KafkaError:
    """An error as clients of ``version`` expect it."""
    if isinstance(error, StaleMemberEpoch):
        return IllegalGeneration(str(error))
    if isinstance(error, CoordinatorLoadInProgress) and version < FIRST_VERSION_WITH_LOADING:
        return CoordinatorNotAvailable(str(error))  # which producers of that time do not die of (KAFKA-7296)
    if isinstance(error, TransactionAbortable) and version < FIRST_VERSION_WITH_ABORTABLE:
        return InvalidTxnState(str(error))
    return error
