"""An internal topic: who coordinates what is kept in it, and how it comes into being.

The state of a group, or of a transactional id, belongs to one partition of the topic; the broker that leads the
partition coordinates it.

Source: Kafka, AutoTopicCreationManager, KafkaApis.getCoordinator.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from minikafka.cluster.metadata import MetadataCache, TopicMetadata
from minikafka.cluster.topic_requests import TopicSpec
from minikafka.coordinator.partitioning import partition_for
from minikafka.errors import CoordinatorNotAvailable, KafkaError, NotCoordinator, TopicAlreadyExists
from minikafka.observability.logging import get_logger

_log = get_logger(__name__)


class InternalTopic:
    """A topic that clients do not create.

    Args:
        spec: What it is made like.
        metadata: The cluster.
        create: Creates a topic; it can be written to when that returns.
    """

    __slots__ = ("_create", "_metadata", "_spec")

    def __init__(
        self, spec: TopicSpec, metadata: MetadataCache, create: Callable[[TopicSpec], Awaitable[object]]
    ) -> None:
        self._spec = spec
        self._metadata = metadata
        self._create = create

    @property
    def name(self) -> str:
        """The topic's name."""
        return self._spec.name

    @property
    def partition_count(self) -> int:
        """How many partitions it has; none while it is not there."""
        topic = self._topic
        return 0 if topic is None else len(topic.partitions)

    async def create(self) -> None:
        """Create it, or wait until the one who was faster has.

        Raises:
            CoordinatorNotAvailable: It cannot be made.
        """
        try:
            await self._create(self._spec)
        except TopicAlreadyExists:
            return
        except KafkaError as error:
            _log.error("internal_topic_not_created", topic=self.name, reason=str(error))
            raise CoordinatorNotAvailable(f"{self.name} cannot be created: {error}") from error

    def partition_of(self, key: str) -> int:
        """The partition of a group id or transactional id.

        Raises:
            NotCoordinator: The topic is not there, so that nobody coordinates anything.
        """
        topic = self._topic
        if topic is None:
            raise NotCoordinator(f"there is no {self.name} yet")
        return partition_for(key, len(topic.partitions))

    def coordinator_of(self, key: str) -> int:
        """The broker that coordinates a group or a transactional id.

        Raises:
            CoordinatorNotAvailable: There is none at the moment.
        """
        topic = self._topic
        if topic is None:
            raise CoordinatorNotAvailable(f"there is no {self.name} yet")
        state = topic.partitions[partition_for(key, len(topic.partitions))]
        if not state.has_leader:
            raise CoordinatorNotAvailable(f"nobody leads the partition of {key} in {self.name}")
        return state.leader_id

    @property
    def _topic(self) -> TopicMetadata | None:
        return self._metadata.topic(self.name)
