"""ListTransactions (API key 66): the transactions that this broker coordinates.

Versions:
    1   only those that run for some time (KIP-994)
    2   only those whose id matches a pattern (KIP-1152)

Source: https://kafka.apache.org/protocol#The_Messages_ListTransactions
"""

from __future__ import annotations

from minikafka.protocol.schema import INT16, INT32, INT64, STRING, Message, Request, array, field, message, struct


@message(api_key=66, valid="0-2", flexible="0+")
class ListTransactionsRequest(Request["ListTransactionsResponse"]):
    """Filters; empty ones let everything pass."""

    state_filters: list[str] = array(STRING)
    producer_id_filters: list[int] = array(INT64)
    duration_filter: int = field(INT64, "1+", default=-1)  # milliseconds; negative lets everything pass
    transactional_id_pattern: str | None = field(STRING, "2+", nullable="0+", default=None)


@struct
class TransactionState:
    """One transaction."""

    transactional_id: str = field(STRING)
    producer_id: int = field(INT64)
    transaction_state: str = field(STRING)


@message(api_key=66, valid="0-2", flexible="0+")
class ListTransactionsResponse(Message):
    """The transactions that pass."""

    throttle_time_ms: int = field(INT32, default=0)
    error_code: int = field(INT16, default=0)
    unknown_state_filters: list[str] = array(STRING)
    transaction_states: list[TransactionState] = array(TransactionState)
