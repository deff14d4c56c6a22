"""Transactions: what is sent in one, in whichever partitions, counts altogether or not at all.

    ready ──begin──► open ──commit, abort──► ready
                      │ something was not stored
                      ▼
                    failed ──abort──► ready              fenced: another producer has the transactional id

Between transactions nothing is sent.  Where the cluster's ``transaction.version`` is 2, a partition joins a transaction
with the first batch that is written to it, and every transaction has a producer epoch of its own, so that nothing of
one can ever be taken for a part of the next (KIP-890).  Otherwise the coordinator is told of each partition first.

Source: Kafka, TransactionManager.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from enum import Enum, auto
from typing import Protocol, TypeVar

from minikafka.errors import (
    ErrorCode,
    InvalidTxnState,
    KafkaError,
    OutOfOrderSequenceNumber,
    ProducerFenced,
    RequestTimedOut,
)
from minikafka.protocol.messages.add_offsets_to_txn import AddOffsetsToTxnRequest
from minikafka.protocol.messages.add_partitions_to_txn import AddPartitionsToTxnRequest, AddPartitionsToTxnTopic
from minikafka.protocol.messages.end_txn import EndTxnRequest
from minikafka.protocol.messages.init_producer_id import InitProducerIdRequest
from minikafka.protocol.messages.txn_offset_commit import (
    TxnOffsetCommitRequest,
    TxnOffsetCommitRequestPartition,
    TxnOffsetCommitRequestTopic,
    TxnOffsetCommitResponse,
)
from minikafka.types import NO_PRODUCER_EPOCH, NO_PRODUCER_ID, ProducerIdAndEpoch, TopicPartition
from minikafka_client.cluster import Cluster
from minikafka_client.coordinators import Coordinators, KeyType
from minikafka_client.errors import CommitFailed, TransactionAborted, error_from_code, is_retriable
from minikafka_client.offsets import Commits, GroupMetadata, OffsetAndMetadata
from minikafka_client.producer.accumulator import PartitionQueue
from minikafka_client.producer.batch import ProducerBatch
from minikafka_client.producer.sequencer import PRODUCE_VERSION, Sequencer

INIT_PRODUCER_ID_VERSION = 5
ADD_PARTITIONS_VERSION = 3
ADD_OFFSETS_VERSION = 4
TXN_OFFSET_COMMIT_VERSION = 5
END_TXN_VERSION = 5

FEATURE = "transaction.version"

_OUTSIDE = InvalidTxnState(
    "with a transactional_id records are sent within a transaction: `with producer.transaction()`"
)

_FENCED = frozenset(
    {ErrorCode.PRODUCER_FENCED, ErrorCode.INVALID_PRODUCER_EPOCH, ErrorCode.INVALID_PRODUCER_ID_MAPPING}
)
_NO_MEMBER = frozenset({ErrorCode.ILLEGAL_GENERATION, ErrorCode.UNKNOWN_MEMBER_ID, ErrorCode.FENCED_INSTANCE_ID})
"""The partitions may be another member's by now."""

T = TypeVar("T")

_log = logging.getLogger(__name__)


class _State(Enum):
    NEW = auto()
    READY = auto()
    OPEN = auto()
    FENCED = auto()


class SendingLine(Protocol):
    """What transactions need of the sender."""

    def wake(self) -> None:
        """Look again at what may be sent."""
        ...

    async def flush(self) -> None:
        """Wait until every batch is stored or given up."""
        ...

    def forget_failures(self) -> None:
        """Report nothing of what was given up: whoever aborts a transaction knows."""
        ...


