"""What a partition takes of a producer, and what it refuses."""

from __future__ import annotations

import pytest

from minikafka.errors import (
    InvalidProducerEpoch,
    InvalidTxnState,
    OutOfOrderSequenceNumber,
    TransactionCoordinatorFenced,
)
from minikafka.records.batch import RecordBatch
from minikafka.records.control import ControlType, EndTransactionMarker
from minikafka.storage.producer_state import MAX_SEQUENCE, ProducerState
from minikafka.storage.producer_states import ProducerStates
from minikafka.storage.transaction_index import AbortedTransaction
from minikafka.storage.transaction_verification import VerificationGuard
from tests.support.storage import make_batch

PRODUCER = 7


def batch_of(sequence: int, count: int = 1, *, epoch: int = 0, is_transactional: bool = False) -> RecordBatch:
    values = [b"x"] * count
    content = make_batch(*values, producer=(PRODUCER, epoch, sequence), is_transactional=is_transactional)
    return RecordBatch.parse(memoryview(content))


class Partition:
    """A list of offsets beside the states."""

    def __init__(self) -> None:
        self.states = ProducerStates()
        self.end_offset = 100

    def send(
        self,
        sequence: int,
        count: int = 1,
        *,
        epoch: int = 0,
        is_transactional: bool = False,
        guard: VerificationGuard | None = None,
    ) -> int:
        """The first offset that is answered."""
        batch = batch_of(sequence, count, epoch=epoch, is_transactional=is_transactional)
        known = self.states.check_batch(batch, guard)
        if known is not None:
            return known.first_offset
        base_offset = self.end_offset
        self.end_offset += count
        self.states.add_batch(
            PRODUCER,
            epoch,
            sequence,
            base_offset=base_offset,
            last_offset=self.end_offset - 1,
            timestamp_ms=1000,
            is_transactional=is_transactional,
        )
        return base_offset

    def verify(self, *, epoch: int = 0, sequence: int = 0, bumps_epochs: bool = False) -> VerificationGuard | None:
        batch = batch_of(sequence, epoch=epoch, is_transactional=True)
        return self.states.begin_verification(batch, bumps_epochs=bumps_epochs, now_ms=0)

    def end(
        self, kind: ControlType, *, epoch: int = 0, coordinator_epoch: int = 0, version: int = 0
    ) -> AbortedTransaction | None:
        self.states.check_marker(PRODUCER, epoch, coordinator_epoch, transaction_version=version)
        offset = self.end_offset
        self.end_offset += 1
        marker = EndTransactionMarker(kind, coordinator_epoch)
        return self.states.add_marker(PRODUCER, epoch, marker, offset=offset, timestamp_ms=1000)


@pytest.fixture
def partition() -> Partition:
    return Partition()


def test_a_repeated_batch_is_answered_with_its_offset(partition: Partition) -> None:
    assert [partition.send(sequence, 2) for sequence in (0, 2, 4, 6, 8)] == [100, 102, 104, 106, 108]
    assert [partition.send(sequence, 2) for sequence in (0, 2, 4, 6, 8)] == [100, 102, 104, 106, 108]
    assert partition.end_offset == 110


@pytest.mark.parametrize(
    ("sequence", "count"),
    [(11, 2), (13, 1), (0, 2), (8, 1), (9, 1), (7, 2)],
    ids=["overlap", "gap", "forgotten", "half of one", "other half", "across two"],
)
def test_what_is_neither_known_nor_next_is_out_of_order(partition: Partition, sequence: int, count: int) -> None:
    for first in (0, 2, 4, 6, 8):
        partition.send(first, 2)
    partition.send(10)
    partition.send(11)
    with pytest.raises(OutOfOrderSequenceNumber, match="12 is next"):
        partition.send(sequence, count)
    assert partition.send(12) == 112


def test_a_batch_of_an_older_epoch_is_fenced(partition: Partition) -> None:
    partition.send(0, epoch=1)
    with pytest.raises(InvalidProducerEpoch, match="older than its last one, 1"):
        partition.send(0, epoch=0)


def test_a_new_epoch_begins_with_sequence_0(partition: Partition) -> None:
    partition.send(0, 5)
    with pytest.raises(OutOfOrderSequenceNumber, match="epoch 1 begins with 0"):
        partition.send(5, epoch=1)
    assert partition.send(0, epoch=1) == 105


def test_what_looks_like_a_batch_of_the_epoch_before_is_new(partition: Partition) -> None:
    assert [partition.send(0), partition.send(0, epoch=1), partition.send(0, epoch=1)] == [100, 101, 101]


def test_an_unknown_producer_may_begin_anywhere(partition: Partition) -> None:
    assert partition.send(1234) == 100
    assert partition.send(1235) == 101


def test_sequence_numbers_go_around(partition: Partition) -> None:
    assert partition.send(MAX_SEQUENCE - 1, 2) == 100
    assert partition.send(0) == 102
    assert partition.send(MAX_SEQUENCE - 1, 2) == 100


