from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from minikafka.coordinator.group.consumer.assignment import Subscriber
from minikafka.coordinator.group.consumer.uniform import assign_uniformly
from tests.minikafka.coordinator.group.consumer.assignments import (
    TOPIC_IDS,
    after,
    check_complete,
    holders,
    loads,
    partition_counts,
    subscriber,
    subscribers,
)

FIRST, SECOND, THIRD = TOPIC_IDS


def test_members_get_as_much_as_others() -> None:
    members = [subscriber(name, FIRST, SECOND) for name in "abc"]
    assigned = assign_uniformly(members, {FIRST: 4, SECOND: 3})
    assert sorted(loads(members, assigned).values()) == [2, 2, 3]


def test_a_newcomer_gets_its_share_and_nothing_else_moves() -> None:
    members = [subscriber(name, FIRST) for name in "ab"]
    before = assign_uniformly(members, {FIRST: 6})
    assigned = assign_uniformly([*after(members, before), subscriber("c", FIRST)], {FIRST: 6})
    moved = {pair for pair, name in holders(assigned).items() if holders(before)[pair] != name}
    assert len(moved) == 2
    assert {holders(assigned)[pair] for pair in moved} == {"c"}


def test_what_a_member_leaves_behind_is_shared_and_nothing_else_moves() -> None:
    members = [subscriber(name, FIRST) for name in "abc"]
    before = holders(assign_uniformly(members, {FIRST: 6}))
    left = after(members, assign_uniformly(members, {FIRST: 6}))[:2]
    assigned = assign_uniformly(left, {FIRST: 6})
    assert all(before[pair] == name for pair, name in holders(assigned).items() if before[pair] != "c")
    assert loads(left, assigned) == {"a": 3, "b": 3}


def test_a_partition_is_passed_on_over_others_when_there_is_no_shorter_way() -> None:
    # c can only read the third topic, which b has; b can take over from a, which has too much.
    counts = {FIRST: 3, SECOND: 0, THIRD: 2}
    members = [
        Subscriber("a", None, frozenset({FIRST}), {FIRST: frozenset({0, 1, 2})}),
        Subscriber("b", None, frozenset({FIRST, THIRD}), {THIRD: frozenset({0, 1})}),
        Subscriber("c", None, frozenset({THIRD}), {}),
    ]
    assert sorted(loads(members, assign_uniformly(members, counts)).values()) == [1, 2, 2]


def test_what_is_gone_or_not_subscribed_to_any_more_is_not_kept() -> None:
    current = {FIRST: frozenset({0, 9}), SECOND: frozenset({0}), THIRD: frozenset({0})}
    members = [Subscriber("a", None, frozenset({FIRST, SECOND}), current)]
    assert assign_uniformly(members, {FIRST: 2}) == {"a": {FIRST: frozenset({0, 1})}}


@given(subscribers(), partition_counts)
def test_each_partition_has_one_subscriber(members: Sequence[Subscriber], counts: Mapping[bytes, int]) -> None:
    check_complete(members, counts, assign_uniformly(members, counts))


@given(subscribers(alike=True), partition_counts)
def test_members_that_subscribe_alike_differ_by_one_at_most(
    members: Sequence[Subscriber], counts: Mapping[bytes, int]
) -> None:
    spread = loads(members, assign_uniformly(members, counts)).values()
    assert max(spread) - min(spread) <= 1


@given(subscribers(), subscribers(), partition_counts, partition_counts)
def test_it_is_complete_whatever_was_before(earlier, later, counts_before, counts) -> None:
    before = assign_uniformly(earlier, counts_before)
    members = after(later, before)
    check_complete(members, counts, assign_uniformly(members, counts))


@given(subscribers(), partition_counts)
def test_a_second_time_nothing_moves(members: Sequence[Subscriber], counts: Mapping[bytes, int]) -> None:
    first = assign_uniformly(members, counts)
    assert assign_uniformly(after(members, first), counts) == first


few_subscribers = st.lists(st.frozensets(st.sampled_from(TOPIC_IDS[:2])), min_size=1, max_size=3)


@given(few_subscribers, st.integers(0, 3), st.integers(0, 2))
def test_no_assignment_is_more_even(topic_ids: list[frozenset[bytes]], first: int, second: int) -> None:
    members = [subscriber("abc"[number], *wanted) for number, wanted in enumerate(topic_ids)]
    counts = {FIRST: first, SECOND: second}
    takers = [
        [member.member_id for member in members if topic_id in member.topic_ids]
        for topic_id, count in counts.items()
        for _ in range(count)
    ]
    possible = product(*(names for names in takers if names))
    best = min(sum(choice.count(member.member_id) ** 2 for member in members) for choice in possible)
    assert sum(load**2 for load in loads(members, assign_uniformly(members, counts)).values()) == best


@given(subscribers(alike=True), partition_counts, st.data())
def test_no_more_partitions_move_than_evenness_takes(members, counts, data) -> None:
    before = assign_uniformly(members, counts)
    stays = data.draw(st.sets(st.sampled_from([member.member_id for member in members]), min_size=1))
    left = [member for member in after(members, before) if member.member_id in stays]
    held = holders({name: before.get(name, {}) for name in stays})
    moved = [pair for pair, name in holders(assign_uniformly(left, counts)).items() if held.get(pair, name) != name]
    assert moved == []


@given(subscribers(), partition_counts, st.randoms(use_true_random=False))
def test_the_order_of_members_makes_no_difference(members, counts, random) -> None:
    shuffled = random.sample(members, len(members))
    assert assign_uniformly(members, counts) == assign_uniformly(shuffled, counts)
