from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from minikafka_client.backoff import Backoff


@given(st.integers(0, 10_000))
def test_pauses_grow_up_to_the_longest(attempt: int) -> None:
    delay_ms = Backoff(50, 1_000).delay_s(attempt) * 1_000
    plain_ms = min(1_000, 50 * 2 ** min(attempt, 10))
    assert 0.79 * plain_ms <= delay_ms <= 1.21 * plain_ms


def test_two_clients_do_not_come_back_at_the_same_time() -> None:
    assert len({Backoff().delay_s(3) for _ in range(20)}) > 1
