"""The group coordinator: which groups this broker looks after, and where their state is.

A group belongs to a partition of ``__consumer_offsets``, and the broker that leads the partition coordinates the group.
Its state is loaded when it is first asked for, at the latest right after the start; whether the broker still leads the
partition is looked at with every request::

                  ┌── too long to read at once ──► loading ───┐
    (no shard) ───┤                                           ├──► loaded ──► closed: leader elsewhere,
                  └── at once ────────────────────────────────┘               topic gone, or a write failed

Source: Kafka, GroupCoordinatorService, CoordinatorRuntime, AutoTopicCreationManager.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from minikafka.clock import Clock
from minikafka.cluster.metadata import MetadataCache
from minikafka.cluster.topic_requests import TopicSpec
from minikafka.config.group import GroupConfig
from minikafka.coordinator.group.topics_view import ClusterTopics
from minikafka.coordinator.partitioning import partition_for
from minikafka.errors import (
    CoordinatorLoadInProgress,
    CoordinatorNotAvailable,
    KafkaError,
    NotCoordinator,
    TopicAlreadyExists,
)
from minikafka.observability.logging import get_logger
from minikafka.protocol.errors import DecodeError
from minikafka.replication.partition import Partition
from minikafka.replication.partitions import Partitions
from minikafka.types import GROUP_METADATA_TOPIC

if TYPE_CHECKING:
    from minikafka.coordinator.group.shard import GroupShard

AT_ONCE_BYTES = 256 * 1024
"""A log up to this size is read by the request that needs it: that takes less than asking the client to come again."""

RELOAD_AFTER_MS = 1_000
"""How long a partition that could not be loaded is left alone."""

_log = get_logger(__name__)


class _Place:
    """The groups of one partition in one leader epoch, on their way to being loaded or beyond."""

    __slots__ = ("failed_at_ms", "leader_epoch", "loading", "partition", "shard")

    def __init__(self, partition: Partition, shard: GroupShard) -> None:
        self.partition = partition
        self.leader_epoch = partition.leader_epoch
        self.shard = shard
        self.loading: Iterator[None] | None = None
        """What is left to be read; None when the shard is loaded."""
        self.failed_at_ms: float | None = None
        """When it turned out that the state cannot be had from the log."""

    def is_of(self, partition: Partition) -> bool:
        """Whether this is the state as of the partition's present leader epoch."""
        return self.partition is partition and self.leader_epoch == partition.leader_epoch


