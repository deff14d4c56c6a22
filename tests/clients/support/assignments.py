"""Groups to divide partitions among, by chance, and what is true of every division."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hypothesis import strategies as st

from minikafka.types import TopicPartition
from minikafka_client.consumer.assignors.assignor import Members, MemberSubscription, PartitionCounts

TOPICS = ["a", "b", "c", "d"]

Division = Mapping[str, Sequence[TopicPartition]]

partition_counts: st.SearchStrategy[PartitionCounts] = st.dictionaries(
    st.sampled_from(TOPICS), st.integers(1, 8), min_size=1
)
alike: st.SearchStrategy[Members] = st.builds(
    lambda topics, count: {f"m{number}": MemberSubscription(frozenset(topics)) for number in range(count)},
    st.sets(st.sampled_from(TOPICS), min_size=1),
    st.integers(1, 7),
)
different: st.SearchStrategy[Members] = st.dictionaries(
    st.sampled_from([f"m{number}" for number in range(7)]),
    st.builds(MemberSubscription, st.frozensets(st.sampled_from(TOPICS))),
    min_size=1,
)
members = alike | different


def check_division(division: Division, members: Members, counts: PartitionCounts) -> None:
    """Each partition that somebody wants has exactly one owner, who wants it; every member is told."""
    assert division.keys() == members.keys()
    given = [partition for partitions in division.values() for partition in partitions]
    assert len(given) == len(set(given))
    wanted = frozenset[str]().union(*(member.topics for member in members.values()))
    assert set(given) == {TopicPartition(t, n) for t in wanted & counts.keys() for n in range(counts[t])}
    for member_id, partitions in division.items():
        assert {partition.topic for partition in partitions} <= members[member_id].topics


def spread(division: Division) -> int:
    """How many more partitions the member with most has than the one with least."""
    sizes = [len(partitions) for partitions in division.values()]
    return max(sizes) - min(sizes)


def owning(members: Members, division: Division, generation: int) -> Members:
    """The same members when they join again, with what they were given in that generation."""
    return {
        member_id: MemberSubscription(
            member.topics,
            frozenset(division.get(member_id, ())),
            generation,
            group_instance_id=member.group_instance_id,
        )
        for member_id, member in members.items()
    }