class TransactionManager(Sequencer):
    """The transactions of one producer, and the numbers of its batches.

    Args:
        cluster: The way to the brokers.
        transactional_id: Who the producer is, over restarts.
        timeout_ms: How long the coordinator lets a transaction be open.
        max_block_ms: How long to try what the coordinator has to do.
    """

    def __init__(self, cluster: Cluster, transactional_id: str, timeout_ms: int, max_block_ms: int) -> None:
        super().__init__(cluster)
        self.transactional_id: str = transactional_id
        self.failure = _OUTSIDE
        self._line: SendingLine | None = None
        self._timeout_ms = timeout_ms
        self._max_block_ms = max_block_ms
        self._state = _State.NEW
        self._coordinators = Coordinators(cluster, KeyType.TRANSACTION)
        self._groups = Coordinators(cluster)
        self._bumps_epochs = False
        self._lost_count = False
        self._is_in_doubt = False
        self._fencing: ProducerFenced | None = None
        self._joined: set[TopicPartition] = set()
        self._has_offsets = False
        self._to_join: set[TopicPartition] = set()
        self._joining: asyncio.Task[None] | None = None

    def attach(self, line: SendingLine) -> None:
        """Say who sends what is in transactions."""
        self._line = line

    # What a program does

    async def initialize(self) -> None:
        """Take over the transactional id: whoever had it is fenced, and what it left open is aborted.

        Raises:
            RequestTimedOut: The coordinator did not answer within ``max_block_ms``.
            KafkaError: The coordinator refuses.
        """
        if self._state is _State.NEW:
            await self._take_epoch(expected=None)
            self._state = _State.READY

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        """See :meth:`AsyncProducer.transaction`."""
        await self._begin()
        try:
            yield
        except BaseException as error:
            await self._abort_because_of(error)
            raise
        try:
            await self._commit()
        except BaseException as error:
            await self._abort_because_of(error)
            raise

    async def send_offsets(self, offsets: Commits, group: GroupMetadata) -> None:
        """See :meth:`AsyncProducer.send_offsets_to_transaction`."""
        if self._state is not _State.OPEN:
            raise InvalidTxnState("offsets are committed within a transaction: `with producer.transaction()`")
        if self.failure is not None:
            raise self.failure
        if not offsets:
            return
        try:
            if not self._bumps_epochs:
                await self._join_group(group.group_id)
            self._has_offsets = True
            await self._commit_offsets(offsets, group)
        except KafkaError as error:
            self._fail(error)
            raise

    async def close(self) -> None:
        """Stop what is under way."""
        if self._joining is not None:
            self._joining.cancel()
            await asyncio.gather(self._joining, return_exceptions=True)
        await self._coordinators.close()
        await self._groups.close()

    # What the sender asks

    async def acquire(self) -> None:
        """The producer id is there before anything can be sent."""

    @property
    def is_ready(self) -> bool:
        """Whether the sender may go on: it always may, if only to give up what is there."""
        return True

    @property
    def produce_version(self) -> int:
        """Later versions would have partitions join by being written to."""
        return PRODUCE_VERSION if self._bumps_epochs else PRODUCE_VERSION - 1

    def may_send(self, queue: PartitionQueue) -> bool:
        """Whether the partition is part of the transaction; if not, see to it that it becomes one."""
        where = TopicPartition(queue.topic, queue.partition)
        if where in self._joined:
            return True
        if self._bumps_epochs:
            self._joined.add(where)
            return True
        self._to_join.add(where)
        if self._joining is None:
            self._joining = asyncio.create_task(self._join_partitions())
        return False

    def gave_up(self, batch: ProducerBatch, error: Exception) -> None:
        """A transaction of which something is missing cannot be committed."""
        self._lost_count = self._lost_count or batch.is_numbered
        self._fail(error)

    def number(self, batch: ProducerBatch) -> None:
        """Give a batch its place in the partition's count, which begins anew with every epoch."""
        queue = batch.queue
        if (queue.producer_id, queue.producer_epoch) != (self._producer_id, self._producer_epoch):
            queue.producer_id, queue.producer_epoch = self._producer_id, self._producer_epoch
            queue.next_sequence = 0
        batch.builder.is_transactional = True
        super().number(batch)

    def start_over(self, queue: PartitionQueue) -> None:
        """The count of a partition has a hole: there is another epoch after the transaction, and none within it."""
        queue.must_renumber = False
        self._lost_count = True
        lost = next((batch.last_error for batch in queue.ready if batch.last_error is not None), None)
        self._fail(lost or OutOfOrderSequenceNumber(f"{queue}: a batch before this one was not stored"))

    # A transaction

    @property
    def _sending(self) -> SendingLine:
        assert self._line is not None, "attached when the producer starts"
        return self._line

    async def _begin(self) -> None:
        if self._state is _State.OPEN:
            raise InvalidTxnState("a transaction is open already: they do not nest")
        if self._fencing is not None:
            raise ProducerFenced(str(self._fencing)) from self._fencing
        await self.initialize()
        if self._is_in_doubt:
            await self._end_in_any_way()
        if self._lost_count:
            await self._take_epoch(ProducerIdAndEpoch(self._producer_id, self._producer_epoch))
        self._joined.clear()
        self._has_offsets = False
        self._state = _State.OPEN
        self.failure = None

    async def _commit(self) -> None:
        await self._sending.flush()
        if self.failure is not None:
            raise self.failure
        await self._end(is_commit=True)

    async def _abort_because_of(self, error: BaseException) -> None:
        """Abort, unless it is known or possible that the transaction is decided.

        Raises:
            ProducerFenced: It turned out that the producer was fenced, which is why ``error`` came about.
        """
        if self._state is not _State.OPEN:
            return
        self._fail(TransactionAborted(f"the transaction was aborted: {error!r}"))
        try:
            await self._sending.flush()
            self._sending.forget_failures()
            await self._end(is_commit=False)
        except ProducerFenced as fenced:
            if isinstance(error, KafkaError):
                raise fenced from error
        except (KafkaError, OSError) as trouble:
            _log.warning("the transaction is left to its coordinator, which aborts it in time: %s", trouble)

    async def _end(self, *, is_commit: bool) -> None:
        self.failure = self.failure or _OUTSIDE
        try:
            if self._joined or self._has_offsets:
                await self._ask_to_end(is_commit=is_commit)
        except RequestTimedOut:
            self._is_in_doubt = True
            raise
        finally:
            self._close_transaction()

    async def _end_in_any_way(self) -> None:
        """End the transaction of which nobody knows whether its end was heard of, and go on under a new epoch.

        Raises:
            ProducerFenced: Another producer has the transactional id by now.
            RequestTimedOut: The coordinator still does not answer.
        """
        with suppress(InvalidTxnState):  # it has ended, and was committed
            await self._ask_to_end(is_commit=False)
        self._is_in_doubt = False
        self._lost_count = True

    async def _ask_to_end(self, *, is_commit: bool) -> None:
        request = EndTxnRequest(
            transactional_id=self.transactional_id,
            producer_id=self._producer_id,
            producer_epoch=self._producer_epoch,
            committed=is_commit,
        )
        version = END_TXN_VERSION if self._bumps_epochs else END_TXN_VERSION - 1

        async def end() -> None:
            answer = await self._coordinators.ask(
                self.transactional_id, request, version, timeout_ms=self._max_block_ms
            )
            _raise(answer.error_code)
            if answer.producer_id != NO_PRODUCER_ID:
                self._producer_id, self._producer_epoch = answer.producer_id, answer.producer_epoch
                self._lost_count = False

        await self._patiently(end)

    def _close_transaction(self) -> None:
        self._state = _State.FENCED if self._fencing is not None else _State.READY
        self.failure = self._fencing or _OUTSIDE

    def _fail(self, error: Exception) -> None:
        """Send nothing more in this transaction: it cannot be committed."""
        if self._state is _State.OPEN and self.failure is None:
            self.failure = error
            self._sending.wake()

    # What the coordinators are asked

    async def _take_epoch(self, expected: ProducerIdAndEpoch | None) -> None:
        claim = expected or ProducerIdAndEpoch(NO_PRODUCER_ID, NO_PRODUCER_EPOCH)
        request = InitProducerIdRequest(
            transactional_id=self.transactional_id,
            transaction_timeout_ms=self._timeout_ms,
            producer_id=claim.producer_id,
            producer_epoch=claim.producer_epoch,
        )

        async def initialize() -> None:
            answer = await self._coordinators.ask(
                self.transactional_id, request, INIT_PRODUCER_ID_VERSION, timeout_ms=self._max_block_ms
            )
            _raise(answer.error_code)
            self._producer_id, self._producer_epoch = answer.producer_id, answer.producer_epoch

        await self._patiently(initialize)
        connection = await self._coordinators.connection(self.transactional_id)
        self._bumps_epochs = connection.features.get(FEATURE, 0) >= 2
        self._lost_count = False

    async def _join_partitions(self) -> None:
        try:
            while self._to_join and self.failure is None:
                partitions = frozenset(self._to_join)
                await self._patiently(lambda partitions=partitions: self._ask_to_join(partitions))  # type: ignore[misc]
                self._joined |= partitions
                self._to_join -= partitions
        except (KafkaError, OSError) as error:
            self._fail(error)
        finally:
            self._to_join.clear()
            self._joining = None
            self._sending.wake()

    async def _ask_to_join(self, partitions: frozenset[TopicPartition]) -> None:
        topics: dict[str, list[int]] = {}
        for topic, partition in sorted(partitions):
            topics.setdefault(topic, []).append(partition)
        request = AddPartitionsToTxnRequest(
            v3_and_below_transactional_id=self.transactional_id,
            v3_and_below_producer_id=self._producer_id,
            v3_and_below_producer_epoch=self._producer_epoch,
            v3_and_below_topics=[
                AddPartitionsToTxnTopic(name=topic, partitions=indexes) for topic, indexes in topics.items()
            ],
        )
        answer = await self._coordinators.ask(
            self.transactional_id,
            request,
            ADD_PARTITIONS_VERSION,
            timeout_ms=self._max_block_ms,
            error_of=lambda response: next(
                (
                    of_partition.partition_error_code
                    for of_topic in response.results_by_topic_v3_and_below
                    for of_partition in of_topic.results_by_partition
                ),
                0,
            ),
        )
        for of_topic in answer.results_by_topic_v3_and_below:
            for of_partition in of_topic.results_by_partition:
                if of_partition.partition_error_code != ErrorCode.OPERATION_NOT_ATTEMPTED:
                    _raise(of_partition.partition_error_code, f"{of_topic.name}[{of_partition.partition_index}]")

    async def _join_group(self, group_id: str) -> None:
        request = AddOffsetsToTxnRequest(
            transactional_id=self.transactional_id,
            producer_id=self._producer_id,
            producer_epoch=self._producer_epoch,
            group_id=group_id,
        )

        async def join() -> None:
            answer = await self._coordinators.ask(
                self.transactional_id, request, ADD_OFFSETS_VERSION, timeout_ms=self._max_block_ms
            )
            _raise(answer.error_code)

        await self._patiently(join)

    async def _commit_offsets(self, offsets: Commits, group: GroupMetadata) -> None:
        topics: dict[str, TxnOffsetCommitRequestTopic] = {}
        for (topic, partition), given in offsets.items():
            committed = OffsetAndMetadata.of(given)
            wanted = topics.setdefault(topic, TxnOffsetCommitRequestTopic(name=topic, partitions=[]))
            wanted.partitions.append(
                TxnOffsetCommitRequestPartition(
                    partition_index=partition,
                    committed_offset=committed.offset,
                    committed_leader_epoch=committed.leader_epoch,
                    committed_metadata=committed.metadata,
                )
            )
        request = TxnOffsetCommitRequest(
            transactional_id=self.transactional_id,
            group_id=group.group_id,
            producer_id=self._producer_id,
            producer_epoch=self._producer_epoch,
            generation_id=group.generation_id,
            member_id=group.member_id,
            group_instance_id=group.group_instance_id,
            topics=list(topics.values()),
        )
        version = TXN_OFFSET_COMMIT_VERSION if self._bumps_epochs else TXN_OFFSET_COMMIT_VERSION - 1

        async def commit() -> None:
            answer = await self._groups.ask(
                group.group_id, request, version, timeout_ms=self._max_block_ms, error_of=_first_error
            )
            code = _first_error(answer)
            if code in _NO_MEMBER:
                raise CommitFailed(f"group {group.group_id} went on without this consumer: {ErrorCode(code).name}")
            _raise(code)

        await self._patiently(commit)

    async def _patiently(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Ask again while a transaction is being completed, or a broker about to be ready.

        Raises:
            ProducerFenced: Another producer has the transactional id; there is nothing more to be done with this one.
            RequestTimedOut: That took longer than ``max_block_ms``.
        """
        last_error: Exception | None = None
        attempt = 0
        try:
            async with asyncio.timeout(self._max_block_ms / 1_000):
                while True:
                    try:
                        return await ask()
                    except KafkaError as error:
                        if error.code in _FENCED:
                            raise self._was_fenced(error) from error
                        if isinstance(error, RequestTimedOut) or not is_retriable(error):
                            raise
                        last_error = error
                    await asyncio.sleep(self._cluster.options.backoff.delay_s(attempt))
                    attempt += 1
        except TimeoutError:
            raise RequestTimedOut(
                f"transactional id {self.transactional_id!r}: {last_error} ({self._max_block_ms} ms)"
            ) from last_error

    def _was_fenced(self, error: KafkaError) -> ProducerFenced:
        self._fencing = ProducerFenced(
            f"another producer has taken over the transactional id {self.transactional_id!r}, or the transaction "
            f"was open for more than {self._timeout_ms} ms ({error})"
        )
        return self._fencing


def _raise(code: int, what: str | None = None) -> None:
    if code != ErrorCode.NONE:
        raise error_from_code(code, what)


def _first_error(response: TxnOffsetCommitResponse) -> int:
    codes = (partition.error_code for topic in response.topics for partition in topic.partitions)
    return next((code for code in codes if code), 0)
