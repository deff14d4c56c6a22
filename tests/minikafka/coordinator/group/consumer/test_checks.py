from __future__ import annotations

from dataclasses import replace

import pytest

from minikafka.coordinator.group.consumer.checks import (
    check_claim,
    check_epoch,
    check_heartbeat,
    check_identity,
    check_released,
    is_leaving,
)
from minikafka.coordinator.group.consumer.member import ClassicMembership, Member
from minikafka.coordinator.group.consumer.partitions import Partitions
from minikafka.coordinator.group.values import ConsumerHeartbeat, GroupLimits, MemberClaim
from minikafka.errors import (
    FencedInstanceId,
    FencedMemberEpoch,
    IllegalGeneration,
    InvalidRequest,
    KafkaError,
    StaleMemberEpoch,
    UnknownMemberId,
    UnreleasedInstanceId,
    UnsupportedAssignor,
)
from tests.minikafka.coordinator.group.consumer.harness import CLIENT

TOPIC = bytes(16)
JOIN = ConsumerHeartbeat("g", "a", 0, CLIENT, rebalance_timeout_ms=1, subscribed_topic_names=(), owned={})
BEAT = ConsumerHeartbeat("g", "a", 5, CLIENT)
MEMBER = Member("a", CLIENT, instance_id="i", epoch=5, previous_epoch=4, assigned={TOPIC: frozenset({0, 1})})


@pytest.mark.parametrize(
    "beat",
    [
        JOIN,
        replace(JOIN, member_id=""),
        replace(JOIN, subscribed_topic_names=None, subscribed_topic_regex="o.*"),
        replace(JOIN, owned={TOPIC: frozenset()}),
        replace(JOIN, server_assignor="range"),
        BEAT,
        replace(BEAT, member_epoch=-1),
        replace(BEAT, member_epoch=-2, instance_id="i"),
    ],
)
def test_what_can_be_is_let_through(beat: ConsumerHeartbeat) -> None:
    check_heartbeat(beat, GroupLimits())


@pytest.mark.parametrize(
    "beat",
    [
        replace(JOIN, group_id=""),
        replace(JOIN, instance_id=""),
        replace(JOIN, rack_id=""),
        replace(JOIN, rebalance_timeout_ms=-1),
        replace(JOIN, owned=None),
        replace(JOIN, owned={TOPIC: frozenset({0})}),
        replace(JOIN, subscribed_topic_names=None),
        replace(BEAT, member_id=""),
        replace(BEAT, member_epoch=-3),
        replace(BEAT, member_epoch=-2),
    ],
)
def test_what_means_nothing_is_refused(beat: ConsumerHeartbeat) -> None:
    with pytest.raises(InvalidRequest):
        check_heartbeat(beat, GroupLimits())


def test_an_assignor_that_is_not_configured_is_refused_with_those_that_are() -> None:
    limits = GroupLimits(consumer_assignors=("uniform",))
    with pytest.raises(UnsupportedAssignor, match="the supported: uniform"):
        check_heartbeat(replace(JOIN, server_assignor="range"), limits)


def test_two_epochs_mean_leaving() -> None:
    assert [epoch for epoch in range(-3, 3) if is_leaving(replace(BEAT, member_epoch=epoch))] == [-2, -1]


@pytest.mark.parametrize(
    ("epoch", "owned", "is_fine"),
    [
        (5, None, True),
        (0, None, True),
        (4, {}, True),
        (4, {TOPIC: frozenset({1})}, True),
        (4, {TOPIC: frozenset({0, 1})}, True),
        (4, None, False),
        (4, {TOPIC: frozenset({2})}, False),
        (4, {bytes(15) + b"x": frozenset({0})}, False),
        (3, {}, False),
        (6, {}, False),
    ],
)
def test_a_member_is_where_it_was_left_or_one_epoch_behind_with_nothing_too_much(
    epoch: int, owned: Partitions | None, is_fine: bool
) -> None:
    if is_fine:
        check_epoch(MEMBER, epoch, owned)
    else:
        with pytest.raises(FencedMemberEpoch):
            check_epoch(MEMBER, epoch, owned)


def test_an_instance_id_is_one_members() -> None:
    assert check_identity(MEMBER, "a", "i") is MEMBER
    with pytest.raises(UnknownMemberId):
        check_identity(None, "a", "i")
    with pytest.raises(FencedInstanceId):
        check_identity(MEMBER, "b", "i")


def test_an_instance_id_is_free_when_its_member_left_for_a_while() -> None:
    check_released(replace(MEMBER, epoch=-2), "b")
    with pytest.raises(UnreleasedInstanceId):
        check_released(MEMBER, "b")


@pytest.mark.parametrize(
    ("member", "claim", "error"),
    [
        (None, MemberClaim("a", None, 5), UnknownMemberId),
        (MEMBER, MemberClaim("a", None, 4), StaleMemberEpoch),
        (MEMBER, MemberClaim("a", None, 6), StaleMemberEpoch),
        (replace(MEMBER, classic=ClassicMembership(1, ())), MemberClaim("a", None, 4), IllegalGeneration),
    ],
)
def test_who_is_not_at_its_epoch_neither_commits_nor_fetches(
    member: Member | None, claim: MemberClaim, error: type[KafkaError]
) -> None:
    with pytest.raises(error):
        check_claim(member, claim)
    assert check_claim(MEMBER, MemberClaim("a", None, 5)) is MEMBER
