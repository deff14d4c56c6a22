"""Produce (API key 0): append one record batch to each of some partitions that this broker leads.

The common case, ``acks`` 0 or 1 or a log that is durable enough as it is, is answered within the call.  Only a batch
that is dear to check (large and compressed), the coordinator of a transaction that has to write something down first,
and ``acks=all`` before its flush make the handler wait, in a task.

``acks=all`` appends to every partition first and then waits for all of them under one deadline; what is not durable
by then answers REQUEST_TIMED_OUT, although it is in the log: the client does not know, and tries again.
``acks=0`` has no answer, so an error closes the connection: that alone makes such a client look for the leader again.

Source: Kafka, KafkaApis.handleProduceRequest and ReplicaManager.appendRecords.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from typing import Any, NamedTuple

from minikafka.broker.batch_cost import TRIAL_BUDGET_BYTES, Cost, cost_of, is_plain
from minikafka.broker.confirmation import Confirmations
from minikafka.broker.context import RequestContext
from minikafka.broker.fairness import FEW, Turns
from minikafka.broker.leader_hints import LeaderHints
from minikafka.broker.services import Services
from minikafka.clock import Clock
from minikafka.coordinator.transaction.verifier import TransactionVerifier
from minikafka.errors import (
    ErrorCode,
    InvalidRecord,
    InvalidRequiredAcks,
    InvalidTopic,
    KafkaError,
    RequestTimedOut,
    StorageError,
    TransactionalIdAuthorizationFailed,
)
from minikafka.net.handler import CarriedOut, CloseConnection
from minikafka.observability.logging import get_logger
from minikafka.protocol.messages.produce import (
    BatchIndexAndErrorMessage,
    LeaderIdAndEpoch,
    NodeEndpoint,
    PartitionProduceData,
    PartitionProduceResponse,
    ProduceRequest,
    ProduceResponse,
    TopicProduceData,
    TopicProduceResponse,
)
from minikafka.protocol.schema import as_view
from minikafka.records.batch import RecordBatch
from minikafka.records.validation import InvalidRecords
from minikafka.replication.partition import Partition
from minikafka.replication.partitions import Partitions
from minikafka.storage.append import PreparedBatch, prepare
from minikafka.types import INTERNAL_TOPICS, NO_OFFSET, uuid_text

ALL, LEADER, NONE = -1, 1, 0
"""The values of ``acks``, which are all there are between the first and the second."""

FIRST_VERSION_WITH_ZSTD = 7
FIRST_VERSION_WITH_LEADER_HINTS = 10
FIRST_VERSION_BY_TOPIC_ID = 13

ADMIN_CLIENT_ID = "__admin_client"
"""The client id that may write to internal topics.  Source: Kafka, AdminUtils.ADMIN_CLIENT_ID."""

_SAYS_NO_LOG_START = frozenset(
    {
        ErrorCode.NOT_LEADER_OR_FOLLOWER,
        ErrorCode.MESSAGE_TOO_LARGE,
        ErrorCode.CORRUPT_MESSAGE,
        ErrorCode.INVALID_TOPIC_EXCEPTION,
        ErrorCode.KAFKA_STORAGE_ERROR,
    }
)

_log = get_logger(__name__)

Answer = ProduceResponse | None
TopicAndData = tuple[TopicProduceData, PartitionProduceData]


class Unacknowledged(NamedTuple):
    """A batch in the log that ``acks=all`` still waits for."""

    answer: PartitionProduceResponse
    durable: asyncio.Future[None]


class Work:
    """One request on its way into the logs."""

    __slots__ = ("acks", "confirmations", "ctx", "prepared", "topics", "transactional_id", "unacknowledged")

    def __init__(self, request: ProduceRequest, topics: Sequence[TopicProduceData], ctx: RequestContext) -> None:
        self.topics = topics
        self.acks = request.acks
        self.transactional_id = request.transactional_id
        self.ctx = ctx
        self.prepared: dict[int, PreparedBatch | KafkaError] = {}
        """What checking dear batches beforehand came to, by the identity of their entry in the request.

        Errors are without traceback: its frames refer to this, and the request would stay until the garbage collector
        comes round.
        """
        self.confirmations: Confirmations | None = None
        """What the coordinator says, by the same; None when the request is not of a transaction."""
        self.unacknowledged: list[Unacknowledged] = []


class ProduceHandler:
    """Appends what requests bring."""

    __slots__ = ("_clock", "_hints", "_max_decompressed_bytes", "_partitions", "_verifier", "_worker")

    def __init__(
        self,
        partitions: Partitions,
        verifier: TransactionVerifier,
        hints: LeaderHints,
        clock: Clock,
        worker: Executor,
        *,
        max_decompressed_bytes: int,
    ) -> None:
        self._partitions = partitions
        self._verifier = verifier
        self._hints = hints
        self._clock = clock
        self._worker = worker
        self._max_decompressed_bytes = max_decompressed_bytes

    def __call__(
        self, request: ProduceRequest, ctx: RequestContext
    ) -> Answer | Coroutine[Any, Any, Answer] | CarriedOut[Answer]:
        """Answer ``request``, at once if nothing has to be waited for."""
        topics: Sequence[TopicProduceData] = request.topic_data
        count = 1
        if len(topics) != 1 or len(topics[0].partition_data) != 1:
            count = sum(len(topic.partition_data) for topic in topics)
            topics = without_duplicates(topics)
        if not ALL <= request.acks <= LEADER:
            return _refuse_all(topics, InvalidRequiredAcks(f"acks must be -1, 0 or 1, not {request.acks}"))
        work = Work(request, topics, ctx)
        dear = [(topic, data) for topic in topics for data in topic.partition_data if self._is_dear(topic, data, work)]
        if request.transactional_id is not None:
            work.confirmations = self._confirm(work, request.transactional_id)
        if dear or count > FEW or (work.confirmations is not None and work.confirmations.must_wait):
            return self._append_in_turns(work, dear, request.timeout_ms)
        response = ProduceResponse(responses=[])
        for topic in topics:
            answers = [self._append(topic, data, work) for data in topic.partition_data]
            response.responses.append(_topic_response(topic, answers))
        if work.unacknowledged:
            # The client's next batches are appended meanwhile, and reach the disk with the same flush.
            return CarriedOut(self._wait(work, response, request.timeout_ms))
        return self._answer(work, response)

    def _is_dear(self, topic: TopicProduceData, data: PartitionProduceData, work: Work) -> bool:
        """Whether checking the batch, or compressing it as the topic asks, would hold up other clients.

        If that can only be found out by trying, and it is not, the batch has been prepared.
        """
        records = as_view(data.records or b"")
        if is_plain(records):
            return False
        cost = cost_of(records)
        try:
            partition = self._leader(topic, data, work.ctx)
            if cost is Cost.CHEAP:
                return partition.log.config.compression_type not in {"producer", "uncompressed"}
            if cost is Cost.UNKNOWN:
                work.prepared[id(data)] = self._prepare(partition, data, work, TRIAL_BUDGET_BYTES)
        except InvalidRecord:
            return True  # it may have been the budget: tried again with the whole one, out of the way
        except KafkaError as error:
            work.prepared[id(data)] = error.with_traceback(None)
        return id(data) not in work.prepared

    def _confirm(self, work: Work, transactional_id: str) -> Confirmations:
        """Ask the coordinator about the batches; what is wrong with one otherwise is told when it is appended."""
        confirmations = Confirmations(self._verifier, transactional_id, work.ctx.api_version)
        for topic in work.topics:
            for data in topic.partition_data:
                with suppress(KafkaError):
                    batch = RecordBatch.parse(as_view(data.records or b""))
                    confirmations.add(id(data), self._leader(topic, data, work.ctx), batch)
        confirmations.ask()
        return confirmations

    async def _append_in_turns(self, work: Work, dear: Sequence[TopicAndData], timeout_ms: int) -> Answer:
        """Check dear batches in worker threads, one after another, so that no request gets more than one of them."""
        if work.confirmations is not None:
            await work.confirmations.wait()
        for topic, data in dear:
            work.prepared[id(data)] = await self._prepare_in_thread(topic, data, work)
        turns = Turns()
        response = ProduceResponse(responses=[])
        for topic in work.topics:
            answers: list[PartitionProduceResponse] = []
            for data in topic.partition_data:
                if turns.is_over:
                    await turns.next()
                answers.append(self._append(topic, data, work))
            response.responses.append(_topic_response(topic, answers))
        return await self._wait(work, response, timeout_ms)

    async def _prepare_in_thread(
        self, topic: TopicProduceData, data: PartitionProduceData, work: Work
    ) -> PreparedBatch | KafkaError:
        loop = asyncio.get_running_loop()
        try:
            partition = self._leader(topic, data, work.ctx)
            return await loop.run_in_executor(
                self._worker, self._prepare, partition, data, work, self._max_decompressed_bytes
            )
        except KafkaError as error:
            return error.with_traceback(None)

    def _append(self, topic: TopicProduceData, data: PartitionProduceData, work: Work) -> PartitionProduceResponse:
        """Append one batch.  Whatever goes wrong is the answer of its own partition, never of the request."""
        partition = None
        try:
            partition = self._leader(topic, data, work.ctx)
            batch = work.prepared.get(id(data)) if work.prepared else None
            if isinstance(batch, KafkaError):
                return _refusal(data.index, batch, partition)
            if batch is None:
                batch = self._prepare(partition, data, work, self._max_decompressed_bytes)
            if work.confirmations is not None:
                batch.guard = work.confirmations.guard_of(id(data))
            appended = partition.append_as_leader(batch, work.acks)
            durable = partition.wait_acknowledged(appended.end_offset) if work.acks == ALL else None
        except KafkaError as error:
            return _refusal(data.index, error, partition)
        except Exception:  # noqa: BLE001 - a bug must not become the answer that it would become elsewhere
            # UNKNOWN_SERVER_ERROR would tell an idempotent producer "perhaps written", and it would send the batch
            # under a new identity: twice in the log.  A storage error is retried under the same sequence numbers.
            _log.exception("append_failed", topic=topic.name, partition=data.index)
            return _refusal(data.index, StorageError("the broker failed to append the batch"), partition)
        answer = PartitionProduceResponse(
            index=data.index,
            base_offset=appended.base_offset,
            log_append_time_ms=appended.log_append_time_ms,
            log_start_offset=appended.log_start_offset,
        )
        if durable is not None:
            work.unacknowledged.append(Unacknowledged(answer, durable))
        return answer

    def _leader(self, topic: TopicProduceData, data: PartitionProduceData, ctx: RequestContext) -> Partition:
        """The partition to append to.

        Raises:
            UnknownTopicOrPartition: There is no such partition.
            UnknownTopicId: No topic has the id that the request names.
            NotLeaderOrFollower: Another broker leads it.
            StorageError: Its log could not be opened.
            InvalidTopic: It is internal, and the client is not Kafka's own admin tool.
        """
        if ctx.api_version >= FIRST_VERSION_BY_TOPIC_ID:
            partition = self._partitions.leader_by_id(topic.topic_id, data.index)
        else:
            partition = self._partitions.leader(topic.name, data.index)
        name = partition.topic_partition.topic
        if name in INTERNAL_TOPICS and ctx.client_id != ADMIN_CLIENT_ID:
            raise InvalidTopic(f"cannot append to internal topic {name}")
        return partition

    def _prepare(
        self, partition: Partition, data: PartitionProduceData, work: Work, budget_bytes: int
    ) -> PreparedBatch:
        """Check a batch, stamp it and compress it again as the topic asks; runs in a worker thread too.

        Raises:
            KafkaError: Nothing of it may be appended.
        """
        try:
            prepared = prepare(
                as_view(data.records or b""),
                partition.log.config,
                self._clock.now_ms(),
                max_decompressed_bytes=budget_bytes,
                zstd_allowed=work.ctx.api_version >= FIRST_VERSION_WITH_ZSTD,
            )
        except KafkaError:
            raise
        except Exception as error:
            # Nothing was appended, and the producer may know that: see _append for what it must not be told.
            _log.exception("validation_failed", partition=str(partition.topic_partition))
            raise InvalidRecord("the broker failed to check the batch") from error
        if prepared.batch.is_transactional and work.transactional_id is None:
            raise TransactionalIdAuthorizationFailed("transactional records need a transactional id")
        return prepared

    async def _wait(self, work: Work, response: ProduceResponse, timeout_ms: int) -> Answer:
        """Answer once every batch is durable, or its log has failed, or the time is up."""
        if work.unacknowledged:
            deadline = work.ctx.deadline(timeout_ms)
            timer = asyncio.get_running_loop().call_at(deadline, _time_out, work.unacknowledged)
            try:
                for answer, durable in work.unacknowledged:
                    try:
                        await durable
                    except KafkaError as error:
                        _fail(answer, error)
            finally:
                timer.cancel()
                for _, durable in work.unacknowledged:
                    durable.cancel()  # those left over when the connection went away; the others are done
        return self._answer(work, response)

    def _answer(self, work: Work, response: ProduceResponse) -> Answer:
        if work.acks == NONE:
            _check_all_went_well(response)
            return None
        if work.ctx.api_version >= FIRST_VERSION_WITH_LEADER_HINTS:
            for topic in response.responses:
                for answer in topic.partition_responses:
                    if answer.error_code == ErrorCode.NOT_LEADER_OR_FOLLOWER:
                        self._hint(response, topic, answer, work.ctx)
        return response

    def _hint(
        self,
        response: ProduceResponse,
        topic: TopicProduceResponse,
        answer: PartitionProduceResponse,
        ctx: RequestContext,
    ) -> None:
        """Say who leads now (KIP-951)."""
        hint = self._hints.find(topic.name, topic.topic_id, answer.index, ctx.connection)
        if hint is None:
            return
        answer.current_leader = LeaderIdAndEpoch(leader_id=hint.leader_id, leader_epoch=hint.leader_epoch)
        if all(endpoint.node_id != hint.leader_id for endpoint in response.node_endpoints):
            response.node_endpoints.append(
                NodeEndpoint(node_id=hint.leader_id, host=hint.address.host, port=hint.address.port)
            )


def build(services: Services) -> ProduceHandler:
    """The handler, with what it needs of the broker."""
    return ProduceHandler(
        services.partitions,
        TransactionVerifier(services.transactions),
        LeaderHints(services.metadata, services.advertiser.address_of),
        services.clock,
        services.worker,
        max_decompressed_bytes=services.loaded_config.config.minikafka_decompression_max_bytes,
    )


def without_duplicates(topics: Sequence[TopicProduceData]) -> list[TopicProduceData]:
    """One entry per topic and per partition; of a partition listed twice the last batch counts, as in Kafka's map."""
    merged: dict[tuple[str, bytes], dict[int, PartitionProduceData]] = {}
    for topic in topics:
        partitions = merged.setdefault((topic.name, topic.topic_id), {})
        for data in topic.partition_data:
            partitions[data.index] = data
    return [
        TopicProduceData(name=name, topic_id=topic_id, partition_data=list(partitions.values()))
        for (name, topic_id), partitions in merged.items()
    ]


