from __future__ import annotations

from types import SimpleNamespace

from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.coordinator.protocol import ConsumerProtocolMemberMetadata
from hypothesis import given

from minikafka.types import TopicPartition
from minikafka_client.consumer.assignors.assignor import Members, MemberSubscription, PartitionCounts
from minikafka_client.consumer.assignors.round_robin import RoundRobinAssignor
from tests.clients.support.assignments import alike, check_division, members, partition_counts, spread


@given(members, partition_counts)
def test_each_partition_has_exactly_one_owner_who_wants_it(members: Members, counts: PartitionCounts) -> None:
    check_division(RoundRobinAssignor().assign(members, counts), members, counts)


@given(alike, partition_counts)
def test_members_who_want_the_same_get_as_much(members: Members, counts: PartitionCounts) -> None:
    assert spread(RoundRobinAssignor().assign(members, counts)) <= 1


@given(members, partition_counts)
def test_another_client_that_leads_would_divide_alike(members: Members, counts: PartitionCounts) -> None:
    cluster = SimpleNamespace(partitions_for_topic=lambda topic: set(range(counts[topic])) if topic in counts else None)
    told = {name: ConsumerProtocolMemberMetadata(0, sorted(m.topics), b"") for name, m in members.items()}
    theirs = RoundRobinPartitionAssignor.assign(cluster, told)  # type: ignore[arg-type]
    ours = RoundRobinAssignor().assign(members, counts)
    assert {member_id: set(partitions) for member_id, partitions in ours.items()} == {
        member_id: {TopicPartition(*where) for where in assignment.partitions()}
        for member_id, assignment in theirs.items()
    }


def test_partitions_are_dealt_out_across_topics() -> None:
    want = MemberSubscription(frozenset({"a", "b"}))
    division = RoundRobinAssignor().assign({"m1": want, "m2": want}, {"a": 3, "b": 3})
    assert [str(where) for where in division["m1"]] == ["a-0", "a-2", "b-1"]
    assert [str(where) for where in division["m2"]] == ["a-1", "b-0", "b-2"]
