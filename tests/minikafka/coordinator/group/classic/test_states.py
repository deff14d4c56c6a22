import pytest

from minikafka.coordinator.group.classic.states import TRANSITIONS, ClassicState, Event, IllegalTransition, next_state


@pytest.mark.parametrize("state", ClassicState)
@pytest.mark.parametrize("event", Event)
def test_an_event_leads_to_a_state_or_is_refused(state: ClassicState, event: Event) -> None:
    expected = TRANSITIONS.get((state, event))
    if expected is not None:
        assert next_state(state, event) is expected
    else:
        with pytest.raises(IllegalTransition, match=f"{event.name} in {state.name}"):
            next_state(state, event)


def test_the_transitions_are_those_of_kafka() -> None:
    before = {target: {state for (state, _), to in TRANSITIONS.items() if to is target} for target in ClassicState}
    assert before == {  # ClassicGroupState.validPreviousStates
        ClassicState.EMPTY: {ClassicState.PREPARING_REBALANCE},
        ClassicState.PREPARING_REBALANCE: {
            ClassicState.STABLE,
            ClassicState.COMPLETING_REBALANCE,
            ClassicState.EMPTY,
        },
        ClassicState.COMPLETING_REBALANCE: {ClassicState.PREPARING_REBALANCE},
        ClassicState.STABLE: {ClassicState.COMPLETING_REBALANCE},
        ClassicState.DEAD: set(ClassicState),
    }


def test_clients_see_the_names_of_kafka() -> None:
    assert [state.value for state in ClassicState] == [
        "Empty",
        "PreparingRebalance",
        "CompletingRebalance",
        "Stable",
        "Dead",
    ]
