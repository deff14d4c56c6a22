from dataclasses import replace

from minikafka.coordinator.group.consumer.member import Member
from minikafka.coordinator.group.consumer.states import MemberState
from minikafka.coordinator.group.values import Client

TOPIC = bytes(16)
MEMBER = Member("a", Client("client", "/127.0.0.1"), subscribed_topic_names=("orders",), epoch=3)


def test_what_a_member_was_told_to_let_go_is_held_until_it_did() -> None:
    member = replace(MEMBER, assigned={TOPIC: frozenset({0})}, pending_revocation={TOPIC: frozenset({1})})
    assert member.held == {TOPIC: frozenset({0, 1})}


def test_a_member_is_reconciled_when_it_has_all_of_its_target() -> None:
    assert MEMBER.is_reconciled_to(3)
    assert not MEMBER.is_reconciled_to(4)
    assert not replace(MEMBER, state=MemberState.UNRELEASED_PARTITIONS).is_reconciled_to(3)


def test_members_subscribe_alike_by_names_and_expression() -> None:
    assert MEMBER.subscribes_as(replace(MEMBER, member_id="b", rack_id="north", epoch=9))
    assert not MEMBER.subscribes_as(replace(MEMBER, subscribed_topic_names=("returns",)))
    assert not MEMBER.subscribes_as(replace(MEMBER, subscribed_topic_regex="o.*"))
