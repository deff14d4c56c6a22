"""The transactional ids of one partition of ``__transaction_state``: their state machines, and the log of them.

    request ──► Transaction (prepares) ──► Journal ──► StateLog ──► disk ──► Transaction (completes)
                                                                                 │
                                     partitions ◄── markers ◄── PrepareCommit, PrepareAbort
                                          └──► CompleteCommit, CompleteAbort ──► the log again

Nothing is answered, and no marker written, before what it follows from is as durable as ``acks=all`` promises; only
the last record, which says that every marker is there, is not waited for.

Source: Kafka, TransactionStateManager, TransactionCoordinator.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from typing import NamedTuple, Protocol

from minikafka.clock import Clock
from minikafka.coordinator.journal import Appendable, Journal, resolve
from minikafka.coordinator.state_log import StoredMarker, StoredRecord
from minikafka.coordinator.timers import Timers
from minikafka.coordinator.transaction.markers import Marker, MarkerWrites, WriteMarker
from minikafka.coordinator.transaction.metadata import (
    TransactionMetadata,
    TransactionVersion,
    decode_key,
    decode_value,
    encode_key,
    encode_value,
)
from minikafka.coordinator.transaction.states import TransactionState, is_at_rest, is_ending
from minikafka.coordinator.transaction.transaction import Transaction
from minikafka.errors import (
    ConcurrentTransactions,
    CoordinatorNotAvailable,
    InvalidProducerIdMapping,
    KafkaError,
    TransactionalIdNotFound,
)
from minikafka.observability.logging import get_logger
from minikafka.types import NO_PRODUCER_EPOCH, ProducerIdAndEpoch, TopicPartition

RECORDS_PER_STEP = 500
"""Records that are loaded before others get their turn: about 5 ms."""

_log = get_logger(__name__)


class ShardLog(Appendable, Protocol):
    """The log of a shard; a :class:`~minikafka.coordinator.state_log.StateLog`."""

    def read_all(self) -> Iterator[StoredRecord | StoredMarker]:
        """Its records, in their order."""
        ...

    def append_unforced(self, records: Sequence[tuple[bytes, bytes | None]], /) -> None:
        """Append records as one batch that is on the disk with whatever is forced there next."""
        ...


class Initialized(NamedTuple):
    """Who a producer is, which is to be told when ``durable`` is done; None: at once."""

    producer: ProducerIdAndEpoch
    durable: asyncio.Future[None] | None


class Ended(NamedTuple):
    """How a producer goes on after a transaction.

    Attributes:
        producer: Who it is then.
        durable: Done when the decision is; None: it is.
        completed: Done when every partition knows of it, and the next transaction may begin; None: that is so.
    """

    producer: ProducerIdAndEpoch
    durable: asyncio.Future[None] | None
    completed: asyncio.Future[None] | None

    @property
    def is_over(self) -> bool:
        """Whether there is nothing to wait for."""
        return self.durable is None and self.completed is None


class TransactionShard:
    """The transactional ids of one partition.

    Args:
        log: Their records.
        coordinator_epoch: The leader epoch of the partition: partitions refuse markers of an earlier coordinator.
        write_marker: Ends a transaction in a partition.
        clock: For time-outs, by its monotonic time, and for dates.
        on_failure: Called when the state had to be given up; the shard is closed then.
    """

    def __init__(
        self,
        log: ShardLog,
        coordinator_epoch: int,
        write_marker: WriteMarker,
        clock: Clock,
        on_failure: Callable[[KafkaError], None],
    ) -> None:
        self._log = log
        self._coordinator_epoch = coordinator_epoch
        self._clock = clock
        self._on_failure = on_failure
        self._transactions: dict[str, Transaction] = {}
        self._completions: dict[str, asyncio.Future[None]] = {}
        """What those wait for who want a transaction to be over."""
        self._journal: Journal[Transaction] = Journal(log, _encode, lambda _: None, self.fail)
        self._markers = MarkerWrites(write_marker)
        self._timers = Timers(self._monotonic_ms, self.expire)
        self._deadlines_ms: dict[str, float] = {}
        self._is_closed = False

    # Coming and going

    def load(self) -> Iterator[None]:
        """Read the log, with a step for every so many records; then go on with what was being decided.

        Raises:
            KafkaError: The log cannot be read.
            DecodeError: It holds something else.
        """
        last: dict[bytes, StoredRecord] = {}
        for count, stored in enumerate(self._log.read_all(), 1):
            if isinstance(stored, StoredRecord):
                last[stored.key] = stored
            if count % RECORDS_PER_STEP == 0:
                yield
        for count, stored in enumerate(last.values(), 1):
            transactional_id = decode_key(stored.key)
            if transactional_id is not None and stored.value is not None:
                self._transactions[transactional_id] = Transaction(transactional_id, decode_value(stored.value))
            if count % RECORDS_PER_STEP == 0:
                yield
        for transaction in list(self._transactions.values()):
            self._go_on(transaction, age_ms=self._clock.now_ms() - transaction.metadata.start_timestamp_ms)

    def close(self, error: KafkaError) -> None:
        """Stop: no time-out comes any more, no marker is written, and whoever waits is told ``error``."""
        self._is_closed = True
        self._timers.cancel_all()
        self._markers.cancel_all()
        for completed in self._completions.values():
            resolve(completed, error)

    def fail(self, error: KafkaError) -> None:
        """Give up the state, which may be another than what the log holds."""
        if not self._is_closed:
            _log.error("transaction_state_given_up", reason=str(error))
            self.close(CoordinatorNotAvailable("the state of the transaction is being loaded again"))
            self._on_failure(error)

    # Producers and their transactions

    def needs_producer_id(self, transactional_id: str, expected: ProducerIdAndEpoch | None = None) -> bool:
        """Whether :meth:`initialize` will need a new producer id."""
        transaction = self._transactions.get(transactional_id)
        return transaction is None or transaction.needs_producer_id(expected)

    def is_out_of_epochs(self, transactional_id: str) -> bool:
        """Whether :meth:`end` will need a new producer id, if it gives a new epoch."""
        transaction = self._transactions.get(transactional_id)
        return transaction is not None and transaction.needs_producer_id()

    def initialize(
        self,
        transactional_id: str,
        timeout_ms: int,
        expected: ProducerIdAndEpoch | None,
        new_producer_id: int | None,
    ) -> Initialized:
        """Give a producer its id and epoch; see :meth:`Transaction.initialize`.

        Raises:
            KafkaError: As there; or the record could not be written.
        """
        transaction = self._transactions.get(transactional_id)
        if transaction is None:
            if new_producer_id is None:
                raise ConcurrentTransactions("the transactional id has just expired")
            transaction = Transaction(
                transactional_id, TransactionMetadata(new_producer_id, NO_PRODUCER_EPOCH, timeout_ms)
            )
            self._transactions[transactional_id] = transaction
        prepared = transaction.initialize(timeout_ms, expected, self._clock.now_ms(), new_producer_id=new_producer_id)
        durable = self._write(transaction)
        if prepared.state is not TransactionState.EMPTY:
            raise ConcurrentTransactions("the transaction before is being aborted")
        return Initialized(prepared.producer, durable)

    def add_partitions(
        self,
        transactional_id: str,
        producer: ProducerIdAndEpoch,
        partitions: Collection[TopicPartition],
        version: TransactionVersion = TransactionVersion.TV_0,
    ) -> asyncio.Future[None] | None:
        """Have a transaction write to partitions; the future is done when that is durable, None when it is.

        Raises:
            KafkaError: See :meth:`Transaction.add_partitions`; or the record could not be written.
        """
        transaction = self._transaction(transactional_id)
        prepared = transaction.add_partitions(producer, partitions, self._clock.now_ms(), version)
        return None if prepared is None else self._write(transaction)

    def check_partitions(
        self, transactional_id: str, producer: ProducerIdAndEpoch, partitions: Collection[TopicPartition]
    ) -> frozenset[TopicPartition]:
        """Those of ``partitions`` that a transaction writes to.

        Raises:
            KafkaError: See :meth:`Transaction.check_partitions`.
        """
        return self._transaction(transactional_id).check_partitions(producer, partitions)

    def end(
        self,
        transactional_id: str,
        producer: ProducerIdAndEpoch,
        *,
        is_commit: bool,
        version: TransactionVersion,
        new_producer_id: int | None = None,
    ) -> Ended:
        """Decide a transaction.

        Raises:
            KafkaError: See :meth:`Transaction.end`; or the record could not be written.
        """
        transaction = self._transaction(transactional_id)
        prepared = transaction.end(
            producer, self._clock.now_ms(), is_commit=is_commit, version=version, new_producer_id=new_producer_id
        )
        if prepared is None:
            return Ended(transaction.metadata.producer, None, None)
        durable = self._write(transaction)
        is_over = transaction.pending is None and is_at_rest(transaction.metadata.state)
        completed = None if is_over or self._is_closed else self._completed(transactional_id)
        return Ended(transaction.after_end(prepared), durable, completed)

    def settled(self, transactional_id: str) -> asyncio.Future[None]:
        """What is done when a change that is under way, or the end of a transaction, is over."""
        transaction = self._transaction(transactional_id)
        if transaction.pending is None and is_ending(transaction.metadata.state):
            return self._completed(transactional_id)
        return self._journal.settle()

    def expire(self, transactional_id: str) -> None:
        """Abort a transaction whose time is up, and fence its producer; its timer calls this."""
        transaction = self._transactions.get(transactional_id)
        if transaction is None or transaction.pending is not None:
            return  # what is pending sets the timer again when it is over
        deadline_ms = self._deadlines_ms.get(transactional_id)
        if deadline_ms is None:
            return
        if self._monotonic_ms() < deadline_ms:
            self._timers.set(transactional_id, deadline_ms)
            return
        _log.info("transaction_timed_out", transactional_id=transactional_id, producer=transaction.metadata.producer)
        transaction.fence(self._clock.now_ms())
        try:
            self._write(transaction)
        except KafkaError as error:
            self.fail(error)

    def forget_what_expired(self, expiration_ms: int) -> None:
        """Forget the transactional ids that have been at rest for so long.

        Raises:
            KafkaError: The records could not be written.
        """
        before_ms = self._clock.now_ms() - expiration_ms
        expired = [
            transaction
            for transaction in self._transactions.values()
            if transaction.pending is None
            and is_at_rest(transaction.metadata.state)
            and transaction.metadata.last_update_timestamp_ms <= before_ms
        ]
        for transaction in expired:
            transaction.expire()
            self._write(transaction)

    # Looking at them

    def transactions(self) -> list[Transaction]:
        """All that have an epoch."""
        return [one for one in self._transactions.values() if one.metadata.producer_epoch != NO_PRODUCER_EPOCH]

    def describe(self, transactional_id: str) -> TransactionMetadata:
        """A transactional id.

        Raises:
            TransactionalIdNotFound: There is no such id, or it has no epoch yet.
        """
        transaction = self._transactions.get(transactional_id)
        if transaction is None or transaction.metadata.producer_epoch == NO_PRODUCER_EPOCH:
            raise TransactionalIdNotFound(f"there is no transactional id {transactional_id}")
        return transaction.metadata

    # Within

    def _completed(self, transactional_id: str) -> asyncio.Future[None]:
        """What is done when the transaction, which is ending or about to be, is over."""
        completed = self._completions.get(transactional_id)
        if completed is None:
            completed = self._completions[transactional_id] = asyncio.get_running_loop().create_future()
        return completed

    def _transaction(self, transactional_id: str) -> Transaction:
        transaction = self._transactions.get(transactional_id)
        if transaction is None:
            raise InvalidProducerIdMapping(f"there is no transactional id {transactional_id}")
        return transaction

    def _write(self, transaction: Transaction) -> asyncio.Future[None] | None:
        """Write what a transaction is about to become, and let it become that; see :meth:`Journal.write`."""
        try:
            return self._journal.write([transaction], partial(self._written, transaction))
        except KafkaError:
            transaction.cancel()
            self._forget_if_nothing(transaction)
            raise

    def _written(self, transaction: Transaction) -> None:
        if self._is_closed:
            return
        if transaction.complete().state is TransactionState.DEAD:
            del self._transactions[transaction.transactional_id]
        self._go_on(transaction)

    def _go_on(self, transaction: Transaction, *, age_ms: int = 0) -> None:
        """Do what follows from the state that a transaction has reached; ``age_ms`` is of one that was loaded."""
        transactional_id, metadata = transaction.transactional_id, transaction.metadata
        if metadata.state is TransactionState.ONGOING:
            left_ms = metadata.timeout_ms - min(max(age_ms, 0), metadata.timeout_ms)
            deadline_ms = self._deadlines_ms.setdefault(transactional_id, self._monotonic_ms() + left_ms)
            self._timers.set(transactional_id, deadline_ms)
            return
        # The timer stays: it does for the next transaction, or finds nothing.
        self._deadlines_ms.pop(transactional_id, None)
        if is_ending(metadata.state):
            marker = Marker(
                metadata.producer,
                metadata.state is TransactionState.PREPARE_COMMIT,
                self._coordinator_epoch,
                metadata.client_version,
            )
            self._markers.begin(marker, metadata.partitions, partial(self._finish, transaction))
        else:
            completed = self._completions.pop(transactional_id, None)
            if completed is not None:
                resolve(completed, None)

    def _finish(self, transaction: Transaction) -> None:
        """Complete a transaction; the next may begin at once: were the record lost, the markers would be written again.

        So it need not be forced to the disk, which would keep the next waiting.  What that one writes comes after it in
        the log, and is not there without it.
        """
        transaction.finish(self._clock.now_ms())
        try:
            self._log.append_unforced([_encode(transaction)])
        except KafkaError as error:
            self.fail(error)
        self._written(transaction)

    def _forget_if_nothing(self, transaction: Transaction) -> None:
        if transaction.metadata.producer_epoch == NO_PRODUCER_EPOCH:
            self._transactions.pop(transaction.transactional_id, None)

    def _monotonic_ms(self) -> float:
        return self._clock.monotonic() * 1000


def _encode(transaction: Transaction) -> tuple[bytes, bytes | None]:
    """The record of what a transaction is about to become."""
    pending = transaction.pending
    assert pending is not None
    value = None if pending.state is TransactionState.DEAD else encode_value(pending)
    return encode_key(transaction.transactional_id), value
