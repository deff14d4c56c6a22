"""Flushes that nobody waits for: ``flush.messages``, ``flush.ms``, and a bound on what a crash makes us read again.

Where Kafka flushes within the append that reaches ``flush.messages``, here the flush begins with that append and runs
in a worker thread: the event loop serves others meanwhile.  What has to be on disk before it is acknowledged is
``acks=all``'s business, see :mod:`minikafka.replication.group_commit`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from itertools import islice

from minikafka.config.definition import MAX_LONG
from minikafka.config.topic import TopicConfig
from minikafka.errors import StorageError
from minikafka.observability.logging import get_logger
from minikafka.replication.group_commit import GroupCommit
from minikafka.storage.flush import FlushTicket
from minikafka.storage.log import Log

LOGS_PER_ROUND = 64
"""How many logs a sweep flushes in one go: a thousand of them are to cost the loop a few turns, not a thousand."""

_log = get_logger(__name__)


class Flusher:
    """Decides after each append to one log whether a flush of it should begin."""

    __slots__ = ("_config", "_group_commit", "_has_limits", "_log", "_max_unflushed_bytes", "_timer")

    def __init__(self, log: Log, group_commit: GroupCommit, max_unflushed_bytes: int) -> None:
        self._log = log
        self._group_commit = group_commit
        self._max_unflushed_bytes = max_unflushed_bytes
        self._config: TopicConfig | None = None
        self._has_limits = False
        self._timer: asyncio.TimerHandle | None = None

    def appended(self) -> None:
        """Look at the log once more: it has grown, and its configuration may have changed."""
        log = self._log
        if log.config is not self._config:
            self._config = log.config
            self._has_limits = log.config.flush_messages != MAX_LONG or log.config.flush_ms != MAX_LONG
        if log.unflushed_bytes >= self._max_unflushed_bytes:
            self._group_commit.flush(log)
        elif self._has_limits:
            self._apply_limits(log, log.config)

    def cancel(self) -> None:
        """Begin no flush any more because of time that has passed."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _apply_limits(self, log: Log, config: TopicConfig) -> None:
        if log.log_end_offset - log.flushed_end_offset >= config.flush_messages:
            self._group_commit.flush(log)
        elif config.flush_ms != MAX_LONG and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(config.flush_ms / 1000, self._flush_is_due)

    def _flush_is_due(self) -> None:
        self._timer = None
        if self._log.flushed_end_offset < self._log.log_end_offset:
            self._group_commit.flush(self._log)


class Sweeper:
    """Flushes every log that has grown, whenever all of them together have grown by so many bytes.

    A thousand logs may each stay far below their own limit and still be gigabytes to read again after a crash.
    """

    __slots__ = ("_group_commit", "_grown", "_grown_bytes", "_max_bytes", "_sweep")

    def __init__(self, group_commit: GroupCommit, max_bytes: int) -> None:
        self._group_commit = group_commit
        self._max_bytes = max_bytes
        self._grown: dict[Log, None] = {}
        self._grown_bytes = 0
        self._sweep: asyncio.Task[None] | None = None

    def appended(self, log: Log, size_bytes: int) -> None:
        """Count what was appended, and begin a sweep if that is enough."""
        self._grown[log] = None
        self._grown_bytes += size_bytes
        if self._grown_bytes >= self._max_bytes and self._sweep is None:
            grown, self._grown, self._grown_bytes = self._grown, {}, 0
            self._sweep = asyncio.get_running_loop().create_task(self._flush_all(grown))
            self._sweep.add_done_callback(self._swept)

    def forget(self, log: Log) -> None:
        """Flush ``log`` no more: it is going away."""
        self._grown.pop(log, None)

    async def _flush_all(self, logs: Iterable[Log]) -> None:
        remaining = iter(logs)
        while some := list(islice(remaining, LOGS_PER_ROUND)):
            begun = {log: ticket for log in some if (ticket := _begin(log)) is not None}
            flushed = await self._group_commit.run_in_thread(_run_all, begun.values())
            for log, ticket in begun.items():
                if ticket in flushed and not log.is_deleted:
                    log.end_flush(ticket)

    def _swept(self, sweep: asyncio.Task[None]) -> None:
        self._sweep = None
        if not sweep.cancelled() and (error := sweep.exception()) is not None:
            _log.error("sweep_failed", error=repr(error))


def _begin(log: Log) -> FlushTicket | None:
    if log.unflushed_bytes == 0 or log.is_offline or log.is_deleted:
        return None
    try:
        return log.begin_flush()
    except StorageError as error:
        _log.error("flush_failed", partition=str(log.topic_partition), error=str(error))
        return None


def _run_all(tickets: Iterable[FlushTicket]) -> set[FlushTicket]:
    """Run the tickets, and return those that reached the disk; the log of one that did not is offline."""
    flushed = set()
    for ticket in tickets:
        try:
            ticket.run()
        except StorageError:
            continue
        flushed.add(ticket)
    return flushed
