from __future__ import annotations

import time

from minikafka.clock import SystemClock


def test_the_wall_clock_counts_milliseconds_since_the_epoch() -> None:
    before = time.time()
    now_ms = SystemClock().now_ms()
    assert int(before * 1000) <= now_ms <= time.time() * 1000


def test_the_monotonic_clock_never_goes_back() -> None:
    clock = SystemClock()
    seen = [clock.monotonic() for _ in range(1000)]
    assert seen == sorted(seen)
