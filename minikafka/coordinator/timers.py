"""When something is due: one timer for each group, however many members it has, or each transactional id.

A heartbeat, or the next transaction, only ever moves a deadline back, so it touches no timer.  A timer that goes off
too early finds that nothing is due, and is set anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NamedTuple


class _Timer(NamedTuple):
    deadline_ms: float
    handle: asyncio.TimerHandle


class Timers:
    """The timers of one shard.

    Args:
        now_ms: The time by which deadlines are stated.
        due: Called with the key of a timer when its deadline has come; the timer is gone then.
    """

    __slots__ = ("_due", "_now_ms", "_timers")

    def __init__(self, now_ms: Callable[[], float], due: Callable[[str], None]) -> None:
        self._now_ms = now_ms
        self._due = due
        self._timers: dict[str, _Timer] = {}

    def set(self, key: str, deadline_ms: float | None) -> None:
        """Have ``due`` called at ``deadline_ms`` or before; None: never."""
        timer = self._timers.get(key)
        if timer is not None:
            if deadline_ms is not None and timer.deadline_ms <= deadline_ms:
                return
            self.cancel(key)
        if deadline_ms is not None:
            delay_s = max(deadline_ms - self._now_ms(), 0) / 1000
            handle = asyncio.get_running_loop().call_later(delay_s, self._go_off, key)
            self._timers[key] = _Timer(deadline_ms, handle)

    def cancel(self, key: str) -> None:
        """Forget a timer."""
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.handle.cancel()

    def cancel_all(self) -> None:
        """Forget every timer."""
        for timer in self._timers.values():
            timer.handle.cancel()
        self._timers.clear()

    def _go_off(self, key: str) -> None:
        del self._timers[key]
        self._due(key)
