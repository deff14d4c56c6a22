"""Time that stands still until a test moves it."""

from __future__ import annotations


class ManualClock:
    """A clock whose time is set by hand; wall clock and monotonic time move together, unless one is set."""

    def __init__(self, now_ms: int = 1_700_000_000_000) -> None:
        self._now_ms = now_ms
        self._monotonic = 1_000.0

    def now_ms(self) -> int:
        return self._now_ms

    def monotonic(self) -> float:
        return self._monotonic

    def advance(self, ms: int) -> None:
        """Let ``ms`` milliseconds pass."""
        self._now_ms += ms
        self._monotonic += ms / 1000

    def set_wall_clock(self, now_ms: int) -> None:
        """Set the wall clock alone, as an operator or NTP does."""
        self._now_ms = now_ms
