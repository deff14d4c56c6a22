"""DescribeTransactions (API key 65): the state of transactions.

Source: https://kafka.apache.org/protocol#The_Messages_DescribeTransactions
"""

from __future__ import annotations

from minikafka.protocol.schema import INT16, INT32, INT64, STRING, Message, Request, array, field, message, struct


@message(api_key=65, valid="0", flexible="0+")
class DescribeTransactionsRequest(Request["DescribeTransactionsResponse"]):
    """The transactional ids asked for."""

    transactional_ids: list[str] = array(STRING)


@struct
class TopicData:
    """The partitions of one topic."""

    topic: str = field(STRING)
    partitions: list[int] = array(INT32)


@struct
class TransactionState:
    """One transaction; its start is milliseconds since the epoch."""

    error_code: int = field(INT16, default=0)
    transactional_id: str = field(STRING)
    transaction_state: str = field(STRING)
    transaction_timeout_ms: int = field(INT32)
    transaction_start_time_ms: int = field(INT64)
    producer_id: int = field(INT64)
    producer_epoch: int = field(INT16)
    topics: list[TopicData] = array(TopicData)


@message(api_key=65, valid="0", flexible="0+")
class DescribeTransactionsResponse(Message):
    """One result per transactional id."""

    throttle_time_ms: int = field(INT32, default=0)
    transaction_states: list[TransactionState] = array(TransactionState)
