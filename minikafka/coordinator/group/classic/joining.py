"""JoinGroup: who is let in, who is told to come back, and who only has to be told what it knew.

Source: Kafka, GroupMetadataManager.java (classicGroupJoinToClassicGroup and what it calls); KIP-345, KIP-394, KIP-814.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from minikafka.coordinator.group.classic.member import Member, answer
from minikafka.coordinator.group.classic.rebalance import Rebalance
from minikafka.coordinator.group.classic.states import ClassicState
from minikafka.coordinator.group.values import NO_MEMBER, JoinAttempt, JoinResult, NewMemberId, Promise, Write
from minikafka.errors import (
    CoordinatorNotAvailable,
    GroupMaxSizeReached,
    InconsistentGroupProtocol,
    InvalidSessionTimeout,
    KafkaError,
)

NEW_MEMBER_JOIN_TIMEOUT_MS: Final = 300_000
"""How long a new member may wait for its first generation.

It sends no heartbeats meanwhile, and if it has gone away, it may have come back as somebody else.
"""


class Joining:
    """What JoinGroup does to a group.

    ``new_member_id`` makes an id out of a client id or an instance id.
    """

    def __init__(self, rebalance: Rebalance, new_member_id: Callable[[str], str]) -> None:
        self._rebalance = rebalance
        self._members = rebalance.members
        self._new_member_id = new_member_id

    def join(self, attempt: JoinAttempt, promise: Promise[JoinResult]) -> None:
        """Let a client in, or keep a member in; ``promise`` is answered now or with the next generation.

        Raises:
            KafkaError: The answer is this error.
        """
        self._check_session_timeout(attempt)
        if self._rebalance.state is ClassicState.DEAD:
            raise CoordinatorNotAvailable(f"the group {attempt.group_id} is not here any more")
        self._check_size(attempt)
        self._check_protocols(attempt)
        if attempt.member_id == NO_MEMBER:
            self._join_without_id(attempt, promise)
        elif attempt.member_id in self._members.pending and attempt.group_instance_id is None:
            self._admit(attempt.member_id, attempt, promise)
        else:
            self._join_again(attempt, promise)

    def _check_session_timeout(self, attempt: JoinAttempt) -> None:
        limits = self._rebalance.limits
        if not limits.min_session_timeout_ms <= attempt.session_timeout_ms <= limits.max_session_timeout_ms:
            raise InvalidSessionTimeout(
                f"a session timeout of {attempt.session_timeout_ms} ms is not between "
                f"{limits.min_session_timeout_ms} and {limits.max_session_timeout_ms} ms"
            )

    def _check_size(self, attempt: JoinAttempt) -> None:
        """See that there is room; a member for whom there is none any more loses its place."""
        if self._has_room(attempt):
            return
        error = GroupMaxSizeReached(f"the group {attempt.group_id} has {len(self._members)} members")
        member = self._members.get(attempt.member_id)
        if member is not None:
            self._rebalance.drop([member], error)
        self._members.pending.pop(attempt.member_id, None)
        self._rebalance.maybe_complete()
        raise error

    def _has_room(self, attempt: JoinAttempt) -> bool:
        member = self._members.get(attempt.member_id) or self._members.static_member(attempt.group_instance_id)
        max_size = self._rebalance.limits.max_size
        if self._rebalance.state is ClassicState.EMPTY:
            return True
        if self._rebalance.state is ClassicState.PREPARING_REBALANCE:
            # Not the members count but those who have joined: where the limit was lowered, the last to come must go.
            return (member is not None and member.joining is not None) or self._members.joining_count < max_size
        return member is not None or len(self._members) < max_size

    def _check_protocols(self, attempt: JoinAttempt) -> None:
        if self._rebalance.state is ClassicState.EMPTY:
            is_accepted = bool(attempt.protocol_type and attempt.protocols)
        else:
            is_same_type = attempt.protocol_type == self._rebalance.protocol_type
            is_accepted = is_same_type and self._members.all_support_one_of(attempt.protocols)
        if not is_accepted:
            raise InconsistentGroupProtocol(
                f"the members of {attempt.group_id} ({self._rebalance.protocol_type}) have no protocol in common with "
                f"{[protocol.name for protocol in attempt.protocols]} ({attempt.protocol_type})"
            )

    def _join_without_id(self, attempt: JoinAttempt, promise: Promise[JoinResult]) -> None:
        instance_id = attempt.group_instance_id
        member_id = self._new_member_id(attempt.client.client_id if instance_id is None else instance_id)
        predecessor = self._members.static_member(instance_id)
        if predecessor is not None:
            self._succeed(
                predecessor, Member.from_attempt(member_id, attempt, predecessor.assignment), attempt, promise
            )
        elif instance_id is None and attempt.requires_known_member_id:
            deadline_ms = self._rebalance.now_ms + attempt.session_timeout_ms
            self._members.pending[member_id] = deadline_ms
            self._rebalance.wake_at(deadline_ms)
            raise NewMemberId(member_id)
        else:
            self._admit(member_id, attempt, promise)

    def _admit(self, member_id: str, attempt: JoinAttempt, promise: Promise[JoinResult]) -> None:
        if not self._members:
            self._rebalance.protocol_type = attempt.protocol_type
        member = Member.from_attempt(member_id, attempt)
        member.is_new = True
        self._members.add(member)
        self._members.await_join(member, promise)
        self._rebalance.note_new_member()
        self._rebalance.touch(member, NEW_MEMBER_JOIN_TIMEOUT_MS)
        self._rebalance.prepare_or_complete(f"{member_id} is new ({attempt.reason or 'no reason given'})")

    def _join_again(self, attempt: JoinAttempt, promise: Promise[JoinResult]) -> None:
        member = self._members.find(attempt.member_id, attempt.group_instance_id)
        state = self._rebalance.state
        is_leader = member.member_id == self._members.leader_id
        # A leader of a stable group asks for a new assignment; so would not one that has not heard of its generation.
        may_stay = state is ClassicState.COMPLETING_REBALANCE or (state is ClassicState.STABLE and not is_leader)
        if may_stay and member.protocols == attempt.protocols:
            self._rebalance.touch(member)
            answer(promise, self._rebalance.join_result(member))
            return
        self._members.update(member, attempt)
        self._members.await_join(member, promise)
        self._rebalance.prepare_or_complete(f"{member.member_id} joins again ({attempt.reason or 'no reason given'})")

    def _succeed(
        self, predecessor: Member, successor: Member, attempt: JoinAttempt, promise: Promise[JoinResult]
    ) -> None:
        """A static member has restarted, and has forgotten its member id: put it in its old place, under a new one."""
        rebalance = self._rebalance
        leader_before = self._members.leader_id or ""
        self._take_place(predecessor, successor)
        self._members.await_join(successor, promise)
        is_stable = rebalance.state is ClassicState.STABLE
        if is_stable and self._members.select_protocol() == rebalance.protocol_name:
            self._keep_generation(predecessor, successor, attempt, leader_before)
        else:
            # In CompletingRebalance the leader may be assigning to the predecessor right now.
            rebalance.prepare_or_complete(f"{successor.member_id} takes the place of {predecessor.member_id}")

    def _take_place(self, predecessor: Member, successor: Member) -> None:
        self._members.replace(predecessor, successor)
        if predecessor.member_id in self._rebalance.pending_sync:
            self._rebalance.pending_sync.remove(predecessor.member_id)
            self._rebalance.pending_sync.add(successor.member_id)
        self._rebalance.touch(successor)

    def _keep_generation(
        self, predecessor: Member, successor: Member, attempt: JoinAttempt, leader_before: str
    ) -> None:
        """Write down the new id, and tell the member the generation that it is in; if that fails, take it back."""
        rebalance = self._rebalance
        promise = successor.joining

        def done(error: KafkaError | None) -> None:
            if rebalance.state is not ClassicState.STABLE:
                return  # a rebalance has begun: the member is part of it, and is answered with it
            if successor.joining is not promise:
                return  # it has been answered so, has left, or has been succeeded in its turn
            if error is None:
                self._members.answer_join(successor, self._unchanged(successor, attempt, leader_before))
            else:
                self._members.refuse_join(successor, error)
                self._take_place(successor, predecessor)

        assignments = {member.member_id: member.assignment for member in self._members.values()}
        rebalance.writes.append(Write((rebalance.record(assignments),), done))

    def _unchanged(self, successor: Member, attempt: JoinAttempt, leader_before: str) -> JoinResult:
        result = self._rebalance.join_result(successor)
        if attempt.supports_skip_assignment:
            return replace(result, skip_assignment=result.leader == successor.member_id)
        # Told its old name, a leader that cannot skip the assignment takes itself for a follower, and makes none.
        return replace(result, leader=leader_before, members=())
