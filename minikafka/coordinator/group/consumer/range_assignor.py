"""The range assignor: each member gets a contiguous range of every topic.

Topics with the same subscribers and partition counts are cut in the same places, so that partitions of the same number
land on the same member, which joins of streams rely on.  A static member keeps its place among the others by its
instance id, whatever its member id is after a restart.

Source: Kafka, assignor/RangeAssignor.java.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from minikafka.coordinator.group.consumer.assignment import Assignment, Subscriber


def assign_ranges(members: Sequence[Subscriber], partition_counts: Mapping[bytes, int]) -> Assignment:
    """Cut every topic into ranges, as even as can be, the longer ones first."""
    assigned: dict[str, dict[bytes, frozenset[int]]] = {member.member_id: {} for member in members}
    ordered = sorted(members, key=_rank)
    for topic_id, partition_count in partition_counts.items():
        subscribers = [member for member in ordered if topic_id in member.topic_ids]
        if not subscribers:
            continue
        quota, longer = divmod(partition_count, len(subscribers))
        start = 0
        for place, member in enumerate(subscribers):
            end = start + quota + (place < longer)
            if start < end:
                assigned[member.member_id][topic_id] = frozenset(range(start, end))
            start = end
    return assigned


def _rank(member: Subscriber) -> tuple[bool, str]:
    """Static members first, by instance id."""
    return (member.instance_id is None, member.instance_id or member.member_id)
