"""Incremental fetch sessions: what a client asked for last time, so that it need not say it again.

A client that reads a thousand partitions would send, and get back, a thousand entries on every poll.  In a session
both sides name only what changed: the request the partitions whose offset or limits moved, the answer those with
records, an error, or a moved high watermark or log start.

How a request states its session (id, epoch):

=================  ====================================================================================
``(0, -1)``        no session, as clients that know none
``(0 or id, 0)``   everything is listed; open a session (and close ``id``)
``(id, -1)``       everything is listed; close the session
``(id, epoch)``    only changes; the epoch must be the one after the last answered, or the two have lost step
=================  ====================================================================================

A broker that opens no session answers id 0, and the client goes on sending full requests: that is how the cache
stays bounded.  Source: KIP-227; Kafka, FetchSession.scala.
"""

from __future__ import annotations

import random
from collections import OrderedDict
from collections.abc import Collection
from typing import NamedTuple, Protocol

from minikafka.clock import Clock
from minikafka.errors import ErrorCode, FetchSessionIdNotFound, FetchSessionTopicIdError, InvalidFetchSessionEpoch
from minikafka.protocol.messages.fetch import FetchPartition, FetchRequest, FetchTopic, PartitionData

NO_SESSION = 0
INITIAL_EPOCH = 0
FINAL_EPOCH = -1
FIRST_VERSION_BY_TOPIC_ID = 13

MIN_EVICTION_AGE_SECONDS = 120.0
"""A session younger, or used more recently, than this is not evicted for a larger one, or for being idle."""

MAX_CACHED_PARTITIONS = 250_000
"""Of all sessions together, about 60 MB: slots alone would let a thousand clients cache a million partitions each."""

_MAX_ID = 2**31 - 1


class PartitionKey(NamedTuple):
    """A partition as the request's version names it: by topic id (bytes, v13+) or by topic name."""

    topic: str | bytes
    partition: int


class FetchTarget:
    """One partition that a fetch wants: the request's parameters, and in a session what was last answered."""

    __slots__ = ("answered_high_watermark", "answered_log_start_offset", "asked", "topic", "topic_id")

    def __init__(self, topic: FetchTopic, asked: FetchPartition) -> None:
        self.topic = topic.topic
        self.topic_id = topic.topic_id
        self.asked = asked
        self.answered_high_watermark = -1
        self.answered_log_start_offset = -1

    def note_answer(self, data: PartitionData) -> None:
        """Remember what the client now knows; after an error nothing, so that the partition is named again."""
        failed = data.error_code != ErrorCode.NONE
        self.answered_high_watermark = -1 if failed else data.high_watermark
        self.answered_log_start_offset = data.log_start_offset

    def must_answer(self, data: PartitionData, records_size: int) -> bool:
        """Whether the client would miss something if this partition were left out of the answer."""
        return (
            records_size > 0
            or data.error_code != ErrorCode.NONE
            or data.high_watermark != self.answered_high_watermark
            or data.log_start_offset != self.answered_log_start_offset
            or data.diverging_epoch.epoch >= 0
        )


class Records(Protocol):
    """Records found but not read yet, such as a slice of a segment file."""

    @property
    def size(self) -> int:
        """How many bytes they are."""
        ...

    def read(self) -> bytes:
        """Read them."""
        ...

    def read_into(self, target: memoryview) -> None:
        """Read them into ``target``, which is as long as they are."""
        ...


class FetchResult(NamedTuple):
    """What a fetch found in one partition; ``data.records`` is filled in only if it goes out."""

    target: FetchTarget
    data: PartitionData
    records: Records


class SessionAnswer(NamedTuple):
    """What of the results goes into the response, and under which session."""

    session_id: int
    results: list[FetchResult]
    error_code: ErrorCode = ErrorCode.NONE


class FetchContext(Protocol):
    """One request against its session."""

    @property
    def targets(self) -> Collection[FetchTarget]:
        """The partitions to read, in the order in which they may use up the response's bytes."""
        ...

    def answer(self, results: list[FetchResult]) -> SessionAnswer:
        """Choose what the client must be told, and remember that it was; called once, when the fetch is answered."""
        ...


