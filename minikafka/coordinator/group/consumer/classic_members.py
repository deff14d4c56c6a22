"""Members that speak the classic protocol, in a group of the consumer protocol.

To such a member the group looks like a classic one whose leader is always somebody else.  JoinGroup takes what it says
it owns and moves it on, as a heartbeat does for others; SyncGroup fetches what it was given; a heartbeat is answered
with REBALANCE_IN_PROGRESS when joining again would give it something else.

Source: Kafka, GroupMetadataManager (classicGroupJoinToConsumerGroup, classicGroupSyncToConsumerGroup,
classicGroupHeartbeatToConsumerGroup); KIP-848, "Supporting Online Consumer Group Upgrade".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Final

from minikafka.coordinator.group.consumer.checks import check_identity
from minikafka.coordinator.group.consumer.deadlines import Deadlines, Wait
from minikafka.coordinator.group.consumer.ledger import Ledger
from minikafka.coordinator.group.consumer.member import ClassicMembership, Member
from minikafka.coordinator.group.consumer.partitions import Partitions, TopicIdPartition, each, gather
from minikafka.coordinator.group.consumer.rebalancer import Rebalancer
from minikafka.coordinator.group.consumer.states import MemberState
from minikafka.coordinator.group.values import (
    NO_MEMBER,
    GroupLimits,
    JoinAttempt,
    JoinResult,
    LeavingMember,
    MemberClaim,
    NewMemberId,
    SyncAttempt,
    SyncResult,
    TopicsView,
)
from minikafka.errors import (
    GroupMaxSizeReached,
    IllegalGeneration,
    InconsistentGroupProtocol,
    InvalidSessionTimeout,
    RebalanceInProgress,
    UnknownMemberId,
)
from minikafka.protocol.errors import DecodeError
from minikafka.protocol.payloads.consumer_protocol import (
    ConsumerProtocolAssignment,
    ConsumerProtocolSubscription,
    TopicPartition,
)
from minikafka.protocol.payloads.versioned import decode_versioned, encode_versioned, version_of

PROTOCOL_TYPE: Final = "consumer"


class ClassicMembers:
    """What a group of the consumer protocol does for its classic members."""

    def __init__(
        self,
        ledger: Ledger,
        rebalancer: Rebalancer,
        deadlines: Deadlines,
        *,
        limits: GroupLimits,
        topics: TopicsView,
        new_member_id: Callable[[str], str],
    ) -> None:
        self._ledger = ledger
        self._rebalancer = rebalancer
        self._deadlines = deadlines
        self._limits = limits
        self._topics = topics
        self._new_member_id = new_member_id

    def join(self, attempt: JoinAttempt) -> JoinResult:
        """Add a member, or move it on; its sessions begin with :meth:`joined`, once that is durable.

        Raises:
            KafkaError: NewMemberId, UnknownMemberId, FencedInstanceId, GroupMaxSizeReached, InvalidSessionTimeout,
                or InconsistentGroupProtocol.
        """
        self._rebalancer.follow_topics()
        subscription = self._check_join(attempt)
        old = self._place_of(attempt)
        member_id = attempt.member_id or self._new_member_id(_name(attempt))
        if old is not None and old.member_id != member_id:
            self._deadlines.clear_all(old.member_id)
            old = self._ledger.replace_static(old, member_id)
        known = old or Member(member_id, attempt.client)
        updated = replace(
            known,
            client=attempt.client,
            instance_id=attempt.group_instance_id or known.instance_id,
            rack_id=subscription.rack_id or known.rack_id,
            rebalance_timeout_ms=attempt.rebalance_timeout_ms,
            subscribed_topic_names=tuple(sorted(set(subscription.topics))),
            classic=ClassicMembership(attempt.session_timeout_ms, attempt.protocols),
        )
        moved = self._rebalancer.update(old, updated, _by_id(subscription.owned_partitions, self._topics))
        return JoinResult(moved.member_id, moved.epoch, PROTOCOL_TYPE, attempt.protocols[0].name, leader=NO_MEMBER)

    def joined(self, member_id: str, now_ms: float) -> None:
        """A member is about to be told that it joined: now it has to live, and to sync."""
        member = self._ledger.members.get(member_id)
        if member is None or member.classic is None:
            return
        self._deadlines.clear(member_id, Wait.JOIN)
        self._deadlines.clear(member_id, Wait.REVOKE)
        self._deadlines.set(member_id, Wait.HEARTBEAT, now_ms + member.classic.session_timeout_ms)
        self._deadlines.set(member_id, Wait.SYNC, now_ms + member.rebalance_timeout_ms)

    def sync(self, attempt: SyncAttempt, now_ms: float) -> SyncResult:
        """What a member was given.

        Raises:
            KafkaError: UnknownMemberId, FencedInstanceId, IllegalGeneration, InconsistentGroupProtocol, or
                RebalanceInProgress.
        """
        member, classic = self._member(
            MemberClaim(attempt.member_id, attempt.group_instance_id, attempt.generation_id), now_ms
        )
        protocol = classic.protocols[0]
        if attempt.protocol_type not in {None, PROTOCOL_TYPE} or attempt.protocol_name not in {None, protocol.name}:
            raise InconsistentGroupProtocol(
                f"{attempt.protocol_type}/{attempt.protocol_name} is not {PROTOCOL_TYPE}/{protocol.name}"
            )
        # One that has partitions to let go has joined already, and is told of the next rebalance when it is done.
        if member.epoch < self._ledger.group_epoch and member.state is not MemberState.UNREVOKED_PARTITIONS:
            self._ask_to_join(member, now_ms)
        self._deadlines.clear(member.member_id, Wait.SYNC)
        assignment = assignment_bytes(member.assigned, self._topics, version_of(protocol.metadata))
        return SyncResult(attempt.protocol_type, attempt.protocol_name, assignment)

    def heartbeat(self, claim: MemberClaim, now_ms: float) -> None:
        """Keep a member's session alive.

        Raises:
            KafkaError: UnknownMemberId, FencedInstanceId, IllegalGeneration, or RebalanceInProgress.
        """
        member, _ = self._member(claim, now_ms)
        self._rebalancer.follow_topics()
        is_behind = member.epoch < self._ledger.group_epoch
        if is_behind or member.state is MemberState.UNREVOKED_PARTITIONS or self._can_be_given_more(member):
            self._ask_to_join(member, now_ms)

    def find_leaving(self, leaving: LeavingMember) -> Member:
        """The member that is to be removed.

        Raises:
            KafkaError: UnknownMemberId, also for one that speaks the consumer protocol, or FencedInstanceId.
        """
        if leaving.group_instance_id is None:
            member = self._ledger.members.get(leaving.member_id)
        else:
            member = self._ledger.static_member(leaving.group_instance_id)
            if leaving.member_id != NO_MEMBER:
                check_identity(member, leaving.member_id, leaving.group_instance_id)
        if member is None or member.classic is None:
            raise UnknownMemberId(f"{leaving.member_id or leaving.group_instance_id} is not a classic member")
        return member

    def _check_join(self, attempt: JoinAttempt) -> ConsumerProtocolSubscription:
        limits = self._limits
        if not limits.min_session_timeout_ms <= attempt.session_timeout_ms <= limits.max_session_timeout_ms:
            raise InvalidSessionTimeout(f"{attempt.session_timeout_ms} ms are not within the broker's limits")
        if self._is_new(attempt) and len(self._ledger.members) >= limits.consumer_max_size:
            raise GroupMaxSizeReached(f"the group has {limits.consumer_max_size} members already")
        if attempt.protocol_type != PROTOCOL_TYPE or not self._has_common_protocol(attempt):
            raise InconsistentGroupProtocol("the protocols are not those of the group")
        subscription = parse_subscription(attempt.protocols[0].metadata)
        if attempt.member_id == NO_MEMBER and attempt.group_instance_id is None and attempt.requires_known_member_id:
            raise NewMemberId(self._new_member_id(_name(attempt)))
        return subscription

    def _is_new(self, attempt: JoinAttempt) -> bool:
        if attempt.group_instance_id is not None:
            return self._ledger.static_member(attempt.group_instance_id) is None
        return attempt.member_id not in self._ledger.members

    def _has_common_protocol(self, attempt: JoinAttempt) -> bool:
        """Whether one of the member's assignors is known to all classic members, for the day they are alone."""
        common = {protocol.name for protocol in attempt.protocols}
        for member in self._ledger.members.values():
            if member.classic is not None:
                common &= {protocol.name for protocol in member.classic.protocols}
        return bool(common)

    def _place_of(self, attempt: JoinAttempt) -> Member | None:
        """The member that joins again, or that is replaced by the one that joins; None for a new one."""
        if attempt.group_instance_id is None:
            return self._ledger.members.get(attempt.member_id)
        member = self._ledger.static_member(attempt.group_instance_id)
        if attempt.member_id == NO_MEMBER:
            return member
        return check_identity(member, attempt.member_id, attempt.group_instance_id)

    def _member(self, claim: MemberClaim, now_ms: float) -> tuple[Member, ClassicMembership]:
        """The classic member that claims to be one; its session begins anew."""
        if claim.group_instance_id is None:
            member = self._ledger.members.get(claim.member_id)
        else:
            static = self._ledger.static_member(claim.group_instance_id)
            member = check_identity(static, claim.member_id, claim.group_instance_id)
        if member is None or member.classic is None:
            raise UnknownMemberId(f"{claim.member_id} is not a classic member")
        if claim.generation_id != member.epoch:
            raise IllegalGeneration(f"member {claim.member_id} is in generation {member.epoch}")
        self._deadlines.set(member.member_id, Wait.HEARTBEAT, now_ms + member.classic.session_timeout_ms)
        return member, member.classic

    def _can_be_given_more(self, member: Member) -> bool:
        """Whether everything that a member waited for is free now."""
        if member.state is not MemberState.UNRELEASED_PARTITIONS:
            return False
        ledger = self._ledger
        holders = {ledger.holder(partition) for partition in each(ledger.target(member.member_id))}
        return holders <= {None, member.member_id}

    def _ask_to_join(self, member: Member, now_ms: float) -> None:
        self._deadlines.set_if_absent(member.member_id, Wait.JOIN, now_ms + member.rebalance_timeout_ms)
        raise RebalanceInProgress(f"member {member.member_id} is to join again")


