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
from collections.abc import Callable
from concurrent.futures import Executor, Future
from functools import partial
from typing import Any, NamedTuple, TypeVar

from minikafka.errors import KafkaError, StorageError
from minikafka.observability.logging import get_logger
from minikafka.storage.flush import FlushTicket
from minikafka.storage.log import Log

A = TypeVar("A")
R = TypeVar("R")

_log = get_logger(__name__)


class _Waiting(NamedTuple):
    end_offset: int
    future: asyncio.Future[None]


class GroupCommit:
    """Flushes logs in the threads of an executor; belongs to one event loop and is called from it alone."""

    __slots__ = ("_commits", "_executor", "_flushes", "_running")

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._flushes = _Flushes(executor)
        self._commits: dict[Log, _LogCommit] = {}
        self._running: set[asyncio.Future[Any]] = set()

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

    def abandon(self, log: Log, error: KafkaError) -> None:
        """Fail whoever waits for ``log``, which is going away; a flush that runs may run to its end."""
        commit = self._commits.get(log)
        if commit is not None:
            commit.abandon(error)

    def run_in_thread(self, function: Callable[[A], R], argument: A) -> asyncio.Future[R]:
        """Call a function that waits for the disk, in a thread of the executor; :meth:`drain` waits for it too."""
        running = asyncio.get_running_loop().run_in_executor(self._executor, function, argument)
        self._running.add(running)
        running.add_done_callback(self._running.discard)
        return running

    async def drain(self) -> None:
        """Wait until no flush is under way, so that logs can be closed."""
        while self._commits or self._running:
            ends = [commit.ended for commit in self._commits.values()]
            await asyncio.wait([*ends, *self._running])

    def _begin(self, log: Log) -> _LogCommit:
        commit = self._commits[log] = _LogCommit(log, self._flushes, self._forget)
        # Not at once: what other connections append in this turn of the loop then rides on the same flush.
        asyncio.get_running_loop().call_soon(commit.start_flush)
        return commit

    def _forget(self, log: Log) -> None:
        del self._commits[log]


class _Flushes:
    """Flushes in the threads of an executor.

    ``run_in_executor`` costs more than a flush does: several futures for each, and a turn of the loop.  Here those that
    have ended while the loop was busy share one.
    """

    __slots__ = ("_ended", "_executor", "_is_loop_called")

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._ended: deque[tuple[Callable[[Future[None]], None], Future[None]]] = deque()
        self._is_loop_called = False

    def start(self, ticket: FlushTicket, then: Callable[[Future[None]], None]) -> None:
        """Run a ticket, and call ``then`` in the loop.

        Raises:
            RuntimeError: The executor was shut down.
        """
        running = self._executor.submit(ticket.run)
        running.add_done_callback(partial(self._ended_in_thread, asyncio.get_running_loop(), then))

    def _ended_in_thread(
        self, loop: asyncio.AbstractEventLoop, then: Callable[[Future[None]], None], running: Future[None]
    ) -> None:
        self._ended.append((then, running))
        if not self._is_loop_called:  # asked after the append: the loop does the two in the other order
            self._is_loop_called = True
            loop.call_soon_threadsafe(self._tell)

    def _tell(self) -> None:
        self._is_loop_called = False
        while self._ended:
            then, running = self._ended.popleft()
            then(running)


class _LogCommit:
    """The flushes of one log, from the first that is wanted until none is."""

    __slots__ = ("_flushes", "_is_abandoned", "_log", "_on_end", "_ticket", "ended", "waiting")

    def __init__(self, log: Log, flushes: _Flushes, on_end: Callable[[Log], None]) -> None:
        self._log = log
        self._flushes = flushes
        self._on_end = on_end
        self._ticket: FlushTicket | None = None
        self._is_abandoned = False
        self.waiting: deque[_Waiting] = deque()
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def start_flush(self) -> None:
        """Begin a flush of what the log has now."""
        if self._is_abandoned:
            self._end()
            return
        try:
            self._ticket = self._log.begin_flush()
            if self._ticket is None:
                self._end()
                return
            self._flushes.start(self._ticket, self._flushed)
        except (StorageError, RuntimeError) as error:  # RuntimeError: the executor was shut down
            self._fail(error)

    def abandon(self, error: KafkaError) -> None:
        """Fail whoever waits, and flush no more."""
        self._is_abandoned = True
        self._fail_waiting(error)

    def _flushed(self, running: Future[None]) -> None:
        assert self._ticket is not None
        try:
            running.result()
            if not self._is_abandoned:
                self._log.end_flush(self._ticket)
        except Exception as error:  # noqa: BLE001 - nobody may wait for ever, nor hold up the flushes of other logs
            self._fail(error)
            return
        self._release()
        if self.waiting:
            self.start_flush()
        else:
            self._end()

    def _release(self) -> None:
        # Appends come in offset order, so the ones that are covered stand first.
        flushed_end_offset = self._log.flushed_end_offset
        while self.waiting and self.waiting[0].end_offset <= flushed_end_offset:
            future = self.waiting.popleft().future
            if not future.done():
                future.set_result(None)

    def _fail(self, error: BaseException) -> None:
        _log.error("flush_failed", partition=str(self._log.topic_partition), error=str(error))
        self._fail_waiting(error if isinstance(error, StorageError) else StorageError("the flush did not run"))
        self._end()

    def _fail_waiting(self, error: KafkaError) -> None:
        for _, future in self.waiting:
            if not future.done():
                future.set_exception(error)
        self.waiting.clear()

    def _end(self) -> None:
        """There is nothing to flush: who still waits does so for records that a truncation has taken away."""
        self._release()
        self._fail_waiting(StorageError(f"{self._log.topic_partition} was truncated before the records were on disk"))
        self._on_end(self._log)
        self.ended.set_result(None)
