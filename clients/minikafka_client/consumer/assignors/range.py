"""A range of each topic's partitions for each member.

Topics with as many partitions and the same subscribers are divided alike, so that a member that joins two topics by
key has both halves.  When partitions do not divide evenly, the first members get one more *of each topic*.

Source: Kafka, clients/consumer/RangeAssignor.java.
"""

from __future__ import annotations

from minikafka.types import TopicPartition
from minikafka_client.consumer.assignors.assignor import Assignments, Assignor, Members, PartitionCounts, subscribers


class RangeAssignor(Assignor):
    """Kafka's "range".

    >>> from minikafka_client.consumer.assignors.assignor import MemberSubscription
    >>> want = MemberSubscription(frozenset({"orders"}))
    >>> RangeAssignor().assign({"a": want, "b": want}, {"orders": 3})["a"]
    [TopicPartition(topic='orders', partition=0), TopicPartition(topic='orders', partition=1)]
    """

    name = "range"

    def assign(self, members: Members, partition_counts: PartitionCounts) -> Assignments:  # noqa: D102 - see Assignor
        assignments: Assignments = {member_id: [] for member_id in members}
        for topic, wanting in subscribers(members, partition_counts).items():
            share, extra = divmod(partition_counts[topic], len(wanting))
            start = 0
            for place, member_id in enumerate(wanting):
                end = start + share + (place < extra)
                assignments[member_id] += [TopicPartition(topic, number) for number in range(start, end)]
                start = end
        return assignments
