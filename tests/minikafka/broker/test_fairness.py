from __future__ import annotations

import asyncio

import pytest

from minikafka.broker.fairness import TURN_S, Turns


class HeldLoop:
    """A loop whose time stands still unless it is moved."""

    def __init__(self) -> None:
        self.now = 50.0

    def time(self) -> float:
        return self.now


async def test_a_turn_ends_with_its_time_and_the_next_begins_after_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = HeldLoop()
    monkeypatch.setattr("minikafka.broker.fairness.asyncio.get_running_loop", lambda: loop)
    turns = Turns()
    monkeypatch.undo()
    assert not turns.is_over
    loop.now += TURN_S
    assert turns.is_over
    others = []
    asyncio.get_running_loop().call_soon(others.append, "had a turn")
    await turns.next()
    assert others == ["had a turn"]
    assert not turns.is_over
