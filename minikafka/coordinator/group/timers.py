"""When groups have something to do: one timer for each group, however many members it has.

A heartbeat only ever moves a deadline back, so it touches no timer.  A timer that goes off too early finds that nothing
is due, and is set anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NamedTuple


class _Timer(NamedTuple):
    deadline_ms: float
    handle: asyncio.TimerHandle


class GroupTimers:
    """The timers of one shard.

    Args:
        now_ms: The time by which groups state their deadlines.
        due: Called with a group's id when its deadline has come; its timer is gone then.
    """

    __slots__ = ("_due", "_now_ms", "_timers")

    def __init__(self, now_ms: Callable[[], float], due: Callable[[str], None]) -> None:
        self._now_ms = now_ms
        self._due = due
        self._timers: dict[str, _Timer] = {}

    def set(self, group_id: str, deadline_ms: float | None) -> None:
        """Have ``due`` called at ``deadline_ms`` or before; None: never."""
        timer = self._timers.get(group_id)
        if timer is not None:
            if deadline_ms is not None and timer.deadline_ms <= deadline_ms:
                return
            self.cancel(group_id)
        if deadline_ms is not None:
            delay_s = max(deadline_ms - self._now_ms(), 0) / 1000
            handle = asyncio.get_running_loop().call_later(delay_s, self._go_off, group_id)
            self._timers[group_id] = _Timer(deadline_ms, handle)

    def cancel(self, group_id: str) -> None:
        """Forget the timer of a group."""
        timer = self._timers.pop(group_id, None)
        if timer is not None:
            timer.handle.cancel()

    def cancel_all(self) -> None:
        """Forget every timer."""
        for timer in self._timers.values():
            timer.handle.cancel()
        self._timers.clear()

    def _go_off(self, group_id: str) -> None:
        del self._timers[group_id]
        self._due(group_id)
