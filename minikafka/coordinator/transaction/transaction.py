"""The state machine of a transactional id: what is asked of it, and what it is to become.

A change is *prepared*, which tells what has to be in the log, and *completed* when it is there; in between nobody else
may change anything (CONCURRENT_TRANSACTIONS)::

    initialize, add_partitions, end, fence, finish, expire ──► prepared ──► complete
                                                                  └───────► cancel: nothing was written

Nothing here waits, writes or knows the time.  The three steps that every transaction takes name all that they lead to,
since ``_replace`` takes three times as long.

Source: Kafka, TransactionMetadata, TransactionCoordinator; KIP-98, KIP-360, KIP-890.
"""

from __future__ import annotations

from collections.abc import Collection

from minikafka.coordinator.transaction.metadata import (
    MAX_EPOCH,
    TransactionMetadata,
    TransactionVersion,
    is_exhausted,
)
from minikafka.coordinator.transaction.states import TransactionState, is_at_rest, is_ending
from minikafka.errors import (
    ConcurrentTransactions,
    InvalidProducerIdMapping,
    InvalidTxnState,
    ProducerFenced,
)
from minikafka.types import NO_PRODUCER_EPOCH, NO_PRODUCER_ID, NO_TIMESTAMP, ProducerIdAndEpoch, TopicPartition

_ENDS = {True: TransactionState.PREPARE_COMMIT, False: TransactionState.PREPARE_ABORT}
_COMPLETE = {
    TransactionState.PREPARE_COMMIT: TransactionState.COMPLETE_COMMIT,
    TransactionState.PREPARE_ABORT: TransactionState.COMPLETE_ABORT,
}
_WAS_COMMITTED = {
    TransactionState.PREPARE_COMMIT: True,
    TransactionState.COMPLETE_COMMIT: True,
    TransactionState.PREPARE_ABORT: False,
    TransactionState.COMPLETE_ABORT: False,
}


