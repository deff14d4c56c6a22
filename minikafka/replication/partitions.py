"""The partitions that have a log on this broker.

Source: Kafka, the look-up part of core/server/ReplicaManager.scala.
"""

from __future__ import annotations

from collections.abc import Collection

from minikafka.cluster.metadata import PartitionState
from minikafka.errors import NotLeaderOrFollower, StorageError, UnknownTopicId, UnknownTopicOrPartition
from minikafka.observability import events
from minikafka.replication.flusher import Sweeper
from minikafka.replication.group_commit import GroupCommit
from minikafka.replication.partition import Partition
from minikafka.replication.state import DurabilityPolicy
from minikafka.storage.log import Log
from minikafka.types import TopicPartition


class Partitions:
    """Partitions by name and by topic id, and why the ones that cannot be served cannot."""

    __slots__ = (
        "_broker_id",
        "_by_id",
        "_by_name",
        "_durability",
        "_group_commit",
        "_offline",
        "_sweeper",
        "_topic_ids",
    )

    def __init__(self, broker_id: int, group_commit: GroupCommit, durability: DurabilityPolicy) -> None:
        self._broker_id = broker_id
        self._group_commit = group_commit
        self._sweeper = Sweeper(group_commit, durability.max_unflushed_bytes_of_all)
        self._durability = durability
        self._by_name: dict[tuple[str, int], Partition] = {}
        self._by_id: dict[tuple[bytes, int], Partition] = {}
        self._topic_ids: dict[bytes, int] = {}
        self._offline: dict[tuple[str, int], str] = {}

    def leader(self, topic: str, partition: int) -> Partition:
        """The partition, which this broker leads.

        Raises:
            UnknownTopicOrPartition: There is no such partition here.
            NotLeaderOrFollower: Another broker leads it.
            StorageError: Its log could not be opened.
        """
        found = self._by_name.get((topic, partition))
        if found is None:
            raise self._missing(topic, partition)
        if not found.is_leader:
            raise NotLeaderOrFollower(f"broker {self._broker_id} does not lead {topic}-{partition}")
        return found

    def leader_by_id(self, topic_id: bytes, partition: int) -> Partition:
        """The partition of the topic with this id, which this broker leads.

        Raises:
            UnknownTopicId: No topic here has the id, as when the topic was deleted or made anew.
            UnknownTopicOrPartition: The topic has no such partition here.
            NotLeaderOrFollower: Another broker leads it.
        """
        found = self._by_id.get((topic_id, partition))
        if found is None:
            if topic_id in self._topic_ids:
                raise UnknownTopicOrPartition("the topic has no such partition on this broker")
            raise UnknownTopicId("no topic on this broker has this id")
        found.check_leader()
        return found

    def get(self, topic: str, partition: int) -> Partition | None:
        """The partition, whoever leads it; None when it has no log here."""
        return self._by_name.get((topic, partition))

    def all(self) -> Collection[Partition]:
        """Every partition that has a log here."""
        return self._by_name.values()

    def offline(self) -> dict[TopicPartition, str]:
        """The partitions whose log could not be opened, and why."""
        return {TopicPartition(*name): reason for name, reason in self._offline.items()}

    def become_leader(self, log: Log, state: PartitionState) -> Partition:
        """Serve the partition of ``log`` in the role that the cluster gives this broker."""
        partition = self._by_name.get(log.topic_partition)
        if partition is not None and partition.log is log:
            partition.apply(state)
        else:
            if partition is not None:
                self.delete(log.topic_partition)
            partition = Partition(
                log,
                state,
                self._broker_id,
                group_commit=self._group_commit,
                sweeper=self._sweeper,
                durability=self._durability,
            )
            self._by_name[log.topic_partition] = partition
            self._by_id[(log.topic_id, log.topic_partition.partition)] = partition
            self._topic_ids[log.topic_id] = self._topic_ids.get(log.topic_id, 0) + 1
        self._offline.pop(log.topic_partition, None)
        events.record(
            events.LeaderElected(*log.topic_partition, state.leader_id, state.leader_epoch, log.log_end_offset)
        )
        return partition

    def end_waits(self) -> None:
        """Have every fetch that waits answered now, as if its time were over."""
        for partition in self._by_name.values():
            partition.end_waits()

    def mark_offline(self, topic_partition: TopicPartition, reason: str) -> None:
        """Answer requests for a partition whose log cannot be opened with ``reason``."""
        self._offline[topic_partition] = reason
        events.record(events.LogOffline(*topic_partition, reason))

    def delete(self, topic_partition: TopicPartition) -> Partition | None:
        """Serve a partition no longer, and send away who waits for it; its log is left to the caller."""
        self._offline.pop(topic_partition, None)
        partition = self._by_name.pop(topic_partition, None)
        if partition is None:
            return None
        del self._by_id[(partition.topic_id, topic_partition.partition)]
        self._topic_ids[partition.topic_id] -= 1
        if self._topic_ids[partition.topic_id] == 0:
            del self._topic_ids[partition.topic_id]
        partition.resign()
        gone = UnknownTopicOrPartition(f"{topic_partition} was deleted before its records were on disk")
        self._group_commit.abandon(partition.log, gone)
        return partition

    def _missing(self, topic: str, partition: int) -> UnknownTopicOrPartition | StorageError:
        reason = self._offline.get((topic, partition))
        if reason is not None:
            return StorageError(reason)
        return UnknownTopicOrPartition(f"there is no partition {topic}-{partition} on this broker")
