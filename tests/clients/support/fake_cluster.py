"""A cluster that misbehaves on demand, over real sockets: for what no healthy broker does when a test wants it.

It stores batches as they come, checks their sequence numbers as Kafka does, keeps fetch sessions, and can be told what
to do with the next requests: drop the connection before or after carrying one out, answer with an error, or keep the
client waiting.  One of its brokers coordinates a group.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from minikafka.errors import ErrorCode
from minikafka.net.handler import Address, Buffer, CloseConnection, ConnectionInfo
from minikafka.net.server import Server, ServerLimits
from minikafka.protocol.api_keys import ApiKey, request_class
from minikafka.protocol.codec import decode, encode_buffers
from minikafka.protocol.header import decode_request_header, encode_response_header
from minikafka.protocol.messages.api_versions import ApiVersion, ApiVersionsResponse
from minikafka.protocol.messages.create_topics import CreatableTopicResult, CreateTopicsRequest, CreateTopicsResponse
from minikafka.protocol.messages.fetch import (
    FetchableTopicResponse,
    FetchPartition,
    FetchRequest,
    FetchResponse,
    FetchTopic,
    PartitionData,
)
from minikafka.protocol.messages.init_producer_id import InitProducerIdResponse
from minikafka.protocol.messages.list_offsets import (
    ListOffsetsPartitionResponse,
    ListOffsetsRequest,
    ListOffsetsResponse,
    ListOffsetsTopicResponse,
)
from minikafka.protocol.messages.metadata import (
    MetadataRequest,
    MetadataResponse,
    MetadataResponseBroker,
    MetadataResponsePartition,
    MetadataResponseTopic,
)
from minikafka.protocol.messages.produce import (
    PartitionProduceResponse,
    ProduceRequest,
    ProduceResponse,
    TopicProduceResponse,
)
from minikafka.protocol.schema import Message
from minikafka.records.batch import RecordBatch
from minikafka.records.record import Record, iter_records
from minikafka.types import TopicPartition
from tests.clients.support.fake_coordinator import GROUP_VERSIONS, FakeCoordinator

VERSIONS = {
    **GROUP_VERSIONS,
    ApiKey.PRODUCE: (3, 11),
    ApiKey.FETCH: (4, 12),
    ApiKey.LIST_OFFSETS: (1, 7),
    ApiKey.METADATA: (0, 12),
    ApiKey.API_VERSIONS: (0, 4),
    ApiKey.INIT_PRODUCER_ID: (0, 4),
    ApiKey.CREATE_TOPICS: (2, 7),
}


class Drop(NamedTuple):
    """Close the connection instead of answering, having carried out the request or not."""

    carried_out: bool


class Refuse(NamedTuple):
    """Answer with an error, for every partition."""

    code: ErrorCode


class Hold(NamedTuple):
    """Carry out the request once the event is set."""

    until: asyncio.Event


Action = Drop | Refuse | Hold


@dataclass
class FakePartition:
    """What one partition has, and what its leader knows of producers."""

    leader_id: int = 0
    batches: list[bytes] = field(default_factory=list)
    log_start_offset: int = 0
    end_offset: int = 0
    max_batch_records: int = 1_000_000
    max_batch_bytes: int = 1_000_000
    next_sequences: dict[tuple[int, int], int] = field(default_factory=dict)
    appended: asyncio.Event = field(default_factory=asyncio.Event)

    def append(self, records: bytes) -> tuple[ErrorCode, int]:
        batch = RecordBatch.parse(memoryview(records))
        batch.verify_crc()
        if batch.records_count > self.max_batch_records or batch.size > self.max_batch_bytes:
            return ErrorCode.MESSAGE_TOO_LARGE, -1
        producer = (batch.producer_id, batch.producer_epoch)
        if batch.has_producer_id:
            expected = self.next_sequences.get(producer, 0)
            if batch.base_sequence < expected:
                return ErrorCode.DUPLICATE_SEQUENCE_NUMBER, -1
            if batch.base_sequence > expected:
                return ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER, -1
            self.next_sequences[producer] = expected + batch.records_count
        base_offset = self.end_offset
        self.batches.append(batch.stamped_prefix(base_offset, 0) + records[16:])
        self.end_offset += batch.last_offset_delta + 1
        self.appended.set()
        return ErrorCode.NONE, base_offset

    def records(self) -> list[Record]:
        batches = (RecordBatch.parse(memoryview(batch)) for batch in self.batches)
        return [record for batch in batches for record in iter_records(batch, budget_bytes=1 << 30)]

    def read(self, offset: int, max_bytes: int) -> bytes:
        taken = b""
        for batch in self.batches:
            if RecordBatch.parse(memoryview(batch)).next_offset > offset and (not taken or len(taken) < max_bytes):
                taken += batch
        return taken


class FakeCluster:
    """Brokers 0 to ``node_count - 1``, and the topics they have."""

    def __init__(self) -> None:
        self.addresses: list[Address] = []
        self.servers: list[Server] = []
        self.partitions: dict[TopicPartition, FakePartition] = {}
        self.topic_ids: dict[str, bytes] = {}
        self.controller_id = 0
        self.versions = dict(VERSIONS)
        self.coordinator = FakeCoordinator()
        self.actions: defaultdict[ApiKey, deque[Action]] = defaultdict(deque)
        self.requests: list[tuple[int, ApiKey, Message]] = []
        self.arrived: defaultdict[ApiKey, asyncio.Event] = defaultdict(asyncio.Event)
        self.topic_errors: dict[str, ErrorCode] = {}
        self.fetch_sessions: dict[int, dict[TopicPartition, FetchPartition]] = {}
        self.refusals: list[ErrorCode] = []
        self._next_session_id = 1
        self.answers: dict[ApiKey, Callable[[int, Any], Message]] = {}
        self._next_producer_id = 1000

    @property
    def bootstrap_servers(self) -> str:
        return ",".join(map(str, self.addresses))

    def create(self, topic: str, partition_count: int = 1, leader_id: int = 0) -> None:
        self.topic_ids.setdefault(topic, topic.encode().ljust(16, b"\0")[:16])
        for partition in range(partition_count):
            self.partitions.setdefault(TopicPartition(topic, partition), FakePartition(leader_id))

    def next(self, api_key: ApiKey, *actions: Action) -> None:
        """What to do with the next requests of this kind, in their order; those after them are served."""
        self.actions[api_key].extend(actions)

    def count(self, api_key: ApiKey) -> int:
        """How many such requests came."""
        return sum(key is api_key for _, key, _ in self.requests)

    def serve(self, api_key: ApiKey, last_version: int, answer: Callable[[int, Any], Message]) -> None:
        """Serve one more API, from version 0, with what ``answer`` makes of the node's id and the request."""
        self.versions[api_key] = (0, last_version)
        self.answers[api_key] = answer

    async def start_node(self, node_id: int, port: int = 0) -> None:
        def handle(frame: memoryview, info: ConnectionInfo) -> Awaitable[list[Buffer] | None]:
            return self._handle(node_id, frame)

        server = Server(handle, ServerLimits())  # type: ignore[arg-type]
        address = server.bind("127.0.0.1", port, "PLAINTEXT")
        await server.start()
        self.servers[node_id:] = [server]
        self.addresses[node_id:] = [address]

    async def stop_node(self, node_id: int) -> None:
        await self.servers[node_id].close(0)

    async def stop(self) -> None:
        for server in self.servers:
            await server.close(0)

    async def _handle(self, node_id: int, frame: memoryview) -> list[Buffer] | None:
        header = decode_request_header(frame)
        api_key, version = ApiKey(header.api_key), header.api_version
        low, high = self.versions.get(api_key, (1, 0))
        if not low <= version <= high:
            if api_key is ApiKey.API_VERSIONS:
                keys = [ApiVersion(api_key=api_key, min_version=low, max_version=high)]
                refused = ApiVersionsResponse(error_code=ErrorCode.UNSUPPORTED_VERSION, api_keys=keys)
                return encode_buffers(refused, 0, encode_response_header(api_key, 0, header.correlation_id))
            raise CloseConnection(f"{api_key.name} v{version} is not served")
        request = decode(request_class(api_key), version, memoryview(bytes(frame)), header.body_position)
        self.requests.append((node_id, api_key, request))
        self.arrived[api_key].set()
        action = self.actions[api_key].popleft() if self.actions[api_key] else None
        if isinstance(action, Hold):
            await action.until.wait()
        if isinstance(action, Drop) and not action.carried_out:
            raise CloseConnection("told to")
        refusal = action.code if isinstance(action, Refuse) else ErrorCode.NONE
        response = await self._answer(node_id, api_key, request, refusal)
        if isinstance(action, Drop):
            raise CloseConnection("told to")
        if response is None:
            return None
        head = encode_response_header(api_key, version, header.correlation_id)
        return encode_buffers(response, version, head)

    async def _answer(self, node_id: int, api_key: ApiKey, request: Any, refusal: ErrorCode) -> Message | None:
        if api_key in self.answers:
            return self.answers[api_key](node_id, request)
        match api_key:
            case ApiKey.API_VERSIONS:
                keys = [ApiVersion(api_key=k, min_version=a, max_version=b) for k, (a, b) in self.versions.items()]
                return ApiVersionsResponse(error_code=0, api_keys=keys)
            case ApiKey.METADATA:
                return self._metadata(request)
            case ApiKey.INIT_PRODUCER_ID:
                self._next_producer_id += 1
                return InitProducerIdResponse(error_code=refusal, producer_id=self._next_producer_id, producer_epoch=0)
            case ApiKey.PRODUCE:
                response = self._produce(node_id, request, refusal)
                return response if request.acks else None
            case ApiKey.FETCH:
                return await self._fetch(node_id, request, refusal)
            case ApiKey.LIST_OFFSETS:
                return self._list_offsets(node_id, request, refusal)
            case ApiKey.CREATE_TOPICS:
                return self._create_topics(node_id, request)
        answer = self.coordinator.answer(node_id, api_key, request, refusal)
        if answer is None:
            raise CloseConnection(f"{api_key.name} is beyond this fake")
        return answer

    def _metadata(self, request: MetadataRequest) -> MetadataResponse:
        wanted = list(self.topic_ids) if request.topics is None else [topic.name or "" for topic in request.topics]
        for name in wanted:
            if request.allow_auto_topic_creation and name not in self.topic_ids and name not in self.topic_errors:
                self.create(name)
        return MetadataResponse(
            brokers=[
                MetadataResponseBroker(node_id=node_id, host=address.host, port=address.port)
                for node_id, address in enumerate(self.addresses)
            ],
            cluster_id="fake",
            controller_id=self.controller_id,
            topics=[self._topic(name) for name in wanted],
        )

    def _topic(self, name: str) -> MetadataResponseTopic:
        error = self.topic_errors.get(name, ErrorCode.NONE)
        if name not in self.topic_ids and not error:
            error = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
        partitions = [] if error else [(where, p) for where, p in self.partitions.items() if where.topic == name]
        return MetadataResponseTopic(
            error_code=error,
            name=name,
            topic_id=self.topic_ids.get(name, bytes(16)),
            partitions=[
                MetadataResponsePartition(
                    partition_index=where.partition, leader_id=partition.leader_id, replica_nodes=[0], isr_nodes=[0]
                )
                for where, partition in partitions
            ],
        )

    def _produce(self, node_id: int, request: ProduceRequest, refusal: ErrorCode) -> ProduceResponse:
        responses = []
        for topic in request.topic_data:
            answers = []
            for data in topic.partition_data:
                partition = self.partitions.get(TopicPartition(topic.name, data.index))
                code, base_offset = refusal, -1
                if partition is None:
                    code = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
                elif partition.leader_id != node_id:
                    code = ErrorCode.NOT_LEADER_OR_FOLLOWER
                elif not code:
                    code, base_offset = partition.append(bytes(data.records or b""))  # type: ignore[arg-type]
                answers.append(PartitionProduceResponse(index=data.index, error_code=code, base_offset=base_offset))
            responses.append(TopicProduceResponse(name=topic.name, partition_responses=answers))
        return ProduceResponse(responses=responses)

    async def _fetch(self, node_id: int, request: FetchRequest, refusal: ErrorCode) -> FetchResponse:
        if request.session_epoch >= 0:
            in_full = self._in_full(request)
            if in_full is None:
                self.refusals.append(ErrorCode.FETCH_SESSION_ID_NOT_FOUND)
                return FetchResponse(error_code=ErrorCode.FETCH_SESSION_ID_NOT_FOUND, responses=[])
            request = in_full
        asked = [TopicPartition(topic.topic, p.partition) for topic in request.topics for p in topic.partitions]
        known = [self.partitions[where] for where in asked if where in self.partitions]
        response, size = self._read(node_id, request, refusal)
        if not size and known:
            for partition in known:
                partition.appended.clear()
            waits = [asyncio.create_task(partition.appended.wait()) for partition in known]
            await asyncio.wait(waits, timeout=request.max_wait_ms / 1_000, return_when=asyncio.FIRST_COMPLETED)
            for wait in waits:
                wait.cancel()
            response, _ = self._read(node_id, request, refusal)
        response.session_id = request.session_id
        return response

    def _in_full(self, request: FetchRequest) -> FetchRequest | None:
        """The full request that one in a session means; None when there is no such session."""
        session_id = request.session_id
        if request.session_epoch == 0:
            self.fetch_sessions.pop(session_id, None)
            session_id, self._next_session_id = self._next_session_id, self._next_session_id + 1
            self.fetch_sessions[session_id] = {}
        session = self.fetch_sessions.get(session_id)
        if session is None:
            return None
        session |= {TopicPartition(topic.topic, p.partition): p for topic in request.topics for p in topic.partitions}
        for topic in request.forgotten_topics_data:
            for number in topic.partitions:
                session.pop(TopicPartition(topic.topic, number), None)
        topics = [FetchTopic(topic=where.topic, partitions=[asked]) for where, asked in session.items()]
        return replace(request, session_id=session_id, topics=topics)

    def _read(self, node_id: int, request: FetchRequest, refusal: ErrorCode) -> tuple[FetchResponse, int]:
        size = 0
        responses = []
        for topic in request.topics:
            answers = []
            for asked in topic.partitions:
                partition = self.partitions.get(TopicPartition(topic.topic, asked.partition))
                code, records = refusal, b""
                if partition is None:
                    code = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
                elif partition.leader_id != node_id:
                    code = ErrorCode.NOT_LEADER_OR_FOLLOWER
                elif not partition.log_start_offset <= asked.fetch_offset <= partition.end_offset:
                    code = ErrorCode.OFFSET_OUT_OF_RANGE
                elif not code:
                    records = partition.read(asked.fetch_offset, asked.partition_max_bytes)
                size += len(records) + (1 if code else 0)
                answers.append(
                    PartitionData(
                        partition_index=asked.partition,
                        error_code=code,
                        high_watermark=partition.end_offset if partition else -1,
                        log_start_offset=partition.log_start_offset if partition else -1,
                        aborted_transactions=None,
                        records=records,
                    )
                )
            responses.append(FetchableTopicResponse(topic=topic.topic, partitions=answers))
        return FetchResponse(responses=responses), size

    def _list_offsets(self, node_id: int, request: ListOffsetsRequest, refusal: ErrorCode) -> ListOffsetsResponse:
        topics = []
        for topic in request.topics:
            answers = []
            for asked in topic.partitions:
                partition = self.partitions[TopicPartition(topic.name, asked.partition_index)]
                code = refusal if partition.leader_id == node_id else ErrorCode.NOT_LEADER_OR_FOLLOWER
                offset = partition.end_offset if asked.timestamp == -1 else partition.log_start_offset
                timestamp = -1
                if asked.timestamp >= 0:
                    later = [r for r in partition.records() if r.timestamp_ms >= asked.timestamp]
                    timestamp, offset = (later[0].timestamp_ms, later[0].offset) if later else (-1, -1)
                answers.append(
                    ListOffsetsPartitionResponse(
                        partition_index=asked.partition_index,
                        error_code=code,
                        timestamp=timestamp,
                        offset=-1 if code else offset,
                    )
                )
            topics.append(ListOffsetsTopicResponse(name=topic.name, partitions=answers))
        return ListOffsetsResponse(topics=topics)

    def _create_topics(self, node_id: int, request: CreateTopicsRequest) -> CreateTopicsResponse:
        results = []
        for topic in request.topics:
            code, message = ErrorCode.NONE, None
            if node_id != self.controller_id:
                code = ErrorCode.NOT_CONTROLLER
            elif topic.name in self.topic_ids:
                code, message = ErrorCode.TOPIC_ALREADY_EXISTS, "it is there"
            else:
                self.create(topic.name, max(1, topic.num_partitions))
            results.append(CreatableTopicResult(name=topic.name, error_code=code, error_message=message))
        return CreateTopicsResponse(topics=results)


@asynccontextmanager
async def fake_cluster(node_count: int = 1) -> AsyncIterator[FakeCluster]:
    cluster = FakeCluster()
    for node_id in range(node_count):
        await cluster.start_node(node_id)
    try:
        yield cluster
    finally:
        await cluster.stop()
