"""One timer per group, which goes off when the group's deadline has come, or before."""

from __future__ import annotations

import asyncio

from minikafka.coordinator.timers import Timers


class Watched:
    """Timers of groups, by the loop's own clock; ``due`` are the groups whose timers went off."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.due: asyncio.Queue[str] = asyncio.Queue()
        self.timers = Timers(self.now_ms, self.due.put_nowait)

    def now_ms(self) -> float:
        return self._loop.time() * 1000


async def test_a_timer_goes_off_once_and_not_before_its_time() -> None:
    watched = Watched()
    deadline_ms = watched.now_ms() + 20
    watched.timers.set("a", deadline_ms)
    assert await watched.due.get() == "a"
    assert watched.now_ms() >= deadline_ms - 1  # the loop's clock has a resolution
    watched.timers.set("b", watched.now_ms())
    assert await watched.due.get() == "b"
    assert watched.due.empty()


async def test_the_earlier_deadline_of_a_group_counts_and_a_later_one_changes_nothing() -> None:
    watched = Watched()
    watched.timers.set("a", watched.now_ms() + 60_000)
    watched.timers.set("a", watched.now_ms() + 1)
    watched.timers.set("a", watched.now_ms() + 60_000)
    assert await watched.due.get() == "a"


async def test_a_deadline_that_has_passed_goes_off_right_away() -> None:
    watched = Watched()
    watched.timers.set("a", watched.now_ms() - 1000)
    assert await watched.due.get() == "a"


async def test_timers_that_were_cancelled_do_not_go_off() -> None:
    watched = Watched()
    for group_id in ("never", "gone", "all"):
        watched.timers.set(group_id, watched.now_ms())
    watched.timers.set("never", None)
    watched.timers.cancel("gone")
    watched.timers.cancel("unknown")
    watched.timers.cancel_all()
    watched.timers.set("last", watched.now_ms())
    assert await watched.due.get() == "last"
    assert watched.due.empty()
