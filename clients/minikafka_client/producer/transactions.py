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
from collections.abc import Awaitable, Callable
from contextlib import suppress
from enum import Enum, auto
from types import TracebackType
from typing import Protocol

from minikafka.errors import InvalidTxnState, KafkaError, OutOfOrderSequenceNumber, ProducerFenced
from minikafka.types import ProducerIdAndEpoch, TopicPartition
from minikafka_client.cluster import Cluster
from minikafka_client.errors import ClientClosed, TransactionAborted
from minikafka_client.offsets import Commits, GroupMetadata
from minikafka_client.producer.accumulator import PartitionQueue
from minikafka_client.producer.batch import ProducerBatch
from minikafka_client.producer.sequencer import PRODUCE_VERSION, Sequencer
from minikafka_client.producer.transaction_coordinator import TransactionCoordinator

FEATURE = "transaction.version"
FIRST_VERSION_WITH_EPOCH_BUMP = 2

_OUTSIDE = InvalidTxnState(
    "with a transactional_id records are sent within a transaction: `with producer.transaction()`"
)

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
        self._state = _State.NEW
        self._coordinator = TransactionCoordinator(cluster, transactional_id, timeout_ms, max_block_ms)
        self._bumps_epochs = False
        self._lost_count = False
        self._is_in_doubt = False
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

    def transaction(self, start: Callable[[], Awaitable[None]]) -> Transaction:
        """See :meth:`AsyncProducer.transaction`; ``start`` starts the producer, if that has not happened yet."""
        return Transaction(self, start)

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
                await self._coordinator.add_offsets(self._producer, group.group_id)
            self._has_offsets = True
            await self._coordinator.commit_offsets(self._producer, offsets, group, adds=self._bumps_epochs)
        except KafkaError as error:
            self._fail(error)
            raise

    async def abort_what_is_open(self) -> None:
        """Abort the transaction that is open, if one is, as its producer is about to be closed."""
        await self.abort_because_of(ClientClosed("the producer was closed"))

    async def close(self) -> None:
        """Stop what is under way."""
        if self._joining is not None:
            self._joining.cancel()
            await asyncio.gather(self._joining, return_exceptions=True)
        await self._coordinator.close()

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

    # What a transaction asks

    async def begin(self, start: Callable[[], Awaitable[None]]) -> None:
        """Open a transaction.

        Raises:
            InvalidTxnState: One is open.
            ProducerFenced: Another producer has the transactional id.
        """
        if self._line is None:
            await start()
        if self._state is _State.OPEN:
            raise InvalidTxnState("a transaction is open already: they do not nest")
        if (fencing := self._coordinator.fencing) is not None:
            raise ProducerFenced(str(fencing)) from fencing
        await self.initialize()
        if self._is_in_doubt:
            await self._end_in_any_way()
        if self._lost_count:
            await self._take_epoch(self._producer)
        self._joined.clear()
        self._has_offsets = False
        self._state = _State.OPEN
        self.failure = None

    async def commit(self) -> None:
        """Commit it, or abort it if that is not possible, and say why."""
        try:
            await self._sending.flush()
            if self.failure is not None:
                raise self.failure
            await self._end(is_commit=True)
        except BaseException as error:
            await self.abort_because_of(error)
            raise

    async def abort_because_of(self, error: BaseException) -> None:
        """Abort it, unless it is known or possible that it is decided.

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
        finally:
            if self._state is _State.OPEN:  # it was not even waited for what is on its way
                self._is_in_doubt = True
                self._close_transaction()

    # Its end

    @property
    def _producer(self) -> ProducerIdAndEpoch:
        return ProducerIdAndEpoch(self._producer_id, self._producer_epoch)

    @property
    def _sending(self) -> SendingLine:
        assert self._line is not None, "attached when the producer starts"
        return self._line

    async def _end(self, *, is_commit: bool) -> None:
        self.failure = self.failure or _OUTSIDE
        try:
            if self._joined or self._has_offsets:
                await self._ask_to_end(is_commit=is_commit)
        except (ProducerFenced, InvalidTxnState):
            raise
        except BaseException:  # also that nobody waits any more
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
        await self._sending.flush()
        self._sending.forget_failures()
        with suppress(InvalidTxnState):  # it has ended, and was committed
            await self._ask_to_end(is_commit=False)
        self._is_in_doubt = False
        self._lost_count = True

    async def _ask_to_end(self, *, is_commit: bool) -> None:
        producer = await self._coordinator.end(self._producer, is_commit=is_commit, bumps_epochs=self._bumps_epochs)
        if producer is not None:
            self._go_on_as(producer)

    def _close_transaction(self) -> None:
        self._state = _State.FENCED if self._coordinator.fencing is not None else _State.READY
        self.failure = self._coordinator.fencing or _OUTSIDE

    def _fail(self, error: Exception) -> None:
        """Send nothing more in this transaction: it cannot be committed."""
        if self._state is _State.OPEN and self.failure is None:
            self.failure = error
            self._sending.wake()

    async def _take_epoch(self, expected: ProducerIdAndEpoch | None) -> None:
        self._go_on_as(await self._coordinator.initialize(expected))
        self._bumps_epochs = await self._coordinator.feature_level(FEATURE) >= FIRST_VERSION_WITH_EPOCH_BUMP

    def _go_on_as(self, producer: ProducerIdAndEpoch) -> None:
        self._producer_id, self._producer_epoch = producer
        self._lost_count = False

    async def _join_partitions(self) -> None:
        try:
            while self._to_join and self.failure is None:
                partitions = frozenset(self._to_join)
                await self._coordinator.add_partitions(self._producer, partitions)
                self._joined |= partitions
                self._to_join -= partitions
        except (KafkaError, OSError) as error:
            self._fail(error)
        finally:
            self._to_join.clear()
            self._joining = None
            self._sending.wake()


class Transaction:
    """One transaction, as an ``async with`` block."""

    __slots__ = ("_manager", "_start")

    def __init__(self, manager: TransactionManager, start: Callable[[], Awaitable[None]]) -> None:
        self._manager = manager
        self._start = start

    async def __aenter__(self) -> None:
        await self._manager.begin(self._start)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None:
            await self._manager.commit()
        else:
            await self._manager.abort_because_of(error)
