"""A group of the consumer protocol: the coordinator assigns, and each member moves on with its own heartbeats.

Three epochs drive it.  The **group epoch** moves when members, subscriptions or topics change.  The **target assignment
epoch** follows: for which group epoch the target was made.  Each **member epoch** follows that, when the member has let
go what the target takes from it.  A partition has at most one holder, whatever is lost on the way.

Source: Kafka, modern/consumer/ConsumerGroup.java, GroupMetadataManager (consumerGroupHeartbeat); KIP-848.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import TypeVar

from minikafka.coordinator.group.consumer.checks import (
    check_claim,
    check_epoch,
    check_heartbeat,
    check_identity,
    check_released,
    is_leaving,
)
from minikafka.coordinator.group.consumer.classic_members import ClassicMembers
from minikafka.coordinator.group.consumer.deadlines import Deadlines, Wait
from minikafka.coordinator.group.consumer.ledger import Ledger
from minikafka.coordinator.group.consumer.member import (
    JOIN_EPOCH,
    LEAVE_STATIC_EPOCH,
    NOT_GIVEN,
    Member,
)
from minikafka.coordinator.group.consumer.partitions import NO_PARTITIONS, Partitions
from minikafka.coordinator.group.consumer.rebalancer import Rebalancer
from minikafka.coordinator.group.consumer.states import ConsumerGroupState, MemberState
from minikafka.coordinator.group.consumer.subscriptions import check_expression, topics_of
from minikafka.coordinator.group.values import (
    NO_GENERATION,
    NO_MEMBER,
    ConsumerGroupDescription,
    ConsumerHeartbeat,
    ConsumerHeartbeatResult,
    ConsumerMemberDescription,
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
    TopicsView,
    Write,
)
from minikafka.errors import GroupMaxSizeReached, KafkaError, NonEmptyGroup, UnknownMemberId, UnsupportedVersion
from minikafka.observability.logging import get_logger

T = TypeVar("T")

_log = get_logger(__name__)


class ConsumerGroup:
    """A group of the consumer protocol; also of members that speak the classic one while it moves from that to this.

    Everything but the checks happens at once, in memory; the records of it come with :meth:`take_writes`, and whoever
    asked is answered when they are durable.  If they cannot be written the group must be loaded again.
    """

    def __init__(
        self, group_id: str, limits: GroupLimits, topics: TopicsView, new_member_id: Callable[[str], str]
    ) -> None:
        self.group_id = group_id
        self.limits = limits
        self.topics = topics
        self.new_member_id = new_member_id
        self._ledger = Ledger(group_id)
        self._rebalancer = Rebalancer(self._ledger, limits, topics)
        self._deadlines = Deadlines()
        self._classic = ClassicMembers(
            self._ledger,
            self._rebalancer,
            self._deadlines,
            limits=limits,
            topics=topics,
            new_member_id=new_member_id,
        )
        self._writes: list[Write] = []

    def adopt(self, epoch: int, members: Iterable[Member], now_ms: float) -> tuple[GroupRecord, ...]:
        """Begin with members that were together in another way, and have what they had; returns the records of that."""
        self._ledger.adopt(epoch, members)
        self._rebalancer.adopt_topics()
        for member in self._ledger.members.values():
            self._watch(None, member, now_ms)
        self._ledger.take_records()
        return self._ledger.snapshot()

    def add_write(self, write: Write) -> None:
        """Have something else written, before what is still to come."""
        self._writes.append(write)

    @property
    def target_epoch(self) -> int:
        """The epoch of all members that have what they shall have; no member has been told a later one."""
        return self._ledger.target_epoch

    @property
    def members(self) -> Mapping[str, Member]:
        """By member id."""
        return self._ledger.members

    def target(self, member_id: str) -> Partitions:
        """What a member shall have."""
        return self._ledger.target(member_id)

    @property
    def group_type(self) -> str:  # noqa: D102 - see values.Group
        return "consumer"

    @property
    def is_empty(self) -> bool:  # noqa: D102 - see values.Group
        return not self._ledger.members

    @property
    def state(self) -> ConsumerGroupState:
        """What the group is doing."""
        return self._ledger.state

    @property
    def should_downgrade(self) -> bool:
        """Whether only classic members are left, who are better off in a classic group, and that is allowed."""
        members = self._ledger.members
        is_allowed = self.limits.migration_policy in {"bidirectional", "downgrade"}
        fits = 0 < len(members) <= self.limits.max_size
        return is_allowed and fits and all(member.classic is not None for member in members.values())

    def consumer_heartbeat(self, beat: ConsumerHeartbeat, now_ms: float) -> ConsumerHeartbeatResult:
        """Take in what a member says, and tell it where it is now; also how members join and leave.

        Raises:
            KafkaError: InvalidRequest, UnsupportedAssignor, InvalidRegularExpression, GroupMaxSizeReached,
                UnknownMemberId, FencedMemberEpoch, FencedInstanceId, or UnreleasedInstanceId; the member is as it was.
        """
        check_heartbeat(beat, self.limits)
        self._rebalancer.follow_topics()
        if is_leaving(beat):
            return self._leave(beat)
        old = self._known(beat)
        if beat.subscribed_topic_regex:
            check_expression(beat.subscribed_topic_regex)
        member_id = beat.member_id or self.new_member_id(beat.client.client_id)
        if old is not None and old.instance_id is not None and beat.member_epoch == JOIN_EPOCH:
            old = self._take_place(old, member_id)
        moved = self._rebalancer.update(old, _updated(old or Member(member_id, beat.client), beat), beat.owned)
        self._watch(old, moved, now_ms)
        is_news = old is None or moved.assigned != old.assigned
        assignment = moved.assigned if _is_full(beat) or is_news else None
        interval_ms = self.limits.consumer_heartbeat_interval_ms
        return ConsumerHeartbeatResult(moved.member_id, moved.epoch, interval_ms, assignment)

    def join(self, attempt: JoinAttempt, promise: Promise[JoinResult], now_ms: float) -> None:  # noqa: D102
        try:
            result = self._classic.join(attempt)
        except KafkaError as error:
            _settle(promise, None, error)
            return

        def done(error: KafkaError | None) -> None:
            if error is None:
                self._classic.joined(result.member_id, now_ms)
            _settle(promise, result, error)

        records = self._ledger.take_records()
        if records:
            self._writes.append(Write(records, done))
        else:
            done(None)

    def sync(self, attempt: SyncAttempt, promise: Promise[SyncResult], now_ms: float) -> None:  # noqa: D102
        try:
            result = self._classic.sync(attempt, now_ms)
        except KafkaError as error:
            _settle(promise, None, error)
        else:
            _settle(promise, result, None)

    def heartbeat(self, claim: MemberClaim, now_ms: float) -> None:  # noqa: D102 - see values.Group
        self._classic.heartbeat(claim, now_ms)

    def leave(self, member: LeavingMember, now_ms: float) -> str:  # noqa: D102 - see values.Group
        del now_ms
        member_id = self._classic.find_leaving(member).member_id
        self._remove([member_id])
        return member_id

    def check_commit(  # noqa: D102 - see values.Group
        self, claim: MemberClaim, now_ms: float, *, is_transactional: bool = False, knows_epochs: bool = True
    ) -> None:
        if claim.generation_id < 0 and self.is_empty:
            return
        if is_transactional and claim == MemberClaim(NO_MEMBER, None, NO_GENERATION):
            return
        member = check_claim(self._ledger.members.get(claim.member_id), claim)
        if is_transactional:
            return
        if member.classic is None and not knows_epochs:
            raise UnsupportedVersion("members of the consumer protocol commit with OffsetCommit 9 or later")
        if member.classic is not None:
            self._deadlines.set(member.member_id, Wait.HEARTBEAT, now_ms + member.classic.session_timeout_ms)

    def check_fetch(self, claim: MemberClaim | None) -> None:  # noqa: D102 - see values.Group
        if claim is not None:
            check_claim(self._ledger.members.get(claim.member_id), claim)

    def check_delete(self) -> None:  # noqa: D102 - see values.Group
        if not self.is_empty:
            raise NonEmptyGroup(f"group {self.group_id} has {len(self._ledger.members)} members")

    def is_subscribed_to(self, topic: str) -> bool:  # noqa: D102 - see values.Group
        members = self._ledger.members.values()
        return any(topic in topics_of(member, self._ledger.expressions) for member in members)

    def take_writes(self) -> list[Write]:  # noqa: D102 - see values.Group
        if records := self._ledger.take_records():
            self._writes.append(Write(records))
        taken, self._writes = self._writes, []
        return taken

    def tombstones(self) -> tuple[GroupRecord, ...]:  # noqa: D102 - see values.Group
        return self._ledger.tombstones()

    def next_deadline_ms(self) -> float | None:  # noqa: D102 - see values.Group
        return self._deadlines.next_ms()

    def expire(self, now_ms: float) -> None:
        """Remove the members that did not do in time what they had to."""
        late = self._deadlines.due(now_ms)
        if late:
            for member_id, wait in late.items():
                _log.info("group_member_removed", group=self.group_id, member=member_id, missed=wait.value)
            self._remove(late)

    def replay(self, record: GroupRecord) -> None:
        """While loading: do again what left a record."""
        self._ledger.replay(record)

    def loaded(self, now_ms: float) -> None:
        """The last record was replayed: now the members' sessions begin, and there may be requests."""
        self._ledger.index()
        for member in self._ledger.members.values():
            self._watch(None, member, now_ms)

    def describe(self) -> GroupDescription:
        """For DescribeGroups there are classic groups only."""
        return GroupDescription(self.group_id, ConsumerGroupState.DEAD.value, "", "", ())

    def describe_consumer(self) -> ConsumerGroupDescription:
        """The group, for ConsumerGroupDescribe."""
        ledger = self._ledger
        members = tuple(
            _described(member, ledger.target(member.member_id)) for _, member in sorted(ledger.members.items())
        )
        return ConsumerGroupDescription(
            self.group_id, self.state.value, ledger.group_epoch, ledger.target_epoch, self._rebalancer.assignor, members
        )

    def listing(self) -> GroupListing:  # noqa: D102 - see values.Group
        return GroupListing(self.group_id, "consumer", self.state.value, self.group_type)

    def _known(self, beat: ConsumerHeartbeat) -> Member | None:
        """The member that sends this, or whose place it takes; None for a new one."""
        is_joining = beat.member_epoch == JOIN_EPOCH
        member = self._ledger.members.get(beat.member_id)
        if beat.instance_id is not None:
            static = self._ledger.static_member(beat.instance_id)
            if not is_joining:
                member = check_identity(static, beat.member_id, beat.instance_id)
            elif static is not None:
                if static.member_id != beat.member_id and static.classic is None:
                    check_released(static, beat.member_id)
                return static
        if member is not None:
            check_epoch(member, beat.member_epoch, beat.owned)
            return member
        if not is_joining:
            raise UnknownMemberId(f"{beat.member_id} is not a member of group {self.group_id}")
        if len(self._ledger.members) >= self.limits.consumer_max_size:
            raise GroupMaxSizeReached(f"group {self.group_id} has {self.limits.consumer_max_size} members already")
        return None

    def _take_place(self, old: Member, member_id: str) -> Member:
        """Make a static member that joins the one it was, unless it only repeats itself."""
        if old.member_id == member_id and old.epoch != LEAVE_STATIC_EPOCH:
            return old
        self._deadlines.clear_all(old.member_id)
        return self._ledger.replace_static(old, member_id)

    def _leave(self, beat: ConsumerHeartbeat) -> ConsumerHeartbeatResult:
        member = self._ledger.members.get(beat.member_id)
        if beat.instance_id is not None:
            member = check_identity(self._ledger.static_member(beat.instance_id), beat.member_id, beat.instance_id)
        if member is None:
            raise UnknownMemberId(f"{beat.member_id} is not a member of group {self.group_id}")
        if beat.member_epoch == LEAVE_STATIC_EPOCH:
            self._ledger.put(replace(member, epoch=LEAVE_STATIC_EPOCH, pending_revocation=NO_PARTITIONS))
            self._deadlines.clear(member.member_id, Wait.REVOKE)
        else:
            self._remove([member.member_id])
        return ConsumerHeartbeatResult(beat.member_id, beat.member_epoch, heartbeat_interval_ms=0)

    def _remove(self, member_ids: Iterable[str]) -> None:
        gone = list(member_ids)
        self._rebalancer.remove(gone)
        for member_id in gone:
            self._deadlines.clear_all(member_id)

    def _watch(self, old: Member | None, member: Member, now_ms: float) -> None:
        """A member has shown itself: begin its session anew, and see whether it has something to let go."""
        deadlines, member_id = self._deadlines, member.member_id
        if member.classic is not None:
            deadlines.set(member_id, Wait.HEARTBEAT, now_ms + member.classic.session_timeout_ms)
            return
        deadlines.set(member_id, Wait.HEARTBEAT, now_ms + self.limits.consumer_session_timeout_ms)
        deadlines.clear(member_id, Wait.JOIN)
        deadlines.clear(member_id, Wait.SYNC)
        if member.state is not MemberState.UNREVOKED_PARTITIONS:
            deadlines.clear(member_id, Wait.REVOKE)
        elif old is None or old.pending_revocation != member.pending_revocation:
            deadlines.set(member_id, Wait.REVOKE, now_ms + member.rebalance_timeout_ms)