class GroupCoordinator:
    """Finds the shard of each group.

    Args:
        config: The broker's.
        broker_id: This broker.
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
        self._config = config
        self._partitions = partitions
        self._metadata = metadata
        self._clock = clock
        self._create_topic = create_topic
        self._topics = ClusterTopics(metadata)
        self._places: dict[int, _Place] = {}
        self._loading: set[asyncio.Task[None]] = set()
        self._is_closed = False

    # Who coordinates

    @property
    def lacks_topic(self) -> bool:
        """Whether ``__consumer_offsets`` has still to be created."""
        return self._metadata.topic(GROUP_METADATA_TOPIC) is None

    async def create_topic(self) -> None:
        """Create ``__consumer_offsets``, or wait until the one who was faster has.

        Raises:
            CoordinatorNotAvailable: It cannot be made.
        """
        settings = self._config.offsets_topic_settings()
        spec = TopicSpec(
            GROUP_METADATA_TOPIC,
            self._config.offsets_topic_num_partitions,
            self._config.offsets_topic_replication_factor,
            settings=settings,
        )
        try:
            await self._create_topic(spec)
        except TopicAlreadyExists:
            return
        except KafkaError as error:
            _log.error("offsets_topic_not_created", reason=str(error))
            raise CoordinatorNotAvailable(f"{GROUP_METADATA_TOPIC} cannot be created: {error}") from error

    def broker_of(self, group_id: str) -> int:
        """The broker that coordinates a group.

        Raises:
            CoordinatorNotAvailable: There is none at the moment.
        """
        topic = self._metadata.topic(GROUP_METADATA_TOPIC)
        if topic is None:
            raise CoordinatorNotAvailable(f"there is no {GROUP_METADATA_TOPIC} yet")
        state = topic.partitions[partition_for(group_id, len(topic.partitions))]
        if not state.has_leader:
            raise CoordinatorNotAvailable(f"nobody leads the partition of group {group_id}")
        return state.leader_id

    # Groups

    def shard_of(self, group_id: str) -> GroupShard:
        """The shard that has a group, or would have it.

        Raises:
            NotCoordinator: Another broker coordinates the group.
            CoordinatorLoadInProgress: The group is being loaded.
            CoordinatorNotAvailable: The broker is about to stop.
        """
        topic = self._metadata.topic(GROUP_METADATA_TOPIC)
        if topic is None:
            raise NotCoordinator(f"there is no {GROUP_METADATA_TOPIC} yet")
        return self._shard_at(partition_for(group_id, len(topic.partitions)))

    def shards(self) -> list[GroupShard]:
        """The shards of all groups that this broker coordinates.

        Raises:
            CoordinatorLoadInProgress: One of them is being loaded.
            CoordinatorNotAvailable: The broker is about to stop.
        """
        found = []
        for index in self._led():
            try:
                found.append(self._shard_at(index))
            except NotCoordinator:
                continue
        return found

    # The life of a coordinator

    async def run(self) -> None:
        """Load what there is, then forget what expires; until cancelled."""
        for index in self._led():
            with suppress(KafkaError):  # it is being loaded, or was found to be damaged, which was said
                self._shard_at(index)
            await asyncio.sleep(0)
        while True:
            await asyncio.sleep(self._config.offsets_retention_check_interval_ms / 1000)
            await self._forget_what_expired()

    def topic_deleted(self, name: str) -> None:
        """Delete every group's offsets of a topic that is gone."""
        if name == GROUP_METADATA_TOPIC:
            self._close_all(NotCoordinator(f"{GROUP_METADATA_TOPIC} was deleted"))
            return
        for place in list(self._places.values()):
            if place.loading is None and place.failed_at_ms is None:
                place.shard.delete_topic(name)

    def close(self) -> None:
        """Send away everybody who waits, as the broker is about to stop."""
        self._is_closed = True
        for task in self._loading:
            task.cancel()
        self._close_all(CoordinatorNotAvailable("the broker is about to stop"))

    # Within

    def _led(self) -> list[int]:
        topic = self._metadata.topic(GROUP_METADATA_TOPIC)
        count = 0 if topic is None else len(topic.partitions)
        return [index for index in range(count) if self._leads(index) is not None]

    def _leads(self, index: int) -> Partition | None:
        partition = self._partitions.get(GROUP_METADATA_TOPIC, index)
        return partition if partition is not None and partition.is_leader else None

    def _shard_at(self, index: int) -> GroupShard:
        if self._is_closed:
            raise CoordinatorNotAvailable("the broker is about to stop")
        partition, place = self._leads(index), self._places.get(index)
        if place is not None and (partition is None or not place.is_of(partition) or self._may_be_tried_again(place)):
            self._leave(index, NotCoordinator("the partition of the group has another leader, or a new epoch"))
            place = None
        if partition is None:
            raise NotCoordinator("this broker does not lead the partition of the group")
        if place is None:
            place = self._enter(index, partition)
        if place.failed_at_ms is not None:
            raise NotCoordinator("the state of the group cannot be had from the log")
        if place.loading is not None:
            raise CoordinatorLoadInProgress("the group is being loaded")
        return place.shard

    def _enter(self, index: int, partition: Partition) -> _Place:
        """Load the groups of a partition, at once or beside the requests."""
        # Late, as a broker that starts does not wait for what only groups need.
        from minikafka.coordinator.group.opening import open_shard  # noqa: PLC0415

        def given_up(error: KafkaError) -> None:
            if self._places.get(index) is place:
                del self._places[index]

        place = _Place(partition, open_shard(partition, self._config, self._topics, self._clock, given_up))
        place.loading = place.shard.load()
        self._places[index] = place
        if partition.log.size_bytes <= AT_ONCE_BYTES:
            while self._load_step(place):
                pass
        else:
            task = asyncio.create_task(self._load(place))
            self._loading.add(task)
            task.add_done_callback(self._loading.discard)
        return place

    async def _load(self, place: _Place) -> None:
        while self._load_step(place):  # noqa: ASYNC110 - it is this that does the work, nothing is waited for
            await asyncio.sleep(0)

    def _load_step(self, place: _Place) -> bool:
        """Load some records; says whether any are left."""
        if place.loading is None:
            return False
        try:
            next(place.loading)
        except StopIteration:
            place.loading = None
        except (KafkaError, DecodeError) as error:
            _log.error("groups_not_loaded", partition=str(place.partition.topic_partition), reason=str(error))
            place.loading, place.failed_at_ms = None, self._now_ms()
        return place.loading is not None

    def _may_be_tried_again(self, place: _Place) -> bool:
        return place.failed_at_ms is not None and self._now_ms() - place.failed_at_ms >= RELOAD_AFTER_MS

    def _leave(self, index: int, error: KafkaError) -> None:
        place = self._places.pop(index)
        place.loading = None
        place.shard.close(error)

    def _close_all(self, error: KafkaError) -> None:
        for index in list(self._places):
            self._leave(index, error)

    async def _forget_what_expired(self) -> None:
        for index in self._led():
            try:
                self._shard_at(index).forget_what_expired(self._config.offsets_retention_ms)
            except KafkaError as error:
                _log.warning("offsets_not_expired", partition=index, reason=str(error))
            await asyncio.sleep(0)

    def _now_ms(self) -> float:
        return self._clock.monotonic() * 1000