def test_a_batch_may_go_around_in_its_middle(partition: Partition) -> None:
    assert partition.send(MAX_SEQUENCE, 3) == 100
    assert partition.send(MAX_SEQUENCE, 3) == 100
    with pytest.raises(OutOfOrderSequenceNumber, match="2 is next"):
        partition.send(0)
    assert partition.send(2) == 103


def test_a_refused_batch_changes_nothing(partition: Partition) -> None:
    partition.send(0)
    with pytest.raises(OutOfOrderSequenceNumber):
        partition.send(7)
    with pytest.raises(OutOfOrderSequenceNumber):
        partition.send(7, epoch=4)
    assert partition.send(1) == 101


def test_a_producer_that_has_been_idle_is_forgotten() -> None:
    idle = ProducerState(1, 0, last_timestamp_ms=1000)
    recent = ProducerState(2, 0, last_timestamp_ms=1001)
    open_transaction = ProducerState(3, 0, last_timestamp_ms=0, transaction_first_offset=5)
    states = ProducerStates([idle, recent, open_transaction])
    states.expire(11_000, 10_000)
    assert [state.producer_id for state in states.all] == [2, 3]


# transactions


def test_a_transactional_batch_that_nobody_has_confirmed_is_refused(partition: Partition) -> None:
    with pytest.raises(InvalidTxnState):
        partition.send(0, is_transactional=True)
    with pytest.raises(InvalidTxnState):
        partition.send(0, is_transactional=True, guard=VerificationGuard())
    assert partition.states.first_unstable_offset is None


def test_a_confirmed_batch_begins_a_transaction_and_the_next_need_no_confirmation(partition: Partition) -> None:
    guard = partition.verify()
    assert partition.send(0, is_transactional=True, guard=guard) == 100
    assert partition.verify(sequence=1) is None
    assert partition.send(1, is_transactional=True) == 101
    assert partition.states.first_unstable_offset == 100


def test_a_marker_makes_a_confirmation_worthless(partition: Partition) -> None:
    guard = partition.verify()
    partition.end(ControlType.ABORT)
    with pytest.raises(InvalidTxnState):
        partition.send(0, is_transactional=True, guard=guard)


def test_a_confirmation_of_an_earlier_transaction_does_not_count(partition: Partition) -> None:
    stale = partition.verify()
    partition.end(ControlType.ABORT)
    fresh = partition.verify()
    assert fresh is not stale
    with pytest.raises(InvalidTxnState):
        partition.send(0, is_transactional=True, guard=stale)
    assert partition.send(0, is_transactional=True, guard=fresh) == 101


def test_a_replaced_producer_is_not_even_asked_about(partition: Partition) -> None:
    partition.send(0, epoch=1)
    with pytest.raises(InvalidProducerEpoch):
        partition.verify(epoch=0)


def test_a_transaction_of_the_epoch_before_confirms_nothing(partition: Partition) -> None:
    partition.send(0, is_transactional=True, guard=partition.verify())
    assert partition.verify(epoch=1) is not None
    with pytest.raises(InvalidTxnState):
        partition.send(0, epoch=1, is_transactional=True)


def test_a_higher_sequence_number_does_not_overtake_one_that_waits_for_confirmation(partition: Partition) -> None:
    guard = partition.verify(sequence=0)
    assert partition.verify(sequence=3) is guard
    with pytest.raises(OutOfOrderSequenceNumber, match="0 has been seen"):
        partition.send(3, is_transactional=True, guard=guard)
    assert partition.send(0, 3, is_transactional=True, guard=guard) == 100
    assert partition.send(3, is_transactional=True) == 103


def test_a_late_batch_of_the_transaction_before_does_not_hold_up_the_next(partition: Partition) -> None:
    for sequence in range(7):
        partition.send(sequence, is_transactional=True, guard=partition.verify(sequence=sequence))
    partition.end(ControlType.COMMIT)
    assert partition.verify(sequence=6) is None
    assert partition.send(6, is_transactional=True) == 106
    with pytest.raises(OutOfOrderSequenceNumber, match="7 is next"):
        partition.verify(sequence=0)
    assert partition.send(7, is_transactional=True, guard=partition.verify(sequence=7)) == 108


def test_a_number_from_before_the_first_of_an_epoch_does_not_hold_up_that_epoch(partition: Partition) -> None:
    partition.end(ControlType.ABORT)
    with pytest.raises(OutOfOrderSequenceNumber, match="0 is next"):
        partition.verify(sequence=MAX_SEQUENCE)
    assert partition.send(0, is_transactional=True, guard=partition.verify(sequence=0)) == 101


def test_a_new_epoch_forgets_which_sequence_numbers_waited(partition: Partition) -> None:
    partition.verify(sequence=5)
    guard = partition.verify(sequence=7, epoch=1)
    assert partition.send(7, epoch=1, is_transactional=True, guard=guard) == 100


