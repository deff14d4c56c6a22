"""One partition on this broker: who leads it, how far its records are committed, and reading and writing it.

Source: Kafka, core/cluster/Partition.scala.
"""

from __future__ import annotations

import asyncio

from minikafka.cluster.metadata import PartitionState
from minikafka.config.broker import FLUSH_ALWAYS, FLUSH_AUTO
from minikafka.errors import (
    FencedLeaderEpoch,
    NotEnoughReplicas,
    NotLeaderOrFollower,
    OffsetOutOfRange,
    PolicyViolation,
    UnknownLeaderEpoch,
)
from minikafka.records.batch import RecordBatch
from minikafka.records.control import ControlType, EndTransactionMarker
from minikafka.replication.flusher import Flusher, Sweeper
from minikafka.replication.group_commit import GroupCommit
from minikafka.replication.state import DurabilityPolicy, OffsetSpec, PartitionRead
from minikafka.replication.waiters import FetchWaiter
from minikafka.storage.append import LogAppendInfo, PreparedBatch, prepare_marker
from minikafka.storage.leader_epochs import UNKNOWN_EPOCH, EpochEndOffset
from minikafka.storage.log import Log
from minikafka.storage.reading import EMPTY_SLICE
from minikafka.storage.transaction_verification import VerificationGuard
from minikafka.types import (
    NO_LEADER,
    NO_LEADER_EPOCH,
    NO_OFFSET,
    NO_TIMESTAMP,
    IsolationLevel,
    TimestampAndOffset,
    TopicPartition,
)

ACKS_ALL = -1

HIGH_WATERMARK = -1
"""The offset of DeleteRecords that stands for everything that is committed."""


