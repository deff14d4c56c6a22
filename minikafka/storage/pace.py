"""How fast background work may go: within a bound on bytes, and never in the way of those who wait for an answer."""

from __future__ import annotations

import time
from collections.abc import Callable

_SLICE_S = 0.0005
"""So long it works at a stretch: a tenth of what Python lets a thread work when others wait, so that they wait less."""
_PAUSE_S = 0.0001
"""Then others may work; it is seen whether they do."""
_WAY_S = 0.003
"""When they do, they get so long."""
_BUSY_SHARE = 0.3
"""Of a processor, used by others during a pause: they are at work."""


class Pace:
    """Slows a thread down, which calls :meth:`spend` after every small piece of work.

    Only one thread of a process runs Python at a time, so that a thread which computes without end takes from the
    event loop, whenever that has waited for the disk or the network, up to 5 ms.

    Args:
        max_bytes_per_second: How much may be read and written together.
        monotonic: Seconds from some fixed point.
        thread_time: Seconds of processor time that this thread has used.
        process_time: Seconds of processor time that all threads have used.
        sleep: Waits so many seconds.
    """

    __slots__ = (
        "_began",
        "_bytes",
        "_max_bytes_per_second",
        "_monotonic",
        "_process_time",
        "_sleep",
        "_slice_began",
        "_thread_time",
    )

    def __init__(
        self,
        max_bytes_per_second: float,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        thread_time: Callable[[], float] = time.thread_time,
        process_time: Callable[[], float] = time.process_time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._max_bytes_per_second = max_bytes_per_second
        self._monotonic = monotonic
        self._thread_time = thread_time
        self._process_time = process_time
        self._sleep = sleep
        self._bytes = 0
        self._began = monotonic()
        self._slice_began = 0.0

    def spend(self, size: int) -> None:
        """Take note of ``size`` bytes that have been read or written, and wait if it is time to."""
        self._bytes += size
        now = self._thread_time()
        # Another thread may have taken over, whose clock is another one.
        if 0 <= now - self._slice_began < _SLICE_S:
            return
        self._make_way()
        self._wait_for_bytes()
        self._slice_began = self._thread_time()

    def _make_way(self) -> None:
        used_before, own_before = self._process_time(), self._thread_time()
        began = self._monotonic()
        self._sleep(_PAUSE_S)
        others = (self._process_time() - used_before) - (self._thread_time() - own_before)
        if others > _BUSY_SHARE * (self._monotonic() - began):
            self._sleep(_WAY_S)

    def _wait_for_bytes(self) -> None:
        now = self._monotonic()
        left_s = self._bytes / self._max_bytes_per_second - (now - self._began)
        if left_s > 0:
            self._sleep(left_s)
            now = self._monotonic()
        self._bytes = 0
        self._began = now
