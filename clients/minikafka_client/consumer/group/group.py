"""A consumer's group: membership, committed offsets, and what both mean for the partitions that are read."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from math import inf

from minikafka.errors import ErrorCode, KafkaError
from minikafka.types import TopicPartition
from minikafka_client.cluster import Cluster
from minikafka_client.consumer.fetcher import Fetcher
from minikafka_client.consumer.group.committer import Committer
from minikafka_client.consumer.group.handover import Handover
from minikafka_client.consumer.group.listener import Caller, Partitions, RebalanceListener
from minikafka_client.consumer.group.membership import GroupOptions, Membership, MemberState, Surroundings
from minikafka_client.consumer.positions import Assignment, PartitionState, Start
from minikafka_client.consumer.reader import Reader
from minikafka_client.consumer.subscription import Subscription
from minikafka_client.coordinators import Coordinators
from minikafka_client.errors import CommitFailed, is_retriable
from minikafka_client.offsets import Commits, GroupMetadata, OffsetAndMetadata

_log = logging.getLogger(__name__)

_CLOSE_TIMEOUT_MS = 5_000


@dataclass(frozen=True, slots=True)
class ReadingParts:
    """The parts of a consumer that a group gives partitions to.

    ``start`` is where to begin without a committed offset; None is an error.  ``call`` calls the listener.
    """

    cluster: Cluster
    assignment: Assignment
    reader: Reader
    fetcher: Fetcher
    start: Start | None
    call: Caller


class Group:
    """What a consumer with a ``group_id`` has beside what others have.

    Args:
        options: The membership's.
        parts: What reads the partitions.
        join: Makes the membership.
        idle_ms: How long the program has not asked for messages.
    """

    def __init__(
        self,
        options: GroupOptions,
        parts: ReadingParts,
        join: Callable[[GroupOptions, Surroundings], Membership],
        idle_ms: Callable[[], float],
    ) -> None:
        self._options = options
        self._parts = parts
        self._start = parts.start
        self._interval_ms = options.auto_commit_interval_ms
        self._coordinators = Coordinators(parts.cluster)
        self._handover = Handover(options.group_id, self, RebalanceListener(), parts.call)
        self._membership = join(
            options, Surroundings(parts.cluster, self._coordinators, self._handover, idle_ms, self._interrupt)
        )
        self._committer = Committer(
            parts.cluster,
            self._coordinators,
            options.group_id,
            claim=self._claim,
            owns=self._handover.owns,
            refused=self._membership.refused,
        )
        self._committed: dict[TopicPartition, int] = {}  # as far as this consumer knows
        self._first_counts: dict[str, int] | None = None  # partitions of each topic at the first assignment
        self._paused: Partitions = frozenset()  # paused when they were given back
        self._attending: asyncio.Task[None] | None = None
        self._loading: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        if self._interval_ms is not None:
            self._spawn(self._commit_regularly(self._interval_ms))

    # Membership

    @property
    def is_member(self) -> bool:
        """Whether partitions come from the group: the consumer subscribed."""
        return self._membership.state is not MemberState.OUT

    @property
    def metadata(self) -> GroupMetadata:
        """As whom this consumer commits."""
        return self._membership.metadata if self.is_member else GroupMetadata(self._options.group_id)

    def subscribe(self, subscription: Subscription, listener: RebalanceListener) -> None:
        """Take part in the group for these topics, from the next poll on."""
        self._handover.listener = listener
        self._first_counts = None
        self._membership.subscribe(subscription)

    @property
    def needs_poll(self) -> bool:
        """Whether :meth:`attend` has something to do."""
        return self._attending is not None or self._membership.needs_poll

    async def attend(self, timeout_s: float) -> bool:
        """Let partitions come and go, as far as a rebalance waits for that; False if it takes longer than the time.

        What was begun goes on, and the next call waits for it.

        Raises:
            KafkaError: The coordinator refuses this consumer for good.
            RuntimeError: Called by a rebalance callback.
            Exception: What a rebalance callback raised.
        """
        deadline = asyncio.get_running_loop().time() + timeout_s
        while self.needs_poll:
            task = self._attending
            if task is None:
                task = self._attending = asyncio.create_task(self._membership.attend())
            if task is asyncio.current_task():
                raise RuntimeError("a rebalance callback cannot poll")
            remaining_s = max(0.0, deadline - asyncio.get_running_loop().time())
            await asyncio.wait({task}, timeout=None if timeout_s == inf else remaining_s)
            if not task.done():
                return False
            self._attending = None
            if not task.cancelled():  # as leaving does
                self._handover.raise_failure()
                task.result()
        return True

    async def leave(self) -> None:
        """Commit what was processed, give everything back and leave the group."""
        if self._attending is not None:
            self._attending.cancel()
            await asyncio.gather(self._attending, return_exceptions=True)
            self._attending = None
        await self._membership.leave()
        self._handover.raise_failure()

    async def close(self) -> None:
        """Leave, and stop everything."""
        try:
            if self.is_member:
                await self.leave()
            else:
                await self.commit_processed(self._parts.assignment.partitions)
        finally:
            for task in list(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await self._coordinators.close()

    # Offsets

    @property
    def commits_by_itself(self) -> bool:
        """Whether what was processed is committed without being asked for."""
        return self._interval_ms is not None

    async def commit(self, offsets: Commits | None, timeout_ms: int | None = None) -> None:
        """Commit these offsets or, without, the positions of all partitions; errors as :meth:`Committer.commit`."""
        wanted = self._parts.reader.positions() if offsets is None else offsets
        made = {where: OffsetAndMetadata.of(offset) for where, offset in wanted.items()}
        await self._committer.commit(made, timeout_ms)
        self._committed |= {where: offset.offset for where, offset in made.items()}

    async def committed(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, OffsetAndMetadata | None]:
        """See :meth:`Committer.committed`."""
        return await self._committer.committed(partitions)

    def begin(self, states: Iterable[PartitionState]) -> None:
        """Go on in these partitions where the group has come, unless somebody seeks before that is known."""
        for state in states:
            state.awaits_commit = True
        self._parts.fetcher.assigned()
        if self._loading is None or self._loading.done():
            self._loading = self._spawn(self._load())

    # What the handover asks for

    def add(self, partitions: Partitions) -> None:
        """Read these as well, from where the group has come."""
        assignment = self._parts.assignment
        if self._first_counts is None:
            self._first_counts = self._counts(partitions)
        for where in sorted(partitions):
            assignment.add(where, self._start_in(where))
            assignment[where].is_paused = where in self._paused
        self._paused = frozenset()
        if partitions:
            self.begin([assignment[where] for where in partitions])

    def remove(self, partitions: Partitions) -> None:
        """Forget these, and what was read ahead of them."""
        assignment = self._parts.assignment
        self._paused = frozenset(where for where in partitions if assignment[where].is_paused)
        assignment.replace([where for where in assignment.partitions if where not in partitions], self._start)
        self._parts.reader.sought(partitions)
        for where in partitions:
            self._committed.pop(where, None)
        self._parts.fetcher.assigned()

    async def commit_processed(self, partitions: Partitions) -> None:
        """Commit how far the program has come in these, if that is to be done by itself; failures are logged."""
        if self._interval_ms is None:
            return
        processed = self._parts.reader.processed()
        news = {
            where: offset
            for where, offset in processed.items()
            if where in partitions and self._committed.get(where) != offset
        }
        try:
            await self.commit(news, min(_CLOSE_TIMEOUT_MS, self._parts.cluster.options.request_timeout_ms))
        except (KafkaError, OSError) as error:
            level = logging.DEBUG if _is_rebalance(error) else logging.WARNING
            _log.log(level, "group %s: what was processed was not committed: %s", self._options.group_id, error)

    # Inside

    def _counts(self, assigned: Partitions) -> dict[str, int]:
        """How many partitions each topic has; what is assigned exists, whatever the metadata says."""
        topics = self._parts.cluster.metadata.topics
        counts = {name: len(topic.partitions) for name, topic in topics.items()}
        for topic, partition in assigned:
            counts[topic] = max(counts.get(topic, 0), partition + 1)
        return counts

    def _start_in(self, where: TopicPartition) -> Start | None:
        """Partitions that were added since the first assignment are read whole: they began after this consumer did."""
        is_new = where.partition >= (self._first_counts or {}).get(where.topic, 0)
        return Start.EARLIEST if is_new and self._start is Start.LATEST else self._start

    def _claim(self) -> GroupMetadata:
        claim = self.metadata
        if self.is_member and claim.generation_id < 0:
            raise CommitFailed(
                f"this consumer is not (or no longer) a member of group {claim.group_id!r}, so that its offsets were "
                "not committed; the next poll joins"
            )
        return claim

    def _interrupt(self) -> None:
        """Something waits for the next poll: it shall come soon."""
        self._parts.reader.interrupt()
        self._parts.fetcher.tell()

    async def _commit_regularly(self, interval_ms: int) -> None:
        while True:
            await asyncio.sleep(interval_ms / 1_000)
            if not self.is_member or self._membership.generation_id >= 0:
                await self.commit_processed(self._parts.assignment.partitions)

    async def _load(self) -> None:
        """Read the committed offsets of the partitions that wait for theirs."""
        attempt = 0
        while waiting := [state for state in self._parts.assignment if state.awaits_commit]:
            try:
                found = await self._committer.committed(state.topic_partition for state in waiting)
            except (KafkaError, OSError) as error:
                if not is_retriable(error):
                    for state in waiting:
                        state.error = error
                    self._parts.fetcher.tell()
                _log.info("group %s: cannot read committed offsets: %s", self._options.group_id, error)
                await asyncio.sleep(self._parts.cluster.options.backoff.delay_s(attempt))
                attempt += 1
                continue
            for state in waiting:
                if state.awaits_commit:
                    self._begin_at(state, found[state.topic_partition])
            self._parts.fetcher.wake()
            self._parts.fetcher.tell()

    def _begin_at(self, state: PartitionState, committed: OffsetAndMetadata | None) -> None:
        topic, partition = state.topic_partition
        if committed is None:
            state.awaits_commit = False
            state.why = f"no committed offset for group {self._options.group_id}"
        else:
            state.seek(committed.offset)
            self._committed[state.topic_partition] = committed.offset
            _log.info("group %s: %s[%d] goes on at %d", self._options.group_id, topic, partition, committed.offset)

    def _spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("a task of the client ended by a mistake of its own", exc_info=error)


def _is_rebalance(error: Exception) -> bool:
    return isinstance(error, KafkaError) and error.code is ErrorCode.REBALANCE_IN_PROGRESS
