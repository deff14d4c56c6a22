"""Group commit: one ``fdatasync`` acknowledges everything that was appended before it began.

    append a, b          c, d, e                f
    ──────────┬──────────────────────┬──────────────────────►
              └─ flush 1 (a, b) ─────┴─ flush 2 (c, d, e) ──┴─ flush 3 (f)

The flush runs in a worker thread and there is at most one per log.  How far it reaches is captured before it begins: a
record appended while it runs may or may not be on disk, and waits for the next one.
"""

from __future__ import annotations

import asyncio
from collections import deque
from concurrent.futures import Executor
from typing import NamedTuple

from minikafka.errors import StorageError
from minikafka.observability.logging import get_logger
from minikafka.storage.log import FlushTicket, Log

_log = get_logger(__name__)


class _Waiting(NamedTuple):
    end_offset: int
    future: asyncio.Future[None]


class GroupCommit:
    """Flushes logs in the threads of an executor; belongs to one event loop and is called from it alone."""

    __slots__ = ("_commits", "_executor")

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._commits: dict[Log, _LogCommit] = {}

    def commit(self, log: Log, end_offset: int) -> asyncio.Future[None]:
        """A future that is done when the records of ``log`` below ``end_offset`` are on disk.

        It fails with StorageError when the disk does: then nobody knows what it has, and the log is offline.
        """
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        commit = self._commits.get(log)
        if commit is None:
            commit = self._begin(log)
        commit.waiting.append(_Waiting(end_offset, future))
        return future

    def flush(self, log: Log) -> None:
        """Flush what ``log`` has now, for nobody to wait for; does nothing while a flush of it is under way."""
        if log not in self._commits:
            self._begin(log)

    def is_flushing(self, log: Log) -> bool:
        """Whether a flush of ``log`` is under way or about to begin."""
        return log in self._commits

    async def drain(self) -> None:
        """Wait until no flush is under way, so that logs can be closed."""
        while self._commits:
            await asyncio.gather(*(commit.ended for commit in self._commits.values()))

    def _begin(self, log: Log) -> _LogCommit:
        commit = self._commits[log] = _LogCommit(self, log)
        # Not at once: what other connections append in this turn of the loop then rides on the same flush.
        asyncio.get_running_loop().call_soon(commit.start_flush)
        return commit

    def run_in_thread(self, ticket: FlushTicket) -> asyncio.Future[None]:
        """Start the flush of ``ticket``."""
        return asyncio.get_running_loop().run_in_executor(self._executor, ticket.run)

    def ended(self, log: Log) -> None:
        """Forget ``log``: nothing of it is being flushed or waited for."""
        del self._commits[log]


class _LogCommit:
    """The flushes of one log, from the first that is wanted until none is."""

    __slots__ = ("_group", "_log", "_ticket", "ended", "waiting")

    def __init__(self, group: GroupCommit, log: Log) -> None:
        self._group = group
        self._log = log
        self._ticket: FlushTicket | None = None
        self.waiting: deque[_Waiting] = deque()
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def start_flush(self) -> None:
        try:
            self._ticket = self._log.begin_flush()
            if self._ticket is None:
                self._end(StorageError(f"{self._log.topic_partition} was truncated or closed before it was flushed"))
                return
            self._group.run_in_thread(self._ticket).add_done_callback(self._flushed)
        except (StorageError, RuntimeError) as error:
            self._end(_as_storage_error(error))

    def _flushed(self, running: asyncio.Future[None]) -> None:
        try:
            running.result()
            assert self._ticket is not None
            self._log.end_flush(self._ticket)
        except (StorageError, asyncio.CancelledError) as error:
            self._fail(_as_storage_error(error))
            return
        self._release(self._log.flushed_end_offset)
        if self.waiting:
            self.start_flush()
        else:
            self._end(None)

    def _release(self, flushed_end_offset: int) -> None:
        # Appends come in offset order, so the ones that are covered stand first.
        while self.waiting and self.waiting[0].end_offset <= flushed_end_offset:
            future = self.waiting.popleft().future
            if not future.done():
                future.set_result(None)

    def _fail(self, error: StorageError) -> None:
        _log.error("flush_failed", partition=str(self._log.topic_partition), error=str(error))
        self._end(error)

    def _end(self, error: StorageError | None) -> None:
        """Nothing more to flush: what is covered is released, the rest can only fail."""
        self._release(self._log.flushed_end_offset)
        for _, future in self.waiting:
            if error is not None and not future.done():
                future.set_exception(error)
        self.waiting.clear()
        self._group.ended(self._log)
        self.ended.set_result(None)


def _as_storage_error(error: BaseException) -> StorageError:
    return error if isinstance(error, StorageError) else StorageError(f"the flush did not run: {error!r}")
