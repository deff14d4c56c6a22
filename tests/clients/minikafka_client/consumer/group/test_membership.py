from __future__ import annotations

from collections import deque

import pytest

from minikafka_client.consumer.group.membership import TRANSITIONS, WAITS_FOR_POLL, MemberEvent, MemberState

S, E = MemberState, MemberEvent


def after(*events: MemberEvent, state: MemberState = S.OUT) -> MemberState:
    for event in events:
        state = TRANSITIONS.get((state, event), state)
    return state


def test_every_state_can_be_reached_and_left() -> None:
    reached, waiting = {S.OUT}, deque([S.OUT])
    while waiting:
        state = waiting.popleft()
        for event in E:
            following = after(event, state=state)
            if following not in reached:
                reached.add(following)
                waiting.append(following)
    assert reached == set(S)
    for state in S:
        assert any(after(event, state=state) is not state for event in E)


def test_a_member_that_leaves_is_out_from_wherever() -> None:
    assert {after(E.LEFT, state=state) for state in S} == {S.OUT}


def test_only_a_subscription_brings_a_member_in() -> None:
    assert {event for event in E if after(event) is not S.OUT} == {E.REBALANCE}


def test_a_refusal_for_good_is_told_from_wherever_until_there_is_another_subscription() -> None:
    assert {after(E.FAILED, state=state) for state in S if state is not S.OUT} == {S.FAILED}
    assert after(E.REBALANCE, state=S.FAILED) is S.REJOIN


@pytest.mark.parametrize("state", [S.REJOIN, S.JOINING, S.ASSIGNED, S.STABLE], ids=lambda state: state.name)
def test_an_evicted_member_drops_what_it_has_before_it_joins_again(state: MemberState) -> None:
    assert after(E.EVICTED, state=state) is S.LOST
    assert after(E.EVICTED, E.REBALANCE, E.PREPARED, E.ASSIGNMENT, state=state) is S.LOST
    assert after(E.EVICTED, E.DROPPED, state=state) is S.REJOIN


def test_the_round_of_a_rebalance() -> None:
    assert after(E.REBALANCE, E.PREPARED, E.ASSIGNMENT, E.HANDED_OVER) is S.STABLE
    assert after(E.REBALANCE, state=S.STABLE) is S.REJOIN


def test_partitions_come_and_go_only_in_a_poll() -> None:
    handing = {E.PREPARED, E.HANDED_OVER, E.DROPPED}
    for state, event in TRANSITIONS:
        assert event not in handing or state in WAITS_FOR_POLL


def test_a_call_for_a_rebalance_while_one_is_under_way_does_not_begin_another() -> None:
    for state in (S.REJOIN, S.JOINING, S.ASSIGNED):
        assert after(E.REBALANCE, state=state) is state


def test_what_was_overtaken_changes_nothing() -> None:
    assert after(E.ASSIGNMENT, state=S.LOST) is S.LOST
    assert after(E.ASSIGNMENT, state=S.REJOIN) is S.REJOIN
    assert after(E.HANDED_OVER, state=S.LOST) is S.LOST
    assert after(E.PREPARED, state=S.STABLE) is S.STABLE
