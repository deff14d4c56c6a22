"""Keeping one request from having the event loop, or the memory, for itself.

A request is as long as the client makes it: a hundred megabytes name millions of partitions.  Those who work such lists
off do so in turns, and refuse what no cluster is large enough to mean.
"""

from __future__ import annotations

import asyncio

from minikafka.net.handler import CloseConnection

TURN_S = 0.005
"""How long a request may keep the loop before others get their turn."""

FEW = 1_000
"""So many partitions are worked off in about one turn: no need to look at the time, or to make a task."""

MAX_LISTED = 100_000
"""The most partitions, or keys, that one request may name: each takes memory to answer, 70 MB in all for a fetch."""


class Turns:
    """The time that a long request has had, since it last let others in."""

    __slots__ = ("_ends_at", "_loop")

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._ends_at = self._loop.time() + TURN_S

    @property
    def is_over(self) -> bool:
        """Whether it is time for :meth:`next`."""
        return self._loop.time() >= self._ends_at

    async def next(self) -> None:
        """Let everybody else have a turn, and begin another."""
        await asyncio.sleep(0)
        self._ends_at = self._loop.time() + TURN_S


def check_count(listed: int) -> None:
    """Refuse a request that lists more partitions, or keys, than there can be.

    Raises:
        CloseConnection: It does; not every version of every response has a place to say so.
    """
    if listed > MAX_LISTED:
        raise CloseConnection(f"the request lists {listed} partitions or keys, at most {MAX_LISTED} are answered")
