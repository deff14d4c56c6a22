from __future__ import annotations

import pytest
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor as AiokafkaSticky
from aiokafka.coordinator.protocol import ConsumerProtocolMemberMetadata
from hypothesis import given
from hypothesis import strategies as st

from minikafka.types import TopicPartition
from minikafka_client.consumer.assignors.assignor import Assignments, Members, MemberSubscription, PartitionCounts
from minikafka_client.consumer.assignors.sticky import CooperativeStickyAssignor, StickyAssignor
from tests.clients.support.assignments import (
    TOPICS,
    alike,
    check_division,
    members,
    owning,
    partition_counts,
    spread,
)

ORDERS = frozenset({"orders"})


def orders(*numbers: int) -> frozenset[TopicPartition]:
    return frozenset(TopicPartition("orders", number) for number in numbers)


def settle(group: Members, counts: PartitionCounts, before: Assignments) -> tuple[Assignments, int]:
    """Cooperative rebalances until nothing is given back any more: what everyone has, and how many it took."""
    has = {member_id: frozenset(before.get(member_id, ())) for member_id in group}
    for generation in range(1, 9):
        told = owning(group, {member_id: sorted(owned) for member_id, owned in has.items()}, generation)
        division = CooperativeStickyAssignor().assign(told, counts)
        for member_id, given_ in division.items():
            others = frozenset[TopicPartition]().union(*(has[other] for other in group if other != member_id))
            assert not others & set(given_), "given away while another member has it"
        given_back = any(has[member_id] - set(division[member_id]) for member_id in group)
        has = {member_id: frozenset(given_) for member_id, given_ in division.items()}
        if not given_back:
            return division, generation
    raise AssertionError("it does not settle")


@given(members, partition_counts)
def test_each_partition_has_exactly_one_owner_who_wants_it(members: Members, counts: PartitionCounts) -> None:
    check_division(StickyAssignor().assign(members, counts), members, counts)


@given(alike, partition_counts)
def test_members_who_want_the_same_get_as_much(members: Members, counts: PartitionCounts) -> None:
    assert spread(StickyAssignor().assign(members, counts)) <= 1


@given(members, partition_counts)
def test_nobody_could_pass_a_partition_on_to_even_things_out(members: Members, counts: PartitionCounts) -> None:
    division = StickyAssignor().assign(members, counts)
    for giver, given_ in division.items():
        for taker, taken in division.items():
            if any(partition.topic in members[taker].topics for partition in given_):
                assert len(given_) - len(taken) <= 1, (giver, taker)


def test_a_partition_gets_through_the_hands_of_others_to_who_has_least() -> None:
    def member(*topics: str, **owned: range) -> MemberSubscription:
        claimed = frozenset(TopicPartition(topic, number) for topic, numbers in owned.items() for number in numbers)
        return MemberSubscription(frozenset(topics), claimed, 1)

    group = {"a": member("x", x=range(4)), "b": member("x", "y", y=range(2)), "c": member("y")}
    division = StickyAssignor().assign(group, {"x": 4, "y": 2})
    check_division(division, group, {"x": 4, "y": 2})
    assert [len(division[member_id]) for member_id in "abc"] == [2, 2, 2], "a gives to b, who gives to c"


@given(members, partition_counts)
def test_nothing_moves_when_nothing_changed(members: Members, counts: PartitionCounts) -> None:
    before = StickyAssignor().assign(members, counts)
    assert StickyAssignor().assign(owning(members, before, 1), counts) == before


@given(st.integers(2, 7), st.sets(st.sampled_from(TOPICS), min_size=1), partition_counts)
def test_who_leaves_takes_nothing_from_the_others(count: int, topics: set[str], counts: PartitionCounts) -> None:
    members = {f"m{number}": MemberSubscription(frozenset(topics)) for number in range(count)}
    before = StickyAssignor().assign(members, counts)
    del members["m1"]
    after = StickyAssignor().assign(owning(members, before, 1), counts)
    check_division(after, members, counts)
    assert spread(after) <= 1
    for member_id in members:
        assert set(before[member_id]) <= set(after[member_id])


@given(st.integers(1, 6), st.sets(st.sampled_from(TOPICS), min_size=1), partition_counts)
def test_who_comes_gets_its_share_and_no_more_moves(count: int, topics: set[str], counts: PartitionCounts) -> None:
    members = {f"m{number}": MemberSubscription(frozenset(topics)) for number in range(count)}
    before = StickyAssignor().assign(members, counts)
    joined = {**owning(members, before, 1), "new": MemberSubscription(frozenset(topics))}
    after = StickyAssignor().assign(joined, counts)
    check_division(after, joined, counts)
    assert spread(after) <= 1
    for member_id in members:
        assert set(after[member_id]) <= set(before[member_id]), "only the newcomer gets something"


