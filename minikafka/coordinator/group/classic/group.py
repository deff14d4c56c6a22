"""A classic group: members join, their leader assigns, everybody syncs, and heartbeats keep them in.

No sockets, clocks or files: time comes in with each call, answers go out through promises, and what is to be written is
taken by :meth:`ClassicGroup.take_writes`.

Source: Kafka, GroupMetadataManager.java and ClassicGroup.java.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from minikafka.clock import Clock, SystemClock
from minikafka.coordinator.group.classic.joining import Joining
from minikafka.coordinator.group.classic.member import Member, answer, refuse
from minikafka.coordinator.group.classic.rebalance import Rebalance
from minikafka.coordinator.group.classic.record import recorded_members
from minikafka.coordinator.group.classic.states import ClassicState, Event
from minikafka.coordinator.group.classic.subscriptions import CONSUMER_PROTOCOL_TYPE
from minikafka.coordinator.group.values import (
    NO_GENERATION,
    NO_MEMBER,
    GroupDescription,
    GroupLimits,
    GroupListing,
    GroupRecord,
    JoinAttempt,
    JoinResult,
    LeavingMember,
    MemberClaim,
    Promise,
    SyncAttempt,
    SyncResult,
    Write,
)
from minikafka.errors import (
    CoordinatorNotAvailable,
    IllegalGeneration,
    InconsistentGroupProtocol,
    KafkaError,
    NonEmptyGroup,
    RebalanceInProgress,
    UnknownMemberId,
)
from minikafka.protocol.payloads.group_records import GroupMetadataKey, GroupMetadataValue
from minikafka.types import NO_TIMESTAMP

_SYSTEM_CLOCK: Final = SystemClock()


class ClassicGroup:
    """A group whose members agree among themselves; see :class:`~minikafka.coordinator.group.values.Group`.

    ``new_member_id`` makes an id out of a client id or an instance id.  ``clock`` gives only the time that is written
    down with the group, by which its offsets expire.

    ``done`` of a write may answer members, ask for more to be written, and bring the next deadline nearer.
    """

    group_type: Final = "classic"

    def __init__(
        self,
        group_id: str,
        limits: GroupLimits,
        new_member_id: Callable[[str], str],
        clock: Clock = _SYSTEM_CLOCK,
    ) -> None:
        self.group_id = group_id
        self.limits = limits
        self.new_member_id = new_member_id
        self._rebalance = Rebalance(group_id, limits, clock)
        self._joining = Joining(self._rebalance, new_member_id)

    @classmethod
    def restore(
        cls,
        group_id: str,
        value: GroupMetadataValue,
        limits: GroupLimits,
        new_member_id: Callable[[str], str],
        now_ms: float,
        *,
        clock: Clock = _SYSTEM_CLOCK,
    ) -> ClassicGroup:
        """The group that a record tells of; the sessions of its members begin anew.

        Raises:
            ValueError: The record has two members under one id.
        """
        group = cls(group_id, limits, new_member_id, clock)
        group._begin(value.generation, value.protocol_type or None, recorded_members(value), now_ms)
        rebalance = group._rebalance
        rebalance.protocol_name = value.protocol
        rebalance.members.leader_id = value.leader if value.leader in group.members else rebalance.members.leader_id
        if value.current_state_timestamp != NO_TIMESTAMP:
            rebalance.state_since_ms = value.current_state_timestamp
        if len(group.members) > limits.max_size:
            group.start_rebalance("the group has more members than group.max.size allows", now_ms)
        return group

    @classmethod
    def of_consumers(
        cls,
        group_id: str,
        generation_id: int,
        members: Iterable[Member],
        limits: GroupLimits,
        new_member_id: Callable[[str], str],
        *,
        now_ms: float,
        clock: Clock = _SYSTEM_CLOCK,
    ) -> ClassicGroup:
        """A stable group of consumers that were together in another way before; sessions begin now.

        Raises:
            ValueError: There is no protocol that all of them support.
        """
        group = cls(group_id, limits, new_member_id, clock)
        group._begin(generation_id, CONSUMER_PROTOCOL_TYPE, members, now_ms)
        return group

    @property
    def is_empty(self) -> bool:
        """Whether the group is in the state Empty; clients may be about to join."""
        return self.state is ClassicState.EMPTY

    @property
    def state(self) -> ClassicState:
        """Where the group is between two generations."""
        return self._rebalance.state

    @property
    def empty_since_ms(self) -> int | None:
        """Since when a group that once had members has none, in milliseconds since the epoch."""
        is_deserted = self.is_empty and self.protocol_type is not None
        return self._rebalance.state_since_ms if is_deserted else None

    @property
    def generation_id(self) -> int:
        """Counts the rebalances; 0 before the first."""
        return self._rebalance.generation_id

    @property
    def protocol_type(self) -> str | None:
        """What the members are (``consumer``, ``connect``), or were; None when there has never been one."""
        return self._rebalance.protocol_type

    @property
    def protocol_name(self) -> str | None:
        """The assignor of this generation."""
        return self._rebalance.protocol_name

    @property
    def leader_id(self) -> str | None:
        """The member that assigns."""
        return self._rebalance.members.leader_id

    @property
    def members(self) -> Mapping[str, Member]:
        """By member id."""
        return self._rebalance.members

    def join(self, attempt: JoinAttempt, promise: Promise[JoinResult], now_ms: float) -> None:
        """Become a member, or stay one through a rebalance; every answer, errors too, goes to ``promise``."""
        self._rebalance.now_ms = now_ms
        try:
            self._joining.join(attempt, promise)
        except KafkaError as error:
            refuse(promise, error)

    def sync(self, attempt: SyncAttempt, promise: Promise[SyncResult], now_ms: float) -> None:
        """Bring or await the assignment; every answer, errors too, goes to ``promise``."""
        self._rebalance.now_ms = now_ms
        try:
            self._sync(attempt, promise)
        except KafkaError as error:
            refuse(promise, error)

    def heartbeat(self, claim: MemberClaim, now_ms: float) -> None:
        """Stay a member.

        Raises:
            KafkaError: UnknownMemberId, IllegalGeneration, FencedInstanceId, or RebalanceInProgress: join again.
        """
        self._rebalance.now_ms = now_ms
        self._rebalance.touch(self._claimed(claim))
        if self.state is ClassicState.PREPARING_REBALANCE:
            raise RebalanceInProgress("the group rebalances: join again")

    def leave(self, member: LeavingMember, now_ms: float) -> str:
        """Remove a member; returns its id.

        Raises:
            KafkaError: UnknownMemberId or FencedInstanceId.
        """
        self._check_served()
        self._rebalance.now_ms = now_ms
        members = self._rebalance.members
        if member.member_id in members.pending:
            del members.pending[member.member_id]
            self._rebalance.maybe_complete()
            return member.member_id
        leaving = members.static_member(member.group_instance_id) if member.member_id == NO_MEMBER else None
        leaving = leaving or members.find(member.member_id, member.group_instance_id)
        self._rebalance.drop([leaving], UnknownMemberId("the member has left"))
        self._rebalance.prepare_or_complete(f"{leaving.member_id} has left ({member.reason or 'no reason given'})")
        return leaving.member_id

    def check_commit(
        self, claim: MemberClaim, now_ms: float, *, is_transactional: bool = False, knows_epochs: bool = True
    ) -> None:
        """Check that offsets may be committed; the member's session begins anew.

        From outside of the group they may as long as it has no members; a producer in a transaction always may
        (KIP-447).

        Raises:
            KafkaError: UnknownMemberId, IllegalGeneration, FencedInstanceId, or RebalanceInProgress while there is a
                generation but no assignment.
        """
        self._check_served()
        if claim.generation_id < 0 and self.is_empty:
            return
        if claim == MemberClaim(NO_MEMBER, None, NO_GENERATION):
            if is_transactional:
                return
            raise UnknownMemberId(f"the group {self.group_id} has members: only they may commit")
        member = self._claimed(claim)
        if is_transactional:
            return
        if self.state is ClassicState.COMPLETING_REBALANCE:
            raise RebalanceInProgress("the group has a new generation, but no assignment yet")
        self._rebalance.now_ms = now_ms
        self._rebalance.touch(member)

    def check_fetch(self, claim: MemberClaim | None) -> None:
        """Offsets of a classic group may be fetched by anybody.

        Raises:
            CoordinatorNotAvailable: The group is not served here any more.
        """
        self._check_served()

    def check_delete(self) -> None:
        """Check that the group may be deleted.

        Raises:
            NonEmptyGroup: It has members.
        """
        self._check_served()
        if not self.is_empty:
            raise NonEmptyGroup(f"the group {self.group_id} has members")

    def is_subscribed_to(self, topic: str) -> bool:
        """Whether members may be reading the topic.

        That is not known of members who are not consumers, or are about to join again with perhaps other topics.
        """
        if self.is_empty:
            return False
        topics = self._rebalance.subscribed_topics
        return topics is None or self.state is ClassicState.PREPARING_REBALANCE or topic in topics

    def start_rebalance(self, reason: str, now_ms: float) -> None:
        """Have all members join again."""
        self._rebalance.now_ms = now_ms
        self._rebalance.prepare(reason)

    def close(self, error: KafkaError) -> None:
        """Serve the group no more; whoever waits is told ``error``."""
        for member in self._rebalance.members.values():
            self._rebalance.members.refuse_join(member, error)
            member.refuse_sync(error)
        self._rebalance.move(Event.GROUP_CLOSED)
        self._rebalance.wake_ms = math.inf

    def add_write(self, write: Write) -> None:
        """Have something else written, after what is to be written already."""
        self._rebalance.writes.append(write)

    def take_writes(self) -> list[Write]:
        """What is to be written since the last call, in this order."""
        writes, self._rebalance.writes = self._rebalance.writes, []
        return writes

    def record(self, generation_id: int | None = None) -> GroupRecord:
        """The group as of now; in this generation unless another is given."""
        assignments = {member.member_id: member.assignment for member in self.members.values()}
        return self._rebalance.record(assignments, generation_id)

    def tombstones(self) -> tuple[GroupRecord, ...]:
        """The record that deletes the group."""
        return (GroupRecord(GroupMetadataKey(group=self.group_id), None),)

    def next_deadline_ms(self) -> float | None:
        """When :meth:`expire` has something to do, at the earliest: heartbeats do not move it."""
        return self._rebalance.wake_ms if self._rebalance.wake_ms < math.inf else None

    def expire(self, now_ms: float) -> None:
        """Do what is due: members whose sessions are over leave, rebalances that waited long enough go on."""
        self._rebalance.now_ms = now_ms
        self._rebalance.expire()

    def describe(self) -> GroupDescription:
        """The group, for DescribeGroups; what members say of themselves only while they agree on a protocol."""
        protocol_name = self.protocol_name if self.state is ClassicState.STABLE else None
        return GroupDescription(
            self.group_id,
            self.state.value,
            self.protocol_type or "",
            protocol_name or "",
            tuple(member.describe(protocol_name) for member in self.members.values()),
        )

    def listing(self) -> GroupListing:
        """The group, for ListGroups."""
        return GroupListing(self.group_id, self.protocol_type or "", self.state.value, self.group_type)

    def _begin(self, generation_id: int, protocol_type: str | None, members: Iterable[Member], now_ms: float) -> None:
        rebalance = self._rebalance
        rebalance.now_ms = now_ms
        rebalance.generation_id = generation_id
        rebalance.protocol_type = protocol_type
        for member in members:
            rebalance.members.add(member)
            rebalance.touch(member)
        rebalance.choose_protocol()
        rebalance.state = ClassicState.STABLE if rebalance.members else ClassicState.EMPTY

    def _sync(self, attempt: SyncAttempt, promise: Promise[SyncResult]) -> None:
        member = self._claimed(MemberClaim(attempt.member_id, attempt.group_instance_id, attempt.generation_id))
        for claimed, actual in (
            (attempt.protocol_type, self.protocol_type),
            (attempt.protocol_name, self.protocol_name),
        ):
            if claimed is not None and claimed != actual:
                raise InconsistentGroupProtocol(f"the group uses {actual}, not {claimed}")
        if self.state is ClassicState.PREPARING_REBALANCE:
            raise RebalanceInProgress("the group rebalances: join again")
        self._rebalance.note_synced(member)
        if self.state is ClassicState.STABLE:
            self._rebalance.touch(member)
            answer(promise, self._rebalance.sync_result(member))
            return
        member.await_assignment(promise)
        if member.member_id == self.leader_id:
            self._rebalance.assign(attempt.assignments)

    def _claimed(self, claim: MemberClaim) -> Member:
        self._check_served()
        member = self._rebalance.members.find(claim.member_id, claim.group_instance_id)
        if claim.generation_id != self.generation_id:
            raise IllegalGeneration(f"generation {claim.generation_id} is not {self.generation_id}")
        return member

    def _check_served(self) -> None:
        if self.state is ClassicState.DEAD:
            raise CoordinatorNotAvailable(f"the group {self.group_id} is not here any more")
