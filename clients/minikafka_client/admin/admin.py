"""The admin."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from itertools import count
from types import TracebackType
from typing import Self, TypeVar

from minikafka.errors import ErrorCode, NotController, UnknownMemberId
from minikafka.net.connection import Connection
from minikafka.protocol.api_keys import ApiKey
from minikafka.protocol.messages.create_partitions import CreatePartitionsRequest, CreatePartitionsTopic
from minikafka.protocol.messages.create_topics import (
    CreatableReplicaAssignment,
    CreatableTopic,
    CreatableTopicConfig,
    CreateTopicsRequest,
)
from minikafka.protocol.messages.delete_records import (
    DeleteRecordsPartition,
    DeleteRecordsRequest,
    DeleteRecordsTopic,
)
from minikafka.protocol.messages.delete_topics import DeleteTopicsRequest
from minikafka.protocol.messages.describe_configs import (
    DescribeConfigsRequest,
    DescribeConfigsResource,
    DescribeConfigsResult,
)
from minikafka.protocol.messages.incremental_alter_configs import AlterConfigsResourceResponse
from minikafka.protocol.messages.metadata import MetadataRequest, MetadataRequestTopic
from minikafka.protocol.schema import Message, Request
from minikafka.types import NO_LEADER, TopicPartition
from minikafka_client.admin.configs import alter_request, config_entry
from minikafka_client.admin.types import (
    AlterConfig,
    ClusterDescription,
    ConfigEntry,
    ConfigResource,
    CreatedTopic,
    NewTopic,
    ResourceType,
)
from minikafka_client.backoff import Backoff
from minikafka_client.cluster import METADATA_VERSION, Cluster, ClusterOptions
from minikafka_client.commits import commit_offsets, fetch_offsets
from minikafka_client.coordinators import Coordinators
from minikafka_client.errors import Outcome, Outcomes, raise_failures
from minikafka_client.metadata import ClusterMetadata, TopicInfo, metadata_from
from minikafka_client.offsets import Commits, GroupMetadata, OffsetAndMetadata

CREATE_TOPICS_VERSION = 7
CREATE_PARTITIONS_VERSION = 3
DELETE_TOPICS_VERSION = 5  # the last one that deletes by name only
DELETE_RECORDS_VERSION = 2
DESCRIBE_CONFIGS_VERSION = 4
ALTER_CONFIGS_VERSION = 1

R = TypeVar("R", bound=Message)


class AsyncAdmin:
    """Creates, describes, alters and deletes.

    >>> async def prepare(bootstrap_servers: str) -> int:
    ...     async with AsyncAdmin(bootstrap_servers) as admin:
    ...         await admin.create_topics([NewTopic("orders", num_partitions=3)])
    ...         orders = (await admin.describe_topics(["orders"]))["orders"]
    ...         return len(orders.partitions)

    Where several things are asked for and one of them fails, its error is raised; where several fail, an
    ``ExceptionGroup`` of their errors.  Each error names what it is about; the others have been carried out.

    Args:
        bootstrap_servers: ``HOST:PORT`` of a broker, or several with commas between them.
        client_id: How the brokers' logs name this client.
        request_timeout_ms: How long to wait for an answer, and how long a broker may take to carry a request out.
        retry_backoff_ms: The first pause while no broker can take a request; pauses double up to a second.
    """

    def __init__(
        self,
        bootstrap_servers: str = "localhost:9092",
        *,
        client_id: str = "minikafka-admin",
        request_timeout_ms: int = 30_000,
        retry_backoff_ms: int = 50,
    ) -> None:
        self._timeout_ms = request_timeout_ms
        self._cluster = Cluster(
            bootstrap_servers,
            ClusterOptions(
                client_id,
                request_timeout_ms=request_timeout_ms,
                allow_auto_create_topics=False,
                backoff=Backoff(retry_backoff_ms),
            ),
        )
        self._coordinators = Coordinators(self._cluster)

    async def __aenter__(self) -> Self:
        await self._cluster.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._coordinators.close()
        await self._cluster.close()

    # Topics

    async def create_topics(
        self, topics: Iterable[NewTopic], *, validate_only: bool = False
    ) -> dict[str, CreatedTopic]:
        """Create topics, or only check whether they could be created.

        Raises:
            TopicAlreadyExists, InvalidTopic, InvalidPartitions, InvalidReplicationFactor, InvalidConfig, ...: As the
                broker says.
        """
        request = CreateTopicsRequest(
            topics=[_creatable(topic) for topic in topics], timeout_ms=self._timeout_ms, validate_only=validate_only
        )
        response = await self._ask_controller(
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
        request = DeleteTopicsRequest(topic_names=list(names), timeout_ms=self._timeout_ms)
        await self._ask_controller(
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
            timeout_ms=self._timeout_ms,
            validate_only=validate_only,
        )
        await self._ask_controller(
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

    # Configurations

    async def describe_configs(
        self, resources: Iterable[ConfigResource], *, keys: Iterable[str] | None = None
    ) -> dict[ConfigResource, dict[str, ConfigEntry]]:
        """The configurations of topics and brokers, by key.

        Args:
            resources: Whose.
            keys: Only these keys; all by default.

        Raises:
            UnknownTopicOrPartition, InvalidRequest, ...: As the broker says.
        """
        wanted = list(keys) if keys is not None else None
        by_broker: defaultdict[int, list[ConfigResource]] = defaultdict(list)
        for resource in resources:
            by_broker[_broker_of(resource)].append(resource)
        described: dict[ConfigResource, dict[str, ConfigEntry]] = {}
        for node_id, theirs in by_broker.items():
            described |= await self._describe_configs_at(node_id, theirs, wanted)
        return described

    async def alter_configs(
        self, changes: Mapping[ConfigResource, Iterable[AlterConfig]], *, validate_only: bool = False
    ) -> None:
        """Change single keys and leave the others as they are, or only check whether that could be done.

        Raises:
            InvalidConfig, UnknownTopicOrPartition, ...: As the broker says.
        """
        by_broker: defaultdict[int, dict[ConfigResource, Iterable[AlterConfig]]] = defaultdict(dict)
        for resource, resource_changes in changes.items():
            by_broker[_broker_of(resource)][resource] = resource_changes
        for node_id, theirs in by_broker.items():
            connection = await self._connection(node_id)
            response = await self._ask(
                connection, alter_request(theirs, validate_only=validate_only), ALTER_CONFIGS_VERSION
            )
            raise_failures({_resource_name(r): Outcome(r.error_code, r.error_message) for r in response.responses})

    # Offsets of groups

    async def list_group_offsets(
        self, group_id: str, partitions: Iterable[TopicPartition] | None = None
    ) -> dict[TopicPartition, OffsetAndMetadata]:
        """How far a group has come: the next offset it will read in each partition.

        Args:
            group_id: The group; one that does not exist has committed nothing.
            partitions: Only these; all by default.

        Returns:
            What is committed; partitions for which nothing is are left out.

        Raises:
            GroupAuthorizationFailed, ...: As the coordinator says.
        """
        found = await fetch_offsets(
            self._coordinators, group_id, partitions, require_stable=False, timeout_ms=self._timeout_ms
        )
        return {partition: offset for partition, offset in found.items() if offset.offset >= 0}

    async def alter_group_offsets(self, group_id: str, offsets: Commits) -> None:
        """Have a group go on from these offsets when it is next started; it comes into being if it is not there.

        Raises:
            UnknownMemberId: The group has members, which know better where they are.
            UnknownTopicOrPartition, ...: As the coordinator says.
        """
        if not offsets:
            return
        claim = GroupMetadata(group_id)
        wanted = {where: OffsetAndMetadata.of(offset) for where, offset in offsets.items()}
        codes = await commit_offsets(self._coordinators, claim, wanted, timeout_ms=self._timeout_ms)
        if ErrorCode.UNKNOWN_MEMBER_ID in codes.values():
            raise UnknownMemberId(f"group {group_id!r} has members; stop them before its offsets are altered")
        raise_failures({f"offset of {where}": Outcome(code, None) for where, code in codes.items()})

    # Records

    async def delete_records(self, before_offsets: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
        """Delete the records before an offset, in each of these partitions; -1 stands for all there are.

        Returns:
            The first offset that is left, in each of them.

        Raises:
            OffsetOutOfRange, UnknownTopicOrPartition, PolicyViolation, ...: As the broker says.
        """
        for topic in {partition.topic for partition in before_offsets}:
            await self._cluster.topic(topic, self._timeout_ms)
        by_leader: defaultdict[int, dict[TopicPartition, int]] = defaultdict(dict)
        for partition, offset in before_offsets.items():
            by_leader[self._cluster.metadata.leader_of(*partition)][partition] = offset
        remaining: dict[TopicPartition, int] = {}
        for node_id, theirs in by_leader.items():
            remaining |= await self._delete_records_at(node_id, theirs)
        return remaining

    async def _delete_records_at(
        self, node_id: int, before_offsets: Mapping[TopicPartition, int]
    ) -> dict[TopicPartition, int]:
        topics: defaultdict[str, list[DeleteRecordsPartition]] = defaultdict(list)
        for partition, offset in before_offsets.items():
            topics[partition.topic].append(DeleteRecordsPartition(partition_index=partition.partition, offset=offset))
        request = DeleteRecordsRequest(
            topics=[DeleteRecordsTopic(name=name, partitions=partitions) for name, partitions in topics.items()],
            timeout_ms=self._timeout_ms,
        )
        response = await self._ask(await self._connection(node_id), request, DELETE_RECORDS_VERSION)
        results = {TopicPartition(t.name, r.partition_index): r for t in response.topics for r in t.partitions}
        raise_failures({str(where): Outcome(r.error_code, None) for where, r in results.items()})
        return {where: r.low_watermark for where, r in results.items()}

    async def _describe_configs_at(
        self, node_id: int, resources: list[ConfigResource], keys: list[str] | None
    ) -> dict[ConfigResource, dict[str, ConfigEntry]]:
        connection = await self._connection(node_id)
        version = connection.pick(ApiKey.DESCRIBE_CONFIGS, DESCRIBE_CONFIGS_VERSION)
        request = DescribeConfigsRequest(
            resources=[
                DescribeConfigsResource(resource_type=r.type.value, resource_name=r.name, configuration_keys=keys)
                for r in resources
            ],
            include_synonyms=True,
            include_documentation=version >= 3,
        )
        response = await self._ask(connection, request, version)
        raise_failures({_resource_name(r): Outcome(r.error_code, r.error_message) for r in response.results})
        return {
            ConfigResource(ResourceType(r.resource_type), r.resource_name): {c.name: config_entry(c) for c in r.configs}
            for r in response.results
        }

    # Requests

    async def _metadata(self, names: list[str] | None) -> ClusterMetadata:
        """The metadata of these topics, or of all; leaders too, so that topics just created are waited for."""
        topics = None if names is None else [MetadataRequestTopic(name=name) for name in names]
        request = MetadataRequest(topics=topics, allow_auto_topic_creation=False)
        response = await self._ask(await self._cluster.any_connection(), request, METADATA_VERSION)
        return metadata_from(response, ClusterMetadata())

    async def _ask(self, connection: Connection, request: Request[R], max_version: int) -> R:
        version = connection.pick(ApiKey(request.API_KEY), max_version)
        return await connection.request(request, version, timeout_ms=self._timeout_ms)

    async def _ask_controller(self, request: Request[R], max_version: int, outcomes: Callable[[R], Outcomes]) -> R:
        """Ask whichever broker is the controller, looking for it again when it has moved, and raise what failed."""
        deadline = asyncio.get_running_loop().time() + self._timeout_ms / 1_000
        for attempt in count():
            try:
                connection = await self._connection(self._cluster.metadata.controller_id)
            except OSError as error:
                failure: Exception = error
            else:
                response = await self._ask(connection, request, max_version)
                results = outcomes(response)
                if all(outcome.code != ErrorCode.NOT_CONTROLLER for outcome in results.values()):
                    raise_failures(results)
                    return response
                failure = NotController("the controller has moved")
            if asyncio.get_running_loop().time() > deadline:
                raise failure
            await asyncio.sleep(self._cluster.options.backoff.delay_s(attempt))
            await self._cluster.refresh()
        raise AssertionError("unreachable: count() does not end")

    async def _connection(self, node_id: int) -> Connection:
        if not self._cluster.metadata.brokers:
            await self._cluster.start()
        if node_id == NO_LEADER:
            return await self._cluster.any_connection()
        return await self._cluster.connection(node_id)


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


def _resource_name(result: AlterConfigsResourceResponse | DescribeConfigsResult) -> str:
    kind = "broker" if result.resource_type == ResourceType.BROKER else "topic"
    return f"{kind} {result.resource_name!r}"


def _broker_of(resource: ConfigResource) -> int:
    """Which broker to ask: a broker's own configuration is known to itself only, others to any (-1)."""
    return int(resource.name) if resource.type is ResourceType.BROKER and resource.name else NO_LEADER
