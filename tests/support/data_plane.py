"""A client that speaks the data plane's requests, and the batches that it sends."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TypeVar

from minikafka.net.connection import Connection
from minikafka.protocol.messages.create_topics import CreatableTopic, CreatableTopicConfig, CreateTopicsRequest
from minikafka.protocol.messages.delete_topics import DeleteTopicsRequest, DeleteTopicState
from minikafka.protocol.messages.fetch import FetchPartition, FetchRequest, FetchResponse, FetchTopic, PartitionData
from minikafka.protocol.messages.list_offsets import (
    ListOffsetsPartition,
    ListOffsetsPartitionResponse,
    ListOffsetsRequest,
    ListOffsetsTopic,
)
from minikafka.protocol.messages.metadata import MetadataRequest
from minikafka.protocol.messages.produce import (
    PartitionProduceData,
    PartitionProduceResponse,
    ProduceRequest,
    ProduceResponse,
    TopicProduceData,
)
from minikafka.protocol.schema import Message, Records, Request, as_view
from minikafka.records.batch import iter_batches
from minikafka.records.builder import RecordBatchBuilder
from minikafka.records.compression import Compression
from minikafka.records.record import iter_records
from minikafka.types import ZERO_UUID
from tests.support.broker import RunningBroker, SpawnedBroker

NOW_MS = time.time_ns() // 1_000_000 - 2 * 3_600_000
"""The time of records: not so long ago that the broker's retention would have them, and with room for later ones."""

R = TypeVar("R", bound=Message)


def batch_of(
    *values: bytes | None,
    key: bytes | None = None,
    timestamp_ms: int = NOW_MS,
    compression: Compression = Compression.NONE,
    producer_id: int = -1,
    producer_epoch: int = 0,
    sequence: int = 0,
    is_transactional: bool = False,
    is_control: bool = False,
) -> bytes:
    """A record batch as a producer sends it; its records are a millisecond apart."""
    has_id = producer_id >= 0
    builder = RecordBatchBuilder(
        compression,
        producer_id=producer_id,
        producer_epoch=producer_epoch if has_id else -1,
        base_sequence=sequence if has_id else -1,
        is_transactional=is_transactional,
        is_control=is_control,
    )
    for number, value in enumerate(values):
        builder.append(timestamp_ms + number, key, value)
    return builder.build()


def produce_request(
    topic: str,
    records: Mapping[int, bytes | None],
    *,
    acks: int = 1,
    topic_id: bytes = bytes(16),
    timeout_ms: int = 10_000,
    transactional_id: str | None = None,
) -> ProduceRequest:
    """A request that brings one batch to each of some partitions of a topic."""
    data = [PartitionProduceData(index=index, records=batch) for index, batch in records.items()]
    return ProduceRequest(
        transactional_id=transactional_id,
        acks=acks,
        timeout_ms=timeout_ms,
        topic_data=[TopicProduceData(name=topic, topic_id=topic_id, partition_data=data)],
    )


def values_of(records: Records | None) -> list[bytes | None]:
    """The values of all records of a fetch, which must be whole batches."""
    view = as_view(records or b"")
    batches = list(iter_batches(view))
    assert sum(batch.size for batch in batches) == len(view), bytes(view)
    return [record.value for batch in batches for record in iter_records(batch, budget_bytes=1 << 26)]


class DataPlaneClient:
    """One connection, and the common requests with the fewest words."""

    def __init__(self, connection: Connection, *, timeout_ms: int = 20_000) -> None:
        self.connection = connection
        self._timeout_ms = timeout_ms

    async def ask(self, request: Request[R], version: int) -> R:
        """The answer to ``request``."""
        return await self.connection.request(request, version, timeout_ms=self._timeout_ms)

    async def create_topic(self, name: str, partitions: int = 1, configs: Mapping[str, str] | None = None) -> bytes:
        """Create a topic and return its id."""
        settings = [CreatableTopicConfig(name=key, value=value) for key, value in (configs or {}).items()]
        topic = CreatableTopic(
            name=name, num_partitions=partitions, replication_factor=1, assignments=[], configs=settings
        )
        answer = await self.ask(CreateTopicsRequest(topics=[topic], timeout_ms=10_000, validate_only=False), 7)
        (created,) = answer.topics
        assert created.error_code == 0, created.error_message
        return bytes(created.topic_id)

    async def delete_all_topics(self) -> None:
        """Leave the broker to the next test as the first one found it."""
        known = await self.ask(MetadataRequest(topics=None, allow_auto_topic_creation=False), 12)
        wanted = [DeleteTopicState(name=topic.name, topic_id=ZERO_UUID) for topic in known.topics]
        answer = await self.ask(DeleteTopicsRequest(topics=wanted, timeout_ms=10_000), 6)
        assert not any(topic.error_code for topic in answer.responses)

    async def produce(
        self, topic: str, records: bytes | None, *, partition: int = 0, acks: int = 1, version: int = 9
    ) -> PartitionProduceResponse:
        """Produce one batch to one partition."""
        answer = await self.ask(produce_request(topic, {partition: records}, acks=acks), version)
        return only_produced(answer)

    async def end_offset(self, topic: str, partition: int = 0) -> int:
        """Where the partition ends."""
        return (await self.list_offset(topic, -1, partition=partition)).offset

    async def list_offset(
        self, topic: str, timestamp: int, *, partition: int = 0, version: int = 11, leader_epoch: int = -1
    ) -> ListOffsetsPartitionResponse:
        """Look up one offset."""
        asked = ListOffsetsPartition(partition_index=partition, timestamp=timestamp, current_leader_epoch=leader_epoch)
        request = ListOffsetsRequest(replica_id=-1, topics=[ListOffsetsTopic(name=topic, partitions=[asked])])
        (found,) = (await self.ask(request, version)).topics
        (answer,) = found.partitions
        return answer

    async def fetch(
        self,
        topic: str,
        offset: int,
        *,
        partition: int = 0,
        version: int = 12,
        max_wait_ms: int = 0,
        isolation_level: int = 0,
    ) -> PartitionData:
        """Fetch from one partition, without a session."""
        asked = FetchPartition(partition=partition, fetch_offset=offset, partition_max_bytes=1 << 20)
        request = FetchRequest(
            max_wait_ms=max_wait_ms,
            min_bytes=1,
            isolation_level=isolation_level,
            topics=[FetchTopic(topic=topic, partitions=[asked])],
        )
        return only_fetched(await self.ask(request, version))


def only_produced(answer: ProduceResponse) -> PartitionProduceResponse:
    """The one partition of an answer."""
    (topic,) = answer.responses
    (partition,) = topic.partition_responses
    return partition


def only_fetched(answer: FetchResponse) -> PartitionData:
    """The one partition of an answer."""
    (topic,) = answer.responses
    (partition,) = topic.partitions
    return partition


@asynccontextmanager
async def fresh_client(broker: RunningBroker) -> AsyncIterator[DataPlaneClient]:
    """A client of a broker that many tests share; the topics of this one go at its end."""
    async with connected(broker) as client:
        yield client
    async with connected(broker) as cleaner:
        await cleaner.delete_all_topics()


@asynccontextmanager
async def connected(broker: RunningBroker | SpawnedBroker, client_id: str = "test") -> AsyncIterator[DataPlaneClient]:
    """A client of a running broker."""
    connection = await Connection.open(*broker.address, client_id=client_id)
    try:
        yield DataPlaneClient(connection)
    finally:
        connection.close()
