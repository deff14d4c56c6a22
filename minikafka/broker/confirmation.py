"""What the coordinator of a transaction says of the batches that one Produce request brings (KIP-890).

The first batch of a transaction in a partition is appended only when the coordinator knows of it; see
:mod:`minikafka.storage.transaction_verification`.

Source: Kafka, ReplicaManager.handleProduceAppend, AddPartitionsToTxnManager.
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import NamedTuple

from minikafka.coordinator.transaction.verifier import TransactionVerifier
from minikafka.errors import (
    ErrorCode,
    InvalidProducerIdMapping,
    InvalidTxnState,
    KafkaError,
    NotEnoughReplicas,
    TransactionAbortable,
)
from minikafka.records.batch import RecordBatch
from minikafka.replication.partition import Partition
from minikafka.storage.transaction_verification import VerificationGuard
from minikafka.types import ProducerIdAndEpoch, TopicPartition

FIRST_VERSION_WITH_ABORTABLE = 11
FIRST_VERSION_THAT_ADDS_PARTITIONS = 12

_LATER = frozenset(
    {
        ErrorCode.CONCURRENT_TRANSACTIONS,
        ErrorCode.COORDINATOR_LOAD_IN_PROGRESS,
        ErrorCode.COORDINATOR_NOT_AVAILABLE,
        ErrorCode.NOT_COORDINATOR,
    }
)


class Unconfirmed(NamedTuple):
    """A batch that is the first of its transaction in its partition, as far as the log knows."""

    number: int
    partition: TopicPartition
    producer: ProducerIdAndEpoch
    guard: VerificationGuard


class Confirmations:
    """The batches of one request: :meth:`add` them, :meth:`ask`, :meth:`wait` if need be, and take their guards.

    Args:
        verifier: Asks the coordinator.
        transactional_id: Whose transaction.
        api_version: Of the Produce request.
    """

    __slots__ = (
        "_adds_partitions",
        "_answers",
        "_batches",
        "_errors",
        "_guards",
        "_transactional_id",
        "_verifier",
        "_version",
    )

    def __init__(self, verifier: TransactionVerifier, transactional_id: str, api_version: int) -> None:
        self._verifier = verifier
        self._transactional_id = transactional_id
        self._version = api_version
        self._adds_partitions = api_version >= FIRST_VERSION_THAT_ADDS_PARTITIONS
        self._batches: list[Unconfirmed] = []
        self._answers: list[tuple[Sequence[Unconfirmed], Awaitable[None]]] = []
        self._guards: dict[int, VerificationGuard] = {}
        self._errors: dict[int, KafkaError] = {}

    @property
    def must_wait(self) -> bool:
        """Whether the coordinator has not answered everything yet."""
        return bool(self._answers)

    def add(self, number: int, partition: Partition, batch: RecordBatch) -> None:
        """Take in a batch, by a number of the caller's; one that needs no confirmation is as good as confirmed."""
        if not (batch.is_transactional and batch.has_producer_id):
            return
        try:
            guard = partition.begin_verification(batch, adds_partition=self._adds_partitions)
        except KafkaError as error:
            self._errors[number] = error.with_traceback(None)
            return
        if guard is not None:
            producer = ProducerIdAndEpoch(batch.producer_id, batch.producer_epoch)
            self._batches.append(Unconfirmed(number, partition.topic_partition, producer, guard))

    def ask(self) -> None:
        """Ask the coordinator: in one go if it is to add partitions, else for each of them."""
        batches = self._batches
        if not batches:
            return
        if len({batch.producer for batch in batches}) > 1:
            self._refuse(batches, InvalidProducerIdMapping("the batches of a transaction are of one producer"))
            return
        for some in [batches] if self._adds_partitions else [[batch] for batch in batches]:
            try:
                answer = self._verifier.confirm(
                    self._transactional_id,
                    some[0].producer,
                    [batch.partition for batch in some],
                    adds=self._adds_partitions,
                )
            except KafkaError as error:
                self._refuse(some, error)
                continue
            self._guards.update({batch.number: batch.guard for batch in some})
            if answer is not None:
                self._answers.append((some, answer))

    async def wait(self) -> None:
        """Return when the coordinator has answered everything."""
        for batches, answer in self._answers:
            try:
                await answer
            except KafkaError as error:
                self._refuse(batches, error)
        self._answers.clear()

    def guard_of(self, number: int) -> VerificationGuard | None:
        """What a batch brings along into the log, if it needs anything.

        Raises:
            KafkaError: It is not confirmed.
        """
        error = self._errors.get(number)
        if error is not None:
            raise error
        return self._guards.get(number)

    def _refuse(self, batches: Sequence[Unconfirmed], error: KafkaError) -> None:
        known = _known_to_producer(error, self._version).with_traceback(None)
        self._errors.update({batch.number: known for batch in batches})


def _known_to_producer(error: KafkaError, version: int) -> KafkaError:
    """What may be otherwise soon becomes NOT_ENOUGH_REPLICAS: every producer sends the batch again then."""
    if error.code in _LATER:
        return NotEnoughReplicas(f"the partition's place in the transaction is not confirmed yet: {error}")
    if isinstance(error, TransactionAbortable) and version < FIRST_VERSION_WITH_ABORTABLE:
        return InvalidTxnState(str(error))
    return error
