"""A consumer's place in its group, whichever protocol the group speaks."""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from minikafka.errors import KafkaError
from minikafka.protocol.api_keys import ApiKey
from minikafka.protocol.schema import Message, Request
from minikafka_client.cluster import Cluster
from minikafka_client.consumer.assignors.assignor import Assignor
from minikafka_client.consumer.group.handover import Handover
from minikafka_client.consumer.subscription import Subscription
from minikafka_client.coordinators import Coordinators
from minikafka_client.offsets import GroupMetadata

_log = logging.getLogger(__name__)

_GOODBYE_S = 5.0


class MemberState(Enum):
    """Where a member is; those marked * wait for the next poll, in which partitions may come and go."""

    OUT = auto()
    """Not in the group."""
    REJOIN = auto()
    """* A rebalance is due, and partitions may have to be given back first."""
    JOINING = auto()
    """The coordinator and the other members are at work."""
    ASSIGNED = auto()
    """* A new assignment is here."""
    STABLE = auto()
    """The assignment stands."""
    LOST = auto()
    """* The group went on without this member."""
    FAILED = auto()
    """* It cannot go on; the poll raises why."""


class MemberEvent(Enum):
    """What moves a member from state to state."""

    REBALANCE = auto()
    """The coordinator, the subscription or the topics call for a rebalance."""
    PREPARED = auto()
    """What must be given back first was given back."""
    ASSIGNMENT = auto()
    """The coordinator sent an assignment."""
    HANDED_OVER = auto()
    """The partitions of the assignment are being read, and no others."""
    EVICTED = auto()
    """The coordinator does not know this member any more, or the member left because nobody polled."""
    DROPPED = auto()
    """The partitions of a lost membership are no longer read."""
    FAILED = auto()
    """The coordinator refuses for good."""
    LEFT = auto()
    """The member left the group of its own accord."""


S, E = MemberState, MemberEvent

TRANSITIONS: Final[Mapping[tuple[MemberState, MemberEvent], MemberState]] = {
    (S.OUT, E.REBALANCE): S.REJOIN,
    (S.REJOIN, E.REBALANCE): S.REJOIN,
    (S.REJOIN, E.PREPARED): S.JOINING,
    (S.REJOIN, E.EVICTED): S.LOST,
    (S.JOINING, E.REBALANCE): S.JOINING,  # what it joined for is compared with what is wanted once it is handed over
    (S.JOINING, E.ASSIGNMENT): S.ASSIGNED,
    (S.JOINING, E.EVICTED): S.LOST,
    (S.ASSIGNED, E.REBALANCE): S.ASSIGNED,  # as above; and a heartbeat says it again
    (S.ASSIGNED, E.ASSIGNMENT): S.ASSIGNED,
    (S.ASSIGNED, E.HANDED_OVER): S.STABLE,
    (S.ASSIGNED, E.EVICTED): S.LOST,
    (S.STABLE, E.REBALANCE): S.REJOIN,
    (S.STABLE, E.ASSIGNMENT): S.ASSIGNED,
    (S.STABLE, E.EVICTED): S.LOST,
    (S.LOST, E.REBALANCE): S.LOST,
    (S.LOST, E.EVICTED): S.LOST,
    (S.LOST, E.DROPPED): S.REJOIN,
    (S.FAILED, E.REBALANCE): S.REJOIN,  # another subscription, another try
    **{(state, E.LEFT): S.OUT for state in S},
    **{(state, E.FAILED): S.FAILED for state in S if state is not S.OUT},
}
"""An event that is not listed for a state changes nothing: it comes from something that was overtaken."""

WAITS_FOR_POLL: Final = frozenset({S.REJOIN, S.ASSIGNED, S.LOST, S.FAILED})


