"""The groups of one partition of ``__consumer_offsets``: their state machines, their offsets, and the log of both.

    request ──► Group (decides) ──► writes ──► Journal ──► StateLog ──► disk
                  │                                                      │
                  └── promises ◄── answers ◄── done ◄────────────────────┘

What a group wants written is appended in the same step in which it wants it, so that the log has the order in which
things happened; whoever waits is answered when it is durable.  When a write fails after which a group's state would be
ahead of the log, the shard gives up: everybody who waits is told, and the state is loaded from the log again.

Source: Kafka, GroupCoordinatorShard, CoordinatorRuntime.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from typing import Generic, NamedTuple, Protocol, TypeVar

from minikafka.clock import Clock
from minikafka.coordinator.group import conversion
from minikafka.coordinator.group.classic.group import ClassicGroup
from minikafka.coordinator.group.classic.subscriptions import CONSUMER_PROTOCOL_TYPE
from minikafka.coordinator.group.consumer.group import ConsumerGroup
from minikafka.coordinator.group.directory import GroupDirectory, new_member_id
from minikafka.coordinator.group.loading import ReadableLog, Replay
from minikafka.coordinator.group.offsets import Offsets
from minikafka.coordinator.group.records import encode
from minikafka.coordinator.group.values import (
    NO_MEMBER,
    CommittedOffset,
    ConsumerGroupDescription,
    ConsumerHeartbeat,
    ConsumerHeartbeatResult,
    Group,
    GroupDescription,
    GroupLimits,
    GroupListing,
    GroupRecord,
    JoinAttempt,
    JoinResult,
    LeavingMember,
    MemberClaim,
    SyncAttempt,
    SyncResult,
    TopicsView,
    Write,
)
from minikafka.coordinator.journal import Appendable, Journal, resolve
from minikafka.coordinator.timers import Timers
from minikafka.errors import (
    CoordinatorNotAvailable,
    GroupIdNotFound,
    IllegalGeneration,
    KafkaError,
    NonEmptyGroup,
    UnknownMemberId,
)
from minikafka.observability.logging import get_logger
from minikafka.types import NO_PRODUCER_ID, ProducerIdAndEpoch, TopicPartition

T = TypeVar("T")

_log = get_logger(__name__)


class ShardLog(Appendable, ReadableLog, Protocol):
    """The log of a shard; a :class:`~minikafka.coordinator.state_log.StateLog`."""


class Answer(NamedTuple, Generic[T]):
    """A value that is to be told when ``durable`` is done; None: at once."""

    value: T
    durable: asyncio.Future[None] | None


class LeaveResult(NamedTuple):
    """What became of a member that was to leave; its id as the group knows it."""

    member_id: str
    group_instance_id: str | None
    error: KafkaError | None


class GroupShard:
    """The groups of one partition.

    Args:
        log: Their records.
        limits: What groups are allowed.
        topics: The topics of the cluster.
        clock: For sessions and for the dates of commits.
        on_failure: Called when the state had to be given up; the shard is closed then.
    """

    def __init__(
        self,
        log: ShardLog,
        limits: GroupLimits,
        topics: TopicsView,
        clock: Clock,
        on_failure: Callable[[KafkaError], None],
    ) -> None:
        self.offsets = Offsets()
        self._log = log
        self._limits = limits
        self._topics = topics
        self._clock = clock
        self._on_failure = on_failure
        self._groups = GroupDirectory(limits, topics, clock)
        self._journal = Journal(log, encode, self.offsets.appended, self.fail)
        self._timers = Timers(self._now_ms, self.expire)
        self._promises: set[asyncio.Future[object]] = set()
        self._is_closed = False

    # Coming and going

    def load(self) -> Iterator[None]:
        """Read the log, with a step for every so many records, for the loop to do something else in between.

        Raises:
            KafkaError: The log cannot be read.
            DecodeError: It holds something else.
        """
        replay = Replay(self.offsets, self._limits, self._topics, new_member_id, self._clock)
        yield from replay.read(self._log)
        self._groups.replace_all(replay.groups(self._now_ms()))
        for group in self._groups:
            self._settle(group)

    def close(self, error: KafkaError) -> None:
        """Stop: no timer goes off any more, and whoever waits is told ``error``."""
        self._is_closed = True
        self._timers.cancel_all()
        for promise in list(self._promises):
            if not promise.done():
                promise.set_exception(error)

    def fail(self, error: KafkaError) -> None:
        """Give up the state, which may be another than what the log holds."""
        if not self._is_closed:
            _log.error("group_state_given_up", reason=str(error))
            self.close(CoordinatorNotAvailable("the state of the group is being loaded again"))
            self._on_failure(error)

    # Members

    def join(self, attempt: JoinAttempt) -> asyncio.Future[JoinResult]:
        """Have a member join a group, which comes into being if there is none."""
        promise: asyncio.Future[JoinResult] = self._promise()
        try:
            group = self._group_to_join(attempt)
        except UnknownMemberId as error:
            promise.set_exception(error)
        else:
            group.join(attempt, promise, self._now_ms())
            self._settle(group)
        return promise

    def sync(self, attempt: SyncAttempt) -> asyncio.Future[SyncResult]:
        """Bring or await the assignment of a generation."""
        promise: asyncio.Future[SyncResult] = self._promise()
        try:
            group = self._groups.find_with_members(attempt.group_id)
        except UnknownMemberId as error:
            promise.set_exception(error)
        else:
            group.sync(attempt, promise, self._now_ms())
            self._settle(group)
        return promise

    def heartbeat(self, group_id: str, claim: MemberClaim) -> None:
        """Keep a member of a classic group, or a classic member, alive.

        Raises:
            KafkaError: See :meth:`Group.heartbeat`; UnknownMemberId when there is no such group.
        """
        group = self._groups.find_with_members(group_id)
        try:
            group.heartbeat(claim, self._now_ms())
        finally:
            self._settle(group)

    def leave(self, group_id: str, members: Sequence[LeavingMember]) -> Answer[list[LeaveResult]]:
        """Remove members from a group.

        Raises:
            UnknownMemberId: There is no such group.
        """
        group = self._groups.find_with_members(group_id)
        results = [self._leave(group, member) for member in members]
        return Answer(results, self._settle(group))

    def consumer_heartbeat(self, beat: ConsumerHeartbeat) -> Answer[ConsumerHeartbeatResult]:
        """Have a member join, stay in or leave a group of the consumer protocol.

        Raises:
            KafkaError: See :meth:`ConsumerGroup.consumer_heartbeat`; GroupIdNotFound when there is no such group.
        """
        now_ms = self._now_ms()
        before = self._groups.get(beat.group_id)
        group = self._groups.consumer_group_for(beat, now_ms)
        try:
            result = group.consumer_heartbeat(beat, now_ms)
        except KafkaError:
            if before is group:
                self._settle(group)
            raise
        if group is not before:
            if before is not None and before.is_empty:
                self._append_or_fail(before.tombstones())
            self._groups.put(group)
        return Answer(result, self._settle(group))

    # Offsets

    def commit(
        self,
        group_id: str,
        claim: MemberClaim,
        offsets: Mapping[TopicPartition, CommittedOffset],
        *,
        knows_epochs: bool = False,
        producer: ProducerIdAndEpoch | None = None,
    ) -> asyncio.Future[None] | None:
        """Commit offsets; the future is done when they are durable and visible, None when they are.

        With a producer they are part of its transaction, and pending until :meth:`end_transaction`.  Whether the client
        ``knows_epochs`` of members decides what it can be told.

        Raises:
            KafkaError: See :meth:`Group.check_commit`; a member of a group that does not exist is told GroupIdNotFound,
                or IllegalGeneration if it does not know that.
        """
        group = self._groups.get(group_id)
        if group is None:
            if claim.generation_id >= 0:
                what = f"there is no group {group_id}"
                raise GroupIdNotFound(what) if knows_epochs else IllegalGeneration(what)
            group = self._groups.new_classic(group_id)
        group.check_commit(claim, self._now_ms(), is_transactional=producer is not None, knows_epochs=knows_epochs)
        self._groups.put(group)
        self._settle(group)
        if not offsets:
            return None
        return self._write_offsets(self.offsets.commit_records(group_id, offsets), producer)

    def end_transaction(
        self, producer_id: int, append_marker: Callable[[], asyncio.Future[None] | None], *, is_commit: bool
    ) -> asyncio.Future[None] | None:
        """End a producer's transaction: its pending offsets become visible or vanish when the marker is durable.

        Args:
            producer_id: The producer.
            append_marker: Appends the marker to the partition of this shard.
            is_commit: How it ends.

        Returns:
            What is done when that is so; None when it is.

        Raises:
            KafkaError: The marker could not be appended.
        """
        ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def then(error: KafkaError | None) -> None:
            if error is None:
                self.offsets.end_transaction(producer_id, is_commit=is_commit)
            resolve(ended, error)

        self._journal.follow(append_marker(), then)
        return None if _went_well(ended) else ended

    def check_fetch(self, group_id: str, claim: MemberClaim | None) -> None:
        """Check that offsets may be fetched, by anybody if there is no such group.

        Raises:
            KafkaError: See :meth:`Group.check_fetch`.
        """
        group = self._groups.get(group_id)
        if group is not None:
            group.check_fetch(claim)

    def settled(self) -> asyncio.Future[None] | None:
        """What is done when all that was written is in effect; None when it is."""
        return None if self._journal.is_settled else self._journal.settle()

    def delete_offsets(
        self, group_id: str, partitions: Collection[TopicPartition]
    ) -> Answer[dict[TopicPartition, bool]]:
        """Delete offsets, but those of topics that the group may be reading; says for which it was done.

        Raises:
            GroupIdNotFound: There is no such group.
            NonEmptyGroup: It has members that are no consumers, and may be reading anything.
            KafkaError: The records could not be written.
        """
        group = self._groups.find(group_id)
        if not group.is_empty and group.listing().protocol_type != CONSUMER_PROTOCOL_TYPE:
            raise NonEmptyGroup(f"the members of group {group_id} are no consumers")
        may_go = {which: not group.is_subscribed_to(which.topic) for which in partitions}
        records = self.offsets.delete_records(group_id, [which for which, goes in may_go.items() if goes])
        return Answer(may_go, self._write_offsets(records) if records else None)

    def delete_topic(self, topic: str) -> None:
        """Delete the offsets of a topic, which is gone."""
        records = self.offsets.delete_topic(topic)
        if records:
            self._write_aside(records)

    def forget_what_expired(self, retention_ms: int) -> None:
        """Delete offsets that have had their time, and the groups that have neither members nor offsets."""
        now_ms = self._clock.now_ms()
        for group_id in [group.group_id for group in self._groups]:
            self.expire(group_id)  # or its next deadline may be one that has passed
            group = self._groups.find(group_id)
            empty_since_ms = group.empty_since_ms if isinstance(group, ClassicGroup) else None
            records = self.offsets.expired(group_id, now_ms, retention_ms, group.is_subscribed_to, empty_since_ms)
            is_over = group.is_empty and group.next_deadline_ms() is None
            is_over = is_over and self._journal.is_settled and not self.offsets.has_pending(group_id)
            if is_over and len(records) == len(self.offsets.all_of(group_id)):
                records += group.tombstones()
                self._remove(group_id)
            if records:
                self._write_aside(records)

    # Looking at them

    def describe(self, group_id: str) -> GroupDescription:
        """A classic group.

        Raises:
            GroupIdNotFound: There is no such group, or it is of another type.
        """
        return self._groups.find_classic(group_id).describe()

    def describe_consumer(self, group_id: str) -> ConsumerGroupDescription:
        """A group of the consumer protocol.

        Raises:
            GroupIdNotFound: There is no such group, or it is of another type.
        """
        return self._groups.find_consumer(group_id).describe_consumer()

    def listings(self) -> list[GroupListing]:
        """All groups."""
        return [group.listing() for group in self._groups]

    def delete(self, group_id: str) -> asyncio.Future[None] | None:
        """Delete a group and its offsets; the future is done when that is durable.

        Raises:
            GroupIdNotFound: There is no such group.
            NonEmptyGroup: It has members.
            KafkaError: The records could not be written.
        """
        group = self._groups.find(group_id)
        group.check_delete()
        durable = self._write_offsets(self.offsets.delete_records(group_id) + group.tombstones())
        self._remove(group_id)
        return durable

    # Within

    def _now_ms(self) -> float:
        return self._clock.monotonic() * 1000

    def _promise(self) -> asyncio.Future[T]:
        """An answer that somebody will wait for, and that is broken when the shard is closed."""
        promise: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._promises.add(promise)  # type: ignore[arg-type]
        promise.add_done_callback(self._promises.discard)
        return promise

    def _group_to_join(self, attempt: JoinAttempt) -> Group:
        group = self._groups.get(attempt.group_id)
        if isinstance(group, ConsumerGroup) and group.is_empty:
            self._append_or_fail(group.tombstones())
            self._remove(attempt.group_id)
            group = None
        if group is None and attempt.member_id == NO_MEMBER:
            self._groups.put(self._groups.new_classic(attempt.group_id))
        return self._groups.find_with_members(attempt.group_id)

    def _leave(self, group: Group, member: LeavingMember) -> LeaveResult:
        try:
            member_id = group.leave(member, self._now_ms())
        except KafkaError as error:
            return LeaveResult(member.member_id, member.group_instance_id, error)
        return LeaveResult(member_id, member.group_instance_id, None)

    def expire(self, group_id: str) -> None:
        """Do what is due in a group; its timer calls this."""
        group = self._groups.get(group_id)
        if group is not None:
            group.expire(self._now_ms())
            self._settle(group)

    def _remove(self, group_id: str) -> None:
        self._groups.remove(group_id)
        self._timers.cancel(group_id)

    def _settle(self, group: Group) -> asyncio.Future[None] | None:
        """Write what a group wants written, and see to its timer; what is returned is done when all is durable."""
        durable = self._write_all(group)
        if isinstance(group, ConsumerGroup) and group.should_downgrade and group in self._groups:
            group = conversion.downgrade(group, self._now_ms(), self._clock)
            self._groups.put(group)
            self._timers.cancel(group.group_id)
            durable = self._write_all(group) or durable
        if group in self._groups and not self._is_closed:
            self._timers.set(group.group_id, group.next_deadline_ms())
        return durable

    def _write_all(self, group: Group) -> asyncio.Future[None] | None:
        durable = None
        for write in () if self._is_closed else group.take_writes():
            durable = asyncio.get_running_loop().create_future()
            self._journal.append(write.records, partial(self._written, group, write, durable))
        return None if durable is None or _went_well(durable) else durable

    def _written(self, group: Group, write: Write, durable: asyncio.Future[None], error: KafkaError | None) -> None:
        if write.done is not None:
            write.done(error)
            self._settle(group)
        if error is not None and (write.done is None or isinstance(group, ConsumerGroup)):
            self.fail(error)
        resolve(durable, error)

    def _append_or_fail(self, records: Sequence[GroupRecord]) -> None:
        """Append records without which the state would be ahead of the log."""
        self._journal.append(records, lambda error: None if error is None else self.fail(error))

    def _write_offsets(
        self, records: Sequence[GroupRecord], producer: ProducerIdAndEpoch | None = None
    ) -> asyncio.Future[None] | None:
        """Append records, and apply those of offsets when they are durable; see :meth:`Journal.write`."""
        producer_id = NO_PRODUCER_ID if producer is None else producer.producer_id
        return self._journal.write(records, partial(self._replay_offsets, records, producer_id), producer)

    def _replay_offsets(self, records: Sequence[GroupRecord], producer_id: int) -> None:
        for record in records:
            self.offsets.replay(record, producer_id)

    def _write_aside(self, records: Sequence[GroupRecord]) -> None:
        """Write what no client waits for."""
        try:
            self._write_offsets(records)
        except KafkaError as error:
            self.fail(error)


def _went_well(durable: asyncio.Future[None]) -> bool:
    return durable.done() and not durable.cancelled() and durable.exception() is None