def test_with_an_epoch_for_each_transaction_the_first_sequence_number_is_0(partition: Partition) -> None:
    guard = partition.verify(sequence=4, bumps_epochs=True)
    with pytest.raises(OutOfOrderSequenceNumber, match="first batch"):
        partition.send(4, is_transactional=True, guard=guard)
    partition.verify(sequence=0, bumps_epochs=True)
    assert partition.send(0, is_transactional=True, guard=guard) == 100


def test_a_plain_batch_does_not_come_into_a_transaction(partition: Partition) -> None:
    partition.send(0, is_transactional=True, guard=partition.verify())
    with pytest.raises(InvalidTxnState, match="has a transaction open"):
        partition.send(1)


def test_an_abort_tells_what_to_leave_out_and_a_commit_nothing(partition: Partition) -> None:
    partition.send(0, 3, is_transactional=True, guard=partition.verify())
    assert partition.end(ControlType.ABORT) == AbortedTransaction(PRODUCER, 100, 103, 104)
    partition.send(3, is_transactional=True, guard=partition.verify(sequence=3))
    assert partition.end(ControlType.COMMIT) is None
    assert partition.states.first_unstable_offset is None


def test_an_abort_without_records_leaves_nothing_out(partition: Partition) -> None:
    assert partition.end(ControlType.ABORT) is None
    assert partition.states.get(PRODUCER) is not None


def test_the_oldest_open_transaction_is_the_first_that_is_unstable() -> None:
    states = ProducerStates()
    for producer_id, offset in ((1, 10), (2, 11), (3, 12)):
        states.add_batch(
            producer_id, 0, 0, base_offset=offset, last_offset=offset, timestamp_ms=0, is_transactional=True
        )
    abort = EndTransactionMarker(ControlType.ABORT, 0)
    assert states.add_marker(2, 0, abort, offset=13, timestamp_ms=0) == AbortedTransaction(2, 11, 13, 10)
    assert states.first_unstable_offset == 10
    assert states.add_marker(1, 0, abort, offset=14, timestamp_ms=0) == AbortedTransaction(1, 10, 14, 12)
    assert states.first_unstable_offset == 12
    again = ProducerStates(sorted(states.all, key=lambda state: -state.producer_id))
    assert again.first_unstable_offset == 12


def test_after_an_abort_with_a_new_epoch_an_old_sequence_number_is_a_new_record(partition: Partition) -> None:
    partition.send(0, is_transactional=True, guard=partition.verify())
    partition.end(ControlType.ABORT, epoch=1)
    assert partition.send(0, epoch=1, is_transactional=True, guard=partition.verify(epoch=1)) == 102


def test_a_marker_of_an_older_epoch_is_fenced(partition: Partition) -> None:
    partition.send(0, epoch=3)
    with pytest.raises(InvalidProducerEpoch):
        partition.end(ControlType.COMMIT, epoch=2)


def test_a_marker_of_a_replaced_coordinator_is_fenced(partition: Partition) -> None:
    partition.end(ControlType.COMMIT, coordinator_epoch=5)
    with pytest.raises(TransactionCoordinatorFenced, match="5 has been seen"):
        partition.end(ControlType.COMMIT, coordinator_epoch=4)
    partition.end(ControlType.COMMIT, coordinator_epoch=5)


def test_a_late_marker_does_not_end_the_next_transaction(partition: Partition) -> None:
    partition.send(0, epoch=1, is_transactional=True, guard=partition.verify(epoch=1))
    with pytest.raises(InvalidProducerEpoch, match="which its open transaction has"):
        partition.end(ControlType.COMMIT, epoch=1, version=2)
    assert partition.states.first_unstable_offset == 100
    partition.end(ControlType.COMMIT, epoch=2, version=2)
    assert partition.states.first_unstable_offset is None


def test_a_repeated_marker_is_taken(partition: Partition) -> None:
    partition.send(0, is_transactional=True, guard=partition.verify())
    for _ in range(2):
        assert partition.end(ControlType.COMMIT, epoch=1, version=2) is None


def test_before_the_first_version_with_an_epoch_bump_the_marker_has_the_epoch_of_the_records(
    partition: Partition,
) -> None:
    partition.send(0, is_transactional=True, guard=partition.verify())
    partition.end(ControlType.COMMIT, epoch=0, version=1)
    assert partition.states.first_unstable_offset is None
    assert partition.send(1, is_transactional=True, guard=partition.verify(sequence=1)) == 102


def test_what_a_coordinator_writes_is_not_numbered_and_so_never_a_repetition(partition: Partition) -> None:
    for _ in range(2):
        batch = batch_of(-1, 2, is_transactional=True)
        guard = partition.states.begin_verification(batch, bumps_epochs=False, now_ms=0)
        assert guard is not None
        partition.states.check_transaction(batch, guard)
        partition.states.add_batch(
            PRODUCER, 0, -1, base_offset=100, last_offset=101, timestamp_ms=0, is_transactional=True
        )
        assert partition.states.begin_verification(batch, bumps_epochs=False, now_ms=0) is None
        marker = EndTransactionMarker(ControlType.COMMIT, 0)
        partition.states.add_marker(PRODUCER, 0, marker, offset=102, timestamp_ms=0)
