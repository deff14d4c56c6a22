"""Work that is done again and again, by the clock, and at once when somebody asks for it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from minikafka.errors import KafkaError
from minikafka.observability.logging import get_logger

_log = get_logger(__name__)


class Periodic:
    """One kind of work, one round of it at a time.

    Args:
        name: What the logs call it.
        interval_ms: From the end of a round to the beginning of the next.
        work: One round; an error that storage reports is no reason not to begin another.
    """

    def __init__(self, name: str, interval_ms: int, work: Callable[[], Awaitable[None]]) -> None:
        self._name = name
        self._interval_s = max(interval_ms, 1) / 1000
        self._work = work
        self._is_asked_for = asyncio.Event()

    def wake(self) -> None:
        """Have a round begin now, or right after the one that is under way."""
        self._is_asked_for.set()

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            try:
                async with asyncio.timeout(self._interval_s):
                    await self._is_asked_for.wait()
            except TimeoutError:
                pass
            self._is_asked_for.clear()
            try:
                await self._work()
            except KafkaError as error:
                _log.error("housekeeping_failed", work=self._name, error=str(error))
