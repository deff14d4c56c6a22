"""Membership by the consumer protocol (KIP-848): the coordinator divides the partitions, and only heartbeats travel.

::

    REJOIN ── poll ──► JOINING: a heartbeat with epoch 0 ──► ASSIGNED ── poll takes over ──► STABLE
                                                                ▲                              │
                                                                └── a heartbeat's answer ──────┘

A heartbeat says what has changed since the last; its answer has the member's epoch, and the assignment if that changed.
What others are to have next is missing from it; once this member says that it has given it back, the others get it.

Source: Kafka, clients/consumer/internals/ConsumerMembershipManager.java, ConsumerHeartbeatRequestManager.java.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Mapping
from enum import Enum, auto
from typing import Final, NamedTuple

from minikafka.errors import ErrorCode, KafkaError
from minikafka.protocol.api_keys import ApiKey
from minikafka.protocol.messages.consumer_group_heartbeat import (
    ConsumerGroupHeartbeatRequest,
    ConsumerGroupHeartbeatResponse,
    TopicPartitions,
)
from minikafka.types import TopicPartition, new_uuid, uuid_text
from minikafka_client.consumer.group.listener import Partitions
from minikafka_client.consumer.group.membership import GroupOptions, MemberEvent, Membership, MemberState, Surroundings
from minikafka_client.consumer.subscription import Subscription
from minikafka_client.errors import NETWORK_ERRORS, error_from_code, error_name

CONSUMER_GROUP_HEARTBEAT_VERSION = 1

_log = logging.getLogger(__name__)

_PATTERNS_FROM = 1
_JOIN_EPOCH = 0
_LEAVE_EPOCH = -1
_LEAVE_FOR_A_WHILE_EPOCH = -2  # as a static member, whose place is kept


class _Reaction(Enum):
    """What a refusal of the coordinator means for the member."""

    RETRY = auto()
    """It passes: the same again."""
    FIND = auto()
    """The coordinator is elsewhere: look it up, and the same again."""
    EVICT = auto()
    """The member is none, or was replaced: what it has is lost, and it begins anew."""


_REACTIONS: Final[Mapping[ErrorCode, _Reaction]] = {
    ErrorCode.COORDINATOR_LOAD_IN_PROGRESS: _Reaction.RETRY,
    ErrorCode.COORDINATOR_NOT_AVAILABLE: _Reaction.FIND,
    ErrorCode.NOT_COORDINATOR: _Reaction.FIND,
    ErrorCode.FENCED_MEMBER_EPOCH: _Reaction.EVICT,
    ErrorCode.UNKNOWN_MEMBER_ID: _Reaction.EVICT,
}
"""Anything else is final: the next poll raises it."""


class _Told(NamedTuple):
    """What the coordinator knows of this member, as of the last heartbeat that it answered.

    ``pattern`` is one for the coordinator to match; if it cannot, ``names`` has what matches.
    """

    names: frozenset[str]
    pattern: str | None
    owned: Partitions


class ConsumerMembership(Membership):
    """Beats, and takes over what the answers assign."""

    def __init__(self, options: GroupOptions, around: Surroundings) -> None:
        super().__init__(options, around)
        self._interval_ms = options.heartbeat_interval_ms  # the coordinator says another
        self._told: _Told | None = None
        self._may_be_known = False  # to the coordinator, which perhaps heard a heartbeat whose answer has not come
        self._target: Mapping[bytes, frozenset[int]] = {}  # by topic id
        self._topic_ids: dict[str, bytes] = {}
        self._due = asyncio.Event()
        self._beating: asyncio.Task[None] | None = None
        around.cluster.on_update(self._metadata_changed)

    def subscribe(self, subscription: Subscription) -> None:  # noqa: D102 - see Membership
        if self.generation_id < 0:
            super().subscribe(subscription)
        else:
            self._subscription = subscription  # the next heartbeat says so; the member stays what it is
            self._due.set()

    def refused(self, error: KafkaError) -> None:  # noqa: D102 - see Membership
        if _REACTIONS.get(error.code) is _Reaction.EVICT:
            self._begin_anew(error)
        elif error.code is ErrorCode.FENCED_INSTANCE_ID:
            self._fail(error)

    # In a poll

    async def _prepare(self) -> None:
        self.member_id = self.member_id or uuid_text(new_uuid())
        self._told = None
        self._on(MemberEvent.PREPARED)
        self._due.set()
        if self._beating is None or self._beating.done():
            self._beating = self._start(self._beat())

    async def _take_over(self) -> None:
        handover, target = self._around.handover, self._target
        wanted = await self._names_of(target)
        await handover.revoke(handover.owned - wanted)
        if self.state is not MemberState.ASSIGNED or self._target is not target:
            return  # lost meanwhile, or there is a newer one
        await handover.assign(wanted)
        self._on(MemberEvent.HANDED_OVER)
        self._due.set()  # the coordinator waits to hear that it was done

    async def _names_of(self, target: Mapping[bytes, frozenset[int]]) -> Partitions:
        """The partitions of topics that are known by their ids; new topics take a refresh."""
        cluster = self._around.cluster
        names = {topic.topic_id: name for name, topic in cluster.metadata.topics.items()}
        if target.keys() - names.keys():
            cluster.track(self._subscription.names)
            await cluster.refresh()
            names = {topic.topic_id: name for name, topic in cluster.metadata.topics.items()}
        for topic_id in target.keys() - names.keys():
            _log.warning("group %s: assigned an unknown topic, id %s", self._options.group_id, uuid_text(topic_id))
        self._topic_ids |= {names[topic_id]: topic_id for topic_id in target if topic_id in names}
        return frozenset(
            TopicPartition(names[topic_id], number)
            for topic_id, numbers in target.items()
            if topic_id in names
            for number in numbers
        )

    def _metadata_changed(self) -> None:
        """Topics that were assigned before they were known may be known now."""
        known = {topic.topic_id for topic in self._around.cluster.metadata.topics.values()}
        owned = {self._topic_ids[where.topic] for where in self._around.handover.owned}
        if self.state is MemberState.STABLE and (self._target.keys() - owned) & known:
            self._on(MemberEvent.ASSIGNMENT)

    # Beating

    async def _beat(self) -> None:
        options = self._options
        failures = 0
        while True:
            interval_s = min(self._interval_ms, options.max_poll_interval_ms / 2) / 1_000
            if failures:
                interval_s = min(interval_s, self._around.cluster.options.backoff.delay_s(failures - 1))
            if failures or not self._due.is_set():
                await self._wait_until_due(interval_s)
            self._due.clear()
            if await self._leave_if_nobody_polls():
                failures = 0
            elif self.state in {MemberState.JOINING, MemberState.ASSIGNED, MemberState.STABLE}:
                failures = 0 if await self._send_heartbeat() else failures + 1

    async def _wait_until_due(self, interval_s: float) -> None:
        try:
            async with asyncio.timeout(interval_s):
                await self._due.wait()
        except TimeoutError:
            return

    async def _send_heartbeat(self) -> bool:
        """Say what changed and hear what is new; False when the coordinator did not hear it."""
        options, epoch = self._options, self.generation_id
        cluster, coordinators = self._around.cluster, self._around.coordinators
        try:
            connection = await coordinators.connection(options.group_id)
            version = connection.pick(ApiKey.CONSUMER_GROUP_HEARTBEAT, CONSUMER_GROUP_HEARTBEAT_VERSION)
            now = self._what_to_tell(version)
            request = self._request(now)
            self._may_be_known = True
            answer = await connection.request(request, version, timeout_ms=cluster.options.request_timeout_ms)
        except NETWORK_ERRORS as error:
            _log.info("group %s: no heartbeat: %s", options.group_id, error)
            coordinators.forget(options.group_id)
            self._told = None  # perhaps it was heard, perhaps not: say everything again
            return False
        except KafkaError as error:
            self._fail(error)
            return True
        if epoch != self.generation_id:
            return True  # evicted meanwhile
        if answer.error_code != ErrorCode.NONE:
            return self._react(answer)
        self._absorb(answer, now)
        return True

    def _what_to_tell(self, version: int) -> _Told:
        pattern, owned = self._subscription.pattern_text, self._around.handover.owned
        if pattern is not None and version >= _PATTERNS_FROM:
            return _Told(frozenset(), pattern, owned)
        return _Told(self._subscription.topics(self._around.cluster.metadata.topics), None, owned)

    def _request(self, now: _Told) -> ConsumerGroupHeartbeatRequest:
        """What the coordinator does not know yet; everything, if it is not known what it knows."""
        options, told = self._options, self._told
        request = ConsumerGroupHeartbeatRequest(
            group_id=options.group_id,
            member_id=self.member_id,
            member_epoch=max(self.generation_id, _JOIN_EPOCH),
            instance_id=options.group_instance_id,
        )
        if told is None:
            request.rack_id = options.client_rack
            request.rebalance_timeout_ms = options.max_poll_interval_ms
            request.server_assignor = options.remote_assignor
        if told is None or told.names != now.names:
            request.subscribed_topic_names = sorted(now.names)
        if (told.pattern if told else None) != now.pattern:
            request.subscribed_topic_regex = now.pattern or ""
        if told is None or told.owned != now.owned:
            request.topic_partitions = self._by_id(now.owned)
        return request

    def _by_id(self, partitions: Partitions) -> list[TopicPartitions]:
        by_topic: defaultdict[str, list[int]] = defaultdict(list)
        for where in sorted(partitions):
            by_topic[where.topic].append(where.partition)
        return [
            TopicPartitions(topic_id=self._topic_ids[name], partitions=numbers) for name, numbers in by_topic.items()
        ]

    def _absorb(self, answer: ConsumerGroupHeartbeatResponse, told: _Told) -> None:
        self._told = told
        self.member_id = answer.member_id or self.member_id
        self.generation_id = answer.member_epoch
        self._interval_ms = answer.heartbeat_interval_ms
        if answer.assignment is not None:
            parts = answer.assignment.topic_partitions
            target = {bytes(topic.topic_id): frozenset(topic.partitions) for topic in parts}
            if target != self._target or self.state is MemberState.JOINING:
                self._target = target
                self._on(MemberEvent.ASSIGNMENT)

    def _react(self, answer: ConsumerGroupHeartbeatResponse) -> bool:
        """What a refusal means; False when the same is to be said again soon."""
        error = error_from_code(answer.error_code, self._refusal(answer))
        reaction = _REACTIONS.get(error.code)
        if reaction is None:
            self._fail(error)
        elif reaction is _Reaction.EVICT:
            self._begin_anew(error)
        elif reaction is _Reaction.FIND:
            self._around.coordinators.forget(self._options.group_id)
        return reaction not in {_Reaction.RETRY, _Reaction.FIND}

    def _begin_anew(self, error: KafkaError) -> None:
        _log.warning("group %s: no longer a member: %s", self._options.group_id, error)
        self._may_be_known = False
        self._evict()

    def _refusal(self, answer: ConsumerGroupHeartbeatResponse) -> str:
        options, code = self._options, answer.error_code
        why = answer.error_message or error_name(code)
        if code in {ErrorCode.UNRELEASED_INSTANCE_ID, ErrorCode.FENCED_INSTANCE_ID}:
            why = f"group_instance_id={options.group_instance_id!r} is (or was, a moment ago) another consumer's: {why}"
        return f"cannot be a member of group {options.group_id!r}: {why}"

    # Leaving

    async def _say_goodbye(self, *, for_good: bool) -> None:
        if not self._may_be_known:
            return
        self._may_be_known = False
        epoch = _LEAVE_EPOCH if for_good else _LEAVE_FOR_A_WHILE_EPOCH
        request = ConsumerGroupHeartbeatRequest(
            group_id=self._options.group_id,
            member_id=self.member_id,
            member_epoch=epoch,
            instance_id=self._options.group_instance_id,
        )
        await self._tell_coordinator(
            ApiKey.CONSUMER_GROUP_HEARTBEAT, CONSUMER_GROUP_HEARTBEAT_VERSION, lambda _: request
        )
