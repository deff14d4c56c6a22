"""Who leads a partition now: told together with the error, it spares the client a Metadata request.

Source: KIP-951; Kafka, KafkaApis.getCurrentLeader.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from minikafka.cluster.metadata import MetadataCache
from minikafka.net.handler import Address, ConnectionInfo
from minikafka.types import ZERO_UUID


class LeaderHint(NamedTuple):
    """The leader of a partition, and where the client that asked can reach it."""

    leader_id: int
    leader_epoch: int
    address: Address


class LeaderHints:
    """Looks up leaders for clients that asked the wrong broker.

    Args:
        metadata: What this broker knows of the cluster.
        address_of: The address of a broker as a connection is to be told it; None when the broker is not alive.
    """

    __slots__ = ("_address_of", "_metadata")

    def __init__(self, metadata: MetadataCache, address_of: Callable[[int, ConnectionInfo], Address | None]) -> None:
        self._metadata = metadata
        self._address_of = address_of

    def find(self, topic: str, topic_id: bytes, partition: int, connection: ConnectionInfo) -> LeaderHint | None:
        """The leader of a partition of the topic with this id, or if that is zero this name; None if nobody leads."""
        name = topic if topic_id == ZERO_UUID else self._metadata.topic_name(topic_id)
        state = self._metadata.partition(name, partition) if name is not None else None
        if state is None or not state.has_leader:
            return None
        address = self._address_of(state.leader_id, connection)
        return None if address is None else LeaderHint(state.leader_id, state.leader_epoch, address)
