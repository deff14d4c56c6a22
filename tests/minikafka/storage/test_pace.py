"""Time is made up here: a sleep moves the clock, and so does work."""

from __future__ import annotations

import pytest

from minikafka.storage.pace import Pace


class Machine:
    """A processor, on which others use ``others`` of the time while this thread sleeps."""

    def __init__(self, others: float = 0.0) -> None:
        self.now = 100.0
        self.own = 0.0
        self.used = 0.0
        self.others = others
        self.sleeps: list[float] = []

    def work(self, seconds: float) -> None:
        self.now += seconds
        self.own += seconds
        self.used += seconds

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.now += seconds
        self.used += self.others * seconds

    def pace(self, max_bytes_per_second: float) -> Pace:
        return Pace(
            max_bytes_per_second,
            monotonic=lambda: self.now,
            thread_time=lambda: self.own,
            process_time=lambda: self.used,
            sleep=self.sleep,
        )


@pytest.mark.parametrize("rate", [1_000, 1_000_000])
def test_no_more_bytes_than_allowed_are_spent_in_a_second(rate: int) -> None:
    machine = Machine()
    pace = machine.pace(rate)
    began = machine.now
    for _ in range(2_000):
        machine.work(0.0001)
        pace.spend(rate // 100)
    assert 2_000 * (rate // 100) / (machine.now - began) <= rate * 1.01


def test_without_a_bound_it_hardly_sleeps() -> None:
    machine = Machine()
    pace = machine.pace(float("inf"))
    for _ in range(1_000):
        machine.work(0.0001)
        pace.spend(1_000_000)
    assert sum(machine.sleeps) < 0.3 * machine.own


def test_others_who_are_at_work_get_most_of_the_time() -> None:
    machine = Machine(others=1.0)
    pace = machine.pace(float("inf"))
    for _ in range(1_000):
        machine.work(0.0001)
        pace.spend(1)
    assert sum(machine.sleeps) > 4 * machine.own


def test_small_pieces_of_work_are_not_interrupted_one_by_one() -> None:
    machine = Machine()
    pace = machine.pace(float("inf"))
    for _ in range(1_000):
        machine.work(0.000001)
        pace.spend(1)
    assert len(machine.sleeps) < 10


def test_a_thread_whose_clock_is_behind_makes_a_pause() -> None:
    machine = Machine()
    pace = machine.pace(float("inf"))
    machine.work(5.0)
    pace.spend(1)
    before = len(machine.sleeps)
    machine.own = 0.0  # another thread goes on, which has not worked yet
    pace.spend(1)
    assert len(machine.sleeps) > before


def test_time_that_was_not_used_is_not_saved_up() -> None:
    machine = Machine()
    pace = machine.pace(1_000)
    machine.work(0.001)
    pace.spend(1)
    machine.now += 3_600
    machine.work(0.001)
    pace.spend(1)
    began = machine.now
    for _ in range(100):
        machine.work(0.001)
        pace.spend(100)
    assert machine.now - began > 8
