"""The producers of one log: what the next batch of each has to be, and which transactions are open.

==============================  ==============================================================================
a batch                         is
==============================  ==============================================================================
one of the last five            known already: answered with the offset it has
of an older epoch               INVALID_PRODUCER_EPOCH: the producer has been replaced
of a newer epoch                taken if its first sequence number is 0 (KIP-360)
of an unknown producer          taken, whatever its first sequence number: its earlier records may be deleted
that goes on where the last     taken; after 2**31 - 1 comes 0
  one ended
any other                       OUT_OF_ORDER_SEQUENCE_NUMBER
==============================  ==============================================================================

Checking changes nothing: the state moves on when the batch is in the log.

Source: Kafka, storage/internals/log/ProducerStateManager.java, ProducerAppendInfo.java,
UnifiedLog.analyzeAndValidateProducerState.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from minikafka.errors import (
    InvalidProducerEpoch,
    InvalidTxnState,
    OutOfOrderSequenceNumber,
    TransactionCoordinatorFenced,
)
from minikafka.records.batch import TRANSACTIONAL_FLAG, RecordBatch
from minikafka.records.control import ControlType, EndTransactionMarker
from minikafka.storage.producer_state import MAX_SEQUENCE, BatchMetadata, ProducerState, is_before
from minikafka.storage.transaction_index import AbortedTransaction
from minikafka.storage.transaction_verification import VerificationGuard, Verifications
from minikafka.types import NO_OFFSET, NO_SEQUENCE

FIRST_VERSION_WITH_EPOCH_BUMP = 2
"""The transaction version from which a marker carries the epoch after that of the records that it ends."""


class ProducerStates:
    """What a log remembers of its idempotent producers.

    Args:
        states: Those that are known.
    """

    __slots__ = ("_by_id", "_open", "verifications")

    def __init__(self, states: Iterable[ProducerState] = ()) -> None:
        self.verifications = Verifications()
        self._by_id = {state.producer_id: state for state in states}
        # First offset to producer id.  Transactions begin in the order of their offsets: the first here is the oldest.
        self._open = {
            state.transaction_first_offset: state.producer_id
            for state in sorted(self._by_id.values(), key=lambda state: state.transaction_first_offset)
            if state.has_transaction
        }

    def __len__(self) -> int:
        return len(self._by_id)

    @property
    def all(self) -> Collection[ProducerState]:
        """Every producer that is remembered."""
        return self._by_id.values()

    @property
    def first_unstable_offset(self) -> int | None:
        """The first offset of the oldest open transaction; None when none is open."""
        return next(iter(self._open)) if self._open else None

    def get(self, producer_id: int) -> ProducerState | None:
        """The producer, None when it is not remembered."""
        return self._by_id.get(producer_id)

    def begin_verification(self, batch: RecordBatch, *, bumps_epochs: bool, now_ms: int) -> VerificationGuard | None:
        """Before the first batch of a transaction: the guard that it has to bring once it is confirmed.

        Args:
            batch: It has a producer id.
            bumps_epochs: Whether the producer gets a new epoch with every transaction (transaction version 2).
            now_ms: The present time.

        Returns:
            None when the transaction has a batch here already, or even this one, and no confirmation is needed.

        Raises:
            InvalidProducerEpoch: The epoch is older than that of the producer's last batch.
            OutOfOrderSequenceNumber: It repeats what is so long ago that nobody knows where it is, or is the first of
                its epoch and does not begin with 0.
        """
        producer_id, epoch, sequence = batch.producer_id, batch.producer_epoch, batch.base_sequence
        state = self._by_id.get(producer_id)
        if state is not None:
            _check_epoch(state, epoch)
            is_new_epoch = epoch > state.epoch
            if state.has_transaction and not is_new_epoch:
                return None
            if sequence == NO_SEQUENCE:
                pass  # what a coordinator writes is not numbered, and repeats nothing
            elif is_new_epoch and sequence != 0:
                raise _not_first(batch, state)
            elif state.find(epoch, sequence, batch.last_sequence) is not None:
                return None
            elif not is_new_epoch and state.is_past(sequence):
                raise _out_of_order(batch, f"{state.next_sequence} is next")
        return self.verifications.begin(producer_id, epoch, sequence, bumps_epochs=bumps_epochs, now_ms=now_ms)

    def check_batch(self, batch: RecordBatch, guard: VerificationGuard | None) -> BatchMetadata | None:
        """Check that a client's batch is the next one of its producer.

        Args:
            batch: It has a producer id.
            guard: What :meth:`begin_verification` gave, if the batch has been confirmed.

        Returns:
            The batch in the log that this one repeats; None when it is new.

        Raises:
            InvalidProducerEpoch: Its epoch is older than that of the producer's last batch.
            OutOfOrderSequenceNumber: It does not go on where the last one ended.
            InvalidTxnState: It is of a transaction that nobody has confirmed, or is not of the one that is open.
        """
        state = self._by_id.get(batch.producer_id)
        is_transactional = batch.attributes & TRANSACTIONAL_FLAG != 0
        if (
            state is not None
            and batch.base_sequence == state.next_sequence
            and batch.producer_epoch == state.epoch
            and is_transactional == (state.transaction_first_offset != NO_OFFSET)
        ):
            return None
        if state is not None:
            duplicate = state.find(batch.producer_epoch, batch.base_sequence, batch.last_sequence)
            if duplicate is not None:
                return duplicate
        self.check_transaction(batch, guard)
        self._check_sequence(batch, state)
        if state is not None and state.has_transaction and not is_transactional:
            raise InvalidTxnState(f"producer {batch.producer_id} has a transaction open, and the batch is not of it")
        return None

    def check_transaction(self, batch: RecordBatch, guard: VerificationGuard | None) -> None:
        """Check the epoch of a batch, and that its transaction, if it is of one, is open or has been confirmed.

        Raises:
            InvalidProducerEpoch, InvalidTxnState: As :meth:`check_batch`.
        """
        state = self._by_id.get(batch.producer_id)
        if state is not None:
            _check_epoch(state, batch.producer_epoch)
        if not batch.is_transactional:
            return
        if state is not None and state.has_transaction and state.epoch == batch.producer_epoch:
            return
        verification = self.verifications.get(batch.producer_id)
        if verification is None or verification.guard is not guard:
            raise InvalidTxnState(
                f"the batch of producer {batch.producer_id} is not of a transaction that is known here"
            )

    def check_marker(
        self, producer_id: int, producer_epoch: int, coordinator_epoch: int, *, transaction_version: int
    ) -> None:
        """Check that a marker may end the transaction of a producer.

        With transaction version 2 the epoch of a marker is above that of the records.  One of the same epoch is a late
        one of an earlier transaction, or, when no transaction is open, a repeated one, which does no harm.

        Raises:
            InvalidProducerEpoch: The epoch is too old.
            TransactionCoordinatorFenced: A newer coordinator has written a marker of this producer.
        """
        state = self._by_id.get(producer_id)
        if state is None:
            return
        _check_epoch(state, producer_epoch)
        is_late = producer_epoch == state.epoch and state.has_transaction
        if transaction_version >= FIRST_VERSION_WITH_EPOCH_BUMP and is_late:
            raise InvalidProducerEpoch(
                f"a marker of producer {producer_id} has epoch {producer_epoch}, which its open transaction has"
            )
        if coordinator_epoch < state.coordinator_epoch:
            raise TransactionCoordinatorFenced(
                f"a marker of producer {producer_id} is of coordinator epoch {coordinator_epoch}, "
                f"{state.coordinator_epoch} has been seen"
            )

    def add_batch(
        self,
        producer_id: int,
        epoch: int,
        base_sequence: int,
        *,
        base_offset: int,
        last_offset: int,
        timestamp_ms: int,
        is_transactional: bool,
    ) -> None:
        """Take note of a batch that is in the log now."""
        state = self._by_id.get(producer_id)
        if state is None:
            state = self._by_id[producer_id] = ProducerState(producer_id)
        delta = last_offset - base_offset
        last_sequence = NO_SEQUENCE if base_sequence == NO_SEQUENCE else (base_sequence + delta) & MAX_SEQUENCE
        state.add_batch(epoch, BatchMetadata(last_sequence, last_offset, delta, timestamp_ms))
        if is_transactional:
            self.verifications.end(producer_id)
            if not state.has_transaction:
                state.transaction_first_offset = base_offset
                self._open[base_offset] = producer_id

    def add_marker(
        self, producer_id: int, epoch: int, marker: EndTransactionMarker, *, offset: int, timestamp_ms: int
    ) -> AbortedTransaction | None:
        """Take note of a marker that is in the log now.

        Returns:
            The transaction that it aborts; None when it commits one, or the producer had written nothing here.
        """
        state = self._by_id.get(producer_id)
        if state is None:
            state = self._by_id[producer_id] = ProducerState(producer_id)
        first_offset = state.transaction_first_offset
        state.end_transaction(epoch, marker.coordinator_epoch, timestamp_ms)
        self.verifications.end(producer_id)
        if first_offset == NO_OFFSET:
            return None
        del self._open[first_offset]
        if marker.type is ControlType.COMMIT:
            return None
        first_unstable_offset = self.first_unstable_offset
        last_stable_offset = offset + 1 if first_unstable_offset is None else first_unstable_offset
        return AbortedTransaction(producer_id, first_offset, offset, last_stable_offset)

    def expire(self, now_ms: int, expiration_ms: int) -> None:
        """Forget the producers that have written nothing for so long, but for those with an open transaction."""
        before_ms = now_ms - expiration_ms
        idle = [s.producer_id for s in self.all if not s.has_transaction and s.last_timestamp_ms <= before_ms]
        for producer_id in idle:
            del self._by_id[producer_id]
        self.verifications.expire(before_ms)

    def _check_sequence(self, batch: RecordBatch, state: ProducerState | None) -> None:
        """Check that a batch that is not known goes on where the last one ended; its epoch has been checked."""
        sequence = batch.base_sequence
        verification = self.verifications.get(batch.producer_id)
        if verification is not None and verification.epoch == batch.producer_epoch:
            lowest = verification.lowest_sequence
            is_written = state is not None and state.epoch == verification.epoch and state.is_past(lowest)
            if is_before(lowest, sequence) and not is_written:
                raise _out_of_order(batch, f"{lowest} has been seen and not been written")
            if verification.bumps_epochs and sequence != 0 and (state is None or not state.batches):
                raise _out_of_order(batch, "this is the producer's first batch")
        if state is None:
            return
        if batch.producer_epoch != state.epoch:
            if sequence != 0:
                raise _not_first(batch, state)
        elif sequence != state.next_sequence:
            raise _out_of_order(batch, f"{state.next_sequence} is next")


def _check_epoch(state: ProducerState, epoch: int) -> None:
    if epoch < state.epoch:
        raise InvalidProducerEpoch(
            f"producer {state.producer_id} is of epoch {epoch}, which is older than its last one, {state.epoch}"
        )


def _out_of_order(batch: RecordBatch, reason: str) -> OutOfOrderSequenceNumber:
    return OutOfOrderSequenceNumber(
        f"producer {batch.producer_id} sent sequence number {batch.base_sequence}: {reason}"
    )


def _not_first(batch: RecordBatch, state: ProducerState) -> OutOfOrderSequenceNumber:
    return _out_of_order(batch, f"epoch {batch.producer_epoch} begins with 0, {state.epoch} was the last")
