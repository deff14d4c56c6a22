"""Flushes that nobody waits for: ``flush.messages``, ``flush.ms``, and a bound on what a crash makes us read again.

Where Kafka flushes within the append that reaches ``flush.messages``, here the flush begins with that append and runs
in a worker thread: the event loop serves others meanwhile.  What has to be on disk before it is acknowledged is
``acks=all``'s business, see :mod:`minikafka.replication.group_commit`.
"""

from __future__ import annotations

import asyncio

from minikafka.config.definition import MAX_LONG
from minikafka.config.topic import TopicConfig
from minikafka.replication.group_commit import GroupCommit
from minikafka.storage.log import Log


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
