"""Fetch (API key 1): read record batches from partitions that this broker leads.

What can be answered is answered within the call: ``min_bytes`` are there, an error or a diverging epoch is to be told,
or the client does not want to wait.  Otherwise the request waits, in a task, until an append, an error or a deletion
wakes it, or its ``max_wait_ms`` is over; then it reads again.

Reading finds slices of segment files; their bytes are read only when the answer is put together, and go out as they
are.  A response never holds more than ``max_bytes``, but the first partition that has records always gives a batch,
however large, so that a client with small limits cannot get stuck (KIP-74).

Source: Kafka, KafkaApis.handleFetchRequest, ReplicaManager.fetchMessages and DelayedFetch.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Coroutine, Iterable
from concurrent.futures import Executor
from typing import Any, NamedTuple

from minikafka.broker.context import RequestContext
from minikafka.broker.fairness import FEW, Turns
from minikafka.broker.fetch_sessions import (
    FetchContext,
    FetchResult,
    FetchSessionCache,
    FetchTarget,
    SessionAnswer,
)
from minikafka.broker.leader_hints import LeaderHints
from minikafka.broker.services import Services
from minikafka.errors import (
    ErrorCode,
    InvalidRequest,
    KafkaError,
    StorageError,
    TopicAuthorizationFailed,
    UnsupportedCompressionType,
)
from minikafka.net.buffers import BufferPool
from minikafka.protocol.messages.fetch import (
    AbortedTransaction,
    EpochEndOffset,
    FetchableTopicResponse,
    FetchRequest,
    FetchResponse,
    LeaderIdAndEpoch,
    NodeEndpoint,
    PartitionData,
)
from minikafka.protocol.schema import as_view
from minikafka.records.batch import iter_batches
from minikafka.replication.partition import Partition
from minikafka.replication.partitions import Partitions
from minikafka.replication.waiters import FetchWaiter
from minikafka.storage.reading import EMPTY_SLICE
from minikafka.types import IsolationLevel

FIRST_VERSION_WITH_STORAGE_ERROR = 6
FIRST_VERSION_WITH_ZSTD = 10
FIRST_VERSION_BY_TOPIC_ID = 13
FIRST_VERSION_WITH_REPLICA_STATE = 15
FIRST_VERSION_WITH_LEADER_HINTS = 16

LARGE_READ_BYTES = 4 * 1024 * 1024
"""About 2 ms from the page cache."""

_TELLS_LEADER = frozenset({ErrorCode.NOT_LEADER_OR_FOLLOWER, ErrorCode.FENCED_LEADER_EPOCH})


class Limits(NamedTuple):
    """What a fetch asks for, brought within bounds."""

    max_wait_ms: int
    min_bytes: int
    max_bytes: int
    isolation: IsolationLevel


class Reading:
    """One pass over the partitions of a fetch, in their order."""

    __slots__ = ("partitions", "remaining_bytes", "results", "settled", "size")

    def __init__(self, max_bytes: int) -> None:
        self.results: list[FetchResult] = []
        self.partitions: list[Partition] = []
        self.remaining_bytes = max_bytes
        self.size = 0
        self.settled = False
        """Whether waiting would only delay what is to be told."""

    def add(self, result: FetchResult, partition: Partition | None) -> None:
        """Count one partition's result."""
        self.results.append(result)
        if partition is None:
            self.settled = True
            return
        self.partitions.append(partition)
        self.size += result.records.size
        self.remaining_bytes = max(0, self.remaining_bytes - result.records.size)
        if result.data.diverging_epoch.epoch >= 0:
            self.settled = True


