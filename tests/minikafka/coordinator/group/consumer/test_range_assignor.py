from __future__ import annotations

from collections.abc import Mapping, Sequence

from hypothesis import given
from hypothesis import strategies as st

from minikafka.coordinator.group.consumer.assignment import Subscriber
from minikafka.coordinator.group.consumer.range_assignor import assign_ranges
from tests.minikafka.coordinator.group.consumer.assignments import (
    TOPIC_IDS,
    check_complete,
    partition_counts,
    subscriber,
    subscribers,
)

FIRST, SECOND, THIRD = TOPIC_IDS


def test_each_member_gets_a_range_and_the_first_ones_the_longer_ranges() -> None:
    members = [subscriber(name, FIRST) for name in "cab"]
    assert assign_ranges(members, {FIRST: 7}) == {
        "a": {FIRST: frozenset({0, 1, 2})},
        "b": {FIRST: frozenset({3, 4})},
        "c": {FIRST: frozenset({5, 6})},
    }


def test_partitions_of_the_same_number_are_one_members() -> None:
    members = [subscriber(name, FIRST, SECOND) for name in "ab"]
    assigned = assign_ranges(members, {FIRST: 4, SECOND: 4})
    for partitions in assigned.values():
        assert partitions[FIRST] == partitions[SECOND]


def test_only_subscribers_share_a_topic() -> None:
    members = [subscriber("a", FIRST), subscriber("b", FIRST, SECOND)]
    assert assign_ranges(members, {FIRST: 2, SECOND: 2}) == {
        "a": {FIRST: frozenset({0})},
        "b": {FIRST: frozenset({1}), SECOND: frozenset({0, 1})},
    }


def test_a_static_member_keeps_its_place_whatever_its_member_id_is() -> None:
    members = [subscriber("x", FIRST, instance_id="i1"), subscriber("b", FIRST, instance_id="i2")]
    before = assign_ranges(members, {FIRST: 4})
    members[0] = subscriber("y", FIRST, instance_id="i1")
    after = assign_ranges(members, {FIRST: 4})
    assert (before["x"], before["b"]) == (after["y"], after["b"])


def test_static_members_come_before_others() -> None:
    members = [subscriber("a", FIRST), subscriber("b", FIRST, instance_id="z")]
    assert assign_ranges(members, {FIRST: 3}) == {"b": {FIRST: frozenset({0, 1})}, "a": {FIRST: frozenset({2})}}


def test_without_topics_or_members_there_is_nothing_to_share() -> None:
    assert assign_ranges([], {FIRST: 4}) == {}
    assert assign_ranges([subscriber("a", FIRST)], {}) == {"a": {}}
    assert assign_ranges([subscriber("a")], {FIRST: 4}) == {"a": {}}


@given(subscribers(), partition_counts)
def test_each_partition_has_one_subscriber(members: Sequence[Subscriber], counts: Mapping[bytes, int]) -> None:
    check_complete(members, counts, assign_ranges(members, counts))


@given(subscribers(), partition_counts)
def test_of_each_topic_everybody_has_a_gapless_range_as_long_as_others_but_one(
    members: Sequence[Subscriber], counts: Mapping[bytes, int]
) -> None:
    assigned = assign_ranges(members, counts)
    for topic_id in counts:
        ranges = [assigned[m.member_id].get(topic_id, frozenset()) for m in members if topic_id in m.topic_ids]
        assert all(not found or max(found) - min(found) + 1 == len(found) for found in ranges)
        lengths = [len(found) for found in ranges]
        assert max(lengths, default=0) - min(lengths, default=0) <= 1


@given(subscribers(), partition_counts, st.randoms(use_true_random=False))
def test_the_order_of_members_makes_no_difference(members, counts, random) -> None:
    shuffled = random.sample(members, len(members))
    assert assign_ranges(members, counts) == assign_ranges(shuffled, counts)
