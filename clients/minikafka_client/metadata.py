"""The cluster as the last metadata answers described it: immutable, replaced as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from minikafka.errors import ErrorCode
from minikafka.protocol.messages.metadata import MetadataResponse, MetadataResponsePartition, MetadataResponseTopic
from minikafka.types import NO_LEADER, NO_LEADER_EPOCH

DEFAULT_PORT = 9092


class BrokerAddress(NamedTuple):
    """Where a broker listens."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_addresses(bootstrap_servers: str) -> list[BrokerAddress]:
    """The addresses of a comma-separated list; a host without a port listens on 9092.

    >>> [str(address) for address in parse_addresses("localhost, kafka:9093,[::1]:9094")]
    ['localhost:9092', 'kafka:9093', '[::1]:9094']

    Raises:
        ValueError: The list is empty, or a port is not a number of 1 to 65535.
    """
    addresses = [_parse_address(text.strip()) for text in bootstrap_servers.split(",") if text.strip()]
    if not addresses:
        raise ValueError("bootstrap_servers names no broker: give HOST:PORT, or several with commas between them")
    return addresses


def _parse_address(text: str) -> BrokerAddress:
    host, colon, port = text.rpartition(":")
    if not colon or text.endswith("]") or (":" in host.strip("[]") and not host.endswith("]")):
        host, port = text, str(DEFAULT_PORT)
    if not port.isdecimal() or not 0 < int(port) <= 65535 or not host.strip("[]"):
        raise ValueError(f"{text!r} is not HOST:PORT")
    return BrokerAddress(host.strip("[]"), int(port))


@dataclass(frozen=True, slots=True)
class BrokerInfo:
    """One broker of the cluster."""

    node_id: int
    host: str
    port: int
    rack: str | None = None

    @property
    def address(self) -> BrokerAddress:
        """Where to connect to it."""
        return BrokerAddress(self.host, self.port)


@dataclass(frozen=True, slots=True)
class PartitionInfo:
    """One partition of a topic: who leads it and who has copies of it."""

    partition: int
    leader_id: int = NO_LEADER
    leader_epoch: int = NO_LEADER_EPOCH
    replicas: tuple[int, ...] = ()
    isr: tuple[int, ...] = ()
    offline_replicas: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class TopicInfo:
    """One topic, its partitions in the order of their numbers."""

    name: str
    topic_id: bytes
    is_internal: bool
    partitions: tuple[PartitionInfo, ...]


@dataclass(frozen=True, slots=True)
class ClusterMetadata:
    """Brokers and topics; ``errors`` has the topics that were asked for and could not be described."""

    cluster_id: str | None = None
    controller_id: int = NO_LEADER
    brokers: Mapping[int, BrokerInfo] = field(default_factory=dict)
    topics: Mapping[str, TopicInfo] = field(default_factory=dict)
    errors: Mapping[str, ErrorCode] = field(default_factory=dict)

    def leader_of(self, topic: str, partition: int) -> int:
        """The node id of the partition's leader, -1 when there is none or the partition is not known."""
        found = self.partition(topic, partition)
        return NO_LEADER if found is None else found.leader_id

    def partition(self, topic: str, partition: int) -> PartitionInfo | None:
        """What is known of a partition."""
        info = self.topics.get(topic)
        if info is None or not 0 <= partition < len(info.partitions):
            return None
        return info.partitions[partition]


def metadata_from(response: MetadataResponse, known: ClusterMetadata) -> ClusterMetadata:
    """The cluster as ``response`` describes it.

    A broker that lags behind may name a leader that was replaced, so that for each partition the highest leader
    epoch seen wins as long as the topic is the same one (KIP-320).
    """
    return ClusterMetadata(
        cluster_id=response.cluster_id if response.cluster_id is not None else known.cluster_id,
        controller_id=response.controller_id,
        brokers={b.node_id: BrokerInfo(b.node_id, b.host, b.port, b.rack) for b in response.brokers},
        topics={t.name: _topic(t, known) for t in response.topics if t.name is not None and t.error_code == 0},
        errors={t.name: _code(t.error_code) for t in response.topics if t.name is not None and t.error_code != 0},
    )


def _topic(topic: MetadataResponseTopic, known: ClusterMetadata) -> TopicInfo:
    assert topic.name is not None
    before = known.topics.get(topic.name)
    same = before is not None and before.topic_id == topic.topic_id
    kept = before.partitions if before is not None and same else ()
    ordered = sorted(topic.partitions, key=lambda partition: partition.partition_index)
    partitions = tuple(_newest(_partition(p), kept) for p in ordered)
    return TopicInfo(topic.name, bytes(topic.topic_id), topic.is_internal, partitions)


def _newest(seen: PartitionInfo, kept: tuple[PartitionInfo, ...]) -> PartitionInfo:
    before = kept[seen.partition] if seen.partition < len(kept) else None
    return before if before is not None and before.leader_epoch > seen.leader_epoch >= 0 else seen


def _partition(partition: MetadataResponsePartition) -> PartitionInfo:
    return PartitionInfo(
        partition.partition_index,
        partition.leader_id,
        partition.leader_epoch,
        tuple(partition.replica_nodes),
        tuple(partition.isr_nodes),
        tuple(partition.offline_replicas),
    )


def _code(value: int) -> ErrorCode:
    return ErrorCode(value) if value in ErrorCode._value2member_map_ else ErrorCode.UNKNOWN_SERVER_ERROR
