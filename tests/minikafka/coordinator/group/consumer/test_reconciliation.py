from __future__ import annotations

from dataclasses import replace

import pytest

from minikafka.coordinator.group.consumer.member import Member
from minikafka.coordinator.group.consumer.partitions import NO_PARTITIONS, Partitions, TopicIdPartition
from minikafka.coordinator.group.consumer.reconciliation import reconcile
from minikafka.coordinator.group.consumer.states import MemberState
from minikafka.errors import FencedMemberEpoch
from tests.minikafka.coordinator.group.consumer.harness import CLIENT

TOPIC, OTHER = bytes(15) + b"a", bytes(15) + b"b"
FREE: dict[TopicIdPartition, str] = {}


def of(*numbers: int, topic_id: bytes = TOPIC) -> Partitions:
    return {topic_id: frozenset(numbers)} if numbers else {}


def held_by_others(*numbers: int) -> dict[TopicIdPartition, str]:
    return {TopicIdPartition(TOPIC, number): "other" for number in numbers}


def member(
    assigned: Partitions = NO_PARTITIONS,
    pending: Partitions = NO_PARTITIONS,
    *,
    epoch: int = 5,
    state: MemberState = MemberState.STABLE,
) -> Member:
    return Member(
        "a", CLIENT, epoch=epoch, previous_epoch=4, state=state, assigned=assigned, pending_revocation=pending
    )


def test_a_member_that_has_its_target_stays_as_it_is() -> None:
    before = member(of(1, 2))
    assert reconcile(before, of(1, 2), 5, of(1, 2), FREE.get) is before


def test_a_new_epoch_with_the_same_target_only_moves_the_epoch() -> None:
    after = reconcile(member(of(1, 2)), of(1, 2), 6, None, FREE.get)
    assert after == replace(member(of(1, 2), epoch=6), previous_epoch=5)


def test_what_the_member_shall_not_have_is_taken_first_and_nothing_is_given_meanwhile() -> None:
    after = reconcile(member(of(1, 2)), of(2, 3), 6, of(1, 2), FREE.get)
    assert (after.state, after.epoch) == (MemberState.UNREVOKED_PARTITIONS, 5)
    assert (after.assigned, after.pending_revocation) == (of(2), of(1))


@pytest.mark.parametrize("owned", [None, of(1), of(1, 2)])
def test_it_waits_until_the_member_shows_that_it_let_go(owned: Partitions | None) -> None:
    before = member(of(2), of(1), state=MemberState.UNREVOKED_PARTITIONS)
    assert reconcile(before, of(2, 3), 6, owned, FREE.get) is before


@pytest.mark.parametrize("owned", [of(), of(2), of(1, topic_id=OTHER)])
def test_a_member_that_let_go_is_given_what_is_free(owned: Partitions) -> None:
    before = member(of(2), of(1), state=MemberState.UNREVOKED_PARTITIONS)
    after = reconcile(before, of(2, 3), 6, owned, FREE.get)
    assert (after.state, after.epoch, after.previous_epoch) == (MemberState.STABLE, 6, 5)
    assert (after.assigned, after.pending_revocation) == (of(2, 3), NO_PARTITIONS)


def test_a_member_that_has_let_go_already_is_not_asked_to() -> None:
    after = reconcile(member(of(1, 2)), of(2), 6, of(2), FREE.get)
    assert (after.state, after.epoch, after.assigned) == (MemberState.STABLE, 6, of(2))


def test_what_others_have_is_waited_for_at_the_new_epoch() -> None:
    after = reconcile(member(of(2)), of(2, 3, 4), 6, None, held_by_others(4).get)
    assert (after.state, after.epoch) == (MemberState.UNRELEASED_PARTITIONS, 6)
    assert after.assigned == of(2, 3)


def test_a_member_that_waits_is_given_what_others_let_go_as_they_do() -> None:
    waiting = member(of(2, 3), state=MemberState.UNRELEASED_PARTITIONS)
    still = reconcile(waiting, of(2, 3, 4, 5), 5, None, held_by_others(4, 5).get)
    assert (still.state, still.assigned) == (MemberState.UNRELEASED_PARTITIONS, of(2, 3))
    more = reconcile(still, of(2, 3, 4, 5), 5, None, held_by_others(5).get)
    assert (more.state, more.assigned) == (MemberState.UNRELEASED_PARTITIONS, of(2, 3, 4))
    done = reconcile(more, of(2, 3, 4, 5), 5, None, FREE.get)
    assert (done.state, done.assigned) == (MemberState.STABLE, of(2, 3, 4, 5))
    assert done.previous_epoch == 4  # within an epoch, answers can be lost more than once


def test_a_target_that_changes_while_the_member_waits_can_take_something_back() -> None:
    waiting = member(of(2, 3), state=MemberState.UNRELEASED_PARTITIONS)
    after = reconcile(waiting, of(3), 6, of(2, 3), held_by_others(4).get)
    assert (after.state, after.epoch, after.pending_revocation) == (MemberState.UNREVOKED_PARTITIONS, 5, of(2))


def test_what_the_member_itself_let_go_is_free_for_it() -> None:
    before = member(of(2), of(1), state=MemberState.UNREVOKED_PARTITIONS)
    holders = {TopicIdPartition(TOPIC, 1): "a", TopicIdPartition(TOPIC, 2): "a"}
    assert reconcile(before, of(1, 2), 7, of(2), holders.get).assigned == of(1, 2)


@pytest.mark.parametrize("owned", [None, of(1)])
def test_a_member_in_an_unknown_state_has_to_give_up_everything_first(owned: Partitions | None) -> None:
    with pytest.raises(FencedMemberEpoch):
        reconcile(member(of(1), state=MemberState.UNKNOWN), of(1), 6, owned, FREE.get)


def test_a_member_in_an_unknown_state_that_has_nothing_goes_on() -> None:
    after = reconcile(member(of(1), state=MemberState.UNKNOWN), of(1), 6, of(), FREE.get)
    assert (after.state, after.epoch, after.assigned) == (MemberState.STABLE, 6, of(1))
