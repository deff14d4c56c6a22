"""Where markers go on this broker: into the log of a partition, and for offsets into the state of their groups too.

Source: Kafka, KafkaApis.handleWriteTxnMarkersRequest.
"""

from __future__ import annotations

import asyncio

from minikafka.clock import Clock
from minikafka.coordinator.group.coordinator import GroupCoordinator
from minikafka.coordinator.transaction.markers import Marker
from minikafka.records.control import ControlType, EndTransactionMarker, build_marker
from minikafka.replication.partition import ACKS_ALL, Partition
from minikafka.replication.partitions import Partitions
from minikafka.storage.append import AppendOrigin, prepare
from minikafka.types import GROUP_METADATA_TOPIC, TopicPartition


class PartitionMarkers:
    """Writes markers; a :data:`~minikafka.coordinator.transaction.markers.WriteMarker`.

    Args:
        partitions: What this broker leads.
        groups: The groups whose offsets are there.
        clock: What markers are dated with.
    """

    __slots__ = ("_clock", "_groups", "_partitions")

    def __init__(self, partitions: Partitions, groups: GroupCoordinator, clock: Clock) -> None:
        self._partitions = partitions
        self._groups = groups
        self._clock = clock

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
        now_ms = self._clock.now_ms()
        content = EndTransactionMarker(
            ControlType.COMMIT if marker.is_commit else ControlType.ABORT, marker.coordinator_epoch
        )
        batch = build_marker(
            content,
            producer_id=marker.producer.producer_id,
            producer_epoch=marker.producer.producer_epoch,
            timestamp_ms=now_ms,
        )
        prepared = prepare(batch, partition.log.config, now_ms, origin=AppendOrigin.COORDINATOR)
        return partition.wait_acknowledged(partition.append_as_leader(prepared, ACKS_ALL).end_offset)
