import pytest

from minikafka.coordinator.group.consumer.states import MEMBER_TRANSITIONS, MemberState, Step, member_state


@pytest.mark.parametrize("state", MemberState)
@pytest.mark.parametrize("step", Step)
def test_whatever_was_found_a_member_has_a_next_state(state: MemberState, step: Step) -> None:
    is_impossible = (state, step) == (MemberState.UNKNOWN, Step.MUST_REVOKE)
    assert ((state, step) in MEMBER_TRANSITIONS) is not is_impossible


def test_the_next_state_is_what_was_found_wherever_the_member_comes_from() -> None:
    by_step = {step: {to for (_, found), to in MEMBER_TRANSITIONS.items() if found is step} for step in Step}
    assert by_step == {
        Step.MUST_REVOKE: {MemberState.UNREVOKED_PARTITIONS},
        Step.MUST_WAIT: {MemberState.UNRELEASED_PARTITIONS},
        Step.COMPLETE: {MemberState.STABLE},
    }


def test_records_have_the_numbers_of_kafka() -> None:
    assert {state.name: state.value for state in MemberState} == {
        "STABLE": 0,
        "UNREVOKED_PARTITIONS": 1,
        "UNRELEASED_PARTITIONS": 2,
        "UNKNOWN": 127,
    }


@pytest.mark.parametrize("value", [3, 126, -1])
def test_a_state_that_a_later_version_wrote_is_unknown(value: int) -> None:
    assert member_state(value) is MemberState.UNKNOWN


@pytest.mark.parametrize("state", MemberState)
def test_a_state_is_read_as_it_was_written(state: MemberState) -> None:
    assert member_state(int(state)) is state
