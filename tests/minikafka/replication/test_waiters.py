import asyncio

import pytest

from minikafka.replication.waiters import FetchWaiter

NEVER = float("inf")


class Watched:
    def __init__(self):
        self.waiters = []

    def add_waiter(self, waiter):
        self.waiters.append(waiter)

    def remove_waiter(self, waiter):
        self.waiters.remove(waiter)


async def far_away():
    return asyncio.get_running_loop().time() + 60


async def waiting(waiter, deadline):
    """A task that has come as far as the wait."""
    task = asyncio.ensure_future(waiter.wait(deadline))
    await asyncio.sleep(0)
    return task


async def test_enough_bytes_end_the_wait():
    waiter = FetchWaiter(10)
    task = await waiting(waiter, await far_away())
    waiter.bytes_readable(4)
    await asyncio.sleep(0)
    assert not task.done()
    waiter.bytes_readable(6)
    assert await task is True


async def test_bytes_of_several_partitions_count_together():
    first, second = Watched(), Watched()
    waiter = FetchWaiter(10)
    with waiter.watching([first, second]):
        task = await waiting(waiter, await far_away())
        for watched in (first, second):
            for registered in watched.waiters:
                registered.bytes_readable(5)
        assert await task is True


async def test_what_came_before_the_wait_counts():
    waiter = FetchWaiter(1)
    waiter.bytes_readable(1)
    assert await waiter.wait(await far_away()) is True


async def test_giving_up_ends_the_wait_as_the_deadline_does():
    waiter = FetchWaiter(10)
    task = await waiting(waiter, await far_away())
    waiter.give_up()
    assert await task is False


async def test_waking_ends_the_wait_whatever_is_missing():
    waiter = FetchWaiter(10**9)
    task = await waiting(waiter, await far_away())
    waiter.wake()
    waiter.wake()
    assert await task is True


async def test_the_deadline_ends_the_wait_without_enough():
    waiter = FetchWaiter(10)
    assert await waiter.wait(asyncio.get_running_loop().time() + 0.01) is False


async def test_nothing_is_watched_after_the_block():
    watched = Watched()
    waiter = FetchWaiter(10)
    with waiter.watching([watched]):
        assert watched.waiters == [waiter]
    assert watched.waiters == []


async def test_nothing_is_watched_after_a_cancelled_wait():
    watched = Watched()

    async def fetch():
        waiter = FetchWaiter(10)
        with waiter.watching([watched]):
            await waiter.wait(await far_away())

    task = asyncio.ensure_future(fetch())
    await asyncio.sleep(0)
    assert len(watched.waiters) == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert watched.waiters == []


async def test_a_partition_that_cannot_be_watched_leaves_no_others_watched():
    class Broken(Watched):
        def add_waiter(self, waiter):
            raise RuntimeError("broken")

    watched = Watched()
    with pytest.raises(RuntimeError), FetchWaiter(1).watching([watched, Broken()]):
        raise AssertionError("not reached")
    assert watched.waiters == []


async def test_a_wake_after_the_wait_was_cancelled_does_no_harm():
    waiter = FetchWaiter(10)
    task = await waiting(waiter, await far_away())
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    waiter.wake()
