from __future__ import annotations

from minikafka_client.consumer.pace import Pace


class Program:
    """A clock, and how far the program came by itself."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.taken = 0
        self.pace = Pace(lambda: self.now_s, lambda: self.taken)
        self.pace.idle_ms()  # somebody has looked already


def test_a_program_is_idle_from_its_beginning_on() -> None:
    program = Program()
    program.now_s += 2
    assert program.pace.idle_ms() == 2_000


def test_who_waits_for_messages_is_not_idle_however_long_it_takes() -> None:
    program = Program()
    with program.pace.asking():
        program.now_s += 60
        assert program.pace.idle_ms() == 0
    program.now_s += 1
    assert program.pace.idle_ms() == 1_000


def test_two_who_ask_are_both_waited_for() -> None:
    program = Program()
    with program.pace.asking():
        with program.pace.asking():
            program.now_s += 1
        program.now_s += 5
        assert program.pace.idle_ms() == 0


def test_messages_taken_without_asking_show_when_somebody_looks() -> None:
    program = Program()
    program.taken += 1
    program.now_s += 10
    assert program.pace.idle_ms() == 0
    program.now_s += 3
    assert program.pace.idle_ms() == 3_000
