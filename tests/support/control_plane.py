"""A client that speaks the control plane's requests: one connection, and the common requests with the fewest words."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar

from minikafka.broker.routes import ROUTES
from minikafka.net.connection import Connection
from minikafka.protocol.api_keys import ApiKey
from minikafka.protocol.messages.create_topics import (
    CreatableReplicaAssignment,
    CreatableTopic,
    CreatableTopicConfig,
    CreatableTopicResult,
    CreateTopicsRequest,
)
from minikafka.protocol.messages.delete_topics import DeletableTopicResult, DeleteTopicsRequest, DeleteTopicState
from minikafka.protocol.messages.describe_configs import (
    DescribeConfigsRequest,
    DescribeConfigsResource,
    DescribeConfigsResourceResult,
)
from minikafka.protocol.messages.metadata import MetadataRequest, MetadataRequestTopic, MetadataResponse
from minikafka.protocol.messages.produce import (
    PartitionProduceData,
    PartitionProduceResponse,
    ProduceRequest,
    TopicProduceData,
)
from minikafka.protocol.schema import Message, Request
from minikafka.records.builder import RecordBatchBuilder
from minikafka.records.compression import Compression
from minikafka.types import ZERO_UUID
from tests.support.broker import RunningBroker

R = TypeVar("R", bound=Message)

ANSWER_TIMEOUT_MS = 20_000
PRODUCE_VERSION = 11


def versions_of(api_key: ApiKey) -> list[int]:
    """Every version of an API that a broker answers."""
    (route,) = (route for route in ROUTES if route.api_key == api_key)
    return list(range(route.first_parsed, route.last_version + 1))


def new_topic(
    name: str,
    partitions: int = 1,
    replication_factor: int = 1,
    configs: Mapping[str, str | None] | None = None,
    assignments: Mapping[int, Sequence[int]] | None = None,
) -> CreatableTopic:
    """A topic as CreateTopics wants it; with ``assignments`` both numbers have to be -1."""
    return CreatableTopic(
        name=name,
        num_partitions=partitions,
        replication_factor=replication_factor,
        assignments=[
            CreatableReplicaAssignment(partition_index=index, broker_ids=list(brokers))
            for index, brokers in (assignments or {}).items()
        ],
        configs=[CreatableTopicConfig(name=key, value=value) for key, value in (configs or {}).items()],
    )


class ControlPlaneClient:
    """What an administrator's client does, and just enough producing to see that it worked."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    async def ask(self, request: Request[R], version: int) -> R:
        """The answer to ``request``."""
        return await self.connection.request(request, version, timeout_ms=ANSWER_TIMEOUT_MS)

    async def create(
        self, *topics: CreatableTopic, version: int = 7, validate_only: bool = False
    ) -> list[CreatableTopicResult]:
        """Create topics and return what became of each."""
        request = CreateTopicsRequest(topics=list(topics), timeout_ms=10_000, validate_only=validate_only)
        return (await self.ask(request, version)).topics

    async def create_topic(
        self, name: str, partitions: int = 1, configs: Mapping[str, str | None] | None = None
    ) -> bytes:
        """Create a topic that can be created, and return its id."""
        (created,) = await self.create(new_topic(name, partitions, configs=configs))
        assert created.error_code == 0, created.error_message
        return created.topic_id

    async def delete(self, *topics: str | bytes, version: int = 6) -> list[DeletableTopicResult]:
        """Delete topics by name (str) or id (bytes)."""
        if version < 6:
            names = [topic for topic in topics if isinstance(topic, str)]
            return (await self.ask(DeleteTopicsRequest(topic_names=names, timeout_ms=10_000), version)).responses
        states = [
            DeleteTopicState(name=topic, topic_id=ZERO_UUID)
            if isinstance(topic, str)
            else DeleteTopicState(name=None, topic_id=topic)
            for topic in topics
        ]
        return (await self.ask(DeleteTopicsRequest(topics=states, timeout_ms=10_000), version)).responses

    async def metadata(
        self, names: Iterable[str] | None = None, *, version: int = 13, create: bool = False
    ) -> MetadataResponse:
        """Metadata of the topics named, of all of them for None."""
        topics = None if names is None else [MetadataRequestTopic(name=name) for name in names]
        request = MetadataRequest(topics=topics)
        if version >= 4:
            request.allow_auto_topic_creation = create
        return await self.ask(request, version)

    async def topic_names(self) -> set[str]:
        """The names of all topics."""
        return {topic.name or "" for topic in (await self.metadata()).topics}

    async def describe_config(
        self, resource_type: int, resource_name: str, *keys: str
    ) -> dict[str, DescribeConfigsResourceResult]:
        """The configuration of a resource that has one, by key; all keys unless some are named."""
        resource = DescribeConfigsResource(
            resource_type=resource_type, resource_name=resource_name, configuration_keys=list(keys) or None
        )
        request = DescribeConfigsRequest(resources=[resource], include_synonyms=True, include_documentation=True)
        (result,) = (await self.ask(request, 4)).results
        assert result.error_code == 0, result.error_message
        return {config.name: config for config in result.configs}

    async def produce(self, topic: str, partition: int = 0, value: bytes = b"value") -> PartitionProduceResponse:
        """Produce one record with acks=1."""
        builder = RecordBatchBuilder(Compression.NONE)
        builder.append(1_700_000_000_000, None, value)
        data = PartitionProduceData(index=partition, records=builder.build())
        request = ProduceRequest(
            acks=1, timeout_ms=10_000, topic_data=[TopicProduceData(name=topic, partition_data=[data])]
        )
        (answered,) = (await self.ask(request, PRODUCE_VERSION)).responses
        (result,) = answered.partition_responses
        return result


@asynccontextmanager
async def administering(broker: RunningBroker) -> AsyncIterator[ControlPlaneClient]:
    """A client of a running broker."""
    connection = await Connection.open(*broker.address, client_id="test")
    try:
        yield ControlPlaneClient(connection)
    finally:
        connection.close()
