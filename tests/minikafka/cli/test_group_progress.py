from __future__ import annotations

import pytest

from minikafka.cli.group_progress import GroupProgress, PartitionProgress, member_name
from minikafka.types import TopicPartition
from minikafka_client.admin.types import GroupDescription, GroupState, GroupType, MemberDescription

ORDERS = TopicPartition("orders", 0)


def member(name: str, *assigned: TopicPartition, instance: str | None = None) -> MemberDescription:
    return MemberDescription(
        name, instance, "till", "/10.0.0.7", frozenset({"orders"}), frozenset(assigned), GroupType.CLASSIC
    )


def progress(members: list[MemberDescription], *partitions: PartitionProgress) -> GroupProgress:
    group = GroupDescription("billing", GroupType.CLASSIC, GroupState.STABLE, "consumer", "range", 1, tuple(members))
    return GroupProgress(group, partitions)


@pytest.mark.parametrize(
    ("begin", "committed", "end", "lag"),
    [
        (0, 3, 10, 7),
        (0, 10, 10, 0),
        (0, None, 10, 10),  # it has all of them before it
        (4, None, 10, 6),
        (4, 2, 10, 6),  # what was deleted is not behind any more
        (0, 12, 10, 0),  # the end is older than the commit
        (None, 3, None, None),
        (None, None, None, None),
    ],
)
def test_lag_is_what_is_still_to_be_acknowledged(
    begin: int | None, committed: int | None, end: int | None, lag: int | None
) -> None:
    assert PartitionProgress(ORDERS, None, begin, committed, end).lag == lag


def test_a_member_is_called_by_its_own_name_or_by_its_client() -> None:
    assert member_name(member("till-1-0123456789ab", instance="till-1")) == "till-1"
    assert member_name(member("till-0123456789ab")) == "till-01234567"
    assert member_name(member("0123456789ab")) == "till-01234567"


def test_what_nobody_reads_and_who_reads_nothing_is_shown() -> None:
    shown = progress(
        [member("till-a", ORDERS), member("till-b")],
        PartitionProgress(ORDERS, member("till-a", ORDERS), 0, 3, 10),
        PartitionProgress(TopicPartition("orders", 1), None, 0, None, 5),
        PartitionProgress(TopicPartition("gone", 0), None, None, 7, None),
    )
    assert shown.rows() == [
        ("orders[0]", "till-a", 3, 10, 7),
        ("orders[1]", "-", "-", 5, 5),
        ("gone[0]", "-", 7, "-", "-"),
    ]
    assert shown.lag == 12
    assert "2 members" in shown.title()
    idle, unread = shown.remarks()
    assert idle == "till-b: reads nothing, for a partition has one reader at most"
    assert unread == "orders[1], gone[0]: no member reads it"
    assert progress([member("till-a", ORDERS)]).remarks() == []
    assert progress([], PartitionProgress(ORDERS, None, 0, 3, 10)).remarks() == []
