"""Which brokers one client can reach, and what it is therefore told of a partition's leader.

Source: Kafka, KRaftMetadataCache.getPartitionMetadata.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from minikafka.cluster.metadata import PartitionState
from minikafka.errors import ErrorCode
from minikafka.types import NO_LEADER

_NONE = ErrorCode.NONE


class VisibleLeader(NamedTuple):
    """The leader of a partition as a client may know it: -1 with an error when it could not get there."""

    leader_id: int
    error_code: ErrorCode


@dataclass(frozen=True, slots=True)
class Reachability:
    """The brokers that are alive, and those of them that have the listener by which the client came."""

    alive: frozenset[int]
    reachable: frozenset[int]

    def leader_of(self, state: PartitionState) -> VisibleLeader:
        """The leader of a partition, or why there is none for this client."""
        if state.leader_id in self.reachable:
            return VisibleLeader(state.leader_id, _NONE)
        if state.leader_id in self.alive:
            return VisibleLeader(NO_LEADER, ErrorCode.LISTENER_NOT_FOUND)
        return VisibleLeader(NO_LEADER, ErrorCode.LEADER_NOT_AVAILABLE)

    def offline(self, replicas: Iterable[int]) -> list[int]:
        """Those of ``replicas`` that the client cannot reach."""
        if self.reachable.issuperset(replicas):
            return []
        return [replica for replica in replicas if replica not in self.reachable]
