"""Reading ahead: fetch requests to the leaders of the assigned partitions, answered when there is something to read.

A fetch waits at the broker until its partitions have news.  A partition that was not in it, because enough of it was
read ahead, or because it was assigned or sought since, would have to wait with it; so a second fetch to the same
broker may be under way, on a connection of its own, and in a :mod:`session <.fetch_session>` of its own.  Both may wait
for partitions that were read to their ends: a third is for those that are not known to have no more, and never waits.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Coroutine
from dataclasses import dataclass
from math import inf

from minikafka.errors import ErrorCode, KafkaError, RecordListTooLarge
from minikafka.net.connection import Connection
from minikafka.protocol.api_keys import ApiKey
from minikafka.protocol.messages.fetch import FetchPartition, FetchRequest, FetchResponse, PartitionData
from minikafka.protocol.schema import as_view
from minikafka.types import NO_LEADER, IsolationLevel, TopicPartition
from minikafka_client.cluster import Cluster
from minikafka_client.connections import Lane
from minikafka_client.consumer.beginnings import Beginning, say_where_it_begins
from minikafka_client.consumer.chunk import Chunk
from minikafka_client.consumer.decode import end_offset_of
from minikafka_client.consumer.fetch_session import SESSION_ERRORS, FetchSession
from minikafka_client.consumer.offsets import look_up
from minikafka_client.consumer.positions import Assignment, PartitionState, Start
from minikafka_client.errors import NETWORK_ERRORS, NoOffsetForPartition, error_from_code, is_retriable

FETCH_VERSION = 12

_log = logging.getLogger(__name__)

_CONSUMER = -1
_WAITING_LANES = (Lane.DATA, Lane.SECOND)
_LANES = (*_WAITING_LANES, Lane.BEHIND)


@dataclass(frozen=True, slots=True)
class FetchOptions:
    """What the fetcher needs of the consumer's options."""

    fetch_min_bytes: int
    fetch_max_wait_ms: int
    fetch_max_bytes: int
    max_partition_fetch_bytes: int
    start: Start | None
    isolation_level: IsolationLevel = IsolationLevel.READ_UNCOMMITTED


@dataclass(eq=False, slots=True)
class _Fetch:
    """A fetch under way.  Partitions that wait for it refer to it; those that were sought since do not."""

    node_id: int
    lane: Lane
    partitions: dict[TopicPartition, FetchPartition]
    connection: Connection | None = None


