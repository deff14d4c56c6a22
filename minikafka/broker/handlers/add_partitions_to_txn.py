"""AddPartitionsToTxn (API key 24): the partitions that a transaction is about to write to.

All partitions of a transaction are added, or none.  Up to version 3 a request is of one transaction and comes from its
producer; from version 4 on it is of several, and may only ask whether they write to these partitions (KIP-890).

Source: Kafka, KafkaApis.handleAddPartitionsToTxnRequest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from minikafka.broker.context import RequestContext
from minikafka.broker.services import Services
from minikafka.broker.transaction_requests import check_transactional_id, code_for
from minikafka.cluster.metadata import MetadataCache
from minikafka.coordinator.transaction.coordinator import TransactionCoordinator
from minikafka.errors import ErrorCode, KafkaError
from minikafka.protocol.messages.add_partitions_to_txn import (
    AddPartitionsToTxnPartitionResult,
    AddPartitionsToTxnRequest,
    AddPartitionsToTxnResponse,
    AddPartitionsToTxnResult,
    AddPartitionsToTxnTopic,
    AddPartitionsToTxnTopicResult,
    AddPartitionsToTxnTransaction,
)
from minikafka.types import INTERNAL_TOPICS, ProducerIdAndEpoch, TopicPartition

FIRST_VERSION_WITH_FENCED = 2
FIRST_VERSION_WITH_MANY = 4
FIRST_VERSION_WITH_ABORTABLE = 5


class AddPartitionsToTxnHandler:
    """Adds partitions to transactions, or looks whether they are there."""

    __slots__ = ("_metadata", "_transactions")

    def __init__(self, transactions: TransactionCoordinator, metadata: MetadataCache) -> None:
        self._transactions = transactions
        self._metadata = metadata

    async def __call__(self, request: AddPartitionsToTxnRequest, ctx: RequestContext) -> AddPartitionsToTxnResponse:
        """Answer ``request``, one transaction after another."""
        if ctx.api_version >= FIRST_VERSION_WITH_MANY:
            results = [
                AddPartitionsToTxnResult(
                    transactional_id=transaction.transactional_id, topic_results=await self._add(transaction, ctx)
                )
                for transaction in request.transactions
            ]
            return AddPartitionsToTxnResponse(results_by_transaction=results)
        only = AddPartitionsToTxnTransaction(
            transactional_id=request.v3_and_below_transactional_id,
            producer_id=request.v3_and_below_producer_id,
            producer_epoch=request.v3_and_below_producer_epoch,
            topics=request.v3_and_below_topics,
        )
        return AddPartitionsToTxnResponse(results_by_topic_v3_and_below=await self._add(only, ctx))

    async def _add(
        self, transaction: AddPartitionsToTxnTransaction, ctx: RequestContext
    ) -> list[AddPartitionsToTxnTopicResult]:
        partitions = [TopicPartition(topic.name, index) for topic in transaction.topics for index in topic.partitions]
        codes = dict.fromkeys(partitions, int(ErrorCode.OPERATION_NOT_ATTEMPTED))
        refused = {where: code for where in partitions if (code := self._why_not(where, ctx))}
        if refused:
            return _results(transaction.topics, codes | refused)
        try:
            check_transactional_id(transaction.transactional_id)
            if transaction.verify_only:
                codes = self._verify(transaction, partitions, ctx)
            else:
                await self._add_all(transaction, partitions)
                codes = dict.fromkeys(partitions, 0)
        except KafkaError as error:
            code = code_for(error, ctx, first_version_with_fenced=FIRST_VERSION_WITH_FENCED)
            codes = dict.fromkeys(partitions, code)
        return _results(transaction.topics, codes)

    def _why_not(self, where: TopicPartition, ctx: RequestContext) -> int:
        """Why a partition cannot be part of a transaction; 0 when it can."""
        if where.topic in INTERNAL_TOPICS and ctx.api_version < FIRST_VERSION_WITH_MANY:
            return ErrorCode.TOPIC_AUTHORIZATION_FAILED
        if self._metadata.partition(*where) is None:
            return ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
        return 0

    async def _add_all(self, transaction: AddPartitionsToTxnTransaction, partitions: Sequence[TopicPartition]) -> None:
        shard = self._transactions.shard_of(transaction.transactional_id)
        durable = shard.add_partitions(transaction.transactional_id, _producer_of(transaction), partitions)
        if durable is not None:
            await durable

    def _verify(
        self, transaction: AddPartitionsToTxnTransaction, partitions: Sequence[TopicPartition], ctx: RequestContext
    ) -> dict[TopicPartition, int]:
        shard = self._transactions.shard_of(transaction.transactional_id)
        found = shard.check_partitions(transaction.transactional_id, _producer_of(transaction), partitions)
        knows_abortable = ctx.api_version >= FIRST_VERSION_WITH_ABORTABLE
        missing = ErrorCode.TRANSACTION_ABORTABLE if knows_abortable else ErrorCode.INVALID_TXN_STATE
        return {where: 0 if where in found else missing for where in partitions}


def build(services: Services) -> AddPartitionsToTxnHandler:
    """The handler, with what it needs of the broker."""
    return AddPartitionsToTxnHandler(services.transactions, services.metadata)


def _producer_of(transaction: AddPartitionsToTxnTransaction) -> ProducerIdAndEpoch:
    return ProducerIdAndEpoch(transaction.producer_id, transaction.producer_epoch)


def _results(
    topics: Sequence[AddPartitionsToTxnTopic], codes: Mapping[TopicPartition, int]
) -> list[AddPartitionsToTxnTopicResult]:
    return [
        AddPartitionsToTxnTopicResult(
            name=topic.name,
            results_by_partition=[
                AddPartitionsToTxnPartitionResult(
                    partition_index=index, partition_error_code=codes[TopicPartition(topic.name, index)]
                )
                for index in topic.partitions
            ],
        )
        for topic in topics
    ]
