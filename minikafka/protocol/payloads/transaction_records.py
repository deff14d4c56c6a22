"""The records of ``__transaction_state``: what a transaction coordinator remembers.

A record's key begins with its type, an int16, which is also the version of the key's schema; its value begins with the
version of the value's.  A record without value deletes what the key names.

Source: Kafka, transaction-coordinator/src/main/resources/common/message.
"""

from __future__ import annotations

from minikafka.protocol.schema import INT8, INT16, INT32, INT64, STRING, Message, array, field, message, struct


@message(valid="0", flexible="none")
class TransactionLogKey(Message):
    """A transactional id."""

    transactional_id: str = field(STRING)


@struct
class PartitionsSchema:
    """The partitions of one topic."""

    topic: str = field(STRING)
    partition_ids: list[int] = array(INT32)


@message(valid="0-1", flexible="1+")
class TransactionLogValue(Message):
    """Where its transaction stands; times in milliseconds since the epoch."""

    producer_id: int = field(INT64)
    previous_producer_id: int = field(INT64, "1+", default=-1, tag=0, ignorable=True)
    next_producer_id: int = field(INT64, "1+", default=-1, tag=1, ignorable=True)
    producer_epoch: int = field(INT16)
    transaction_timeout_ms: int = field(INT32)
    transaction_status: int = field(INT8)
    transaction_partitions: list[PartitionsSchema] | None = array(PartitionsSchema, nullable="0+")
    transaction_last_update_timestamp_ms: int = field(INT64)
    transaction_start_timestamp_ms: int = field(INT64)
    client_transaction_version: int = field(INT16, "1+", default=0, tag=2, ignorable=True)