class FetchSession:
    """One client's partitions, by key, in the order in which they are read."""

    __slots__ = ("by_topic_id", "created_at", "epoch", "id", "last_used_at", "partitions")

    def __init__(
        self, session_id: int, partitions: dict[PartitionKey, FetchTarget], *, by_topic_id: bool, now: float
    ) -> None:
        self.id = session_id
        self.partitions = partitions
        self.by_topic_id = by_topic_id
        self.created_at = now
        self.last_used_at = now
        self.epoch = next_epoch(INITIAL_EPOCH)


class FetchSessionCache:
    """The broker's sessions, at most ``max_sessions`` (``max.incremental.fetch.session.cache.slots``)."""

    __slots__ = ("_cached_partitions", "_clock", "_max_partitions", "_max_sessions", "_random", "_sessions")

    def __init__(
        self,
        clock: Clock,
        max_sessions: int,
        *,
        max_partitions: int = MAX_CACHED_PARTITIONS,
        random_source: random.Random | None = None,
    ) -> None:
        self._clock = clock
        self._max_sessions = max_sessions
        self._max_partitions = max_partitions
        self._random = random_source or random.Random()
        self._sessions: OrderedDict[int, FetchSession] = OrderedDict()  # least recently used first
        self._cached_partitions = 0

    def __len__(self) -> int:
        return len(self._sessions)

    @property
    def cached_partitions(self) -> int:
        """How many partitions all sessions hold."""
        return self._cached_partitions

    def resolve(self, request: FetchRequest, version: int) -> FetchContext:
        """The partitions that a request means, its session taken into account.

        Raises:
            FetchSessionIdNotFound: it names a session that was evicted or never was.
            InvalidFetchSessionEpoch: client and broker have lost step, for example by a request sent twice.
            FetchSessionTopicIdError: the session was opened with names and is now used with ids, or the reverse.
        """
        by_topic_id = version >= FIRST_VERSION_BY_TOPIC_ID
        if request.session_epoch in {INITIAL_EPOCH, FINAL_EPOCH}:
            if request.session_id != NO_SESSION:
                self._remove(request.session_id)
            targets = _targets(request, by_topic_id)
            if request.session_epoch == FINAL_EPOCH:
                return SessionlessContext(targets)
            return FullContext(self, targets, by_topic_id=by_topic_id)
        return self._continue(request, by_topic_id)

    def open(self, targets: dict[PartitionKey, FetchTarget], *, by_topic_id: bool) -> int:
        """Open a session if there is room, or a session worth less to evict; otherwise answer id 0."""
        now = self._clock.monotonic()
        if self._cached_partitions + len(targets) > self._max_partitions:
            return NO_SESSION
        if len(self._sessions) >= self._max_sessions and not self._evict_for(len(targets), now):
            return NO_SESSION
        session = FetchSession(self._new_id(), targets, by_topic_id=by_topic_id, now=now)
        self._sessions[session.id] = session
        self._cached_partitions += len(targets)
        return session.id

    def _continue(self, request: FetchRequest, by_topic_id: bool) -> FetchContext:
        session = self._sessions.get(request.session_id)
        if session is None:
            raise FetchSessionIdNotFound(f"there is no fetch session {request.session_id}")
        if session.epoch != request.session_epoch:
            raise InvalidFetchSessionEpoch(f"expected epoch {session.epoch}, got {request.session_epoch}")
        if session.by_topic_id != by_topic_id:
            raise FetchSessionTopicIdError("a fetch session cannot change between topic names and topic ids")
        changes = _targets(request, by_topic_id)
        self._update(session, request, changes)
        if not session.partitions:
            self._remove(session.id)
            return SessionlessContext(changes)
        if self._cached_partitions > self._max_partitions:
            self._remove(session.id)
            raise FetchSessionIdNotFound("the fetch session outgrew the cache")
        session.last_used_at = self._clock.monotonic()
        self._sessions.move_to_end(session.id)
        session.epoch = next_epoch(session.epoch)
        return IncrementalContext(session)

    def _update(self, session: FetchSession, request: FetchRequest, changes: dict[PartitionKey, FetchTarget]) -> None:
        partitions = session.partitions
        size_before = len(partitions)
        for key, target in changes.items():
            known = partitions.get(key)
            if known is None:
                partitions[key] = target
            else:
                known.asked = target.asked
        for topic in request.forgotten_topics_data:
            name = topic.topic_id if session.by_topic_id else topic.topic
            for partition in topic.partitions:
                partitions.pop(PartitionKey(name, partition), None)
        self._cached_partitions += len(partitions) - size_before

    def _remove(self, session_id: int) -> None:
        session = self._sessions.pop(session_id, None)
        if session is not None:
            self._cached_partitions -= len(session.partitions)

    def _evict_for(self, size: int, now: float) -> bool:
        """Make room for a session of ``size`` partitions: an idle one goes, else the smallest old one, if smaller."""
        if not self._sessions:
            return False
        victim = next(iter(self._sessions.values()))
        if now - victim.last_used_at <= MIN_EVICTION_AGE_SECONDS:
            old = [s for s in self._sessions.values() if now - s.created_at > MIN_EVICTION_AGE_SECONDS]
            if not old:
                return False
            victim = min(old, key=lambda session: len(session.partitions))
            if len(victim.partitions) >= size:
                return False
        self._remove(victim.id)
        return True

    def _new_id(self) -> int:
        while True:
            session_id = self._random.randint(1, _MAX_ID)
            if session_id not in self._sessions:
                return session_id


