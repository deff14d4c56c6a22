"""The group coordinator: which groups this broker looks after, and where their state is.

A group belongs to a partition of ``__consumer_offsets``, and the broker that leads the partition coordinates the group.

Source: Kafka, GroupCoordinatorService.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from minikafka.clock import Clock
from minikafka.cluster.metadata import MetadataCache
from minikafka.cluster.topic_requests import TopicSpec
from minikafka.config.group import GroupConfig
from minikafka.coordinator.group.topics_view import ClusterTopics
from minikafka.coordinator.internal_topic import InternalTopic
from minikafka.coordinator.places import Places
from minikafka.errors import KafkaError, NotCoordinator
from minikafka.observability.logging import get_logger
from minikafka.replication.partition import Partition
from minikafka.replication.partitions import Partitions
from minikafka.types import GROUP_METADATA_TOPIC

if TYPE_CHECKING:
    from minikafka.coordinator.group.shard import GroupShard

_log = get_logger(__name__)


class GroupCoordinator:
    """Finds the shard of each group.

    Args:
        config: The broker's.
        partitions: What it leads.
        metadata: The cluster.
        clock: For sessions, and for the dates of commits.
        create_topic: Creates a topic; it can be written to when that returns.
    """

    def __init__(
        self,
        config: GroupConfig,
        partitions: Partitions,
        metadata: MetadataCache,
        clock: Clock,
        create_topic: Callable[[TopicSpec], Awaitable[object]],
    ) -> None:
        self.topic = InternalTopic(
            TopicSpec(
                GROUP_METADATA_TOPIC,
                config.offsets_topic_num_partitions,
                config.offsets_topic_replication_factor,
                settings=config.offsets_topic_settings(),
            ),
            metadata,
            create_topic,
        )
        """``__consumer_offsets``."""
        self._config = config
        self._topics = ClusterTopics(metadata)
        self._clock = clock
        self._places = Places(self.topic, partitions, clock, self._open_shard)

    def shard_of(self, group_id: str) -> GroupShard:
        """The shard that has a group, or would have it.

        Raises:
            NotCoordinator: Another broker coordinates the group.
            CoordinatorLoadInProgress: The group is being loaded.
            CoordinatorNotAvailable: The broker is about to stop.
        """
        return self._places.shard_of(group_id)

    def shard_at(self, index: int) -> GroupShard:
        """The shard of a partition of ``__consumer_offsets``.

        Raises:
            NotCoordinator, CoordinatorLoadInProgress, CoordinatorNotAvailable: As :meth:`shard_of`.
        """
        return self._places.shard_at(index)

    def shards(self) -> list[GroupShard]:
        """The shards of all groups that this broker coordinates.

        Raises:
            CoordinatorLoadInProgress: One of them is being loaded.
            CoordinatorNotAvailable: The broker is about to stop.
        """
        return self._places.shards()

    async def run(self) -> None:
        """Load what there is, then forget what expires; until cancelled."""
        await self._places.load_all()
        while True:
            await asyncio.sleep(self._config.offsets_retention_check_interval_ms / 1000)
            await self._forget_what_expired()

    def topic_deleted(self, name: str) -> None:
        """Delete every group's offsets of a topic that is gone."""
        if name == GROUP_METADATA_TOPIC:
            self._places.leave_all(NotCoordinator(f"{GROUP_METADATA_TOPIC} was deleted"))
            return
        for shard in self._places.loaded():
            shard.delete_topic(name)

    def close(self) -> None:
        """Send away everybody who waits, as the broker is about to stop."""
        self._places.close()

    def _open_shard(self, partition: Partition, on_failure: Callable[[KafkaError], None]) -> GroupShard:
        # Late, as a broker that starts does not wait for what only groups need.
        from minikafka.coordinator.group.opening import open_shard  # noqa: PLC0415

        return open_shard(partition, self._config, self._topics, self._clock, on_failure)

    async def _forget_what_expired(self) -> None:
        for index in self._places.led():
            try:
                self._places.shard_at(index).forget_what_expired(self._config.offsets_retention_ms)
            except KafkaError as error:
                _log.warning("offsets_not_expired", partition=index, reason=str(error))
            await asyncio.sleep(0)
