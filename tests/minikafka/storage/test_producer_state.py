from __future__ import annotations

import pytest

from minikafka.storage.producer_state import MAX_SEQUENCE, BatchMetadata, ProducerState, is_before


def test_only_the_last_five_batches_are_known() -> None:
    state = ProducerState(7)
    for number in range(7):
        state.add_batch(0, BatchMetadata(10 * number + 9, 10 * number + 9, 9, 1000 + number))
    known = [state.find(0, 10 * number, 10 * number + 9) for number in range(7)]
    assert [batch is not None for batch in known] == [False, False, True, True, True, True, True]
    assert state.next_sequence == 70
    assert (state.last_sequence, state.last_timestamp_ms) == (69, 1006)


def test_a_batch_is_known_by_both_of_its_sequence_numbers_and_its_epoch() -> None:
    state = ProducerState(7)
    state.add_batch(3, BatchMetadata(4, 104, 4, 1000))
    found = state.find(3, 0, 4)
    assert found is not None
    assert (found.first_offset, found.last_offset) == (100, 104)
    assert state.find(3, 0, 3) is None
    assert state.find(3, 1, 4) is None
    assert state.find(4, 0, 4) is None


def test_after_the_last_sequence_number_comes_0() -> None:
    state = ProducerState(7)
    state.add_batch(0, BatchMetadata(MAX_SEQUENCE, 10, 0, 1000))
    assert state.next_sequence == 0
    state.add_batch(0, BatchMetadata(1, 12, 3, 1000))
    around = state.find(0, MAX_SEQUENCE - 1, 1)
    assert around is not None
    assert around.first_sequence == MAX_SEQUENCE - 1


@pytest.mark.parametrize(
    ("first", "second"), [(0, 1), (5, 1000), (MAX_SEQUENCE, 0), (MAX_SEQUENCE - 5, 7), (0, MAX_SEQUENCE // 2)]
)
def test_of_two_sequence_numbers_one_comes_first_also_when_they_go_around(first: int, second: int) -> None:
    assert is_before(first, second)
    assert not is_before(second, first)
    assert not is_before(first, first)


def test_a_new_epoch_begins_with_nothing() -> None:
    state = ProducerState(7)
    state.add_batch(0, BatchMetadata(4, 4, 4, 1000))
    state.add_batch(1, BatchMetadata(0, 5, 0, 1001))
    assert [batch.last_offset for batch in state.batches] == [5]
    state.end_transaction(2, 0, 1002)
    assert (state.epoch, state.last_sequence, state.next_sequence) == (2, -1, 0)


def test_a_marker_of_the_same_epoch_keeps_the_window() -> None:
    state = ProducerState(7, transaction_first_offset=0)
    state.add_batch(0, BatchMetadata(4, 4, 4, 1000))
    state.end_transaction(0, 3, 1002)
    assert not state.has_transaction
    assert (state.next_sequence, state.coordinator_epoch, state.last_timestamp_ms) == (5, 3, 1002)
    assert state.find(0, 0, 4) is not None


def test_records_without_sequence_numbers_leave_none() -> None:
    state = ProducerState(7)
    state.add_batch(0, BatchMetadata(-1, 3, 2, 1000))
    assert state.batches[0].first_sequence == -1
    assert state.next_sequence == 0
