"""Asking the coordinator of a transaction whether a partition is in it, before the first write there (KIP-890).

Source: Kafka, server/transaction/AddPartitionsToTxnManager.java, ReplicaManager.handleProduceAppend.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Protocol

from minikafka.errors import (
    ErrorCode,
    InvalidProducerEpoch,
    InvalidTxnState,
    KafkaError,
    NotEnoughReplicas,
    TransactionAbortable,
)
from minikafka.types import TopicPartition

_TRY_AGAIN = frozenset(
    {
        ErrorCode.CONCURRENT_TRANSACTIONS,
        ErrorCode.NETWORK_EXCEPTION,
        ErrorCode.COORDINATOR_LOAD_IN_PROGRESS,
        ErrorCode.COORDINATOR_NOT_AVAILABLE,
        ErrorCode.NOT_COORDINATOR,
    }
)


class TransactionVerifier(Protocol):
    """What knows the transactions: their coordinator."""

    async def verify(
        self,
        transactional_id: str,
        producer_id: int,
        producer_epoch: int,
        partitions: Collection[TopicPartition],
        *,
        adds_partitions: bool,
    ) -> Mapping[TopicPartition, KafkaError]:
        """Confirm that partitions are in the open transaction of a producer, and that it has not been replaced.

        Args:
            transactional_id: Whose transaction.
            producer_id: That the batches are of.
            producer_epoch: That the batches are of.
            partitions: Where they are about to be written for the first time in the transaction.
            adds_partitions: Whether partitions that are not in the transaction are added to it, which begins with that
                if none is open (transaction version 2); durably, before this returns.

        Returns:
            Why not, for each partition that is not confirmed: TransactionAbortable when it is not in the transaction,
            ProducerFenced or InvalidProducerEpoch when the epoch is another, ConcurrentTransactions while the one
            before is being ended, or an error of the coordinator.
        """
        ...


class NoTransactions:
    """A verifier where no transactions are coordinated: it confirms nothing."""

    async def verify(
        self,
        transactional_id: str,
        producer_id: int,
        producer_epoch: int,
        partitions: Collection[TopicPartition],
        *,
        adds_partitions: bool,
    ) -> Mapping[TopicPartition, KafkaError]:
        """Refuse all of them."""
        return {partition: TransactionAbortable("no transactions are coordinated here") for partition in partitions}


def produce_error(error: KafkaError, *, knows_abortable: bool) -> KafkaError:
    """What a producer is told of a batch that has not been confirmed.

    What may be otherwise soon becomes NOT_ENOUGH_REPLICAS: every producer sends the batch again then, and no metadata.

    Args:
        error: The coordinator's.
        knows_abortable: Whether the client knows TRANSACTION_ABORTABLE (Produce from version 11 on).
    """
    if error.code in _TRY_AGAIN:
        return NotEnoughReplicas(f"the partition's place in the transaction is not confirmed yet: {error}")
    if error.code is ErrorCode.PRODUCER_FENCED:
        return InvalidProducerEpoch(str(error))
    if error.code is ErrorCode.TRANSACTION_ABORTABLE and not knows_abortable:
        return InvalidTxnState("the partition was not added to the transaction")
    return error