class Fetcher:
    """One task that decides what to fetch, and a short-lived one for each fetch and look-up of positions."""

    def __init__(self, cluster: Cluster, assignment: Assignment, options: FetchOptions) -> None:
        self._cluster = cluster
        self._assignment = assignment
        self._options = options
        self._loop = asyncio.get_running_loop()
        self._work = asyncio.Event()
        self._news = asyncio.Event()
        self._under_way: defaultdict[int, dict[Lane, _Fetch]] = defaultdict(dict)
        self._sessions: defaultdict[tuple[int, Lane], FetchSession] = defaultdict(FetchSession)
        self._paused_until: dict[int, float] = {}  # by node, after a failure
        self._waiters = 0
        self._is_wanted = False
        self._is_locating = False
        self._tasks: set[asyncio.Task[None]] = set()
        cluster.on_update(self.wake)
        self._start(self._run())

    def wake(self) -> None:
        """Look again at what is to be fetched: the assignment, a position or the metadata changed."""
        self._work.set()

    def want(self) -> None:
        """Somebody wants messages, or a position: look up where to begin in partitions that have none."""
        if not self._is_wanted:
            self._is_wanted = True
            self._work.set()

    def assigned(self) -> None:
        """The assignment changed.

        Where to begin is looked up when the messages are wanted: a program is likely to seek before.
        """
        self._is_wanted = self._waiters > 0
        self._work.set()

    async def wait_for_news(self, timeout_s: float) -> bool:
        """Wait until a fetch brought records or trouble; False when ``timeout_s`` went by."""
        self._news.clear()
        timer = self._loop.call_later(timeout_s, self._news.set) if timeout_s < inf else None
        deadline = self._loop.time() + timeout_s
        self._waiters += 1
        try:
            await self._news.wait()
        finally:
            self._waiters -= 1
            if timer is not None:
                timer.cancel()
        return self._loop.time() < deadline

    def tell(self) -> None:
        """Wake whoever waits for news."""
        self._news.set()

    async def close(self) -> None:
        """Stop fetching."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            self._work.clear()
            look_again_at = self._start_what_is_due()
            timer = None
            if look_again_at < inf:
                timer = self._loop.call_at(look_again_at, self._work.set)
            await self._work.wait()
            if timer is not None:
                timer.cancel()

    def _start_what_is_due(self) -> float:
        """Start look-ups and fetches; the loop time at which to look again if nothing happens before."""
        now = self._loop.time()
        look_again_at = inf
        fetches: dict[int, list[PartitionState]] = {}
        lost = []
        for state in self._assignment:
            if state.is_paused or state.error is not None or state.fetch is not None or state.awaits_commit:
                continue
            if not state.has_position:
                lost.append(state)
            elif state.not_before > now:
                look_again_at = min(look_again_at, state.not_before)
            elif state.buffered_bytes < self._options.max_partition_fetch_bytes:
                look_again_at = min(look_again_at, self._plan(state, fetches, now))
        if lost and self._is_wanted and not self._is_locating:
            self._is_locating = True
            self._start(self._locate(lost))
        for node_id, states in fetches.items():
            self._fetch(node_id, states)
        return look_again_at

    def _plan(self, state: PartitionState, fetches: dict[int, list[PartitionState]], now: float) -> float:
        """Add the partition to the fetch to its leader, or say when to try again."""
        node_id = self._cluster.metadata.leader_of(*state.topic_partition)
        if node_id == NO_LEADER:
            self._cluster.refresh_soon()
            return inf
        if self._paused_until.get(node_id, 0.0) > now:
            return self._paused_until[node_id]
        under_way = self._under_way[node_id]
        if not under_way.keys() >= set(_WAITING_LANES) or (state.may_be_behind and Lane.BEHIND not in under_way):
            fetches.setdefault(node_id, []).append(state)
        else:
            self._abandon_what_nobody_waits_for(node_id)
        return inf

    def _abandon_what_nobody_waits_for(self, node_id: int) -> None:
        """Free a lane from a fetch whose partitions were all sought since, by closing its connection."""
        for fetch in self._under_way[node_id].values():
            if fetch.connection is not None and not self._waiting_for(fetch):
                fetch.connection.close()

    # Fetching

    def _fetch(self, node_id: int, states: list[PartitionState]) -> None:
        lane = next(lane for lane in _LANES if lane not in self._under_way[node_id])
        fetch = _Fetch(node_id, lane, {})
        self._under_way[node_id][lane] = fetch
        for state in states:
            where = state.topic_partition
            info = self._cluster.metadata.partition(*where)
            state.fetch = fetch
            fetch.partitions[where] = FetchPartition(
                partition=where.partition,
                current_leader_epoch=-1 if info is None else info.leader_epoch,
                fetch_offset=state.fetch_offset,
                partition_max_bytes=self._options.max_partition_fetch_bytes,
            )
        self._start(self._exchange(fetch))

    async def _exchange(self, fetch: _Fetch) -> None:
        session = self._sessions[fetch.node_id, fetch.lane]
        options = self._options
        request = FetchRequest(
            replica_id=_CONSUMER,
            max_wait_ms=0 if fetch.lane is Lane.BEHIND else options.fetch_max_wait_ms,
            min_bytes=options.fetch_min_bytes,
            max_bytes=options.fetch_max_bytes,
            isolation_level=options.isolation_level,
            topics=[],
        )
        try:
            fetch.connection = connection = await self._cluster.connection(fetch.node_id, fetch.lane)
            if not self._waiting_for(fetch):
                return  # sought while the connection was being opened
            version = connection.pick(ApiKey.FETCH, FETCH_VERSION)
            timeout_ms = self._cluster.options.request_timeout_ms + request.max_wait_ms
            session.ask_for(fetch.partitions, request)
            response = await connection.request(request, version, timeout_ms=timeout_ms)
            session.answered(response)
            if response.error_code != ErrorCode.NONE and response.error_code not in SESSION_ERRORS:
                raise error_from_code(response.error_code)
        except NETWORK_ERRORS as error:
            session.lost()
            if self._waiting_for(fetch):
                _log.info("cannot fetch from broker %d: %s", fetch.node_id, error)
                self._pause_node(fetch.node_id)
        except KafkaError as error:
            self._pause_node(fetch.node_id)
            if not is_retriable(error):
                for state in self._waiting_for(fetch):
                    state.error = error
                self.tell()
        else:
            self._absorb(response, fetch)
        finally:
            del self._under_way[fetch.node_id][fetch.lane]
            for state in self._waiting_for(fetch):
                state.fetch = None
            self._work.set()

    def _pause_node(self, node_id: int) -> None:
        self._paused_until[node_id] = self._loop.time() + self._cluster.options.backoff.delay_s(1)
        self._cluster.refresh_soon()

    def _waiting_for(self, fetch: _Fetch) -> list[PartitionState]:
        """The partitions that still wait for this fetch: not those that were taken away or sought meanwhile."""
        states = (self._assignment.get(where) for where in fetch.partitions)
        return [state for state in states if state is not None and state.fetch is fetch]

    def _absorb(self, response: FetchResponse, fetch: _Fetch) -> None:
        waiting = {state.topic_partition: state for state in self._waiting_for(fetch)}
        for topic in response.responses:
            for data in topic.partitions:
                state = waiting.get(TopicPartition(topic.topic, data.partition_index))
                if state is not None:
                    self._absorb_partition(state, data)

    def _absorb_partition(self, state: PartitionState, data: PartitionData) -> None:
        if data.error_code != ErrorCode.NONE:
            self._refused(state, error_from_code(data.error_code))
            return
        state.high_watermark = data.high_watermark
        state.log_start_offset = data.log_start_offset
        if self._options.isolation_level is IsolationLevel.READ_COMMITTED:
            state.last_stable_offset = data.last_stable_offset
        if not data.records:
            return
        try:
            records = as_view(data.records)
            end_offset = end_offset_of(records)
            if end_offset is None:
                raise RecordListTooLarge(
                    f"{state.topic_partition} at offset {state.fetch_offset}: a batch of more than "
                    f"{len(records)} bytes does not fit into max_partition_fetch_bytes"
                )
            state.chunks.append(Chunk(records, data.aborted_transactions or ()))
            state.fetch_offset = max(end_offset, state.fetch_offset)
        except KafkaError as error:
            state.error = error
        self.tell()

    def _refused(self, state: PartitionState, error: KafkaError) -> None:
        if error.code is ErrorCode.OFFSET_OUT_OF_RANGE:
            self._out_of_range(state, error)
        elif is_retriable(error):
            state.not_before = self._loop.time() + self._cluster.options.backoff.delay_s(0)
            self._cluster.refresh_soon()
        else:
            state.error = error
            self.tell()

    # Positions

    def _out_of_range(self, state: PartitionState, error: KafkaError) -> None:
        """What was read ahead can still be handed out; where to go on after it is for ``auto_offset_reset`` to say."""
        if state.position != state.fetch_offset:
            state.not_before = self._loop.time() + self._cluster.options.backoff.delay_s(0)
            return
        if self._options.start is None:
            state.error = error
            self.tell()
            return
        _log.warning("%s: offset %d is out of range", state.topic_partition, state.fetch_offset)
        state.restart(self._options.start)

    async def _locate(self, states: list[PartitionState]) -> None:
        """Look up where to begin in partitions that have no position."""
        starts = {state.topic_partition: state.start for state in states if state.start is not None}
        try:
            for state in states:
                if state.start is None:
                    state.error = NoOffsetForPartition(
                        f"{state.topic_partition} has no position: seek, or give auto_offset_reset"
                    )
                    self.tell()
            await self._begin(starts)
        finally:
            self._is_locating = False
            self._work.set()

    async def _begin(self, starts: dict[TopicPartition, Start]) -> None:
        timeout_ms = self._cluster.options.request_timeout_ms
        first = {where: Start.EARLIEST.value for where, start in starts.items() if start is Start.LATEST}
        lookup, firsts = await asyncio.gather(
            look_up(self._cluster, {where: start.value for where, start in starts.items()}, timeout_ms),
            look_up(self._cluster, first, timeout_ms),
        )
        beginnings = []
        for where, start in starts.items():
            state = self._assignment.get(where)
            if state is None or state.has_position or state.start is not start:
                continue  # sought or taken away meanwhile
            if where in lookup.found:
                offset = lookup.found[where].offset
                earliest = firsts.found.get(where)
                beginnings.append(
                    Beginning(where, offset, 0 if earliest is None else offset - earliest.offset, state.why)
                )
                state.seek(offset)
            else:
                state.error = lookup.failed[where]
        self.tell()
        say_where_it_begins(beginnings)

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("a task of the client ended by a mistake of its own", exc_info=error)
