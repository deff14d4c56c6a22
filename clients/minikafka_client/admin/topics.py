"""Topics and their partitions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from minikafka.protocol.messages.create_partitions import CreatePartitionsRequest, CreatePartitionsTopic
from minikafka.protocol.messages.create_topics import (
    CreatableReplicaAssignment,
    CreatableTopic,
    CreatableTopicConfig,
    CreateTopicsRequest,
)
from minikafka.protocol.messages.delete_topics import DeleteTopicsRequest
from minikafka.protocol.messages.metadata import MetadataRequest, MetadataRequestTopic
from minikafka_client.admin.requests import AdminPart
from minikafka_client.admin.types import ClusterDescription, CreatedTopic, NewTopic
from minikafka_client.cluster import METADATA_VERSION
from minikafka_client.errors import Outcome, raise_failures
from minikafka_client.metadata import ClusterMetadata, TopicInfo, metadata_from

CREATE_TOPICS_VERSION = 7
CREATE_PARTITIONS_VERSION = 3
DELETE_TOPICS_VERSION = 5  # the last one that deletes by name only


class TopicAdmin(AdminPart):
    """Creates, describes, grows and deletes topics."""

    async def create_topics(
        self, topics: Iterable[NewTopic], *, validate_only: bool = False
    ) -> dict[str, CreatedTopic]:
        """Create topics, or only check whether they could be created.

        Raises:
            TopicAlreadyExists, InvalidTopic, InvalidPartitions, InvalidReplicationFactor, InvalidConfig, ...: As the
                broker says.
        """
        request = CreateTopicsRequest(
            topics=[_creatable(topic) for topic in topics],
            timeout_ms=self._requests.timeout_ms,
            validate_only=validate_only,
        )
        response = await self._requests.ask_controller(
            request,
            CREATE_TOPICS_VERSION,
            lambda answer: {f"topic {r.name!r}": Outcome(r.error_code, r.error_message) for r in answer.topics},
        )
        return {
            r.name: CreatedTopic(r.name, bytes(r.topic_id), r.num_partitions, r.replication_factor)
            for r in response.topics
        }

    async def delete_topics(self, names: Iterable[str]) -> None:
        """Delete topics and everything in them.

        Raises:
            UnknownTopicOrPartition, TopicDeletionDisabled, ...: As the broker says.
        """
        request = DeleteTopicsRequest(topic_names=list(names), timeout_ms=self._requests.timeout_ms)
        await self._requests.ask_controller(
            request,
            DELETE_TOPICS_VERSION,
            lambda answer: {f"topic {r.name!r}": Outcome(r.error_code, r.error_message) for r in answer.responses},
        )

    async def create_partitions(self, counts: Mapping[str, int], *, validate_only: bool = False) -> None:
        """Have topics grow to so many partitions; keys may then go to other partitions than before.

        Raises:
            InvalidPartitions, UnknownTopicOrPartition, ...: As the broker says.
        """
        request = CreatePartitionsRequest(
            topics=[CreatePartitionsTopic(name=name, count=count, assignments=None) for name, count in counts.items()],
            timeout_ms=self._requests.timeout_ms,
            validate_only=validate_only,
        )
        await self._requests.ask_controller(
            request,
            CREATE_PARTITIONS_VERSION,
            lambda answer: {f"topic {r.name!r}": Outcome(r.error_code, r.error_message) for r in answer.results},
        )

    async def list_topics(self, *, include_internal: bool = False) -> list[TopicInfo]:
        """All topics, by name; those that the brokers keep for themselves on request."""
        metadata = await self._metadata(None)
        topics = sorted(metadata.topics.values(), key=lambda topic: topic.name)
        return [topic for topic in topics if include_internal or not topic.is_internal]

    async def describe_topics(self, names: Iterable[str]) -> dict[str, TopicInfo]:
        """Leaders, replicas and in-sync replicas of the partitions of topics.

        Raises:
            UnknownTopicOrPartition, InvalidTopic, ...: As the broker says.
        """
        wanted = list(names)
        metadata = await self._metadata(wanted)
        raise_failures({f"topic {name!r}": Outcome(code, None) for name, code in metadata.errors.items()})
        return {name: metadata.topics[name] for name in wanted}

    async def describe_cluster(self) -> ClusterDescription:
        """The cluster's id, its controller and its brokers."""
        metadata = await self._metadata([])
        brokers = sorted(metadata.brokers.values(), key=lambda broker: broker.node_id)
        return ClusterDescription(metadata.cluster_id, metadata.controller_id, tuple(brokers))

    async def _metadata(self, names: list[str] | None) -> ClusterMetadata:
        """The metadata of these topics, or of all."""
        topics = None if names is None else [MetadataRequestTopic(name=name) for name in names]
        request = MetadataRequest(topics=topics, allow_auto_topic_creation=False)
        return metadata_from(await self._requests.ask(request, METADATA_VERSION), ClusterMetadata())


def _creatable(topic: NewTopic) -> CreatableTopic:
    return CreatableTopic(
        name=topic.name,
        num_partitions=-1 if topic.replica_assignments else topic.num_partitions,
        replication_factor=-1 if topic.replica_assignments else topic.replication_factor,
        assignments=[
            CreatableReplicaAssignment(partition_index=partition, broker_ids=list(broker_ids))
            for partition, broker_ids in topic.replica_assignments.items()
        ],
        configs=[CreatableTopicConfig(name=name, value=value) for name, value in topic.configs.items()],
    )
