"""Membership by the classic protocol: members join, one of them divides the partitions, heartbeats keep the place.

::

    REJOIN ── poll gives back ──► JOINING: JoinGroup, SyncGroup ──► ASSIGNED ── poll takes over ──► STABLE
      ▲                                                                                                │
      └────────────── a heartbeat says that the group rebalances, the subscription changed, ... ───────┘

Source: Kafka, clients/consumer/internals/AbstractCoordinator.java, ConsumerCoordinator.java.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping
from enum import Enum, auto
from time import monotonic
from typing import Final

from minikafka.errors import ErrorCode, KafkaError, RequestTimedOut
from minikafka.net.connection import Connection
from minikafka.protocol.api_keys import ApiKey
from minikafka.protocol.messages.heartbeat import HeartbeatRequest
from minikafka.protocol.messages.join_group import JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse
from minikafka.protocol.messages.leave_group import LeaveGroupRequest, MemberIdentity
from minikafka.protocol.messages.sync_group import SyncGroupRequest, SyncGroupRequestAssignment, SyncGroupResponse
from minikafka_client.connections import Lane
from minikafka_client.consumer.assignors.assignor import Assignments, Assignor, MemberSubscription
from minikafka_client.consumer.group.listener import Partitions
from minikafka_client.consumer.group.membership import GroupOptions, MemberEvent, Membership, MemberState, Surroundings
from minikafka_client.consumer.group.payloads import (
    PROTOCOL_TYPE,
    decode_assignment,
    decode_subscription,
    encode_assignment,
    encode_subscription,
)
from minikafka_client.errors import NETWORK_ERRORS, error_from_code, error_name, is_retriable

JOIN_GROUP_VERSION = 9
SYNC_GROUP_VERSION = 5
HEARTBEAT_VERSION = 4
LEAVE_GROUP_VERSION = 5

_log = logging.getLogger(__name__)

_MEMBERS_FROM = 3  # LeaveGroup: members in a list
_GRACE_MS = 5_000  # a JoinGroup is answered when the rebalance is over, and a little later if the broker is busy


class _Reaction(Enum):
    """What a refusal of the coordinator means for the member."""

    RETRY = auto()
    """It passes: the same again."""
    FIND = auto()
    """The coordinator is elsewhere: look it up, and the same again."""
    REBALANCE = auto()
    """Another rebalance has begun: join it."""
    EVICT = auto()
    """The member is none: what it has is lost, and it begins anew."""


_REACTIONS: Final[Mapping[ErrorCode, _Reaction]] = {
    ErrorCode.COORDINATOR_LOAD_IN_PROGRESS: _Reaction.RETRY,
    ErrorCode.COORDINATOR_NOT_AVAILABLE: _Reaction.FIND,
    ErrorCode.NOT_COORDINATOR: _Reaction.FIND,
    ErrorCode.REBALANCE_IN_PROGRESS: _Reaction.REBALANCE,
    ErrorCode.ILLEGAL_GENERATION: _Reaction.EVICT,
    ErrorCode.UNKNOWN_MEMBER_ID: _Reaction.EVICT,
}
"""Anything else that is not retriable is final: the next poll raises it."""


class ClassicMembership(Membership):
    """Joins, divides if it is made the leader, and beats."""

    def __init__(self, options: GroupOptions, around: Surroundings) -> None:
        super().__init__(options, around)
        self._assignors = {assignor.name: assignor for assignor in options.assignors}
        self._is_cooperative = all(assignor.is_cooperative for assignor in options.assignors)
        self._assignment: Partitions = frozenset()
        self._joined_for: frozenset[str] = frozenset()
        self._divided: Mapping[str, int] | None = None  # what this member divided as the leader: topics, partitions
        self._last_owned: Partitions = frozenset()  # what it had before it gave everything back
        self._last_generation = -1
        self._is_syncing = False
        self._connection: Connection | None = None
        self._joining: asyncio.Task[None] | None = None
        self._beating: asyncio.Task[None] | None = None
        around.cluster.on_update(self._metadata_changed)

    def refused(self, error: KafkaError) -> None:  # noqa: D102 - see Membership
        reaction = _REACTIONS.get(error.code)
        if reaction is _Reaction.REBALANCE:
            self._on(MemberEvent.REBALANCE)
        elif reaction is _Reaction.EVICT:
            self._forget_me(error)
        elif error.code is ErrorCode.FENCED_INSTANCE_ID:
            self._fail(error)

    # In a poll

    async def _prepare(self) -> None:
        handover = self._around.handover
        self._last_owned, self._last_generation = handover.owned, self.generation_id
        wanted = self._topics()
        if self._is_cooperative:
            await handover.revoke(where for where in handover.owned if where.topic not in wanted)
        else:
            await handover.revoke(handover.owned)
        self._on(MemberEvent.PREPARED)
        if self.state is MemberState.JOINING:
            self._joining = self._start(self._join())
            if self._beating is None or self._beating.done():
                self._beating = self._start(self._beat())

    async def _take_over(self) -> None:
        handover = self._around.handover
        gone = handover.owned - self._assignment
        await handover.revoke(gone)
        if self.state is not MemberState.ASSIGNED:
            return  # lost meanwhile
        await handover.assign(self._assignment)
        self._on(MemberEvent.HANDED_OVER)
        if gone:
            self._on(MemberEvent.REBALANCE)  # so that others get what was given back
        self._metadata_changed()

    # Joining

    async def _join(self) -> None:
        """Try until there is an assignment, or no way to one."""
        attempt = 0
        while self.state is MemberState.JOINING:
            try:
                self._assignment = await self._join_once()
            except (KafkaError, OSError) as error:
                if isinstance(error, NETWORK_ERRORS):
                    self._around.coordinators.forget(self._options.group_id)
                elif not self._react(error):
                    return
                _log.debug("group %s: joining again after: %s", self._options.group_id, error)
            else:
                self._on(MemberEvent.ASSIGNMENT)
                return
            await asyncio.sleep(self._around.cluster.options.backoff.delay_s(attempt))
            attempt += 1

    def _react(self, error: KafkaError) -> bool:
        """What a refusal means while joining; False when there is no point in going on."""
        reaction = _REACTIONS.get(error.code)
        if reaction is _Reaction.FIND:
            self._around.coordinators.forget(self._options.group_id)
        elif reaction is _Reaction.EVICT:
            self._forget_me(error)
        elif reaction is None and not is_retriable(error):
            self._fail(error)
        return self.state is MemberState.JOINING

    async def _join_once(self) -> Partitions:
        self._joined_for, self._divided = await self._known_topics(), None
        joined = await self._send_join()
        if joined.error_code == ErrorCode.MEMBER_ID_REQUIRED:
            self.member_id = joined.member_id
            joined = await self._send_join()
        if joined.error_code != ErrorCode.NONE:
            raise error_from_code(joined.error_code, self._refusal(joined.error_code))
        self.member_id, self.generation_id = joined.member_id, joined.generation_id
        assignments = []
        if joined.leader == joined.member_id:
            divided = await self._divide(joined)
            if not joined.skip_assignment:
                assignments = [
                    SyncGroupRequestAssignment(member_id=member_id, assignment=encode_assignment(partitions))
                    for member_id, partitions in divided.items()
                ]
        self._is_syncing = True
        try:
            synced = await self._send_sync(joined, assignments)
        finally:
            self._is_syncing = False
        if synced.error_code != ErrorCode.NONE:
            raise error_from_code(synced.error_code)
        return decode_assignment(synced.assignment)

    async def _send_join(self) -> JoinGroupResponse:
        options = self._options
        connection = await self._around.coordinators.connection(options.group_id, Lane.GROUP)
        self._connection = connection
        request = JoinGroupRequest(
            group_id=options.group_id,
            session_timeout_ms=options.session_timeout_ms,
            rebalance_timeout_ms=options.max_poll_interval_ms,
            member_id=self.member_id,
            group_instance_id=options.group_instance_id,
            protocol_type=PROTOCOL_TYPE,
            protocols=[
                JoinGroupRequestProtocol(name=name, metadata=self._told_to(assignor))
                for name, assignor in self._assignors.items()
            ],
        )
        version = connection.pick(ApiKey.JOIN_GROUP, JOIN_GROUP_VERSION)
        wait_ms = max(self._around.cluster.options.request_timeout_ms, options.max_poll_interval_ms + _GRACE_MS)
        return await connection.request(request, version, timeout_ms=wait_ms)

    async def _send_sync(
        self, joined: JoinGroupResponse, assignments: list[SyncGroupRequestAssignment]
    ) -> SyncGroupResponse:
        options = self._options
        connection = await self._around.coordinators.connection(options.group_id, Lane.GROUP)
        request = SyncGroupRequest(
            group_id=options.group_id,
            generation_id=joined.generation_id,
            member_id=joined.member_id,
            group_instance_id=options.group_instance_id,
            protocol_type=PROTOCOL_TYPE,
            protocol_name=joined.protocol_name,
            assignments=assignments,
        )
        version = connection.pick(ApiKey.SYNC_GROUP, SYNC_GROUP_VERSION)
        wait_ms = max(self._around.cluster.options.request_timeout_ms, options.max_poll_interval_ms + _GRACE_MS)
        return await connection.request(request, version, timeout_ms=wait_ms)

    def _told_to(self, assignor: Assignor) -> bytes:
        """What the leader's assignor is told of this member."""
        owned = self._around.handover.owned
        return encode_subscription(
            MemberSubscription(
                topics=self._joined_for,
                owned=owned,
                generation=self._last_generation,
                user_data=assignor.user_data(self._last_owned, self._last_generation),
                rack=self._options.client_rack,
            )
        )

    async def _divide(self, joined: JoinGroupResponse) -> Assignments:
        """Divide the partitions among all members: this one is the leader."""
        members = {
            told.member_id: decode_subscription(told.metadata, told.group_instance_id) for told in joined.members
        }
        topics = frozenset[str]().union(*(member.topics for member in members.values()))
        cluster = self._around.cluster
        cluster.track(topics)
        if topics - cluster.metadata.topics.keys():
            await cluster.refresh()
        self._divided = self._partition_counts(topics)
        known = {topic: count for topic, count in self._divided.items() if count}
        return self._assignors[joined.protocol_name or ""].assign(members, known)

    def _partition_counts(self, topics: Iterable[str]) -> dict[str, int]:
        """How many partitions each topic has, 0 if it does not exist."""
        known = self._around.cluster.metadata.topics
        return {topic: len(known[topic].partitions) if topic in known else 0 for topic in topics}

    async def _known_topics(self) -> frozenset[str]:
        """The topics subscribed to, once the metadata has those of them that exist."""
        cluster = self._around.cluster
        if self._subscription.names - cluster.metadata.topics.keys():
            cluster.track(self._subscription.names)
            await cluster.refresh()
        return self._topics()

    def _topics(self) -> frozenset[str]:
        return self._subscription.topics(self._around.cluster.metadata.topics)

    def _metadata_changed(self) -> None:
        """Topics that match appeared, or the topics that this member divided got more partitions."""
        if self.state is not MemberState.STABLE:
            return
        divided = self._divided
        if self._topics() != self._joined_for or (divided is not None and self._partition_counts(divided) != divided):
            self._on(MemberEvent.REBALANCE)

    def _forget_me(self, error: KafkaError) -> None:
        """The coordinator does not know this member, or not in this generation."""
        if error.code is ErrorCode.UNKNOWN_MEMBER_ID:
            self.member_id = ""
        self.generation_id = -1
        if self.state is not MemberState.JOINING or self._around.handover.owned:
            _log.warning("group %s: no longer a member: %s", self._options.group_id, error)
            self._evict()

    # Beating

    async def _beat(self) -> None:
        options = self._options
        interval_s = min(options.heartbeat_interval_ms, options.max_poll_interval_ms / 2) / 1_000
        failures = 0
        heard_at = monotonic()
        while True:
            pause_s = self._around.cluster.options.backoff.delay_s(failures - 1) if failures else interval_s
            await asyncio.sleep(min(pause_s, interval_s))
            if not failures:
                heard_at = monotonic()
            elif monotonic() - heard_at > options.session_timeout_ms / 1_000:
                # By now the coordinator, if it lives, has given the partitions to others.
                self._forget_me(RequestTimedOut("no heartbeat arrived within session_timeout_ms"))
                failures = 0
            if await self._leave_if_nobody_polls():
                self.member_id = ""
                if self._joining is not None:
                    self._joining.cancel()
            elif self.generation_id >= 0 and (self.state is not MemberState.JOINING or self._is_syncing):
                failures = 0 if await self._send_heartbeat() else failures + 1

    async def _send_heartbeat(self) -> bool:
        """Say that this member is alive; False when the coordinator did not hear it."""
        options, generation_id = self._options, self.generation_id
        request = HeartbeatRequest(
            group_id=options.group_id,
            generation_id=generation_id,
            member_id=self.member_id,
            group_instance_id=options.group_instance_id,
        )
        try:
            connection = await self._around.coordinators.connection(options.group_id)
            version = connection.pick(ApiKey.HEARTBEAT, HEARTBEAT_VERSION)
            timeout_ms = min(self._around.cluster.options.request_timeout_ms, options.session_timeout_ms)
            told = await connection.request(request, version, timeout_ms=timeout_ms)
        except NETWORK_ERRORS as error:
            _log.info("group %s: no heartbeat: %s", options.group_id, error)
            self._around.coordinators.forget(options.group_id)
            return False
        if told.error_code == ErrorCode.NONE or generation_id != self.generation_id:
            return True  # or the answer comes from before a rebalance that is over
        refusal = error_from_code(told.error_code)
        if _REACTIONS.get(refusal.code) is _Reaction.FIND:
            self._around.coordinators.forget(options.group_id)
            return False
        self.refused(refusal)
        return True

    # Leaving

    async def _say_goodbye(self, *, for_good: bool) -> None:
        if self._connection is not None:
            self._connection.close()  # a JoinGroup may be waiting there
        member_id, self.member_id = self.member_id, ""
        if member_id and for_good:
            await self._tell_coordinator(
                ApiKey.LEAVE_GROUP, LEAVE_GROUP_VERSION, lambda version: self._goodbye(member_id, version)
            )

    def _goodbye(self, member_id: str, version: int) -> LeaveGroupRequest:
        options = self._options
        if version < _MEMBERS_FROM:
            return LeaveGroupRequest(group_id=options.group_id, member_id=member_id)
        members = [MemberIdentity(member_id=member_id, group_instance_id=options.group_instance_id)]
        return LeaveGroupRequest(group_id=options.group_id, members=members)

    def _refusal(self, code: int) -> str:
        """Words for what is wrong with a request to join."""
        options = self._options
        match code:
            case ErrorCode.INCONSISTENT_GROUP_PROTOCOL:
                mine = ", ".join(self._assignors)
                why = f"its other members support none of this consumer's partition_assignment_strategy ({mine})"
            case ErrorCode.INVALID_SESSION_TIMEOUT:
                why = f"the broker does not allow session_timeout_ms={options.session_timeout_ms}"
            case ErrorCode.GROUP_MAX_SIZE_REACHED:
                why = "it has as many members as the broker allows"
            case ErrorCode.FENCED_INSTANCE_ID:
                why = f"another consumer has group_instance_id={options.group_instance_id!r}"
            case _:
                why = error_name(code)
        return f"cannot join group {options.group_id!r}: {why}"
