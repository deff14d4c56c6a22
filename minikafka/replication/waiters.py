"""Fetches that wait until there is enough to read.

Source: Kafka, server/DelayedFetch.scala, without its purgatory: a waiter hangs on the partitions that it is about, and
the append that brings the bytes wakes it, within the call.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Protocol


class Watched(Protocol):
    """What a waiter hangs on: a partition."""

    def add_waiter(self, waiter: FetchWaiter) -> None:
        """Tell ``waiter`` of every append, and when the partition is no longer what it was."""
        ...

    def remove_waiter(self, waiter: FetchWaiter) -> None:
        """Tell ``waiter`` nothing any more."""
        ...


class FetchWaiter:
    """Waits for ``min_bytes`` more bytes of records on the partitions that it watches.

    Between reading what there is and watching for more there must be no ``await`` and no new task: what is appended in
    that gap would be missed.

    Args:
        min_bytes: How many more there have to be.
        committed_only: Whether records of open transactions do not count.
    """

    __slots__ = ("_future", "_missing_bytes", "committed_only")

    def __init__(self, min_bytes: int, *, committed_only: bool = False) -> None:
        self.committed_only = committed_only
        self._missing_bytes = min_bytes
        self._future: asyncio.Future[None] | None = None

    @contextmanager
    def watching(self, partitions: Iterable[Watched]) -> Iterator[None]:
        """Be woken by ``partitions``, as long as the block runs."""
        watched: list[Watched] = []
        try:
            for partition in partitions:
                partition.add_waiter(self)
                watched.append(partition)
            yield
        finally:
            for partition in watched:
                partition.remove_waiter(self)

    def bytes_readable(self, size_bytes: int) -> None:
        """A watched partition has ``size_bytes`` more to read."""
        self._missing_bytes -= size_bytes
        if self._missing_bytes <= 0:
            self.give_up()

    def wake(self) -> None:
        """End the wait: the fetch must read again, and perhaps answer at once."""
        self._missing_bytes = 0
        self.give_up()

    def give_up(self) -> None:
        """End the wait as if its time were over."""
        if self._future is not None and not self._future.done():
            self._future.set_result(None)

    async def wait(self, deadline: float) -> bool:
        """Wait until there is enough to read.

        Args:
            deadline: The loop's time at which the wait ends anyway.

        Returns:
            Whether it was woken before the deadline.
        """
        if self._missing_bytes > 0:
            loop = asyncio.get_running_loop()
            self._future = loop.create_future()
            # One timer handle: asyncio.wait_for would cost a task, and this is every idle consumer's poll.
            timer = loop.call_at(deadline, self.give_up)
            try:
                await self._future
            finally:
                timer.cancel()
        return self._missing_bytes <= 0
