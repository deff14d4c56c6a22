"""What a new topic, or more partitions of one, must be like: Kafka's checks, without looking at the store.

Source: Kafka, ReplicationControlManager.createTopic and createPartitions, and Topic.validate.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from minikafka.cluster.metadata import TopicMetadata
from minikafka.cluster.placement import Assignment, assign_replicas, check_assignment
from minikafka.errors import (
    InvalidConfig,
    InvalidPartitions,
    InvalidReplicaAssignment,
    InvalidReplicationFactor,
    InvalidRequest,
    InvalidTopic,
    PolicyViolation,
)
from minikafka.types import MAX_TOPIC_NAME_LENGTH, is_legal_topic_name

DEFAULT = -1
"""Of partitions or a replication factor: as the broker's configuration says."""

MAX_PARTITIONS_PER_REQUEST = 10_000
"""As Kafka's ``MAX_PARTITIONS_PER_BATCH``: what one request may make, so that it cannot hold up the others."""


class ManualReplicas(NamedTuple):
    """The brokers that a client chose for one partition, the preferred leader first."""

    partition: int
    broker_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """A topic that somebody wants.

    With ``manual_replicas`` both ``partition_count`` and ``replication_factor`` have to be -1.  A setting may be None
    because a request can say so; it is refused.
    """

    name: str
    partition_count: int = DEFAULT
    replication_factor: int = DEFAULT
    manual_replicas: Sequence[ManualReplicas] = ()
    settings: Mapping[str, str | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TopicDefaults:
    """What -1 stands for."""

    partition_count: int
    replication_factor: int


def check_name(name: str, existing: Collection[str]) -> None:
    """Check the name of a new topic.

    Raises:
        InvalidTopic: It is not legal, or it would be called the same as another in metrics.
    """
    if not is_legal_topic_name(name):
        raise InvalidTopic(_why_illegal(name))
    # Metric names have '_' where topics have '.'; without either in the name, only the very same name collides.
    if "." in name or "_" in name:
        mangled = name.replace(".", "_")
        other = next((topic for topic in existing if topic != name and topic.replace(".", "_") == mangled), None)
        if other is not None:
            raise InvalidTopic(f"Topic '{name}' collides with existing topic: {other}")


def check_settings(settings: Mapping[str, str | None]) -> dict[str, str]:
    """The settings of a new topic, none of them None.

    Raises:
        InvalidConfig: One is.
    """
    without_value = [name for name, value in settings.items() if value is None]
    if without_value:
        raise InvalidConfig(f"Null value not supported for topic configs: {','.join(sorted(without_value))}")
    return {name: value for name, value in settings.items() if value is not None}


def plan_topic(
    spec: TopicSpec, broker_ids: Sequence[int], defaults: TopicDefaults, chance: random.Random
) -> Assignment:
    """The replicas of a new topic's partitions.

    Raises:
        InvalidPartitions, InvalidReplicationFactor, InvalidReplicaAssignment, InvalidRequest: See Kafka's texts.
        PolicyViolation: It would have too many partitions.
    """
    if spec.manual_replicas:
        return _manual_assignment(spec, broker_ids)
    if spec.replication_factor < DEFAULT or spec.replication_factor == 0:
        raise InvalidReplicationFactor("Replication factor must be larger than 0, or -1 to use the default value.")
    if spec.partition_count < DEFAULT or spec.partition_count == 0:
        raise InvalidPartitions("Number of partitions was set to an invalid non-positive value.")
    partitions = defaults.partition_count if spec.partition_count == DEFAULT else spec.partition_count
    replication_factor = defaults.replication_factor if spec.replication_factor == DEFAULT else spec.replication_factor
    refuse_too_many(partitions)
    return assign_replicas(broker_ids, partitions, replication_factor, chance)


def plan_growth(
    topic: TopicMetadata,
    partition_count: int,
    manual: Sequence[tuple[int, ...]] | None,
    broker_ids: Sequence[int],
    chance: random.Random,
) -> Assignment:
    """The replicas of the partitions that a topic gets in addition.

    Args:
        topic: The topic as it is.
        partition_count: How many partitions it shall have.
        manual: The replicas of the new partitions, when the client chose them.
        broker_ids: The brokers that are alive.
        chance: For placing replicas that the client did not choose.

    Raises:
        InvalidPartitions: That is not more than it has.
        InvalidReplicaAssignment: The client chose replicas for another number of partitions, or impossible ones.
        InvalidReplicationFactor: There are fewer brokers alive than replicas needed.
        PolicyViolation: There would be too many.
    """
    current = len(topic.partitions)
    if partition_count == current:
        raise InvalidPartitions(f"Topic already has {current} partition(s).")
    if partition_count < current:
        raise InvalidPartitions(
            f"The topic {topic.name} currently has {current} partition(s); {partition_count} would not be an increase."
        )
    additional = partition_count - current
    refuse_too_many(additional)
    if manual is None:
        return assign_replicas(broker_ids, additional, topic.replication_factor, chance, first_partition=current)
    if len(manual) != additional:
        raise InvalidReplicaAssignment(
            f"Attempted to add {additional} additional partition(s), but only {len(manual)} assignment(s) were "
            "specified."
        )
    check_assignment(tuple(manual), broker_ids, topic.replication_factor)
    return tuple(manual)


def refuse_too_many(partitions: int) -> None:
    """Check how many partitions one request makes.

    Raises:
        PolicyViolation: Too many.
    """
    if partitions > MAX_PARTITIONS_PER_REQUEST:
        raise PolicyViolation("Excessively large number of partitions per request.")


def _manual_assignment(spec: TopicSpec, broker_ids: Sequence[int]) -> Assignment:
    if spec.replication_factor != DEFAULT:
        raise InvalidRequest("A manual partition assignment was specified, but replication factor was not set to -1.")
    if spec.partition_count != DEFAULT:
        raise InvalidRequest("A manual partition assignment was specified, but numPartitions was not set to -1.")
    refuse_too_many(len(spec.manual_replicas))
    by_partition: dict[int, tuple[int, ...]] = {}
    for partition, replicas in spec.manual_replicas:
        if partition in by_partition:
            raise InvalidReplicaAssignment(f"Found multiple manual partition assignments for partition {partition}")
        by_partition[partition] = replicas
    if sorted(by_partition) != list(range(len(by_partition))):
        raise InvalidReplicaAssignment("partitions should be a consecutive 0-based integer sequence")
    assignment = tuple(by_partition[index] for index in range(len(by_partition)))
    check_assignment(assignment, broker_ids)
    return assignment


def _why_illegal(name: str) -> str:
    if not name:
        return "Topic name is invalid: the empty string is not allowed"
    if name in {".", ".."}:
        return f"Topic name is invalid: '{name}' is not allowed"
    if len(name) > MAX_TOPIC_NAME_LENGTH:
        return f"Topic name is invalid: the length of '{name[:50]}...' is longer than the max allowed length 249"
    return (
        f"Topic name is invalid: '{name}' contains one or more characters other than ASCII alphanumerics, '.', '_' "
        "and '-'"
    )