@given(alike, alike, partition_counts)
def test_a_cooperative_group_settles_in_two_rebalances(old: Members, new: Members, counts: PartitionCounts) -> None:
    before, _ = settle(old, counts, {})
    after, rebalances = settle(new, counts, before)
    check_division(after, new, counts)
    assert rebalances <= 2


@given(members, members, partition_counts)
def test_a_cooperative_group_settles_whatever_its_members_want(
    old: Members, new: Members, counts: PartitionCounts
) -> None:
    before, _ = settle(old, counts, {})
    after, _ = settle(new, counts, before)
    check_division(after, new, counts)


def test_what_nobody_had_moves_before_what_somebody_has() -> None:
    members = {
        "a": MemberSubscription(frozenset({"x", "y"}), frozenset({TopicPartition("y", 0)}), 1),
        "b": MemberSubscription(frozenset({"x", "y", "z"})),
        "c": MemberSubscription(frozenset({"x"})),
        "d": MemberSubscription(frozenset({"z"})),
    }
    division = StickyAssignor().assign(members, {"x": 2, "y": 1, "z": 1})
    assert division["a"] == [TopicPartition("y", 0)]
    assert [len(division[member_id]) for member_id in "abcd"] == [1, 1, 1, 1]


def test_the_latest_claim_to_a_partition_counts() -> None:
    late = MemberSubscription(ORDERS, orders(0, 1), 5)
    early = MemberSubscription(ORDERS, orders(0, 1), 4)
    division = StickyAssignor().assign({"early": early, "late": late}, {"orders": 3})
    assert set(division["late"]) == orders(0, 1)
    assert set(division["early"]) == orders(2)


def test_who_claims_the_same_of_the_same_generation_is_not_believed() -> None:
    members = {"a": MemberSubscription(ORDERS, orders(0, 1), 5), "b": MemberSubscription(ORDERS, orders(0), 5)}
    division = StickyAssignor().assign(members, {"orders": 3})
    assert division == {"a": sorted(orders(1, 2)), "b": sorted(orders(0))}, "0 was nobody's"


def test_an_eager_member_says_what_it_had_beside_its_topics() -> None:
    said = StickyAssignor().user_data(orders(0, 2), 7)
    member = MemberSubscription(ORDERS, user_data=said)
    division = StickyAssignor().assign({"m1": MemberSubscription(ORDERS), "m2": member}, {"orders": 4})
    assert set(division["m2"]) == orders(0, 2)


def test_what_another_says_in_the_oldest_version_is_understood() -> None:
    new = StickyAssignor().user_data(orders(1), 7)
    old = MemberSubscription(ORDERS, user_data=new[:-4])  # without the generation
    division = StickyAssignor().assign({"m1": MemberSubscription(ORDERS), "m2": old}, {"orders": 2})
    assert set(division["m2"]) == orders(1)


@pytest.mark.parametrize("nonsense", [b"", b"\0", b"\xff" * 9, b"\0\0\0\1\0\5or"])
def test_nonsense_beside_the_topics_claims_nothing(nonsense: bytes) -> None:
    member = MemberSubscription(ORDERS, user_data=nonsense)
    division = StickyAssignor().assign({"m1": member}, {"orders": 2})
    assert set(division["m1"]) == orders(0, 1)


def test_the_generation_of_a_cooperative_member_is_read_from_either_place() -> None:
    early = MemberSubscription(ORDERS, orders(0), -1, user_data=CooperativeStickyAssignor().user_data(orders(0), 3))
    late = MemberSubscription(ORDERS, orders(0), 4)
    division = CooperativeStickyAssignor().assign({"early": early, "late": late}, {"orders": 1})
    assert division == {"early": [], "late": [TopicPartition("orders", 0)]}


def test_aiokafka_reads_what_a_member_had() -> None:
    said = StickyAssignor().user_data(orders(0, 2), 7)
    understood = AiokafkaSticky.parse_member_metadata(ConsumerProtocolMemberMetadata(0, ["orders"], said))
    assert {TopicPartition(*where) for where in understood.partitions} == orders(0, 2)
    assert understood.generation == 7


def test_what_aiokafka_says_it_had_is_read() -> None:
    theirs = AiokafkaSticky._metadata(["orders"], [TopicPartition("orders", 1)], 7)  # type: ignore[list-item]
    member = MemberSubscription(ORDERS, user_data=theirs.user_data)
    division = StickyAssignor().assign({"m1": MemberSubscription(ORDERS), "m2": member}, {"orders": 2})
    assert set(division["m2"]) == orders(1)
