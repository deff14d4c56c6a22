"""Any order of producers, lost answers, failing logs, time-outs and restarts: no transaction is decided twice.

The model knows only what producers were told.  Each value that a transaction would write is an *attempt*; it must be
decided once, the way somebody who was entitled to decided it.
"""

from __future__ import annotations

from itertools import count

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from minikafka.coordinator.transaction.metadata import (
    MAX_EPOCH,
    TransactionMetadata,
    TransactionVersion,
    decode_value,
    encode_value,
)
from minikafka.coordinator.transaction.states import PREVIOUS_STATES, TransactionState, is_ending
from minikafka.coordinator.transaction.transaction import Transaction
from minikafka.errors import (
    ConcurrentTransactions,
    InvalidProducerIdMapping,
    InvalidTxnState,
    KafkaError,
    ProducerFenced,
)
from minikafka.types import NO_PRODUCER_EPOCH, ProducerIdAndEpoch, TopicPartition

NOW_MS = 1_000
PARTITIONS = [TopicPartition("orders", index) for index in range(3)]
NOBODY = ProducerIdAndEpoch(-1, -1)
FENCED = (ProducerFenced, InvalidProducerIdMapping)


class TransactionMachine(RuleBasedStateMachine):
    """One transactional id and all the producers that ever had it."""

    claims = Bundle("claims")

    def __init__(self) -> None:
        super().__init__()
        self.new_ids = count(100)
        self.log = TransactionMetadata(99, NO_PRODUCER_EPOCH, 1_000)
        self.transaction = Transaction("id", self.log)
        self.given: set[ProducerIdAndEpoch] = set()
        self.owner: ProducerIdAndEpoch | None = None
        """Who was given the latest epoch; nobody after a fence."""

    @initialize(target=claims, epoch=st.sampled_from([NO_PRODUCER_EPOCH, MAX_EPOCH - 4, MAX_EPOCH - 3, MAX_EPOCH - 2]))
    def begin(self, epoch: int) -> ProducerIdAndEpoch:
        self.log = self.log._replace(producer_epoch=epoch)
        self.transaction = Transaction("id", self.log)
        if epoch != NO_PRODUCER_EPOCH:
            self.owner = self.log.producer
            self.given.add(self.owner)
        return self.log.producer

    # What producers ask

    @rule(target=claims)
    def new_producer(self) -> ProducerIdAndEpoch:
        return self._initialize(None)

    @rule(target=claims, claim=claims)
    def producer_goes_on(self, claim: ProducerIdAndEpoch) -> ProducerIdAndEpoch:
        return self._initialize(claim)

    @rule(claim=claims, where=st.sampled_from(PARTITIONS), fails=st.booleans())
    def add(self, claim: ProducerIdAndEpoch, where: TopicPartition, fails: bool) -> None:
        try:
            prepared = self.transaction.add_partitions(claim, [where], NOW_MS)
        except ConcurrentTransactions:
            return
        except FENCED:
            assert claim != self.owner
            return
        assert claim == self.owner
        if prepared is not None:
            self._write(fails)

    @rule(
        target=claims,
        claim=claims,
        is_commit=st.booleans(),
        version=st.sampled_from([TransactionVersion.TV_0, TransactionVersion.TV_2]),
        fails=st.booleans(),
    )
    def end(
        self, claim: ProducerIdAndEpoch, is_commit: bool, version: TransactionVersion, fails: bool
    ) -> ProducerIdAndEpoch:
        before = self.transaction.metadata
        new_id = next(self.new_ids) if self.transaction.needs_producer_id() else None
        try:
            prepared = self.transaction.end(claim, NOW_MS, is_commit=is_commit, version=version, new_producer_id=new_id)
        except (ConcurrentTransactions, InvalidTxnState):
            return claim
        except FENCED:
            # Under version 2 an owner's own repeated request carries the epoch of before, and is never refused so.
            assert claim != self.owner
            return claim
        if prepared is None:
            expected = TransactionState.COMPLETE_COMMIT if is_commit else TransactionState.COMPLETE_ABORT
            assert before.state is expected
            return before.producer
        assert claim == self.owner
        assert before.state is TransactionState.ONGOING or (not is_commit and version is TransactionVersion.TV_2)
        after = self.transaction.after_end(prepared)
        if not self._write(fails):
            return claim
        self.owner = after
        self.given.add(after)
        return after

    # What happens besides

    @rule()
    def time_is_up(self) -> None:
        if self.transaction.metadata.state is TransactionState.ONGOING:
            self.transaction.fence(NOW_MS)
            self._write(fails=False)
            self.owner = None

    @rule()
    def markers_are_written(self) -> None:
        if is_ending(self.transaction.metadata.state):
            self.transaction.finish(NOW_MS)
            self._write(fails=False)

    @rule()
    def restart(self) -> None:
        if self.log.producer_epoch >= 0:
            self.log = decode_value(encode_value(self.log))
            self.transaction = Transaction("id", self.log)

    # What is always so

    @invariant()
    def nothing_is_left_pending(self) -> None:
        assert self.transaction.pending is None

    @invariant()
    def the_epoch_for_fencing_is_nobodys(self) -> None:
        assert all(given.producer_epoch < MAX_EPOCH for given in self.given)

    @invariant()
    def partitions_are_those_of_a_transaction(self) -> None:
        metadata = self.transaction.metadata
        if metadata.state is TransactionState.ONGOING:
            assert metadata.partitions
        elif not is_ending(metadata.state):
            assert not metadata.partitions

    def _initialize(self, expected: ProducerIdAndEpoch | None) -> ProducerIdAndEpoch:
        claim = None if expected is None or expected.producer_epoch < 0 else expected
        new_id = next(self.new_ids) if self.transaction.needs_producer_id(claim) else None
        before = self.transaction.metadata
        try:
            prepared = self.transaction.initialize(1_000, claim, NOW_MS, new_producer_id=new_id)
        except KafkaError:
            return claim or NOBODY
        self._write(fails=False)
        if prepared.state is TransactionState.PREPARE_ABORT:
            self.owner = None
            return claim or NOBODY
        producer = prepared.producer
        if producer in self.given:  # who did not hear the answer asks again
            assert claim is not None
            assert producer == before.producer
        self.given.add(producer)
        self.owner = producer
        return producer

    def _write(self, fails: bool) -> bool:
        """Write what was prepared; says whether it is in the log."""
        before, pending = self.transaction.metadata, self.transaction.pending
        assert pending is not None
        assert before.state in PREVIOUS_STATES[pending.state] or pending.state is TransactionState.PREPARE_ABORT
        if is_ending(before.state):
            was_commit = before.state is TransactionState.PREPARE_COMMIT
            assert pending.state is (
                TransactionState.COMPLETE_COMMIT if was_commit else TransactionState.COMPLETE_ABORT
            )
        if fails:
            self.transaction.cancel()
            return False
        self.log = self.transaction.complete()
        return True


TestTransactionModel = TransactionMachine.TestCase
TestTransactionModel.settings = settings(max_examples=100, stateful_step_count=40)