def _updated(member: Member, beat: ConsumerHeartbeat) -> Member:
    """The member with all that a heartbeat says; what it leaves out stays."""
    names, expression = beat.subscribed_topic_names, beat.subscribed_topic_regex
    timeout_ms = beat.rebalance_timeout_ms
    return replace(
        member,
        client=beat.client,
        instance_id=beat.instance_id or member.instance_id,
        rack_id=beat.rack_id or member.rack_id,
        rebalance_timeout_ms=member.rebalance_timeout_ms if timeout_ms == NOT_GIVEN else timeout_ms,
        subscribed_topic_names=member.subscribed_topic_names if names is None else tuple(sorted(set(names))),
        subscribed_topic_regex=member.subscribed_topic_regex if expression is None else expression or None,
        server_assignor=beat.server_assignor or member.server_assignor,
        classic=None,
    )


def _is_full(beat: ConsumerHeartbeat) -> bool:
    """Whether a member says everything, as it does when it joins and when an answer did not come."""
    subscribes = beat.subscribed_topic_names is not None or beat.subscribed_topic_regex is not None
    has_all = beat.rebalance_timeout_ms != NOT_GIVEN and subscribes and beat.owned is not None
    return beat.member_epoch == JOIN_EPOCH or has_all


def _described(member: Member, target: Partitions) -> ConsumerMemberDescription:
    return ConsumerMemberDescription(
        member_id=member.member_id,
        instance_id=member.instance_id,
        rack_id=member.rack_id,
        member_epoch=member.epoch,
        client=member.client,
        subscribed_topic_names=member.subscribed_topic_names,
        subscribed_topic_regex=member.subscribed_topic_regex,
        assignment=member.assigned,
        target_assignment=target,
        is_classic=member.classic is not None,
    )


def _settle(promise: Promise[T], result: T | None, error: KafkaError | None) -> None:
    """Answer, unless nobody waits any more."""
    if promise.done():
        return
    if error is not None:
        promise.set_exception(error)
    elif result is not None:
        promise.set_result(result)
