from __future__ import annotations

import pytest

from minikafka.types import TopicPartition
from minikafka_client.consumer.assignors.assignor import (
    Assignments,
    Assignor,
    Members,
    MemberSubscription,
    PartitionCounts,
    in_order,
    partitions_of,
    subscribers,
)
from minikafka_client.consumer.options import assignors_value

ORDERS = frozenset({"orders"})


def member(instance_id: str | None = None, topics: frozenset[str] = ORDERS) -> MemberSubscription:
    return MemberSubscription(topics, group_instance_id=instance_id)


def test_static_members_come_first_by_their_own_names() -> None:
    members = {"z": member("first"), "a": member(), "b": member(), "y": member("second")}
    assert in_order(members) == ["z", "y", "a", "b"]


def test_a_static_member_keeps_its_place_under_another_id() -> None:
    before = in_order({"m-1": member("left"), "m-2": member("right"), "m-3": member()})
    after = in_order({"m-9": member("left"), "m-2": member("right"), "m-3": member()})
    assert [before.index("m-1"), before.index("m-2")] == [after.index("m-9"), after.index("m-2")]


def test_topics_that_do_not_exist_or_have_no_partitions_have_no_subscribers() -> None:
    members = {"a": member(topics=frozenset({"orders", "gone", "empty"})), "b": member()}
    assert subscribers(members, {"orders": 2, "empty": 0}) == {"orders": ["a", "b"]}


def test_partitions_come_in_the_order_of_the_topics() -> None:
    assert partitions_of(["b", "a"], {"a": 1, "b": 2}) == [
        TopicPartition("b", 0),
        TopicPartition("b", 1),
        TopicPartition("a", 0),
    ]


class FirstTakesAll(Assignor):
    name = "first-takes-all"

    def assign(self, members: Members, partition_counts: PartitionCounts) -> Assignments:
        first, *others = in_order(members)
        everything = partitions_of(subscribers(members, partition_counts), partition_counts)
        return {first: everything} | {member_id: [] for member_id in others}


def test_an_assignor_of_ones_own_needs_a_name_and_one_method() -> None:
    own = FirstTakesAll()
    assert assignors_value([own, "range"])[0] is own
    assert not own.is_cooperative
    assert own.user_data(frozenset(), -1) is None
    assert own.assign({"a": member(), "b": member()}, {"orders": 1}) == {"a": [TopicPartition("orders", 0)], "b": []}


def test_names_are_known_and_others_refused() -> None:
    names = ["range", "roundrobin", "sticky", "cooperative-sticky"]
    assert [assignor.name for assignor in assignors_value(names)] == names
    assert [assignor.name for assignor in assignors_value("sticky")] == ["sticky"]
    with pytest.raises(ValueError, match="cooperative-sticky and Assignors, not 'even'"):
        assignors_value(["even"])
    with pytest.raises(ValueError, match="names no assignor"):
        assignors_value([])
