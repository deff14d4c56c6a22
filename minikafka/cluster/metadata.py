"""What this broker knows of the cluster: the values, and the cache that requests are answered from.

Every value is immutable: a change puts a new one in the place of the old, so that whoever reads sees one or the other.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from minikafka.types import INTERNAL_TOPICS, NO_LEADER


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a listener of a broker can be reached."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class BrokerInfo:
    """A broker that is alive; ``endpoints`` are by listener name."""

    broker_id: int
    endpoints: Mapping[str, Endpoint]


@dataclass(frozen=True, slots=True)
class PartitionState:
    """Who leads a partition and who follows closely enough.

    Attributes:
        leader_id: The broker that leads, -1 for none.
        leader_epoch: How many leaders there have been before; begins at 0.
        isr: The replicas that are in sync, the leader among them.
        replicas: The brokers that should have the partition, the preferred leader first.
    """

    leader_id: int
    leader_epoch: int
    isr: tuple[int, ...]
    replicas: tuple[int, ...]

    @property
    def has_leader(self) -> bool:
        """Whether anybody leads."""
        return self.leader_id != NO_LEADER


@dataclass(frozen=True, slots=True)
class TopicMetadata:
    """A topic: ``partitions`` in the order of their indexes, ``settings`` are its own, without defaults."""

    name: str
    topic_id: bytes
    partitions: tuple[PartitionState, ...]
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_internal(self) -> bool:
        """Whether the broker keeps its own records there."""
        return self.name in INTERNAL_TOPICS

    @property
    def replication_factor(self) -> int:
        """How many replicas the first partition has."""
        return len(self.partitions[0].replicas) if self.partitions else 0


class MetadataCache:
    """The cluster as this broker sees it.  The controller and the store's watches write it, requests read it."""

    __slots__ = (
        "_brokers",
        "_by_id",
        "_topics",
        "cluster_id",
        "controller_id",
        "settings_for_all",
        "settings_of",
        "topics_version",
    )

    def __init__(self) -> None:
        self.cluster_id = ""
        self.controller_id = NO_LEADER
        self.settings_for_all: Mapping[str, str] = {}
        """What was set for all brokers while they run."""
        self.settings_of: Mapping[int, Mapping[str, str]] = {}
        """What was set for one broker while it runs."""
        self.topics_version = 0
        """Grows whenever a topic comes, goes or gets partitions."""
        self._brokers: dict[int, BrokerInfo] = {}
        self._topics: dict[str, TopicMetadata] = {}
        self._by_id: dict[bytes, TopicMetadata] = {}

    @property
    def brokers(self) -> Collection[BrokerInfo]:
        """The brokers that are alive."""
        return self._brokers.values()

    def broker(self, broker_id: int) -> BrokerInfo | None:
        """The broker, None if it is not alive."""
        return self._brokers.get(broker_id)

    @property
    def topics(self) -> Collection[TopicMetadata]:
        """Every topic."""
        return self._topics.values()

    def topic(self, name: str) -> TopicMetadata | None:
        """The topic called ``name``, None if there is none."""
        return self._topics.get(name)

    def topic_by_id(self, topic_id: bytes) -> TopicMetadata | None:
        """The topic with this id, None if there is none."""
        return self._by_id.get(topic_id)

    def topic_name(self, topic_id: bytes) -> str | None:
        """The name of the topic with this id, None if there is none."""
        topic = self._by_id.get(topic_id)
        return None if topic is None else topic.name

    def partition(self, topic: str, partition: int) -> PartitionState | None:
        """The state of a partition, None if there is none."""
        found = self._topics.get(topic)
        if found is None or not 0 <= partition < len(found.partitions):
            return None
        return found.partitions[partition]

    def put_topic(self, topic: TopicMetadata) -> None:
        """Know ``topic`` as it now is."""
        before = self._topics.get(topic.name)
        if before is not None:
            del self._by_id[before.topic_id]
        if before is None or _shape(before) != _shape(topic):
            self.topics_version += 1
        self._topics[topic.name] = topic
        self._by_id[topic.topic_id] = topic

    def remove_topic(self, name: str) -> None:
        """Forget a topic."""
        before = self._topics.pop(name, None)
        if before is not None:
            del self._by_id[before.topic_id]
            self.topics_version += 1

    def replace_brokers(self, brokers: Iterable[BrokerInfo]) -> None:
        """Know exactly ``brokers`` as alive."""
        self._brokers = {broker.broker_id: broker for broker in brokers}


def _shape(topic: TopicMetadata) -> tuple[bytes, int]:
    """What makes a topic another one for those who share its partitions among themselves."""
    return topic.topic_id, len(topic.partitions)