@dataclass(frozen=True, slots=True)
class GroupOptions:
    """What a group needs of the consumer's options; times in milliseconds."""

    group_id: str
    group_instance_id: str | None
    session_timeout_ms: int
    heartbeat_interval_ms: int
    max_poll_interval_ms: int
    assignors: tuple[Assignor, ...]
    remote_assignor: str | None
    client_rack: str | None
    auto_commit_interval_ms: int | None  # None: the program commits


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a membership works with.

    ``idle_ms`` says how long the program has not asked for messages.  ``wake`` interrupts reading, so that the next
    poll sees that the membership :attr:`~Membership.needs_poll`.
    """

    cluster: Cluster
    coordinators: Coordinators
    handover: Handover
    idle_ms: Callable[[], float]
    wake: Callable[[], None]


class Membership(ABC):
    """What the two group protocols have in common: states, the watch over the program, and tasks.

    Nothing of a membership runs before the first :meth:`subscribe`.
    """

    def __init__(self, options: GroupOptions, around: Surroundings) -> None:
        self.state = MemberState.OUT
        self.generation_id = -1
        self.member_id = ""
        self._options = options
        self._around = around
        self._subscription = Subscription()
        self._error: Exception | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def needs_poll(self) -> bool:
        """Whether :meth:`attend` has something to do."""
        return self.state in WAITS_FOR_POLL

    @property
    def metadata(self) -> GroupMetadata:
        """As whom this consumer commits."""
        options = self._options
        return GroupMetadata(options.group_id, self.generation_id, self.member_id, options.group_instance_id)

    def subscribe(self, subscription: Subscription) -> None:
        """Take part in the group for these topics, from the next poll on."""
        self._subscription = subscription
        self._on(MemberEvent.REBALANCE)

    async def attend(self) -> None:
        """Do what waits for a poll: give partitions back, take them over, drop them.  One at a time.

        Raises:
            KafkaError: The coordinator refuses this member for good.
        """
        match self.state:
            case MemberState.REJOIN:
                await self._prepare()
            case MemberState.ASSIGNED:
                await self._take_over()
            case MemberState.LOST:
                await self._around.handover.lose_all()
                self._on(MemberEvent.DROPPED)
            case MemberState.FAILED:
                await self._around.handover.lose_all()
                if self._error is not None:
                    raise self._error

    async def leave(self) -> None:
        """Give everything back and leave the group; a static member keeps its place for the session time-out."""
        if self.state is MemberState.OUT:
            return
        if self.generation_id >= 0:
            await self._around.handover.revoke(self._around.handover.owned)
        else:
            await self._around.handover.lose_all()
        is_member = self.state is not MemberState.FAILED
        self._on(MemberEvent.LEFT)
        await self._stop_tasks()
        if is_member:
            await self._say_goodbye(for_good=self._options.group_instance_id is None)
        self.generation_id = -1

    @abstractmethod
    def refused(self, error: KafkaError) -> None:
        """The coordinator has something against this member, as an answer to a commit showed."""

    @abstractmethod
    async def _prepare(self) -> None:
        """Give back what must be given back before joining, and join."""

    @abstractmethod
    async def _take_over(self) -> None:
        """Make the assignment that came the one that is read."""

    @abstractmethod
    async def _say_goodbye(self, *, for_good: bool) -> None:
        """Tell the coordinator that this member leaves, if it can be told; failures are logged."""

    def _on(self, event: MemberEvent) -> None:
        self.state = TRANSITIONS.get((self.state, event), self.state)
        if self.needs_poll:
            self._around.wake()

    def _fail(self, error: Exception) -> None:
        self._error = error
        self.generation_id = -1
        self._on(MemberEvent.FAILED)

    def _evict(self) -> None:
        """Whatever this member was, it is no longer."""
        self.generation_id = -1
        self._on(MemberEvent.EVICTED)

    async def _leave_if_nobody_polls(self) -> bool:
        """Leave if the program has not polled for so long that others should have its partitions."""
        idle_ms = self._around.idle_ms()
        if idle_ms < self._options.max_poll_interval_ms or self.state in {MemberState.LOST, MemberState.FAILED}:
            return False
        _log.warning(
            "consumer left group %s: nobody polled for %.0f ms, longer than max_poll_interval_ms=%d; the next poll "
            "joins again.  Take fewer messages at a time (max_poll_records), or give them more time",
            self._options.group_id,
            idle_ms,
            self._options.max_poll_interval_ms,
        )
        # A static member too: with its place kept, nobody would have its partitions until the session ends.
        await self._say_goodbye(for_good=True)
        self._evict()
        return True

    async def _tell_coordinator(
        self, api_key: ApiKey, max_version: int, request_for: Callable[[int], Request[Message]]
    ) -> None:
        """Send a last word, in the version that the coordinator knows; it goes without saying if it takes too long."""
        try:
            async with asyncio.timeout(_GOODBYE_S):
                connection = await self._around.coordinators.connection(self._options.group_id)
                version = connection.pick(api_key, max_version)
                timeout_ms = self._around.cluster.options.request_timeout_ms
                await connection.request(request_for(version), version, timeout_ms=timeout_ms)
        except (KafkaError, OSError) as error:
            _log.info("group %s: could not say goodbye: %s", self._options.group_id, error)

    def _start(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("the membership in group %s ended by an error", self._options.group_id, exc_info=error)
            self._fail(error if isinstance(error, Exception) else RuntimeError(repr(error)))

    async def _stop_tasks(self) -> None:
        tasks = [task for task in self._tasks if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
