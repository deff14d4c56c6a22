from __future__ import annotations

import pytest

from minikafka.broker.context import MAX_WAIT_S, RequestContext
from minikafka.net.handler import Address, ConnectionInfo


@pytest.mark.parametrize(
    ("timeout_ms", "waits_s"), [(0, 0), (1500, 1.5), (-1, 0), (-(2**31), 0), (2**31 - 1, MAX_WAIT_S)]
)
def test_a_deadline_counts_from_the_arrival_of_the_request(timeout_ms: int, waits_s: float) -> None:
    connection = ConnectionInfo(1, Address("h", 1), Address("h", 2), "PLAINTEXT")
    ctx = RequestContext(connection, 9, "client", 1, received_at=1000.0)
    assert ctx.deadline(timeout_ms) == 1000.0 + waits_s
