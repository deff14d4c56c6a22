"""Time, passed in rather than looked up, so that tests can hold it still."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """What the broker knows of time."""

    def now_ms(self) -> int:
        """Milliseconds since the epoch: what records are stamped with.  May jump, in both directions."""
        ...

    def monotonic(self) -> float:
        """Seconds from some fixed point: what deadlines are measured with.  Never goes back."""
        ...


class SystemClock:
    """The machine's clocks."""

    __slots__ = ()

    def now_ms(self) -> int:  # noqa: D102 - see Clock
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:  # noqa: D102 - see Clock
        return time.monotonic()
