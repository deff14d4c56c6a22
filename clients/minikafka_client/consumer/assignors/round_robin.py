"""All partitions of all topics dealt out like cards.

Source: Kafka, clients/consumer/RoundRobinAssignor.java.
"""

from __future__ import annotations

from itertools import cycle

from minikafka_client.consumer.assignors.assignor import (
    Assignments,
    Assignor,
    Members,
    PartitionCounts,
    in_order,
    partitions_of,
    subscribers,
)


class RoundRobinAssignor(Assignor):
    """Kafka's "roundrobin": who does not want the topic is passed over."""

    name = "roundrobin"

    def assign(self, members: Members, partition_counts: PartitionCounts) -> Assignments:  # noqa: D102 - see Assignor
        assignments: Assignments = {member_id: [] for member_id in members}
        dealing = cycle(in_order(members))
        for partition in partitions_of(subscribers(members, partition_counts), partition_counts):
            member_id = next(member_id for member_id in dealing if partition.topic in members[member_id].topics)
            assignments[member_id].append(partition)
        return assignments
