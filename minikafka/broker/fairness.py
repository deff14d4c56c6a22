"""Keeping one request from having the event loop, or the memory, for itself.

A request is as long as the client makes it: a hundred megabytes name millions of partitions.  The dispatcher refuses
what no cluster is large enough to mean, while it reads it; those who work the lists off that are left do so in turns.
"""

from __future__ import annotations

import asyncio

TURN_S = 0.005
"""How long a request may keep the loop before others get their turn."""

FEW = 1_000
"""So many partitions are worked off in about one turn: no need to look at the time, or to make a task."""

MAX_LISTED = 100_000
"""The most elements that the lists of one request may have together: topics, partitions, keys, whatever they are.

They take up to 0.2 seconds to read, and memory to answer: 70 MB for a fetch.
"""


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
