"""AddOffsetsToTxn (API key 25): a transaction is about to commit the offsets of a group.

What is added is the partition of ``__consumer_offsets`` that has the group: it gets a marker as every other does.

Source: Kafka, KafkaApis.handleAddOffsetsToTxnRequest.
"""

from __future__ import annotations

from minikafka.broker.context import RequestContext
from minikafka.broker.services import Services
from minikafka.broker.transaction_requests import check_transactional_id, code_for
from minikafka.coordinator.internal_topic import InternalTopic
from minikafka.coordinator.transaction.coordinator import TransactionCoordinator
from minikafka.errors import KafkaError
from minikafka.protocol.messages.add_offsets_to_txn import AddOffsetsToTxnRequest, AddOffsetsToTxnResponse
from minikafka.types import ProducerIdAndEpoch, TopicPartition

FIRST_VERSION_WITH_FENCED = 2


class AddOffsetsToTxnHandler:
    """Adds groups to transactions."""

    __slots__ = ("_offsets_topic", "_transactions")

    def __init__(self, transactions: TransactionCoordinator, offsets_topic: InternalTopic) -> None:
        self._transactions = transactions
        self._offsets_topic = offsets_topic

    async def __call__(self, request: AddOffsetsToTxnRequest, ctx: RequestContext) -> AddOffsetsToTxnResponse:
        """Answer ``request``; a transaction may be the first to need ``__consumer_offsets``."""
        topic = self._offsets_topic
        try:
            check_transactional_id(request.transactional_id)
            if not topic.partition_count:
                await topic.create()
            durable = self._transactions.shard_of(request.transactional_id).add_partitions(
                request.transactional_id,
                ProducerIdAndEpoch(request.producer_id, request.producer_epoch),
                [TopicPartition(topic.name, topic.partition_of(request.group_id))],
            )
            if durable is not None:
                await durable
        except KafkaError as error:
            code = code_for(error, ctx, first_version_with_fenced=FIRST_VERSION_WITH_FENCED)
            return AddOffsetsToTxnResponse(error_code=code)
        return AddOffsetsToTxnResponse()


def build(services: Services) -> AddOffsetsToTxnHandler:
    """The handler, with what it needs of the broker."""
    return AddOffsetsToTxnHandler(services.transactions, services.groups.topic)
