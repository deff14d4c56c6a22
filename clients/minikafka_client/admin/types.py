"""What the admin is told, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import NamedTuple

from minikafka.errors import KafkaError
from minikafka.types import TopicPartition
from minikafka_client.metadata import BrokerInfo


@dataclass(frozen=True, slots=True)
class NewTopic:
    """A topic to be created; -1 leaves a number to the broker's configuration.

    ``replica_assignments`` names the brokers of each partition, first the preferred leader, and takes the place of
    both numbers.
    """

    name: str
    num_partitions: int = -1
    replication_factor: int = -1
    configs: Mapping[str, str | None] = field(default_factory=dict)
    replica_assignments: Mapping[int, list[int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CreatedTopic:
    """A topic as it was created; the numbers are -1, and the id is zero, when an old broker does not tell."""

    name: str
    topic_id: bytes
    num_partitions: int
    replication_factor: int


@dataclass(frozen=True, slots=True)
class ClusterDescription:
    """The cluster and its brokers, in the order of their ids."""

    cluster_id: str | None
    controller_id: int
    brokers: tuple[BrokerInfo, ...]


class ResourceType(IntEnum):
    """What has a configuration."""

    TOPIC = 2
    BROKER = 4


class ConfigResource(NamedTuple):
    """A topic by name, or a broker by its id as text; an empty broker name stands for all brokers' defaults."""

    type: ResourceType
    name: str

    @classmethod
    def topic(cls, name: str) -> ConfigResource:
        """The configuration of a topic."""
        return cls(ResourceType.TOPIC, name)

    @classmethod
    def broker(cls, node_id: int | None) -> ConfigResource:
        """The configuration of a broker; None for what is set for all of them."""
        return cls(ResourceType.BROKER, "" if node_id is None else str(node_id))

    def __str__(self) -> str:
        return f"{self.type.name.lower()} {self.name!r}"


class ConfigSource(IntEnum):
    """Where a value was set."""

    UNKNOWN = 0
    DYNAMIC_TOPIC = 1
    DYNAMIC_BROKER = 2
    DYNAMIC_DEFAULT_BROKER = 3
    STATIC_BROKER = 4
    DEFAULT = 5
    DYNAMIC_BROKER_LOGGER = 6
    CLIENT_METRICS = 7
    GROUP = 8


class ConfigType(IntEnum):
    """What kind of value a key takes."""

    UNKNOWN = 0
    BOOLEAN = 1
    STRING = 2
    INT = 3
    SHORT = 4
    LONG = 5
    DOUBLE = 6
    LIST = 7
    CLASS = 8
    PASSWORD = 9


@dataclass(frozen=True, slots=True)
class ConfigSynonym:
    """One of the places where a value may come from, under the name that it has there."""

    name: str
    value: str | None
    source: ConfigSource


@dataclass(frozen=True, slots=True)
class ConfigEntry:
    """One key of a configuration; the value of a sensitive one is None."""

    name: str
    value: str | None
    source: ConfigSource
    is_read_only: bool
    is_sensitive: bool
    type: ConfigType
    documentation: str | None
    synonyms: tuple[ConfigSynonym, ...]

    @property
    def is_default(self) -> bool:
        """Whether nobody set it."""
        return self.source is ConfigSource.DEFAULT


class AlterOperation(IntEnum):
    """What to do with a key; the last two are for lists."""

    SET = 0
    DELETE = 1
    APPEND = 2
    SUBTRACT = 3


@dataclass(frozen=True, slots=True)
class AlterConfig:
    """One change of one key; deleting goes back to the default and needs no value."""

    name: str
    value: str | None = None
    operation: AlterOperation = AlterOperation.SET


class OffsetSpec(IntEnum):
    """Offsets that can be looked up without a time; the values are Kafka's in place of one."""

    LATEST = -1
    EARLIEST = -2
    MAX_TIMESTAMP = -3