class SessionlessContext:
    """A full fetch that leaves nothing behind."""

    __slots__ = ("_targets",)

    def __init__(self, targets: dict[PartitionKey, FetchTarget]) -> None:
        self._targets = targets

    @property
    def targets(self) -> Collection[FetchTarget]:  # noqa: D102 - see FetchContext
        return self._targets.values()

    def answer(self, results: list[FetchResult]) -> SessionAnswer:  # noqa: D102 - see FetchContext
        return SessionAnswer(NO_SESSION, results)


class FullContext:
    """A full fetch that opens a session when it is answered."""

    __slots__ = ("_by_topic_id", "_sessions", "_targets")

    def __init__(
        self, sessions: FetchSessionCache, targets: dict[PartitionKey, FetchTarget], *, by_topic_id: bool
    ) -> None:
        self._sessions = sessions
        self._targets = targets
        self._by_topic_id = by_topic_id

    @property
    def targets(self) -> Collection[FetchTarget]:  # noqa: D102 - see FetchContext
        return self._targets.values()

    def answer(self, results: list[FetchResult]) -> SessionAnswer:  # noqa: D102 - see FetchContext
        for result in results:
            result.target.note_answer(result.data)
        return SessionAnswer(self._sessions.open(self._targets, by_topic_id=self._by_topic_id), results)


class IncrementalContext:
    """A fetch of everything in a session, answered with what changed."""

    __slots__ = ("_epoch", "_session")

    def __init__(self, session: FetchSession) -> None:
        self._session = session
        self._epoch = session.epoch

    @property
    def targets(self) -> Collection[FetchTarget]:  # noqa: D102 - see FetchContext
        return list(self._session.partitions.values())

    def answer(self, results: list[FetchResult]) -> SessionAnswer:  # noqa: D102 - see FetchContext
        session = self._session
        if session.epoch != self._epoch:
            # The same request came twice while this one waited, and the other was answered.
            return SessionAnswer(session.id, [], ErrorCode.INVALID_FETCH_SESSION_EPOCH)
        changed = [result for result in results if result.target.must_answer(result.data, result.records.size)]
        for target, data, records in changed:
            target.note_answer(data)
            if records.size:
                # It had its turn: next time the others come first, so that a busy partition starves no other.
                key = PartitionKey(target.topic_id if session.by_topic_id else target.topic, target.asked.partition)
                if session.partitions.pop(key, None) is not None:
                    session.partitions[key] = target
        return SessionAnswer(session.id, changed)


def next_epoch(epoch: int) -> int:
    """The epoch that must follow; it wraps to 1, for 0 opens a session."""
    return 1 if epoch == _MAX_ID else epoch + 1


def _targets(request: FetchRequest, by_topic_id: bool) -> dict[PartitionKey, FetchTarget]:
    """What the request lists; of a partition listed twice the last parameters count, in the place of the first."""
    found: dict[PartitionKey, FetchTarget] = {}
    for topic in request.topics:
        name: str | bytes = topic.topic_id if by_topic_id else topic.topic
        for asked in topic.partitions:
            found[PartitionKey(name, asked.partition)] = FetchTarget(topic, asked)
    return found
