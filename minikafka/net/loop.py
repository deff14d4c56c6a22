"""The event loop: uvloop where it is installed, asyncio's own elsewhere.  No other file names uvloop."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, TypeVar

from minikafka.observability.logging import get_logger

T = TypeVar("T")

_ACCEPT_WARNING_INTERVAL_S = 10.0
_OUT_OF_RESOURCES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

_log = get_logger(__name__)


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run ``main`` to its end on a new loop, whose faults are logged, and return what it returns."""

    async def with_faults_logged() -> T:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(LoopFaults())
        return await main

    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(with_faults_logged())


class LoopFaults:
    """What becomes of an exception that nobody caught: a log line.

    Out of file descriptors, asyncio's own loop reports each connection that it cannot accept, thousands in a second
    (uvloop closes them and says nothing); those are one line in ten seconds.
    """

    def __init__(self) -> None:
        self._accepts_again_at = 0.0

    def __call__(self, loop: asyncio.AbstractEventLoop, context: Mapping[str, Any]) -> None:
        """Log what ``context`` tells, as asyncio calls it."""
        error = context.get("exception")
        if not (isinstance(error, OSError) and error.errno in _OUT_OF_RESOURCES):
            _log.error("unhandled_exception", what=context.get("message", ""), exc_info=error)
        elif loop.time() >= self._accepts_again_at:
            self._accepts_again_at = loop.time() + _ACCEPT_WARNING_INTERVAL_S
            _log.warning("cannot_accept_connections", error=str(error))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        import uvloop  # noqa: PLC0415 - it is optional, and whoever only imports the client should not wait for it
    except ImportError:
        return asyncio.new_event_loop
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory
