"""What a client is told of leaders and replicas that it may not be able to reach."""

from __future__ import annotations

import pytest

from minikafka.broker.reachability import Reachability, VisibleLeader
from minikafka.cluster.metadata import PartitionState
from minikafka.errors import ErrorCode
from minikafka.types import NO_LEADER

BROKERS = Reachability(alive=frozenset({1, 2}), reachable=frozenset({1}))


@pytest.mark.parametrize(
    ("leader_id", "expected"),
    [
        (1, VisibleLeader(1, ErrorCode.NONE)),
        (2, VisibleLeader(NO_LEADER, ErrorCode.LISTENER_NOT_FOUND)),
        (3, VisibleLeader(NO_LEADER, ErrorCode.LEADER_NOT_AVAILABLE)),
        (NO_LEADER, VisibleLeader(NO_LEADER, ErrorCode.LEADER_NOT_AVAILABLE)),
    ],
)
def test_only_a_leader_that_can_be_reached_is_named(leader_id: int, expected: VisibleLeader) -> None:
    state = PartitionState(leader_id, 0, (leader_id,), (1, 2, 3))
    assert BROKERS.leader_of(state) == expected


@pytest.mark.parametrize(("replicas", "offline"), [((1,), []), ((2, 1, 3), [2, 3]), ((), [])])
def test_replicas_that_cannot_be_reached_are_offline(replicas: tuple[int, ...], offline: list[int]) -> None:
    assert BROKERS.offline(replicas) == offline
