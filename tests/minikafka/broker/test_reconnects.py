"""The watch for clients that were told an address and never came back."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from minikafka.broker import reconnects
from minikafka.broker.reconnects import PATIENCE_S, LostClient, ReconnectWatch
from minikafka.net.handler import Address

GATEWAY = "172.17.0.1"
TOLD = Address("localhost", 9092)
ARRIVED = Address("172.17.0.2", 9092)


class Timers:
    """Keeps what was asked for later until a test lets the time pass."""

    def __init__(self) -> None:
        self.waiting: list[tuple[float, Callable[[], None]]] = []

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> None:
        self.waiting.append((delay_s, callback))

    def pass_time(self) -> None:
        due, self.waiting = self.waiting, []
        for _, callback in due:
            callback()


@pytest.fixture
def timers() -> Timers:
    return Timers()


@pytest.fixture
def lost() -> list[LostClient]:
    return []


@pytest.fixture
def watch(timers: Timers, lost: list[LostClient]) -> ReconnectWatch:
    return ReconnectWatch(timers.call_later, lost.append)


def test_a_client_that_stays_away_is_reported_once(
    watch: ReconnectWatch, timers: Timers, lost: list[LostClient]
) -> None:
    watch.told(GATEWAY, TOLD, ARRIVED)
    watch.told(GATEWAY, TOLD, ARRIVED)
    assert [delay for delay, _ in timers.waiting] == [PATIENCE_S]
    timers.pass_time()
    watch.told(GATEWAY, TOLD, ARRIVED)
    timers.pass_time()
    assert lost == [LostClient(GATEWAY, TOLD, ARRIVED)]


def test_a_client_that_comes_back_is_not_reported(
    watch: ReconnectWatch, timers: Timers, lost: list[LostClient]
) -> None:
    watch.told(GATEWAY, TOLD, ARRIVED)
    watch.connected("10.0.0.9")
    watch.connected(GATEWAY)
    timers.pass_time()
    assert lost == []


def test_a_client_that_came_back_may_ask_again_without_connecting_again(
    watch: ReconnectWatch, timers: Timers, lost: list[LostClient]
) -> None:
    watch.told(GATEWAY, TOLD, ARRIVED)
    watch.connected(GATEWAY)
    timers.pass_time()
    watch.told(GATEWAY, TOLD, ARRIVED)
    timers.pass_time()
    assert lost == []


def test_a_client_that_was_told_the_address_it_reached_is_not_watched(watch: ReconnectWatch, timers: Timers) -> None:
    watch.told("127.0.0.1", Address("127.0.0.1", 9092), Address("127.0.0.1", 9092))
    assert timers.waiting == []


def test_a_connection_before_the_first_answer_proves_nothing(
    watch: ReconnectWatch, timers: Timers, lost: list[LostClient]
) -> None:
    watch.connected(GATEWAY)
    watch.told(GATEWAY, TOLD, ARRIVED)
    timers.pass_time()
    assert len(lost) == 1


def test_the_number_of_watched_peers_is_bounded(
    watch: ReconnectWatch, timers: Timers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconnects, "MAX_PEERS", 2)
    for last in range(5):
        watch.told(f"10.0.0.{last}", TOLD, ARRIVED)
    assert len(timers.waiting) == 2