def parse_subscription(metadata: bytes) -> ConsumerProtocolSubscription:
    """What a classic member subscribes to.

    Raises:
        InconsistentGroupProtocol: That is not to be read.
    """
    try:
        return decode_versioned(ConsumerProtocolSubscription, metadata)
    except DecodeError as error:
        raise InconsistentGroupProtocol(f"the subscription cannot be read: {error}") from error


def assignment_bytes(partitions: Partitions, topics: TopicsView, version: int) -> bytes:
    """An assignment as classic members read it, in the version of their subscription; topics that are gone left out."""
    named = {topics.topic_name(topic_id): numbers for topic_id, numbers in partitions.items()}
    assigned = [TopicPartition(topic=name, partitions=sorted(named[name])) for name in sorted(filter(None, named))]
    known_version = min(version, ConsumerProtocolAssignment.VALID[-1])
    return encode_versioned(ConsumerProtocolAssignment(assigned_partitions=assigned), known_version)


def _by_id(owned: Iterable[TopicPartition], topics: TopicsView) -> Partitions:
    return gather(
        TopicIdPartition(topic_id, number)
        for topic in owned
        if (topic_id := topics.topic_id(topic.topic)) is not None
        for number in topic.partitions
    )


def _name(attempt: JoinAttempt) -> str:
    return attempt.group_instance_id or attempt.client.client_id
