from __future__ import annotations

import pytest

from minikafka.cli.group_seek import Move
from minikafka.types import TopicPartition

ORDERS = TopicPartition("orders", 0)


@pytest.mark.parametrize(
    ("committed", "wanted", "row"),
    [
        (5, 3, ("orders[0]", 5, 3, "-2", "")),
        (5, 8, ("orders[0]", 5, 8, "+3", "")),
        (5, 5, ("orders[0]", 5, 5, "+0", "")),
        (5, 1, ("orders[0]", 5, 2, "-3", "the first there is")),
        (5, -1, ("orders[0]", 5, 2, "-3", "the first there is")),
        (5, 99, ("orders[0]", 5, 9, "+4", "the end")),
        (None, 4, ("orders[0]", "-", 4, "-", "")),
    ],
)
def test_a_move_ends_where_there_are_records(committed: int | None, wanted: int, row: tuple[object, ...]) -> None:
    move = Move(ORDERS, committed, wanted, begin=2, end=9)
    assert move.row() == row
    assert move.changes is (move.offset != committed)
    assert move.as_json() == {
        "topic": "orders",
        "partition": 0,
        "committed_offset": committed,
        "new_offset": move.offset,
    }
