"""One transactional id, asked directly: nothing waits here, and nothing is written."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from minikafka.coordinator.transaction.metadata import MAX_EPOCH, TransactionMetadata, TransactionVersion
from minikafka.coordinator.transaction.states import TransactionState
from minikafka.coordinator.transaction.transaction import Transaction
from minikafka.errors import (
    ConcurrentTransactions,
    InvalidProducerIdMapping,
    InvalidTxnState,
    KafkaError,
    ProducerFenced,
)
from minikafka.types import ProducerIdAndEpoch, TopicPartition

TV_0, TV_2 = TransactionVersion.TV_0, TransactionVersion.TV_2
ORDERS, LETTERS = TopicPartition("orders", 0), TopicPartition("letters", 0)
TIMEOUT_MS = 60_000


class Subject(Transaction):
    """A transaction whose changes are in the log at once."""

    def __init__(self, epoch: int = -1, state: TransactionState = TransactionState.EMPTY) -> None:
        super().__init__("payments", TransactionMetadata(7, epoch, TIMEOUT_MS, state))
        self.now_ms = 1_000

    def init(
        self, expected: ProducerIdAndEpoch | None = None, new_producer_id: int | None = None
    ) -> ProducerIdAndEpoch:
        self.initialize(TIMEOUT_MS, expected, self.now_ms, new_producer_id=new_producer_id)
        return self.complete().producer

    def add(self, producer: ProducerIdAndEpoch, *partitions: TopicPartition) -> None:
        if self.add_partitions(producer, partitions or (ORDERS,), self.now_ms) is not None:
            self.complete()

    def decide(
        self,
        producer: ProducerIdAndEpoch,
        *,
        commit: bool = True,
        version: TransactionVersion = TV_0,
        new_producer_id: int | None = None,
    ) -> ProducerIdAndEpoch:
        """End the transaction, all the way."""
        prepared = self.end(producer, self.now_ms, is_commit=commit, version=version, new_producer_id=new_producer_id)
        if prepared is None:
            return self.metadata.producer
        self.complete()
        after = self.after_end(prepared)
        self.finish(self.now_ms)
        assert self.complete().producer == after
        return after


def refusal(call: Callable[[], object]) -> type[KafkaError]:
    with pytest.raises(KafkaError) as caught:
        call()
    return type(caught.value)


def test_a_new_id_begins_at_epoch_0_and_each_producer_gets_the_next() -> None:
    subject = Subject()
    assert [subject.init() for _ in range(3)] == [(7, 0), (7, 1), (7, 2)]


def test_while_a_change_is_not_in_the_log_nothing_else_changes() -> None:
    subject = Subject()
    producer = subject.init()
    subject.add_partitions(producer, [ORDERS], 1_000)
    assert subject.metadata.state is TransactionState.EMPTY
    assert refusal(subject.init) is ConcurrentTransactions
    assert refusal(lambda: subject.add(producer)) is ConcurrentTransactions
    assert refusal(lambda: subject.decide(producer)) is ConcurrentTransactions
    assert refusal(lambda: subject.decide(producer, version=TV_2)) is ConcurrentTransactions
    assert refusal(lambda: subject.fence(1_000)) is ConcurrentTransactions
    subject.cancel()
    subject.add(producer)
    assert subject.metadata.state is TransactionState.ONGOING


def test_partitions_join_and_the_transaction_began_with_the_first() -> None:
    subject = Subject()
    producer = subject.init()
    subject.add(producer, ORDERS)
    subject.now_ms += 500
    subject.add(producer, LETTERS)
    assert subject.metadata.partitions == {ORDERS, LETTERS}
    assert (subject.metadata.start_timestamp_ms, subject.metadata.last_update_timestamp_ms) == (1_000, 1_500)
    assert subject.add_partitions(producer, [LETTERS], 9_000) is None


def test_only_what_was_added_is_confirmed() -> None:
    subject = Subject()
    producer = subject.init()
    assert subject.check_partitions(producer, [ORDERS]) == frozenset()
    subject.add(producer, ORDERS)
    assert subject.check_partitions(producer, [ORDERS, LETTERS]) == {ORDERS}
    subject.end(producer, 1_000, is_commit=True, version=TV_0)
    subject.complete()
    assert refusal(lambda: subject.check_partitions(producer, [ORDERS])) is ConcurrentTransactions


@pytest.mark.parametrize("commit", [True, False])
def test_a_transaction_is_over_when_every_partition_knows(commit: bool) -> None:
    subject = Subject()
    producer = subject.init()
    subject.add(producer)
    subject.end(producer, 1_000, is_commit=commit, version=TV_0)
    prepared = subject.complete()
    assert prepared.partitions == {ORDERS}
    assert refusal(lambda: subject.add(producer)) is ConcurrentTransactions
    assert refusal(subject.init) is ConcurrentTransactions
    assert refusal(lambda: subject.decide(producer, commit=commit)) is ConcurrentTransactions
    assert refusal(lambda: subject.decide(producer, commit=not commit)) is InvalidTxnState
    subject.finish(1_000)
    complete = subject.complete()
    assert complete.state is (TransactionState.COMPLETE_COMMIT if commit else TransactionState.COMPLETE_ABORT)
    assert (complete.partitions, complete.producer) == (frozenset(), producer)
    subject.add(producer)
    assert subject.metadata.state is TransactionState.ONGOING


def test_whoever_comes_while_a_transaction_is_open_has_it_aborted_first() -> None:
    subject = Subject()
    before = subject.init()
    subject.add(before)
    prepared = subject.initialize(TIMEOUT_MS, None, 1_000)
    assert (prepared.state, prepared.producer) == (TransactionState.PREPARE_ABORT, (7, 1))
    subject.complete()
    assert refusal(lambda: subject.decide(before)) is ProducerFenced
    assert refusal(lambda: subject.decide(before, version=TV_2)) is ProducerFenced
    subject.finish(1_000)
    subject.complete()
    assert subject.init() == (7, 2)


@pytest.mark.parametrize("claim", [(7, 0), (7, 2), (8, 1)], ids=["replaced", "from the future", "another id"])
def test_who_is_not_the_producer_does_nothing(claim: tuple[int, int]) -> None:
    subject = Subject()
    subject.init()
    producer, other = subject.init(), ProducerIdAndEpoch(*claim)
    expected = ProducerFenced if other.producer_id == 7 else InvalidProducerIdMapping
    assert refusal(lambda: subject.add(other)) is expected
    subject.add(producer)
    assert refusal(lambda: subject.add(other, LETTERS)) is expected
    assert refusal(lambda: subject.check_partitions(other, [ORDERS])) is expected
    for version in (TV_0, TV_2):
        assert refusal(partial(subject.decide, other, version=version)) is expected


def test_a_producer_goes_on_and_may_ask_again_for_the_epoch_it_did_not_hear_of() -> None:
    subject = Subject()
    first = subject.init()
    second = subject.init(first)
    assert (second, subject.init(first)) == ((7, 1), (7, 1))
    third = subject.init()
    assert third == (7, 2)
    assert refusal(lambda: subject.init(first)) is ProducerFenced
    assert refusal(lambda: subject.init(second)) is ProducerFenced


def test_when_the_epochs_are_used_up_there_is_a_new_producer_id() -> None:
    subject = Subject(MAX_EPOCH - 2)
    last = subject.init()
    assert last == (7, MAX_EPOCH - 1)
    assert subject.needs_producer_id()
    assert refusal(subject.init) is ConcurrentTransactions
    assert subject.init(last, new_producer_id=8) == (8, 0)
    assert not subject.needs_producer_id()
    assert subject.init(last) == (8, 0)


def test_a_producer_of_the_last_epoch_can_be_fenced_and_nobody_gets_the_epoch_for_it() -> None:
    subject = Subject(MAX_EPOCH - 1)
    producer = ProducerIdAndEpoch(7, MAX_EPOCH - 1)
    subject.add(producer)
    assert subject.fence(1_000).producer == (7, MAX_EPOCH)
    subject.complete()
    subject.finish(1_000)
    subject.complete()
    assert subject.init(new_producer_id=8) == (8, 0)


@pytest.mark.parametrize("commit", [True, False])
def test_with_transaction_version_2_every_transaction_has_an_epoch_of_its_own(commit: bool) -> None:
    subject = Subject()
    producer = subject.init()
    for epoch in (1, 2):
        subject.add(producer)
        after = subject.decide(producer, commit=commit, version=TV_2)
        assert after == (7, epoch)
        assert subject.decide(producer, commit=commit, version=TV_2) == after
        assert refusal(partial(subject.decide, producer, commit=not commit, version=TV_2)) is InvalidTxnState
        producer = after


@pytest.mark.parametrize("commit", [True, False])
def test_with_transaction_version_2_the_epochs_run_over_into_a_new_producer_id(commit: bool) -> None:
    subject = Subject(MAX_EPOCH - 1)
    producer = ProducerIdAndEpoch(7, MAX_EPOCH - 1)
    subject.add(producer)
    assert refusal(lambda: subject.decide(producer, commit=commit, version=TV_2)) is ConcurrentTransactions
    after = subject.decide(producer, commit=commit, version=TV_2, new_producer_id=8)
    assert after == (8, 0)
    assert subject.decide(producer, commit=commit, version=TV_2) == after
    subject.add(after)
    assert refusal(lambda: subject.decide(producer, commit=commit, version=TV_2)) is InvalidProducerIdMapping


def test_the_new_producer_id_is_known_before_the_transaction_is_over() -> None:
    subject = Subject(MAX_EPOCH - 1)
    producer = ProducerIdAndEpoch(7, MAX_EPOCH - 1)
    subject.add(producer)
    prepared = subject.end(producer, 1_000, is_commit=True, version=TV_2, new_producer_id=8)
    assert prepared is not None
    subject.complete()
    after = subject.after_end(prepared)
    assert refusal(lambda: subject.add(after)) is ConcurrentTransactions
    assert refusal(lambda: subject.check_partitions(after, [ORDERS])) is ConcurrentTransactions
    assert refusal(lambda: subject.init(after)) is ConcurrentTransactions
    assert refusal(lambda: subject.decide(after, version=TV_2)) is ConcurrentTransactions
    subject.finish(1_000)
    subject.complete()
    subject.add(after)


def test_a_delayed_end_of_one_transaction_does_not_end_the_next() -> None:
    subject = Subject()
    producer = subject.init()
    subject.add(producer)
    after = subject.decide(producer, version=TV_2)
    subject.add(after)
    assert refusal(lambda: subject.decide(producer, version=TV_2)) is ProducerFenced
    assert refusal(lambda: subject.decide(producer, commit=False, version=TV_2)) is ProducerFenced
    assert subject.metadata.state is TransactionState.ONGOING


@pytest.mark.parametrize("state", [TransactionState.EMPTY, TransactionState.COMPLETE_COMMIT])
def test_a_transaction_to_which_nothing_was_added_is_only_aborted(state: TransactionState) -> None:
    subject = Subject(3, state)
    producer = ProducerIdAndEpoch(7, 3)
    assert refusal(lambda: subject.decide(producer, version=TV_2)) is InvalidTxnState
    assert subject.decide(producer, commit=False, version=TV_2) == (7, 4)
    assert subject.metadata.state is TransactionState.COMPLETE_ABORT


def test_nothing_is_ended_that_was_not_begun_before_transaction_version_2() -> None:
    subject = Subject()
    producer = subject.init()
    for commit in (True, False):
        assert refusal(partial(subject.decide, producer, commit=commit)) is InvalidTxnState


def test_an_id_at_rest_expires() -> None:
    subject = Subject()
    subject.init()
    assert subject.expire().state is TransactionState.DEAD
    ongoing = Subject(0, TransactionState.ONGOING)
    with pytest.raises(RuntimeError):
        ongoing.expire()


def test_after_a_restart_who_asks_again_to_end_is_still_recognised() -> None:
    subject = Subject()
    producer = subject.init()
    subject.add(producer)
    after = subject.decide(producer, version=TV_2)
    restarted = Subject()
    restarted.metadata = subject.metadata._replace(last_producer_epoch=-1)  # which is not in the log
    assert restarted.decide(producer, version=TV_2) == after
