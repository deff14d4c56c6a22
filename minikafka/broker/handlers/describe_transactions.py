"""DescribeTransactions (API key 65): where transactions stand.

Source: Kafka, TransactionCoordinator.handleDescribeTransactions.
"""

from __future__ import annotations

from collections import defaultdict

from minikafka.broker.context import RequestContext
from minikafka.broker.services import Services
from minikafka.broker.transaction_requests import check_transactional_id
from minikafka.coordinator.transaction.coordinator import TransactionCoordinator
from minikafka.coordinator.transaction.metadata import TransactionMetadata
from minikafka.errors import KafkaError
from minikafka.protocol.messages.describe_transactions import (
    DescribeTransactionsRequest,
    DescribeTransactionsResponse,
    TopicData,
    TransactionState,
)


class DescribeTransactionsHandler:
    """Describes transactional ids one by one."""

    __slots__ = ("_transactions",)

    def __init__(self, transactions: TransactionCoordinator) -> None:
        self._transactions = transactions

    def __call__(self, request: DescribeTransactionsRequest, ctx: RequestContext) -> DescribeTransactionsResponse:
        """Answer ``request``."""
        return DescribeTransactionsResponse(
            transaction_states=[self._describe(transactional_id) for transactional_id in request.transactional_ids]
        )

    def _describe(self, transactional_id: str) -> TransactionState:
        try:
            check_transactional_id(transactional_id)
            return _described(
                transactional_id, self._transactions.shard_of(transactional_id).describe(transactional_id)
            )
        except KafkaError as error:
            return TransactionState(
                error_code=error.code,
                transactional_id=transactional_id,
                transaction_state="",
                transaction_timeout_ms=0,
                transaction_start_time_ms=0,
                producer_id=0,
                producer_epoch=0,
                topics=[],
            )


def build(services: Services) -> DescribeTransactionsHandler:
    """The handler, with what it needs of the broker."""
    return DescribeTransactionsHandler(services.transactions)


def _described(transactional_id: str, metadata: TransactionMetadata) -> TransactionState:
    by_topic: dict[str, list[int]] = defaultdict(list)
    for topic, partition in sorted(metadata.partitions):
        by_topic[topic].append(partition)
    return TransactionState(
        transactional_id=transactional_id,
        transaction_state=metadata.state.title,
        transaction_timeout_ms=metadata.timeout_ms,
        transaction_start_time_ms=metadata.start_timestamp_ms,
        producer_id=metadata.producer_id,
        producer_epoch=metadata.producer_epoch,
        topics=[TopicData(topic=topic, partitions=partitions) for topic, partitions in by_topic.items()],
    )