def _time_out(unacknowledged: Sequence[Unacknowledged]) -> None:
    for _, durable in unacknowledged:
        if not durable.done():
            durable.set_exception(RequestTimedOut("the batch was not acknowledged in time"))


def _check_all_went_well(response: ProduceResponse) -> None:
    """For acks=0.

    Raises:
        CloseConnection: Something did not.
    """
    errors = [
        f"{topic.name or uuid_text(topic.topic_id)}-{answer.index}: {ErrorCode(answer.error_code).name}"
        for topic in response.responses
        for answer in topic.partition_responses
        if answer.error_code
    ]
    if errors:
        raise CloseConnection(f"produce with acks=0 failed for {len(errors)} partitions, first {errors[0]}")


def _refuse_all(topics: Sequence[TopicProduceData], error: KafkaError) -> ProduceResponse:
    return ProduceResponse(
        responses=[
            _topic_response(topic, [_refusal(data.index, error, None) for data in topic.partition_data])
            for topic in topics
        ]
    )


def _topic_response(topic: TopicProduceData, answers: list[PartitionProduceResponse]) -> TopicProduceResponse:
    return TopicProduceResponse(name=topic.name, topic_id=topic.topic_id, partition_responses=answers)


def _refusal(index: int, error: KafkaError, partition: Partition | None) -> PartitionProduceResponse:
    answer = PartitionProduceResponse(index=index, base_offset=NO_OFFSET)
    _fail(answer, error)
    if partition is not None and error.code not in _SAYS_NO_LOG_START:
        answer.log_start_offset = partition.log_start_offset
    if isinstance(error, InvalidRecords):
        answer.record_errors = [
            BatchIndexAndErrorMessage(batch_index=record.batch_index, batch_index_error_message=record.message)
            for record in error.record_errors
        ]
    return answer


def _fail(answer: PartitionProduceResponse, error: KafkaError) -> None:
    answer.error_code = error.code
    answer.error_message = str(error) or None
