"""What a group waits for its members to do, and until when."""

from __future__ import annotations

import heapq
from enum import Enum
from typing import NamedTuple


class Wait(Enum):
    """What a member has to do in time, or it is removed."""

    HEARTBEAT = "heartbeat"
    """Show that it lives: its session."""
    REVOKE = "revoke"
    """Let go what it was told to."""
    JOIN = "join"
    """Classic members only: come back after having been told of a rebalance."""
    SYNC = "sync"
    """Classic members only: fetch its assignment after having joined."""


class _Key(NamedTuple):
    member_id: str
    wait: str


class Deadlines:
    """Deadlines by member, in milliseconds.

    A deadline that moves later, as that of a session does with every heartbeat, costs nothing: its entry in the heap
    stays where it is and is put back when its time has come.  Hence :meth:`next_ms` may be early, never late.
    """

    def __init__(self) -> None:
        self._deadlines: dict[_Key, float] = {}
        self._heap: list[tuple[float, _Key]] = []
        self._queued: dict[_Key, float] = {}

    def set(self, member_id: str, wait: Wait, deadline_ms: float) -> None:
        """Wait until then, whatever was set before."""
        key = _Key(member_id, wait.value)
        self._deadlines[key] = deadline_ms
        if self._queued.get(key, float("inf")) > deadline_ms:
            self._push(key, deadline_ms)

    def set_if_absent(self, member_id: str, wait: Wait, deadline_ms: float) -> None:
        """Wait until then, unless it is waited for already."""
        if _Key(member_id, wait.value) not in self._deadlines:
            self.set(member_id, wait, deadline_ms)

    def clear(self, member_id: str, wait: Wait) -> None:
        """It has come."""
        self._deadlines.pop(_Key(member_id, wait.value), None)

    def clear_all(self, member_id: str) -> None:
        """The member is gone."""
        for wait in Wait:
            self.clear(member_id, wait)

    def next_ms(self) -> float | None:
        """When :meth:`due` may find something."""
        return self._heap[0][0] if self._heap else None

    def due(self, now_ms: float) -> dict[str, Wait]:
        """The members whose time is over, in order, and what was waited for first; these deadlines are forgotten."""
        late: dict[str, Wait] = {}
        while self._heap and self._heap[0][0] <= now_ms:
            queued_for, key = heapq.heappop(self._heap)
            if self._queued.get(key) != queued_for:
                continue  # another entry of it, for an earlier time, has come first
            del self._queued[key]
            deadline_ms = self._deadlines.get(key)
            if deadline_ms is None:
                continue
            if deadline_ms <= now_ms:
                late.setdefault(key.member_id, Wait(key.wait))
                del self._deadlines[key]
            else:
                self._push(key, deadline_ms)
        return late

    def _push(self, key: _Key, deadline_ms: float) -> None:
        self._queued[key] = deadline_ms
        heapq.heappush(self._heap, (deadline_ms, key))
