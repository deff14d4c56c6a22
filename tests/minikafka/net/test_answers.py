from __future__ import annotations

import asyncio

import pytest

from minikafka.net.answers import OwedAnswers
from minikafka.net.handler import Reply

pytestmark = pytest.mark.usefixtures("no_unhandled_exceptions")


async def test_an_answer_that_nobody_waits_for_is_begun_before_it_is_cancelled() -> None:
    ended: list[str] = []

    async def handle() -> Reply:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("in order")
        return [b"never"]

    async def answer_with(handled) -> Reply:  # type: ignore[no-untyped-def]
        return await handled

    owed = OwedAnswers()
    task = asyncio.create_task(answer_with(handle()))
    owed.add(task)
    owed.cancel()
    assert len(owed) == 0
    await asyncio.wait([task])
    assert task.cancelled()
    assert ended == ["in order"]


async def test_the_fault_of_an_answer_that_nobody_waits_for_is_nobodys() -> None:
    async def fail() -> Reply:
        raise ValueError("unheard")

    owed = OwedAnswers()
    done, begun = asyncio.create_task(fail()), asyncio.create_task(fail())
    await asyncio.wait([done])
    owed.add(done)
    owed.add(begun)
    owed.add([b"an answer"])
    owed.cancel()
    await asyncio.wait([begun])
    assert len(owed) == 0