class Transaction:
    """A transactional id and the transaction that it has, if any.

    Args:
        transactional_id: Its name.
        metadata: Where it stands; ``metadata.producer_epoch`` is -1 when it is new.
    """

    __slots__ = ("metadata", "pending", "transactional_id")

    def __init__(self, transactional_id: str, metadata: TransactionMetadata) -> None:
        self.transactional_id = transactional_id
        self.metadata = metadata
        self.pending: TransactionMetadata | None = None
        """What it is about to become."""

    # What is asked of it

    def needs_producer_id(self, expected: ProducerIdAndEpoch | None = None) -> bool:
        """Whether the next epoch is one of another producer id, which ``initialize`` or ``end`` has to be given.

        ``expected`` is who a producer says it was, None if it does not.
        """
        metadata = self.metadata
        return metadata.is_epoch_exhausted and (expected is None or expected.producer_epoch == metadata.producer_epoch)

    def initialize(
        self,
        timeout_ms: int,
        expected: ProducerIdAndEpoch | None,
        now_ms: int,
        *,
        new_producer_id: int | None = None,
    ) -> TransactionMetadata:
        """Give a producer an epoch that nobody has had; what it takes the place of is fenced.

        A producer that says who it was goes on with the next epoch, or with that which it was given and has not heard
        of (KIP-360).

        A transaction that is ongoing has to be over first: then what is prepared is its abort, and the producer is to
        ask again.

        Raises:
            ConcurrentTransactions: A transaction is being changed or completed.
            ProducerFenced: The producer is no longer who it says it was.
        """
        self._check_nothing_pending()
        metadata = self.metadata
        if is_ending(metadata.state):
            raise ConcurrentTransactions("the transaction before is being completed")
        if expected is not None and not self._may_go_on(expected):
            raise ProducerFenced(f"{expected} has been replaced by {metadata.producer}")
        if metadata.state is TransactionState.ONGOING:
            return self.fence(now_ms)
        if self.needs_producer_id(expected):
            if new_producer_id is None:
                raise ConcurrentTransactions("the producer id has just run out of epochs")
            last_epoch = NO_PRODUCER_EPOCH if expected is None else metadata.producer_epoch
            producer = ProducerIdAndEpoch(new_producer_id, 0)
        else:
            epoch, last_epoch = self._next_epoch(expected)
            producer = ProducerIdAndEpoch(metadata.producer_id, epoch)
        return self._prepare(
            metadata._replace(
                producer_id=producer.producer_id,
                producer_epoch=producer.producer_epoch,
                last_producer_epoch=last_epoch,
                previous_producer_id=metadata.producer_id,
                next_producer_id=NO_PRODUCER_ID,
                timeout_ms=timeout_ms,
                state=TransactionState.EMPTY,
                partitions=frozenset(),
                start_timestamp_ms=NO_TIMESTAMP,
                last_update_timestamp_ms=now_ms,
            )
        )

    def add_partitions(
        self,
        producer: ProducerIdAndEpoch,
        partitions: Collection[TopicPartition],
        now_ms: int,
        version: TransactionVersion = TransactionVersion.TV_0,
    ) -> TransactionMetadata | None:
        """Have the transaction write to partitions; the first begin it.  None when it has them all.

        Raises:
            ConcurrentTransactions: The transaction before is not over.
            InvalidProducerIdMapping: The transactional id has another producer id.
            ProducerFenced: It has another epoch.
        """
        self._check_nothing_pending()
        self._check_producer(producer)
        metadata = self.metadata
        if is_ending(metadata.state):
            raise ConcurrentTransactions("the transaction before is being completed")
        is_ongoing = metadata.state is TransactionState.ONGOING
        if is_ongoing and metadata.partitions.issuperset(partitions):
            return None
        return self._prepare(
            TransactionMetadata(
                producer_id=metadata.producer_id,
                producer_epoch=metadata.producer_epoch,
                timeout_ms=metadata.timeout_ms,
                state=TransactionState.ONGOING,
                last_producer_epoch=metadata.last_producer_epoch,
                previous_producer_id=metadata.previous_producer_id,
                next_producer_id=metadata.next_producer_id,
                partitions=metadata.partitions.union(partitions),
                start_timestamp_ms=metadata.start_timestamp_ms if is_ongoing else now_ms,
                last_update_timestamp_ms=now_ms,
                client_version=version,
            )
        )

    def check_partitions(
        self, producer: ProducerIdAndEpoch, partitions: Collection[TopicPartition]
    ) -> frozenset[TopicPartition]:
        """Those of ``partitions`` that the transaction writes to.

        Raises:
            InvalidProducerIdMapping, ProducerFenced: As :meth:`add_partitions`.
            ConcurrentTransactions: It is being completed.
        """
        self._check_producer(producer)
        if is_ending(self.metadata.state):
            raise ConcurrentTransactions("the transaction is being completed")
        return self.metadata.partitions.intersection(partitions)

    def end(
        self,
        producer: ProducerIdAndEpoch,
        now_ms: int,
        *,
        is_commit: bool,
        version: TransactionVersion,
        new_producer_id: int | None = None,
    ) -> TransactionMetadata | None:
        """Decide the transaction; None when that was done already, in the same way.

        From transaction version 2 on the producer goes on with another epoch: the one of :meth:`after_end`.  Who asks
        again, with the epoch of before, is recognised by that.

        Raises:
            ConcurrentTransactions: It is being completed, or changed.
            InvalidProducerIdMapping: The transactional id has another producer id.
            ProducerFenced: It has another epoch.
            InvalidTxnState: There is nothing to end, or it has ended in the other way.
        """
        if version >= TransactionVersion.TV_2:
            return self._end_with_bump(producer, now_ms, is_commit=is_commit, new_producer_id=new_producer_id)
        self._check_producer(producer)
        self._check_nothing_pending()
        if self.metadata.state is TransactionState.ONGOING:
            return self._prepare_end(now_ms, is_commit=is_commit, version=version)
        self._check_ended(is_commit=is_commit)
        return None

    def fence(self, now_ms: int) -> TransactionMetadata:
        """Abort the transaction, which is ongoing, under an epoch that its producer does not have.

        Raises:
            ConcurrentTransactions: It is being changed.
        """
        self._check_nothing_pending()
        fencing = self.metadata._replace(state=TransactionState.PREPARE_EPOCH_FENCE)
        fencing.check_follows(self.metadata.state)
        return self._prepare(
            fencing._replace(
                state=TransactionState.PREPARE_ABORT,
                producer_epoch=min(self.metadata.producer_epoch + 1, MAX_EPOCH),
                last_producer_epoch=NO_PRODUCER_EPOCH,
                last_update_timestamp_ms=now_ms,
                client_version=TransactionVersion.TV_0,
            )
        )

    def finish(self, now_ms: int) -> TransactionMetadata:
        """Complete a transaction that is ending, now that every partition knows."""
        metadata = self.metadata
        producer = self.after_end(metadata)
        return self._prepare(
            TransactionMetadata(
                producer_id=producer.producer_id,
                producer_epoch=producer.producer_epoch,
                timeout_ms=metadata.timeout_ms,
                state=_COMPLETE[metadata.state],
                last_producer_epoch=metadata.last_producer_epoch,
                previous_producer_id=metadata.producer_id,
                next_producer_id=NO_PRODUCER_ID,
                partitions=frozenset(),
                start_timestamp_ms=metadata.start_timestamp_ms,
                last_update_timestamp_ms=now_ms,
                client_version=metadata.client_version,
            )
        )

    def expire(self) -> TransactionMetadata:
        """Forget the transactional id, which is at rest."""
        return self._prepare(self.metadata._replace(state=TransactionState.DEAD))

    @staticmethod
    def after_end(metadata: TransactionMetadata) -> ProducerIdAndEpoch:
        """Who the producer is after a transaction that is ending, or has ended, as ``metadata`` says."""
        if metadata.next_producer_id != NO_PRODUCER_ID:
            return ProducerIdAndEpoch(metadata.next_producer_id, 0)
        return metadata.producer

    # What becomes of what was prepared

    def complete(self) -> TransactionMetadata:
        """Become what was prepared: it is in the log."""
        assert self.pending is not None
        self.metadata, self.pending = self.pending, None
        return self.metadata

    def cancel(self) -> None:
        """Stay what it was: what was prepared could not be written."""
        self.pending = None

    # Within

    def _prepare(self, metadata: TransactionMetadata) -> TransactionMetadata:
        metadata.check_follows(self.metadata.state)
        self._check_nothing_pending()
        self.pending = metadata
        return metadata

    def _check_nothing_pending(self) -> None:
        if self.pending is not None:
            raise ConcurrentTransactions("the transaction is being changed")

    def _check_producer(self, producer: ProducerIdAndEpoch) -> None:
        metadata = self.metadata
        if metadata.next_producer_id != NO_PRODUCER_ID and producer == self.after_end(metadata):
            raise ConcurrentTransactions("the producer id is that of after the transaction")
        if producer.producer_id != metadata.producer_id:
            raise InvalidProducerIdMapping(f"{self.transactional_id} has the producer id {metadata.producer_id}")
        if producer.producer_epoch != metadata.producer_epoch or producer.producer_epoch == NO_PRODUCER_EPOCH:
            raise ProducerFenced(f"{self.transactional_id} is in producer epoch {metadata.producer_epoch}")

    def _may_go_on(self, expected: ProducerIdAndEpoch) -> bool:
        metadata = self.metadata
        return (
            metadata.producer_epoch == NO_PRODUCER_EPOCH
            or expected.producer_id == metadata.producer_id
            or (expected.producer_id == metadata.previous_producer_id and is_exhausted(expected.producer_epoch))
        )

    def _next_epoch(self, expected: ProducerIdAndEpoch | None) -> tuple[int, int]:
        """The epoch for a producer, and the one from which it may ask for it again."""
        metadata = self.metadata
        if expected is None:
            return metadata.producer_epoch + 1, NO_PRODUCER_EPOCH
        if metadata.producer_epoch in (NO_PRODUCER_EPOCH, expected.producer_epoch):
            return metadata.producer_epoch + 1, metadata.producer_epoch
        if expected.producer_epoch == metadata.last_producer_epoch:
            return metadata.producer_epoch, metadata.last_producer_epoch
        raise ProducerFenced(f"{expected} has been replaced by {metadata.producer}")

    def _end_with_bump(
        self, producer: ProducerIdAndEpoch, now_ms: int, *, is_commit: bool, new_producer_id: int | None
    ) -> TransactionMetadata | None:
        """As :meth:`end`, of a client that expects a new epoch of it (KIP-890)."""
        self._check_nothing_pending()
        if self._is_asked_again(producer):
            self._check_ended(is_commit=is_commit)
            return None
        self._check_producer(producer)
        if self.metadata.is_epoch_exhausted and new_producer_id is None:
            raise ConcurrentTransactions("the producer id has just run out of epochs")
        if self.metadata.state is TransactionState.ONGOING:
            return self._prepare_end(
                now_ms, is_commit=is_commit, version=TransactionVersion.TV_2, new_producer_id=new_producer_id
            )
        if is_commit or not is_at_rest(self.metadata.state):
            raise InvalidTxnState(f"a transaction that is {self.metadata.state.title} cannot be committed")
        begun = self.metadata._replace(start_timestamp_ms=now_ms)
        return self._prepare_end(
            now_ms, is_commit=False, version=TransactionVersion.TV_2, new_producer_id=new_producer_id, of=begun
        )

    def _is_asked_again(self, producer: ProducerIdAndEpoch) -> bool:
        """Whether a request to end a transaction comes from before the epoch that the first such request led to."""
        metadata = self.metadata
        if metadata.client_version < TransactionVersion.TV_2 or metadata.state not in _WAS_COMMITTED:
            return False
        if metadata.producer_epoch == 0:
            return producer == (metadata.previous_producer_id, MAX_EPOCH - 1)
        return producer == (metadata.producer_id, metadata.producer_epoch - 1)

    def _check_ended(self, *, is_commit: bool) -> None:
        """Check that the transaction has ended in the way that is asked for."""
        state = self.metadata.state
        if _WAS_COMMITTED.get(state) is not is_commit:
            raise InvalidTxnState(f"a transaction that is {state.title} cannot be ended so")
        if is_ending(state):
            raise ConcurrentTransactions("the transaction is being completed")

    def _prepare_end(
        self,
        now_ms: int,
        *,
        is_commit: bool,
        version: TransactionVersion,
        new_producer_id: int | None = None,
        of: TransactionMetadata | None = None,
    ) -> TransactionMetadata:
        metadata = self.metadata if of is None else of
        epoch, last_epoch, next_id = metadata.producer_epoch, metadata.last_producer_epoch, metadata.next_producer_id
        if version >= TransactionVersion.TV_2:
            next_id = new_producer_id if metadata.is_epoch_exhausted and new_producer_id is not None else NO_PRODUCER_ID
            epoch, last_epoch = epoch + 1, epoch
        return self._prepare(
            TransactionMetadata(
                producer_id=metadata.producer_id,
                producer_epoch=epoch,
                timeout_ms=metadata.timeout_ms,
                state=_ENDS[is_commit],
                last_producer_epoch=last_epoch,
                previous_producer_id=metadata.previous_producer_id,
                next_producer_id=next_id,
                partitions=metadata.partitions,
                start_timestamp_ms=metadata.start_timestamp_ms,
                last_update_timestamp_ms=now_ms,
                client_version=version,
            )
        )
