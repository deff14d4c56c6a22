"""Whether a transaction knows of a partition before the first of its records is there (KIP-890).

A record of which the coordinator does not know would never be decided.  Producers of old have told the coordinator
beforehand; those of transaction version 2 leave that to the broker that they write to.

Source: Kafka, AddPartitionsToTxnManager.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Coroutine
from typing import Any

from minikafka.coordinator.transaction.coordinator import TransactionCoordinator
from minikafka.coordinator.transaction.metadata import TransactionVersion
from minikafka.errors import ConcurrentTransactions, InvalidProducerEpoch, ProducerFenced, TransactionAbortable
from minikafka.types import ProducerIdAndEpoch, TopicPartition

PATIENCE_S = 1.0
"""How long a producer that may add partitions is kept waiting for the end of its transaction before."""


class TransactionVerifier:
    """Asks the coordinator.

    Args:
        transactions: The coordinator.
    """

    __slots__ = ("_transactions",)

    def __init__(self, transactions: TransactionCoordinator) -> None:
        self._transactions = transactions

    def confirm(
        self,
        transactional_id: str,
        producer: ProducerIdAndEpoch,
        partitions: Collection[TopicPartition],
        *,
        adds: bool,
    ) -> Coroutine[Any, Any, None] | None:
        """Make sure that a transaction writes to ``partitions``; with ``adds`` it does from now on.

        Returns:
            None when that is so; else what is done when it is, and raises what is below.

        Raises:
            TransactionAbortable: It does not.
            InvalidProducerEpoch: The producer has been replaced.
            ConcurrentTransactions: The transaction before is not over.
            KafkaError: The coordinator is not here, or cannot answer now.
        """
        try:
            durable = self._ask(transactional_id, producer, partitions, adds=adds)
        except ConcurrentTransactions:
            if not adds:
                raise
            return self._when_over(transactional_id, producer, partitions)
        return None if durable is None else _wait(durable)

    def _ask(
        self,
        transactional_id: str,
        producer: ProducerIdAndEpoch,
        partitions: Collection[TopicPartition],
        *,
        adds: bool,
    ) -> asyncio.Future[None] | None:
        shard = self._transactions.shard_of(transactional_id)
        try:
            if adds:
                return shard.add_partitions(transactional_id, producer, partitions, TransactionVersion.TV_2)
            found = shard.check_partitions(transactional_id, producer, partitions)
        except ProducerFenced as error:
            raise InvalidProducerEpoch(str(error)) from error
        if not found.issuperset(partitions):
            raise TransactionAbortable(f"{', '.join(map(str, partitions))} was not added to the transaction")
        return None

    async def _when_over(
        self, transactional_id: str, producer: ProducerIdAndEpoch, partitions: Collection[TopicPartition]
    ) -> None:
        """Add the partitions as soon as nothing else happens to the transaction."""
        deadline = asyncio.get_running_loop().time() + PATIENCE_S
        while True:
            left_s = deadline - asyncio.get_running_loop().time()
            await asyncio.wait(
                [self._transactions.shard_of(transactional_id).settled(transactional_id)], timeout=left_s
            )
            try:
                durable = self._ask(transactional_id, producer, partitions, adds=True)
            except ConcurrentTransactions:
                if left_s <= 0:
                    raise
                continue
            if durable is not None:
                await durable
            return


async def _wait(durable: asyncio.Future[None]) -> None:
    await durable