class GroupState(StrEnum):
    """What a group is doing; ``EMPTY`` has no members, and only what it committed."""

    UNKNOWN = "Unknown"
    PREPARING_REBALANCE = "PreparingRebalance"
    COMPLETING_REBALANCE = "CompletingRebalance"
    STABLE = "Stable"
    DEAD = "Dead"
    EMPTY = "Empty"
    ASSIGNING = "Assigning"
    RECONCILING = "Reconciling"
    NOT_READY = "NotReady"


class GroupType(StrEnum):
    """How the members of a group come to their partitions."""

    UNKNOWN = "Unknown"
    CLASSIC = "Classic"
    CONSUMER = "Consumer"
    SHARE = "Share"
    STREAMS = "Streams"


class GroupListing(NamedTuple):
    """One group in a list; old brokers tell neither its state nor its type.

    ``protocol_type`` is "consumer" for groups of consumers, and empty for those that only commit offsets.
    """

    group_id: str
    protocol_type: str
    state: GroupState
    type: GroupType


@dataclass(frozen=True, slots=True)
class MemberDescription:
    """One member of a group.

    The epoch and the assignment it is on the way to are those of the consumer protocol (KIP-848), None otherwise.  In a
    classic group subscription and assignment are known while the group is stable.
    """

    member_id: str
    group_instance_id: str | None
    client_id: str
    client_host: str
    subscription: frozenset[str]
    assignment: frozenset[TopicPartition]
    type: GroupType
    subscribed_regex: str | None = None
    rack_id: str | None = None
    member_epoch: int | None = None
    target_assignment: frozenset[TopicPartition] | None = None


@dataclass(frozen=True, slots=True)
class GroupDescription:
    """One group and its members; the epochs are those of the consumer protocol (KIP-848), None otherwise."""

    group_id: str
    type: GroupType
    state: GroupState
    protocol_type: str
    assignor: str
    coordinator_id: int
    members: tuple[MemberDescription, ...]
    group_epoch: int | None = None
    assignment_epoch: int | None = None


@dataclass(frozen=True, slots=True)
class ReplicaDescription:
    """One replica in a directory.

    ``offset_lag`` is how many records it is behind.  ``is_future`` is one that is being moved here, to replace that of
    another directory.
    """

    size_bytes: int
    offset_lag: int
    is_future: bool


@dataclass(frozen=True, slots=True)
class LogDirDescription:
    """One directory; the sizes are those of its volume, -1 when an old broker does not tell.

    ``error`` says why it is offline, if it is: then the rest is not known.
    """

    replicas: Mapping[TopicPartition, ReplicaDescription]
    total_bytes: int
    usable_bytes: int
    error: KafkaError | None = None


class TransactionState(StrEnum):
    """Where a transactional id stands; it is in a transaction while ``ONGOING``, and while an end is being written."""

    UNKNOWN = "Unknown"
    EMPTY = "Empty"
    ONGOING = "Ongoing"
    PREPARE_COMMIT = "PrepareCommit"
    PREPARE_ABORT = "PrepareAbort"
    COMPLETE_COMMIT = "CompleteCommit"
    COMPLETE_ABORT = "CompleteAbort"
    PREPARE_EPOCH_FENCE = "PrepareEpochFence"


class TransactionListing(NamedTuple):
    """One transactional id in a list."""

    transactional_id: str
    producer_id: int
    state: TransactionState


@dataclass(frozen=True, slots=True)
class TransactionDescription:
    """One transactional id, and the transaction that it has; ``start_time_ms`` is None before its first."""

    transactional_id: str
    coordinator_id: int
    state: TransactionState
    producer_id: int
    producer_epoch: int
    timeout_ms: int
    start_time_ms: int | None
    partitions: frozenset[TopicPartition]


@dataclass(frozen=True, slots=True)
class ProducerState:
    """What a partition remembers of a producer.

    ``coordinator_epoch`` is that of its last marker, and ``transaction_start_offset`` where the transaction begins that
    is open; both are None where there is none.
    """

    producer_id: int
    producer_epoch: int
    last_sequence: int
    last_timestamp_ms: int
    coordinator_epoch: int | None
    transaction_start_offset: int | None
