"""The event loop: uvloop where it is installed, asyncio's own elsewhere.  No other file names uvloop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def new_event_loop() -> asyncio.AbstractEventLoop:
    """A new loop of the fastest kind there is here."""
    return _loop_factory()()


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run ``main`` to its end on a new loop and return what it returns."""
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(main)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        import uvloop  # noqa: PLC0415 - it is optional, and whoever only imports the client should not wait for it
    except ImportError:
        return asyncio.new_event_loop
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory
