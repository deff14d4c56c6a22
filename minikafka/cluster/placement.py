"""Which brokers get which replicas: pure functions.

    3 brokers, 2 replicas, start 0, shift 0          partition   0     1     2     3     4
                                                     replicas   1 2   2 3   3 1   1 3   2 1

First replicas go round the brokers; the second begins one further, and one more with every round, so that the
partitions that a broker leads do not all have the same follower.

Source: Kafka, AdminUtils.assignReplicasToBrokers (without racks).
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from minikafka.errors import InvalidReplicaAssignment, InvalidReplicationFactor

Assignment = tuple[tuple[int, ...], ...]
"""Per partition, in order: the ids of the brokers that get a replica, the preferred leader first."""


def assign_replicas(
    broker_ids: Sequence[int],
    partition_count: int,
    replication_factor: int,
    chance: random.Random,
    *,
    first_partition: int = 0,
) -> Assignment:
    """Spread replicas evenly, from a broker that ``chance`` picks.

    Args:
        broker_ids: The brokers that are alive.
        partition_count: How many partitions need replicas.
        replication_factor: How many each needs.
        chance: Where the first leader and the first follower's distance come from.
        first_partition: The index of the first of them: above 0 when a topic grows.

    Raises:
        InvalidReplicationFactor: There are not enough brokers.
    """
    brokers = sorted(broker_ids)
    count = len(brokers)
    if replication_factor > count:
        raise InvalidReplicationFactor(
            f"Unable to replicate the partition {replication_factor} time(s): The target replication factor of "
            f"{replication_factor} cannot be reached because only {count} broker(s) are registered."
        )
    start, shift = chance.randrange(count), chance.randrange(count)
    assignment: list[tuple[int, ...]] = []
    for index in range(first_partition, first_partition + partition_count):
        leader = (start + index) % count
        distance = shift + index // count
        followers = [_follower(leader, distance, number, count) for number in range(replication_factor - 1)]
        assignment.append(tuple(brokers[position] for position in (leader, *followers)))
    return tuple(assignment)


def _follower(leader: int, distance: int, number: int, count: int) -> int:
    return (leader + 1 + (distance + number) % (count - 1)) % count


def check_assignment(assignment: Assignment, broker_ids: Sequence[int], replication_factor: int | None = None) -> None:
    """Check replicas that a client chose itself.

    Args:
        assignment: What it chose.
        broker_ids: The brokers that are alive.
        replication_factor: How many replicas the topic's other partitions have; None if there are none.

    Raises:
        InvalidReplicaAssignment: A partition has no replicas, one twice, one on an unknown broker, or another number
            of them than the ones before it.
    """
    for replicas in assignment:
        if not replicas:
            raise InvalidReplicaAssignment("The manual partition assignment includes an empty replica list.")
        for broker_id in replicas:
            if replicas.count(broker_id) > 1:
                raise InvalidReplicaAssignment(
                    f"The manual partition assignment includes the broker {broker_id} more than once."
                )
            if broker_id not in broker_ids:
                raise InvalidReplicaAssignment(
                    f"The manual partition assignment includes broker {broker_id}, but no such broker is registered."
                )
        if replication_factor is not None and len(replicas) != replication_factor:
            raise InvalidReplicaAssignment(
                f"The manual partition assignment includes a partition with {len(replicas)} replica(s), but this is "
                f"not consistent with previous partitions, which have {replication_factor} replica(s)."
            )
        replication_factor = len(replicas)