class FetchHandler:
    """Reads what one request asks for."""

    __slots__ = ("_buffers", "_hints", "_max_bytes", "_partitions", "_sessions", "_worker")

    def __init__(
        self,
        partitions: Partitions,
        sessions: FetchSessionCache,
        hints: LeaderHints,
        worker: Executor,
        max_bytes: int,
    ) -> None:
        self._partitions = partitions
        self._sessions = sessions
        self._hints = hints
        self._worker = worker
        self._max_bytes = max_bytes
        self._buffers = BufferPool()

    def __call__(
        self, request: FetchRequest, ctx: RequestContext
    ) -> FetchResponse | Coroutine[Any, Any, FetchResponse]:
        """Answer ``request``, at once unless it has to wait, or there is very much to do."""
        try:
            context = self._sessions.resolve(request, ctx.api_version)
        except KafkaError as error:
            return FetchResponse(error_code=error.code, responses=[])
        try:
            limits = self._limits(request, ctx)
        except KafkaError as error:
            return self._answer(context, [_failed(target, error, ctx) for target in context.targets], ctx)
        if len(context.targets) > FEW:
            return self._wait(context, None, limits, ctx)
        reading = Reading(limits.max_bytes)
        for target in context.targets:
            self._read_into(reading, target, limits, ctx)
        if _is_ready(reading, limits):
            if reading.size > LARGE_READ_BYTES:
                return self._answer_large(context, reading.results, ctx)
            return self._answer(context, reading.results, ctx)
        return self._wait(context, reading, limits, ctx)

    def _limits(self, request: FetchRequest, ctx: RequestContext) -> Limits:
        """Check what is asked of the whole fetch.

        Raises:
            TopicAuthorizationFailed: It comes as a replica's, which would see uncommitted records and move the high
                watermark; no client may (CVE-2018-1288).
            InvalidRequest: The isolation level is none of Kafka's.
        """
        by_state = ctx.api_version >= FIRST_VERSION_WITH_REPLICA_STATE
        replica_id = request.replica_state.replica_id if by_state else request.replica_id
        if replica_id >= 0:
            raise TopicAuthorizationFailed("only brokers fetch as replicas")
        try:
            isolation = IsolationLevel(request.isolation_level)
        except ValueError as error:
            raise InvalidRequest(f"{request.isolation_level} is no isolation level") from error
        max_bytes = min(max(request.max_bytes, 0), self._max_bytes)
        return Limits(request.max_wait_ms, min(request.min_bytes, max_bytes), max_bytes, isolation)

    def _read_into(self, reading: Reading, target: FetchTarget, limits: Limits, ctx: RequestContext) -> None:
        try:
            partition = self._leader(target, ctx)
            reading.add(self._read(partition, target, reading, limits), partition)
        except KafkaError as error:
            reading.add(_failed(target, error, ctx), None)

    def _leader(self, target: FetchTarget, ctx: RequestContext) -> Partition:
        """The partition to read.

        Raises:
            UnknownTopicId: No topic has this id any more; one made anew under the same name is another.
            UnknownTopicOrPartition: There is no such partition.
            NotLeaderOrFollower: Another broker leads it.
            StorageError: Its log could not be opened.
            UnsupportedCompressionType: The topic is all zstd, which this version's clients cannot read.
        """
        version = ctx.api_version
        if version >= FIRST_VERSION_BY_TOPIC_ID:
            return self._partitions.leader_by_id(target.topic_id, target.asked.partition)
        partition = self._partitions.leader(target.topic, target.asked.partition)
        if version < FIRST_VERSION_WITH_ZSTD and partition.log.config.compression_type == "zstd":
            raise UnsupportedCompressionType(f"Fetch version {version} does not know zstd")
        return partition

    def _read(self, partition: Partition, target: FetchTarget, reading: Reading, limits: Limits) -> FetchResult:
        asked = target.asked
        read = partition.read(
            asked.fetch_offset,
            min(max(asked.partition_max_bytes, 0), reading.remaining_bytes),
            isolation=limits.isolation,
            current_leader_epoch=asked.current_leader_epoch,
            last_fetched_epoch=asked.last_fetched_epoch,
            min_one_batch=reading.size == 0,
        )
        data = PartitionData(
            partition_index=asked.partition,
            high_watermark=read.high_watermark,
            last_stable_offset=read.last_stable_offset,
            log_start_offset=read.log_start_offset,
            aborted_transactions=None if limits.isolation is IsolationLevel.READ_UNCOMMITTED else [],
            records=b"",
        )
        if read.aborted:
            data.aborted_transactions = [
                AbortedTransaction(producer_id=aborted.producer_id, first_offset=aborted.first_offset)
                for aborted in read.aborted
            ]
        if read.diverging_epoch is not None:
            data.diverging_epoch = EpochEndOffset(
                epoch=read.diverging_epoch.leader_epoch, end_offset=read.diverging_epoch.end_offset
            )
        return FetchResult(target, data, read.records)

    async def _read_all(self, context: FetchContext, limits: Limits, ctx: RequestContext) -> Reading:
        reading = Reading(limits.max_bytes)
        turns = Turns()
        for target in context.targets:
            if turns.is_over:
                await turns.next()
            self._read_into(reading, target, limits, ctx)
        return reading

    async def _wait(
        self, context: FetchContext, reading: Reading | None, limits: Limits, ctx: RequestContext
    ) -> FetchResponse:
        """Read again whenever something happens that could be enough, until it is or the time is over.

        Each reading follows the start of a watch, so that nothing falls between the two: when this runs for the first
        time, the loop has done other things since ``reading``.
        """
        deadline = ctx.deadline(limits.max_wait_ms)
        if reading is None:
            reading = await self._read_all(context, limits, ctx)
        in_time = True
        while in_time and not _is_ready(reading, limits):
            committed_only = limits.isolation is IsolationLevel.READ_COMMITTED
            waiter = FetchWaiter(limits.min_bytes - reading.size, committed_only=committed_only)
            with waiter.watching(reading.partitions):
                reading = await self._read_all(context, limits, ctx)
                if not _is_ready(reading, limits):
                    in_time = await waiter.wait(deadline)
                    reading = await self._read_all(context, limits, ctx)
        if reading.size > LARGE_READ_BYTES:
            return await self._answer_large(context, reading.results, ctx)
        return self._answer(context, reading.results, ctx)

    async def _answer_large(
        self, context: FetchContext, results: list[FetchResult], ctx: RequestContext
    ) -> FetchResponse:
        """Read what goes out in another thread: so much takes a while, and from a cold disk a long while."""
        answered = context.answer(results)
        self._make_room(answered.results)
        await asyncio.get_running_loop().run_in_executor(self._worker, _fill, answered.results)
        return self._response(answered, ctx)

    def _answer(self, context: FetchContext, results: list[FetchResult], ctx: RequestContext) -> FetchResponse:
        answered = context.answer(results)
        self._make_room(answered.results)
        _fill(answered.results)
        return self._response(answered, ctx)

    def _make_room(self, results: Iterable[FetchResult]) -> None:
        """Give the records that go out the buffers they are read into.

        Those have been used before: to read into fresh memory takes several times as long, for the system clears it.
        """
        for _, data, records in results:
            if records.size:
                buffer = self._buffers.acquire(records.size)
                data.records = memoryview(buffer)[: records.size]
                self._buffers.release(buffer)  # it is not used again before the answer is out and the view gone

    def _response(self, answered: SessionAnswer, ctx: RequestContext) -> FetchResponse:
        response = FetchResponse(error_code=answered.error_code, session_id=answered.session_id, responses=[])
        topic: FetchableTopicResponse | None = None
        for target, data, records in answered.results:
            if records.size and data.error_code:
                target.note_answer(data)  # the disk refused in the end: a session must not believe that all was told
            if data.error_code in _TELLS_LEADER and ctx.api_version >= FIRST_VERSION_WITH_LEADER_HINTS:
                self._hint(response, target, data, ctx)
            if topic is None or topic.topic != target.topic or topic.topic_id != target.topic_id:
                topic = FetchableTopicResponse(topic=target.topic, topic_id=target.topic_id, partitions=[])
                response.responses.append(topic)
            topic.partitions.append(data)
        return response

    def _hint(self, response: FetchResponse, target: FetchTarget, data: PartitionData, ctx: RequestContext) -> None:
        """Say who leads now, where it is not this broker or the client knows less than it (KIP-951)."""
        hint = self._hints.find(target.topic, target.topic_id, data.partition_index, ctx.connection)
        if hint is None:
            return
        data.current_leader = LeaderIdAndEpoch(leader_id=hint.leader_id, leader_epoch=hint.leader_epoch)
        if all(endpoint.node_id != hint.leader_id for endpoint in response.node_endpoints):
            response.node_endpoints.append(
                NodeEndpoint(node_id=hint.leader_id, host=hint.address.host, port=hint.address.port)
            )


