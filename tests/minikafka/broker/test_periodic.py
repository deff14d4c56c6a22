from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from minikafka.broker.periodic import Periodic
from minikafka.errors import StorageError

NEVER_MS = 1_000_000_000


class Work:
    """Counts the rounds that have begun, and ends each when it may."""

    def __init__(self, fails: bool = False) -> None:
        self.rounds: asyncio.Queue[int] = asyncio.Queue()
        self.count = 0
        self.may_end = asyncio.Event()
        self.may_end.set()
        self.fails = fails

    async def __call__(self) -> None:
        self.count += 1
        self.rounds.put_nowait(self.count)
        await self.may_end.wait()
        if self.fails:
            raise StorageError("the disk is tired")


@asynccontextmanager
async def running(interval_ms: int, work: Work) -> AsyncIterator[Callable[[], None]]:
    periodic = Periodic("tests", interval_ms, work)
    task = asyncio.create_task(periodic.run())
    try:
        async with asyncio.timeout(10):
            yield periodic.wake
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_rounds_follow_one_another() -> None:
    work = Work()
    async with running(1, work):
        assert [await work.rounds.get() for _ in range(3)] == [1, 2, 3]


async def test_an_error_ends_a_round_and_not_the_work(capsys: pytest.CaptureFixture[str]) -> None:
    work = Work(fails=True)
    async with running(1, work):
        assert [await work.rounds.get() for _ in range(3)] == [1, 2, 3]
    assert "the disk is tired" in capsys.readouterr().err


async def test_whoever_asks_does_not_wait_for_the_clock() -> None:
    work = Work()
    async with running(NEVER_MS, work) as wake:
        wake()
        assert await work.rounds.get() == 1
        wake()
        assert await work.rounds.get() == 2


async def test_a_round_that_is_asked_for_during_another_comes_after_it() -> None:
    work = Work()
    async with running(NEVER_MS, work) as wake:
        work.may_end.clear()
        wake()
        await work.rounds.get()
        wake()
        wake()
        assert work.rounds.empty()
        work.may_end.set()
        assert await work.rounds.get() == 2
    assert work.count == 2
