"""Where markers go on this broker: into the log of a partition, and for offsets into the state of their groups too.

Source: Kafka, KafkaApis.handleWriteTxnMarkersRequest.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from minikafka.coordinator.group.coordinator import GroupCoordinator
from minikafka.replication.partition import Partition
from minikafka.replication.partitions import Partitions
from minikafka.types import GROUP_METADATA_TOPIC, TopicPartition

if TYPE_CHECKING:
    from minikafka.coordinator.transaction.markers import Marker


class PartitionMarkers:
    """Writes markers; a :data:`~minikafka.coordinator.transaction.markers.WriteMarker`.

    Args:
        partitions: What this broker leads.
        groups: The groups whose offsets are there.
    """

    __slots__ = ("_groups", "_partitions")

    def __init__(self, partitions: Partitions, groups: GroupCoordinator) -> None:
        self._partitions = partitions
        self._groups = groups

    def __call__(self, where: TopicPartition, marker: Marker) -> asyncio.Future[None] | None:
        """Append a marker to a partition; the future is done when it is durable, None when it is already.

        Raises:
            UnknownTopicOrPartition: There is no such partition.
            KafkaError: It cannot be written now.
        """
        partition = self._partitions.leader(where.topic, where.partition)
        if where.topic != GROUP_METADATA_TOPIC:
            return self._append(partition, marker)
        return self._groups.shard_at(where.partition).end_transaction(
            marker.producer.producer_id, lambda: self._append(partition, marker), is_commit=marker.is_commit
        )

    def _append(self, partition: Partition, marker: Marker) -> asyncio.Future[None] | None:
        info = partition.append_end_marker(
            *marker.producer,
            is_commit=marker.is_commit,
            coordinator_epoch=marker.coordinator_epoch,
            transaction_version=marker.transaction_version,
        )
        return partition.wait_acknowledged(info.end_offset)
