"""The table of states."""

from __future__ import annotations

import pytest

from minikafka.coordinator.transaction.states import PREVIOUS_STATES, TransactionState, is_at_rest, is_ending

NUMBERS_AND_TITLES = {
    0: "Empty",
    1: "Ongoing",
    2: "PrepareCommit",
    3: "PrepareAbort",
    4: "CompleteCommit",
    5: "CompleteAbort",
    6: "Dead",
    7: "PrepareEpochFence",
}


def test_states_have_kafkas_numbers_and_names() -> None:
    assert {int(state): state.title for state in TransactionState} == NUMBERS_AND_TITLES


def test_every_state_has_its_row() -> None:
    assert PREVIOUS_STATES.keys() == set(TransactionState)


@pytest.mark.parametrize("state", TransactionState, ids=lambda state: state.title)
def test_what_is_decided_is_completed_and_nothing_else(state: TransactionState) -> None:
    after = {following for following, before in PREVIOUS_STATES.items() if state in before}
    if is_ending(state):
        assert after == {TransactionState[state.name.replace("PREPARE", "COMPLETE")]}
    elif state is TransactionState.DEAD:
        assert after == set()
    else:
        assert is_at_rest(state) == (TransactionState.DEAD in after)


def test_only_what_is_ongoing_can_be_committed() -> None:
    assert PREVIOUS_STATES[TransactionState.PREPARE_COMMIT] == {TransactionState.ONGOING}
