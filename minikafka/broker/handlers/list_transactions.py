"""ListTransactions (API key 66): the transactional ids that this broker coordinates; a client asks every broker.

Source: Kafka, TransactionStateManager.listTransactionStates.
"""

from __future__ import annotations

from collections.abc import Callable

from minikafka.broker.context import RequestContext
from minikafka.broker.services import Services
from minikafka.clock import Clock
from minikafka.coordinator.group.consumer.subscriptions import check_expression, matching
from minikafka.coordinator.transaction.coordinator import TransactionCoordinator
from minikafka.coordinator.transaction.states import TransactionState as State
from minikafka.coordinator.transaction.transaction import Transaction
from minikafka.errors import KafkaError
from minikafka.protocol.messages.list_transactions import (
    ListTransactionsRequest,
    ListTransactionsResponse,
    TransactionState,
)

_STATES = {state.title: state for state in State}


class ListTransactionsHandler:
    """Lists transactional ids, those that pass the filters."""

    __slots__ = ("_clock", "_transactions")

    def __init__(self, transactions: TransactionCoordinator, clock: Clock) -> None:
        self._transactions = transactions
        self._clock = clock

    def __call__(self, request: ListTransactionsRequest, ctx: RequestContext) -> ListTransactionsResponse:
        """Answer ``request``."""
        try:
            passes = _filter(request, self._clock.now_ms())
            shards = self._transactions.shards()
        except KafkaError as error:
            return ListTransactionsResponse(error_code=error.code, unknown_state_filters=[], transaction_states=[])
        return ListTransactionsResponse(
            unknown_state_filters=[title for title in request.state_filters if title not in _STATES],
            transaction_states=[
                _listed(transaction) for shard in shards for transaction in shard.transactions() if passes(transaction)
            ],
        )


def build(services: Services) -> ListTransactionsHandler:
    """The handler, with what it needs of the broker."""
    return ListTransactionsHandler(services.transactions, services.clock)


def _filter(request: ListTransactionsRequest, now_ms: int) -> Callable[[Transaction], bool]:
    """What tells which transactional ids are wanted.

    Raises:
        InvalidRegularExpression: The pattern is none that RE2 knows, which Kafka's broker uses too.
    """
    producer_ids = set(request.producer_id_filters)
    states = {_STATES[title] for title in request.state_filters if title in _STATES}
    pattern = request.transactional_id_pattern
    if pattern:
        check_expression(pattern)

    def passes(transaction: Transaction) -> bool:
        metadata = transaction.metadata
        return bool(
            (not producer_ids or metadata.producer_id in producer_ids)
            and (not request.state_filters or metadata.state in states)
            and (request.duration_filter < 0 or now_ms - metadata.start_timestamp_ms > request.duration_filter)
            and (not pattern or matching(pattern, [transaction.transactional_id]))
        )

    return passes


def _listed(transaction: Transaction) -> TransactionState:
    metadata = transaction.metadata
    return TransactionState(
        transactional_id=transaction.transactional_id,
        producer_id=metadata.producer_id,
        transaction_state=metadata.state.title,
    )