class Partition:
    """A partition that has a log on this broker.

    The high watermark is where committed records end: all in-sync replicas have what is below it.  With this broker as
    the only one in sync that is the end of its log.
    """

    __slots__ = (
        "_broker_id",
        "_durability",
        "_flusher",
        "_group_commit",
        "_sweeper",
        "_waiters",
        "high_watermark",
        "is_leader",
        "isr",
        "leader_epoch",
        "leader_id",
        "log",
        "replicas",
        "topic_id",
        "topic_partition",
    )

    def __init__(
        self,
        log: Log,
        state: PartitionState,
        broker_id: int,
        *,
        group_commit: GroupCommit,
        sweeper: Sweeper,
        durability: DurabilityPolicy,
    ) -> None:
        self.topic_partition: TopicPartition = log.topic_partition
        self.topic_id: bytes = log.topic_id
        self.log = log
        self.leader_id = NO_LEADER
        self.leader_epoch = NO_LEADER_EPOCH
        self.isr: tuple[int, ...] = ()
        self.replicas: tuple[int, ...] = ()
        self.high_watermark = log.log_start_offset
        self.is_leader = False
        """Whether this broker leads."""
        self._broker_id = broker_id
        self._group_commit = group_commit
        self._durability = durability
        self._sweeper = sweeper
        self._flusher = Flusher(log, group_commit, durability.max_unflushed_bytes)
        self._waiters: dict[FetchWaiter, None] = {}
        self.apply(state)

    def apply(self, state: PartitionState) -> None:
        """Take over what the cluster says, unless it is older than what is known."""
        if state.leader_epoch < self.leader_epoch:
            return
        self.leader_id = state.leader_id
        self.leader_epoch = state.leader_epoch
        self.isr = state.isr
        self.replicas = state.replicas
        self.is_leader = state.leader_id == self._broker_id
        if self.is_leader and len(self.isr) == 1:
            self.high_watermark = self.log.log_end_offset
        self.wake_waiters()

    @property
    def log_start_offset(self) -> int:
        """The offset of the first record that can be read."""
        return self.log.log_start_offset

    @property
    def log_end_offset(self) -> int:
        """The offset that the next record gets."""
        return self.log.log_end_offset

    @property
    def last_stable_offset(self) -> int:
        """Where committed records end of which it is known whether they count.

        That is the first offset of the oldest open transaction, or the high watermark if none begins below it.
        """
        first_unstable_offset = self.log.producers.states.first_unstable_offset
        if first_unstable_offset is None or first_unstable_offset >= self.high_watermark:
            return self.high_watermark
        return max(first_unstable_offset, self.log.log_start_offset)

    def append_as_leader(self, prepared: PreparedBatch, required_acks: int) -> LogAppendInfo:
        """Append a batch, and wake the fetches that it satisfies.

        A batch that its producer repeats is not appended, and the answer tells where it is.

        Raises:
            NotLeaderOrFollower: Another broker leads.
            NotEnoughReplicas: ``required_acks`` is -1 and too few replicas are in sync; nothing is appended.
            InvalidProducerEpoch, OutOfOrderSequenceNumber, InvalidTxnState: It is not the next batch of its producer,
                see :class:`~minikafka.storage.producer_states.ProducerStates`; nothing is appended.
            StorageError: The disk failed; nothing is appended.
        """
        if not self.is_leader:
            raise self._not_leader()
        log = self.log
        if required_acks == ACKS_ALL and len(self.isr) < log.config.min_insync_replicas:
            self._check_enough_in_sync()
        unstable_before = log.producers.states.first_unstable_offset if self._waiters else None
        info = log.append_as_leader(prepared, self.leader_epoch)
        if len(self.isr) == 1:
            self.high_watermark = log.log_end_offset
            if self._waiters:
                self._tell_waiters(info.size_bytes, unstable_before)
        self._flusher.appended()
        self._sweeper.appended(log, info.size_bytes)
        return info

    def begin_verification(self, batch: RecordBatch, *, adds_partition: bool) -> VerificationGuard | None:
        """Begin to find out whether a transactional batch may be appended (KIP-890).

        With a guard the transaction's coordinator has to confirm, before the batch is appended, that this partition is
        in the transaction, and the guard goes with the batch as :attr:`PreparedBatch.guard`.  A marker that is written
        in the meantime makes it worthless.

        Args:
            batch: It has a producer id.
            adds_partition: Whether the coordinator adds the partition to the transaction when asked (transaction
                version 2: Produce from version 12 on, TxnOffsetCommit from version 5 on).

        Returns:
            None when the transaction has a batch here already, so that the coordinator knows, or even this one.

        Raises:
            NotLeaderOrFollower: Another broker leads.
            InvalidProducerEpoch: The producer has been replaced by one with a newer epoch.
            OutOfOrderSequenceNumber: It repeats what is so long ago that nobody knows where it is, or is the first of
                its epoch and does not begin with 0.
        """
        self.check_leader()
        return self.log.producers.states.begin_verification(
            batch, bumps_epochs=adds_partition, now_ms=self.log.clock.now_ms()
        )

    def append_end_marker(
        self,
        producer_id: int,
        producer_epoch: int,
        *,
        is_commit: bool,
        coordinator_epoch: int,
        transaction_version: int = 0,
    ) -> LogAppendInfo:
        """Append the marker that ends a producer's transaction here, and wake the fetches that this satisfies.

        It counts as durable when :meth:`wait_acknowledged` of the ``end_offset`` says so.  To append it again does no
        harm, whether or not a transaction is open.

        Args:
            producer_id: Whose transaction ends.
            producer_epoch: With transaction version 2 the one after that of the transaction's records.
            is_commit: Whether the records count.
            coordinator_epoch: The leader epoch of the coordinator's partition of ``__transaction_state``.
            transaction_version: 2 when every transaction has an epoch of its own (KIP-890, part 2).

        Raises:
            NotLeaderOrFollower: Another broker leads.
            NotEnoughReplicas: Too few replicas are in sync.
            InvalidProducerEpoch: The producer has written with a newer epoch; with transaction version 2 also when its
                open transaction has this epoch.
            TransactionCoordinatorFenced: A coordinator of a newer epoch has written a marker of this producer.
            StorageError: The disk failed.
        """
        marker = EndTransactionMarker(ControlType.COMMIT if is_commit else ControlType.ABORT, coordinator_epoch)
        prepared = prepare_marker(
            marker,
            producer_id=producer_id,
            producer_epoch=producer_epoch,
            now_ms=self.log.clock.now_ms(),
            transaction_version=transaction_version,
        )
        return self.append_as_leader(prepared, ACKS_ALL)

    def wait_acknowledged(self, end_offset: int) -> asyncio.Future[None] | None:
        """What ``acks=all`` waits for, for records below ``end_offset``; None when it is there already.

        The future fails with StorageError when the disk fails, and then nobody knows whether it has the records.
        """
        policy = self._durability.flush_on_acks_all
        needs_disk = policy == FLUSH_ALWAYS or (policy == FLUSH_AUTO and len(self.replicas) == 1)
        if needs_disk and self.log.flushed_end_offset < end_offset:
            return self._group_commit.commit(self.log, end_offset)
        return None

    def read(
        self,
        offset: int,
        max_bytes: int,
        *,
        isolation: IsolationLevel,
        current_leader_epoch: int = NO_LEADER_EPOCH,
        last_fetched_epoch: int = NO_LEADER_EPOCH,
        min_one_batch: bool = False,
    ) -> PartitionRead:
        """Find the committed records from ``offset`` on.

        Args:
            offset: Where to begin; the batch that holds it is given whole.
            max_bytes: The most to give; whole batches only.
            isolation: Whether records of open transactions are given, or it is told which transactions were aborted.
            current_leader_epoch: The leader epoch that the reader knows of, -1 if it does not say.
            last_fetched_epoch: The epoch of the record before ``offset`` in the reader's own copy, -1 if it has none.
            min_one_batch: Give the first batch even if it is larger than ``max_bytes``.

        Raises:
            NotLeaderOrFollower: Another broker leads.
            FencedLeaderEpoch: The reader's epoch is older than this leader's.
            UnknownLeaderEpoch: The reader's epoch is newer.
            OffsetOutOfRange: ``offset`` is below the log start or beyond the log end.
            StorageError: The log is offline.
        """
        if not self.is_leader or current_leader_epoch >= 0:
            self.check_leader(current_leader_epoch)
        log = self.log
        last_stable_offset = self.last_stable_offset
        committed_only = isolation is IsolationLevel.READ_COMMITTED
        diverging = None
        if last_fetched_epoch >= 0:
            diverging = self._diverging_epoch(offset, last_fetched_epoch)
        if diverging is not None:
            records = EMPTY_SLICE
        else:
            end_offset = last_stable_offset if committed_only else self.high_watermark
            records = log.read(offset, max_bytes, end_offset, min_one_batch=min_one_batch)
        aborted = log.find_aborted(offset, records.end_offset) if committed_only and records.size else ()
        return PartitionRead(records, self.high_watermark, last_stable_offset, log.log_start_offset, diverging, aborted)

    def check_leader(self, current_leader_epoch: int = NO_LEADER_EPOCH) -> None:
        """Check that this broker leads, and in the epoch that a client believes, -1 if it does not say.

        Raises:
            NotLeaderOrFollower: Another broker leads.
            FencedLeaderEpoch: The client's epoch is older.
            UnknownLeaderEpoch: The client's epoch is newer.
        """
        if current_leader_epoch >= 0 and current_leader_epoch != self.leader_epoch:
            found = (
                f"{self.topic_partition} is in leader epoch {self.leader_epoch}, the client in {current_leader_epoch}"
            )
            if current_leader_epoch < self.leader_epoch:
                raise FencedLeaderEpoch(found)
            raise UnknownLeaderEpoch(found)
        if not self.is_leader:
            raise self._not_leader()

    def offset_for_timestamp(
        self,
        timestamp_ms: int,
        *,
        isolation: IsolationLevel = IsolationLevel.READ_UNCOMMITTED,
        current_leader_epoch: int = NO_LEADER_EPOCH,
    ) -> TimestampAndOffset | None:
        """The first record at or after a time, or one of the special places with a negative timestamp.

        Returns:
            None when no committed record is that late.  For the special places the timestamp is -1, except for the
            record with the greatest timestamp; for places that exist only with tiered storage the offset is -1.

        Raises:
            NotLeaderOrFollower, FencedLeaderEpoch, UnknownLeaderEpoch: As :meth:`check_leader`.
            StorageError: The log is offline.
        """
        self.check_leader(current_leader_epoch)
        end_offset = self.high_watermark if isolation is IsolationLevel.READ_UNCOMMITTED else self.last_stable_offset
        match timestamp_ms:
            case OffsetSpec.LATEST:
                return TimestampAndOffset(NO_TIMESTAMP, end_offset, self.leader_epoch)
            case OffsetSpec.EARLIEST | OffsetSpec.EARLIEST_LOCAL:
                return TimestampAndOffset(NO_TIMESTAMP, self.log.log_start_offset, self._earliest_epoch())
            case OffsetSpec.MAX_TIMESTAMP:
                return self.log.find_max_timestamp(end_offset)
            case OffsetSpec.LATEST_TIERED | OffsetSpec.EARLIEST_PENDING_UPLOAD:
                return TimestampAndOffset(NO_TIMESTAMP, NO_OFFSET, NO_LEADER_EPOCH)
            case _:
                return self.log.find_by_timestamp(timestamp_ms, end_offset)

    def end_offset_for_epoch(self, leader_epoch: int, current_leader_epoch: int = NO_LEADER_EPOCH) -> EpochEndOffset:
        """Where the largest epoch not above ``leader_epoch`` ends in this log; (-1, -1) when that is unknown.

        Raises:
            NotLeaderOrFollower, FencedLeaderEpoch, UnknownLeaderEpoch: As :meth:`check_leader`.
        """
        self.check_leader(current_leader_epoch)
        return self._end_of_epoch(leader_epoch)

    def delete_records(self, before_offset: int) -> int:
        """Delete what lies before an offset, durably, and return the new low watermark.

        Args:
            before_offset: The first offset to keep, or -1 for the high watermark.

        Raises:
            NotLeaderOrFollower: Another broker leads.
            OffsetOutOfRange: The offset is negative or beyond the high watermark.
            PolicyViolation: The topic is only compacted.
            StorageError: The disk failed.
        """
        self.check_leader()
        config = self.log.config
        if "compact" in config.cleanup_policy and "delete" not in config.cleanup_policy:
            raise PolicyViolation(
                f"records of {self.topic_partition} can not be deleted: its cleanup.policy is compact"
            )
        wanted = self.high_watermark if before_offset == HIGH_WATERMARK else before_offset
        if not 0 <= wanted <= self.high_watermark:
            raise OffsetOutOfRange(
                f"{self.topic_partition} has no offset {wanted} to delete up to: "
                f"its high watermark is {self.high_watermark}"
            )
        if wanted > self.log.log_start_offset:
            self.log.delete_records(wanted)
        return self.log.log_start_offset

    def add_waiter(self, waiter: FetchWaiter) -> None:
        """Tell ``waiter`` of every append, and when the partition is no longer what it was."""
        self._waiters[waiter] = None

    def remove_waiter(self, waiter: FetchWaiter) -> None:
        """Tell ``waiter`` nothing any more."""
        self._waiters.pop(waiter, None)

    def wake_waiters(self) -> None:
        """Have every waiting fetch read again, and find what has changed."""
        for waiter in tuple(self._waiters):
            waiter.wake()

    def end_waits(self) -> None:
        """Have every waiting fetch answered, as if its time were over."""
        for waiter in tuple(self._waiters):
            waiter.give_up()

    def resign(self) -> None:
        """Stop leading because the partition is being deleted or moved: whoever asks from now on is sent away."""
        self.is_leader = False
        self.leader_id = NO_LEADER
        self._flusher.cancel()
        self._sweeper.forget(self.log)
        self.wake_waiters()

    def _tell_waiters(self, size_bytes: int, unstable_before: int | None) -> None:
        """Tell the waiting fetches what has been appended, each as far as it may read it."""
        first_unstable_offset = self.log.producers.states.first_unstable_offset
        for waiter in tuple(self._waiters):
            if not waiter.committed_only or first_unstable_offset is unstable_before is None:
                waiter.bytes_readable(size_bytes)
            elif unstable_before is not None and first_unstable_offset != unstable_before:
                waiter.wake()

    def _not_leader(self) -> NotLeaderOrFollower:
        return NotLeaderOrFollower(f"broker {self._broker_id} does not lead {self.topic_partition}")

    def _check_enough_in_sync(self) -> None:
        # As in Kafka, a partition with fewer replicas than min.insync.replicas needs all of them, not the impossible.
        needed = min(self.log.config.min_insync_replicas, len(self.replicas))
        if len(self.isr) < needed:
            raise NotEnoughReplicas(f"{self.topic_partition} has {len(self.isr)} replicas in sync and needs {needed}")

    def _diverging_epoch(self, offset: int, last_fetched_epoch: int) -> EpochEndOffset | None:
        """Where the reader's copy and this log part, None when they agree up to ``offset``."""
        found = self._end_of_epoch(last_fetched_epoch)
        if found == UNKNOWN_EPOCH:
            raise OffsetOutOfRange(
                f"{self.topic_partition} does not know where leader epoch {last_fetched_epoch} ended"
            )
        if found.leader_epoch < last_fetched_epoch or found.end_offset < offset:
            return found
        return None

    def _end_of_epoch(self, leader_epoch: int) -> EpochEndOffset:
        """The end of an epoch, of this leader's too: the log knows of that only once it has a record of it."""
        epochs, end_offset = self.log.leader_epochs, self.log.log_end_offset
        if leader_epoch > self.leader_epoch or leader_epoch == NO_LEADER_EPOCH:
            return UNKNOWN_EPOCH
        if leader_epoch == self.leader_epoch or epochs.latest_epoch == NO_LEADER_EPOCH:
            return EpochEndOffset(leader_epoch, end_offset)
        return epochs.end_offset_for(min(leader_epoch, epochs.latest_epoch), end_offset)

    def _earliest_epoch(self) -> int:
        epoch = self.log.leader_epochs.epoch_at(self.log.log_start_offset)
        return self.leader_epoch if epoch == NO_LEADER_EPOCH else epoch