def build(services: Services) -> FetchHandler:
    """The handler, with what it needs of the broker."""
    return FetchHandler(
        services.partitions,
        services.fetch_sessions,
        LeaderHints(services.metadata, services.advertiser.address_of),
        services.worker,
        services.loaded_config.config.fetch_max_bytes,
    )


def _is_ready(reading: Reading, limits: Limits) -> bool:
    """Whether to answer now: there is enough, or waiting would not bring more, or would delay what is to be told."""
    if reading.settled or reading.size >= limits.min_bytes or limits.max_wait_ms <= 0 or not reading.results:
        return True
    return reading.size > 0 and any(_is_cut_short(result, limits) for result in reading.results)


def _is_cut_short(result: FetchResult, limits: Limits) -> bool:
    """Whether more records follow than one answer can hold: these end with their segment, or at a limit."""
    if not result.records.size:
        return False
    try:
        last = deque(iter_batches(memoryview(result.records.read())), maxlen=1).pop()
    except KafkaError:
        return True
    committed_only = limits.isolation is IsolationLevel.READ_COMMITTED
    return last.next_offset < (result.data.last_stable_offset if committed_only else result.data.high_watermark)


def _failed(target: FetchTarget, error: KafkaError, ctx: RequestContext) -> FetchResult:
    """An error as the answer of its partition: records are empty, never null, which librdkafka cannot parse."""
    code = error.code
    if code is ErrorCode.KAFKA_STORAGE_ERROR and ctx.api_version < FIRST_VERSION_WITH_STORAGE_ERROR:
        code = ErrorCode.NOT_LEADER_OR_FOLLOWER
    data = PartitionData(
        partition_index=target.asked.partition,
        error_code=code,
        high_watermark=-1,
        aborted_transactions=[],
        records=b"",
    )
    return FetchResult(target, data, EMPTY_SLICE)


def _fill(results: Iterable[FetchResult]) -> None:
    """Read the records that go out; where the disk refuses, that is the answer."""
    for _, data, records in results:
        if not records.size:
            continue
        try:
            records.read_into(as_view(data.records or b""))
        except StorageError:
            data.records = b""
            data.error_code = ErrorCode.KAFKA_STORAGE_ERROR
            data.high_watermark = -1
