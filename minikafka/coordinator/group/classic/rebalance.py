"""The rebalance: from a change among the members to a new generation with its assignment.

Source: Kafka, GroupMetadataManager.java (prepareRebalance, completeClassicGroupJoin, expirePendingSync).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Final

from minikafka.clock import Clock
from minikafka.coordinator.group.classic.member import NO_ASSIGNMENT, Member
from minikafka.coordinator.group.classic.members import Members
from minikafka.coordinator.group.classic.record import member_records
from minikafka.coordinator.group.classic.states import TRANSITIONS, ClassicState, Event, next_state
from minikafka.coordinator.group.classic.subscriptions import subscribed_topics
from minikafka.coordinator.group.values import GroupLimits, GroupRecord, JoinedMember, JoinResult, SyncResult, Write
from minikafka.errors import KafkaError, RebalanceInProgress, UnknownMemberId
from minikafka.observability.logging import get_logger
from minikafka.protocol.payloads.group_records import GroupMetadataKey, GroupMetadataValue

EXPECTED_MEMBERS_WAIT_MS: Final = 500
"""How long a first rebalance without delay waits for clients that were just sent away to come back with their ids.

They do within a round trip.  Kafka does not wait for them, and then begins a second rebalance at once.
"""

ABSENT_MEMBERS_WAIT_MS: Final = 100
"""The shortest wait for static members of whom none has joined; their sessions end it."""

log = get_logger(__name__)


class Rebalance:
    """A group's state, members and generation, and the deadlines that move it on.

    ``now_ms`` is the time of the call in progress, or of the last one: whoever calls sets it before.
    """

    def __init__(self, group_id: str, limits: GroupLimits, clock: Clock) -> None:
        self.group_id = group_id
        self.limits = limits
        self.now_ms = 0.0
        self.state = ClassicState.EMPTY
        self.state_since_ms = clock.now_ms()
        """Since when it is in this state, in milliseconds since the epoch."""
        self.members = Members()
        self.generation_id = 0
        self.protocol_type: str | None = None
        self.protocol_name: str | None = None
        self.subscribed_topics: frozenset[str] | None = None
        self.pending_sync: set[str] = set()
        """Who is part of the generation and has not asked for its assignment."""
        self.writes: list[Write] = []
        self.wake_ms = math.inf
        """When :meth:`expire` has something to do, at the earliest."""
        self._clock = clock
        self._join_deadline_ms = math.inf
        self._sync_deadline_ms = math.inf
        self._initial_wait_left_ms: float | None = None
        """In a first rebalance with delay: for how long it may still be delayed."""
        self._member_came = False
        """Whether the current delay has brought a new member."""
        self._is_assigning = False
        """Whether the leader's assignment is on its way to the log."""

    def move(self, event: Event) -> None:
        """Go where ``event`` leads."""
        self.state = next_state(self.state, event)
        self.state_since_ms = self._clock.now_ms()

    def wake_at(self, deadline_ms: float) -> None:
        """Have :meth:`expire` called by then; earlier is fine, for what is due is looked up there."""
        self.wake_ms = min(self.wake_ms, deadline_ms)

    def touch(self, member: Member, timeout_ms: float | None = None) -> None:
        """Begin a member's session anew."""
        member.deadline_ms = self.now_ms + (member.session_timeout_ms if timeout_ms is None else timeout_ms)
        self.wake_at(member.deadline_ms)

    def note_new_member(self) -> None:
        """Remember that a first rebalance was worth its delay."""
        self._member_came = True

    def prepare_or_complete(self, reason: str) -> None:
        """After a change among the members: begin a rebalance, or see whether the one in progress can go on."""
        if (self.state, Event.REBALANCE_BEGAN) in TRANSITIONS:
            self.prepare(reason)
        else:
            self.maybe_complete()

    def prepare(self, reason: str) -> None:
        """Begin a rebalance: all members are to join again."""
        if self.state is ClassicState.COMPLETING_REBALANCE:
            self._drop_assignments(RebalanceInProgress(reason))
        self._sync_deadline_ms = math.inf
        self._is_assigning = False
        is_first = self.state is ClassicState.EMPTY
        self.move(Event.REBALANCE_BEGAN)
        log.info("group_rebalance_began", group=self.group_id, generation=self.generation_id, reason=reason)
        delay_ms = self.limits.initial_rebalance_delay_ms
        if is_first and delay_ms > 0:
            self._member_came = False
            self._initial_wait_left_ms = max(self.members.rebalance_timeout_ms - delay_ms, 0)
            self._join_within(delay_ms)
        elif self.members.all_joined:
            self._complete_join()
        else:
            self._join_within(EXPECTED_MEMBERS_WAIT_MS if is_first else self.members.rebalance_timeout_ms)

    def maybe_complete(self) -> None:
        """Go on to the next generation, if a rebalance waits and nobody is missing.

        A first rebalance with delay goes on when that is over: nobody can know who else will come.
        """
        is_delayed = self._initial_wait_left_ms is not None
        if self.state is ClassicState.PREPARING_REBALANCE and not is_delayed and self.members.all_joined:
            self._complete_join()

    def join_result(self, member: Member) -> JoinResult:
        """What a member is told about the current generation; its leader learns who else is in it."""
        return JoinResult(
            member.member_id,
            self.generation_id,
            self.protocol_type,
            self.protocol_name,
            self.members.leader_id or "",
            self._as_seen_by_leader() if member.member_id == self.members.leader_id else (),
        )

    def sync_result(self, member: Member) -> SyncResult:
        """What a member has been assigned."""
        return SyncResult(self.protocol_type, self.protocol_name, member.assignment)

    def note_synced(self, member: Member) -> None:
        """Remember that a member has asked for its assignment, and so is alive."""
        self.pending_sync.discard(member.member_id)
        if not self.pending_sync:
            self._sync_deadline_ms = math.inf

    def assign(self, assignments: Mapping[str, bytes]) -> None:
        """Write the leader's assignment; members get theirs when it is durable.  A repetition is not written again."""
        if self._is_assigning:
            return
        self._is_assigning = True
        given = {member_id: assignments.get(member_id, NO_ASSIGNMENT) for member_id in self.members}
        generation_id = self.generation_id

        def done(error: KafkaError | None) -> None:
            # By now there may be another rebalance, with another assignment to come.
            if self.state is ClassicState.COMPLETING_REBALANCE and self.generation_id == generation_id:
                self._assignment_written(given, error)

        self.writes.append(Write((self.record(given),), done))

    def record(self, assignments: Mapping[str, bytes], generation_id: int | None = None) -> GroupRecord:
        """The group, with these assignments by member id; in this generation unless another is given."""
        value = GroupMetadataValue(
            protocol_type=self.protocol_type or "",
            generation=self.generation_id if generation_id is None else generation_id,
            protocol=self.protocol_name,
            leader=self.members.leader_id,
            current_state_timestamp=self.state_since_ms,
            members=member_records(self.members.values(), self.protocol_name, assignments),
        )
        return GroupRecord(GroupMetadataKey(group=self.group_id), value)

    def choose_protocol(self) -> None:
        """Let the members vote for the protocol of this generation."""
        self.protocol_name = self.members.select_protocol() if self.members else None
        self.subscribed_topics = subscribed_topics(self.protocol_type, self.protocol_name, self.members.values())

    def expire(self) -> None:
        """Do what is due."""
        if self.now_ms < self.wake_ms:
            return
        self._expire_sessions()
        if self.now_ms >= self._join_deadline_ms:
            self._joining_time_is_over()
        if self.now_ms >= self._sync_deadline_ms:
            self._syncing_time_is_over()
        deadlines = [self._join_deadline_ms, self._sync_deadline_ms, *self.members.pending.values()]
        self.wake_ms = min(*deadlines, *(member.deadline_ms for member in self.members.values()))

    def drop(self, members: Iterable[Member], error: KafkaError) -> None:
        """Remove members, and tell them why if they wait."""
        for member in members:
            self.members.remove(member, error)
            log.info("group_member_removed", group=self.group_id, member=member.member_id, reason=str(error))

    def _join_within(self, wait_ms: float) -> None:
        self._join_deadline_ms = self.now_ms + wait_ms
        self.wake_at(self._join_deadline_ms)

    def _complete_join(self) -> None:
        self._join_deadline_ms = math.inf
        self._initial_wait_left_ms = None
        late = [member for member in self.members.values() if member.joining is None and not member.is_static]
        self.drop(late, UnknownMemberId("the member did not join again in time"))
        if self.members and not self.members.elect_leader():
            # Only static members are left and none of them is here: their sessions will end it.
            self._join_within(max(self.members.rebalance_timeout_ms, ABSENT_MEMBERS_WAIT_MS))
            return
        self.generation_id += 1
        self.choose_protocol()
        if self.members:
            self._begin_sync()
        else:
            self.move(Event.EVERYBODY_LEFT)
            log.info("group_is_empty", group=self.group_id, generation=self.generation_id)
            self.writes.append(Write((self.record({}),)))

    def _begin_sync(self) -> None:
        self.move(Event.MEMBERS_JOINED)
        log.info(
            "group_generation",
            group=self.group_id,
            generation=self.generation_id,
            members=len(self.members),
            leader=self.members.leader_id,
        )
        for member in self.members.values():
            self.members.answer_join(member, self.join_result(member))
            self.touch(member)
            member.is_new = False
        self.pending_sync = set(self.members)
        self._sync_deadline_ms = self.now_ms + self.members.rebalance_timeout_ms
        self.wake_at(self._sync_deadline_ms)

    def _as_seen_by_leader(self) -> tuple[JoinedMember, ...]:
        return tuple(
            JoinedMember(member.member_id, member.group_instance_id, member.metadata(self.protocol_name))
            for member in self.members.values()
        )

    def _assignment_written(self, assignments: Mapping[str, bytes], error: KafkaError | None) -> None:
        if error is not None:
            self._drop_assignments(error)
            self.prepare(f"the assignment could not be written: {error}")
            return
        self.move(Event.ASSIGNMENT_WRITTEN)
        for member in self.members.values():
            member.assignment = assignments[member.member_id]
            if member.syncing is not None:
                member.answer_sync(self.sync_result(member))
                self.touch(member)

    def _drop_assignments(self, error: KafkaError) -> None:
        for member in self.members.values():
            member.assignment = NO_ASSIGNMENT
            member.refuse_sync(error)

    def _expire_sessions(self) -> None:
        for member_id in [member_id for member_id, due_ms in self.members.pending.items() if due_ms <= self.now_ms]:
            del self.members.pending[member_id]
            self.maybe_complete()
        for member in [member for member in self.members.values() if member.deadline_ms <= self.now_ms]:
            if member.deadline_ms > self.now_ms:
                continue  # it was in the generation that the one before it held up
            if member.is_waiting and not member.is_new:
                self.touch(member)  # it cannot send heartbeats while it waits for us
            else:
                self.drop([member], UnknownMemberId("the member's session is over"))
                self.prepare_or_complete(f"the session of {member.member_id} is over")

    def _joining_time_is_over(self) -> None:
        if self._member_came and self._initial_wait_left_ms:
            self._member_came = False
            wait_ms = min(self.limits.initial_rebalance_delay_ms, self._initial_wait_left_ms)
            self._initial_wait_left_ms = max(self._initial_wait_left_ms - wait_ms, 0)
            self._join_within(wait_ms)
        else:
            self._complete_join()

    def _syncing_time_is_over(self) -> None:
        missing = [self.members[member_id] for member_id in self.members if member_id in self.pending_sync]
        self.drop(missing, UnknownMemberId("the member did not sync in time"))
        self.prepare(f"{len(missing)} members did not sync in time")
