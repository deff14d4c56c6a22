"""The thread in which the plain faces have their event loop, and the way back from it."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future
from functools import cache
from typing import Any, NamedTuple, TypeVar

from minikafka.net.loop import run

T = TypeVar("T")


class Background:
    """A loop in a thread of its own."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop
        self._process_id = os.getpid()
        started = threading.Event()

        async def serve() -> None:
            self._loop = asyncio.get_running_loop()
            started.set()
            await asyncio.Event().wait()  # as long as the program lives

        self._thread = threading.Thread(target=lambda: run(serve()), name="minikafka-client", daemon=True)
        self._thread.start()
        started.wait()

    def begin(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Have ``work`` done there.

        Raises:
            RuntimeError: It will never be done: this process was forked from that of the loop.
        """
        if os.getpid() != self._process_id:
            work.close()
            raise RuntimeError("this client was made before the process was forked: make another on this side")
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Have ``work`` done there, and wait for what it returns; an interrupted wait cancels it.

        Raises:
            RuntimeError: This is the loop's own thread, which would wait for itself; or as :meth:`begin`.
        """
        if threading.current_thread() is self._thread:
            work.close()
            raise RuntimeError("a callback in the client's thread cannot wait for the client")
        future = self.begin(work)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def call(self, function: Callable[[], T]) -> T:
        """Call ``function`` there, and wait for what it returns."""

        async def call() -> T:
            return function()

        return self.run(call())


@cache
def background() -> Background:
    """The one that all plain faces share."""
    return Background()


def call_in_forked_processes(function: Callable[[], None]) -> None:
    """Have ``function`` called in every process that is forked from this one, before anything else happens there."""
    if sys.platform != "win32":
        os.register_at_fork(after_in_child=function)


# Threads do not follow into a forked process: there, the first client starts another.
call_in_forked_processes(background.cache_clear)


class _Call(NamedTuple):
    function: Callable[[], Awaitable[None] | None]
    answer: asyncio.Future[Awaitable[None] | None]


class CallersThread:
    """Work in the background that calls functions of the program: in the program's thread, which waits for the work."""

    def __init__(self) -> None:
        self._background = background()
        self._changed = threading.Condition()
        self._calls: deque[_Call] = deque()
        self._calling: set[int] = set()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """As :meth:`Background.run`, and meanwhile do what :meth:`call` asks for, of whatever work.

        Raises:
            RuntimeError: This is such a function, for which the work would wait in turn.
        """
        if threading.get_ident() in self._calling:
            work.close()
            raise RuntimeError("a rebalance callback cannot poll, iterate, unsubscribe or close")
        future = self._background.begin(work)
        future.add_done_callback(lambda _: self._notify())
        try:
            while (call := self._next_call(future)) is not None:
                self._do(call)
            return future.result()
        except BaseException:
            future.cancel()
            raise

    async def call(self, function: Callable[[], Awaitable[None] | None]) -> None:
        """Have ``function`` called by a thread that waits in :meth:`run`, now or when one does."""
        answer: asyncio.Future[Awaitable[None] | None] = asyncio.get_running_loop().create_future()
        with self._changed:
            self._calls.append(_Call(function, answer))
            self._changed.notify_all()
        awaitable = await answer
        if awaitable is not None:
            await awaitable

    def _next_call(self, future: Future[T]) -> _Call | None:
        """The next call to be done; None as soon as ``future`` is done and there is none."""
        with self._changed:
            self._changed.wait_for(lambda: future.done() or self._calls)
            return self._calls.popleft() if self._calls else None

    def _do(self, call: _Call) -> None:
        answer = call.answer
        if answer.cancelled():
            return
        ident = threading.get_ident()
        self._calling.add(ident)
        try:
            told = call.function()
        except Exception as error:  # noqa: BLE001 - whatever the program raises goes to the work that called
            answer.get_loop().call_soon_threadsafe(_set_exception, answer, error)
        else:
            answer.get_loop().call_soon_threadsafe(_set_result, answer, told)
        finally:
            self._calling.discard(ident)

    def _notify(self) -> None:
        with self._changed:
            self._changed.notify_all()


def _set_result(answer: asyncio.Future[Awaitable[None] | None], result: Awaitable[None] | None) -> None:
    if not answer.done():
        answer.set_result(result)


def _set_exception(answer: asyncio.Future[Awaitable[None] | None], error: Exception) -> None:
    if not answer.done():
        answer.set_exception(error)
