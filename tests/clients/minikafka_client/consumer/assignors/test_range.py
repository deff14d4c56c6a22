from __future__ import annotations

from types import SimpleNamespace

from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.coordinator.protocol import ConsumerProtocolMemberMetadata
from hypothesis import given
from hypothesis import strategies as st

from minikafka.types import TopicPartition
from minikafka_client.consumer.assignors.assignor import Members, MemberSubscription, PartitionCounts
from minikafka_client.consumer.assignors.range import RangeAssignor
from tests.clients.support.assignments import check_division, members, partition_counts

BOTH = frozenset({"a", "b"})


@given(members, partition_counts)
def test_each_partition_has_exactly_one_owner_who_wants_it(members: Members, counts: PartitionCounts) -> None:
    check_division(RangeAssignor().assign(members, counts), members, counts)


@given(members, partition_counts)
def test_each_topic_is_divided_evenly_into_ranges(members: Members, counts: PartitionCounts) -> None:
    division = RangeAssignor().assign(members, counts)
    for topic in counts:
        shares = [
            [where.partition for where in division[member_id] if where.topic == topic]
            for member_id, member in members.items()
            if topic in member.topics
        ]
        for share in shares:
            assert share == list(range(share[0], share[0] + len(share))) if share else True
        assert not shares or max(map(len, shares)) - min(map(len, shares)) <= 1


@given(members, partition_counts)
def test_another_client_that_leads_would_divide_alike(members: Members, counts: PartitionCounts) -> None:
    cluster = SimpleNamespace(partitions_for_topic=lambda topic: set(range(counts[topic])) if topic in counts else None)
    told = {name: ConsumerProtocolMemberMetadata(0, sorted(m.topics), b"") for name, m in sorted(members.items())}
    theirs = RangePartitionAssignor.assign(cluster, told)  # type: ignore[arg-type]
    ours = RangeAssignor().assign(members, counts)
    assert {member_id: set(partitions) for member_id, partitions in ours.items()} == {
        member_id: {TopicPartition(*where) for where in assignment.partitions()}
        for member_id, assignment in theirs.items()
    }


@given(st.integers(1, 9), st.integers(1, 5))
def test_topics_with_as_many_partitions_are_divided_alike(partitions: int, member_count: int) -> None:
    members = {f"m{number}": MemberSubscription(BOTH) for number in range(member_count)}
    for given_ in RangeAssignor().assign(members, {"a": partitions, "b": partitions}).values():
        halves = [[where.partition for where in given_ if where.topic == topic] for topic in ("a", "b")]
        assert halves[0] == halves[1]


def test_the_first_members_get_one_more_and_static_ones_are_first() -> None:
    want = MemberSubscription(frozenset({"a"}))
    static = MemberSubscription(frozenset({"a"}), group_instance_id="s")
    division = RangeAssignor().assign({"m1": want, "m2": want, "m3": static}, {"a": 4})
    assert [[where.partition for where in division[member]] for member in ("m3", "m1", "m2")] == [[0, 1], [2], [3]]
