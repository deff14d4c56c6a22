"""DescribeTopicPartitions over the wire."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from minikafka.broker.operations import TOPIC_OPERATIONS
from minikafka.errors import ErrorCode
from minikafka.protocol.messages.describe_topic_partitions import (
    Cursor,
    DescribeTopicPartitionsRequest,
    DescribeTopicPartitionsResponse,
    TopicRequest,
)
from minikafka.types import ZERO_UUID
from tests.support.broker import running_broker
from tests.support.control_plane import ControlPlaneClient, administering, new_topic


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[ControlPlaneClient]:
    async with running_broker(tmp_path / "data") as broker, administering(broker) as connected:
        yield connected


async def describe(
    client: ControlPlaneClient, names: Sequence[str], *, limit: int = 2000, cursor: Cursor | None = None
) -> DescribeTopicPartitionsResponse:
    request = DescribeTopicPartitionsRequest(
        topics=[TopicRequest(name=name) for name in names], response_partition_limit=limit, cursor=cursor
    )
    return await client.ask(request, 0)


def partitions_in(page: DescribeTopicPartitionsResponse) -> list[tuple[str | None, int]]:
    return [(topic.name, partition.partition_index) for topic in page.topics for partition in topic.partitions]


async def test_a_topic_is_described_whole(client: ControlPlaneClient) -> None:
    topic_id = await client.create_topic("orders", 2)
    page = await describe(client, ["orders"])
    assert page.next_cursor is None
    (topic,) = page.topics
    assert (topic.error_code, topic.name, topic.topic_id, topic.is_internal) == (0, "orders", topic_id, False)
    assert topic.topic_authorized_operations == TOPIC_OPERATIONS
    assert [partition.partition_index for partition in topic.partitions] == [0, 1]
    for partition in topic.partitions:
        assert (partition.error_code, partition.leader_id, partition.leader_epoch) == (0, 1, 0)
        assert (partition.replica_nodes, partition.isr_nodes, partition.offline_replicas) == ([1], [1], [])


async def test_the_lists_of_eligible_leaders_are_empty_and_never_null(client: ControlPlaneClient) -> None:
    await client.create_topic("orders")
    (topic,) = (await describe(client, ["orders"])).topics
    (partition,) = topic.partitions
    assert (partition.eligible_leader_replicas, partition.last_known_elr) == ([], [])


async def test_no_names_are_all_topics_in_the_order_of_their_names(client: ControlPlaneClient) -> None:
    await client.create(*(new_topic(name) for name in ("c", "a", "b")))
    page = await describe(client, [])
    assert [topic.name for topic in page.topics] == ["a", "b", "c"]


async def test_a_topic_that_is_not_there_is_an_error_of_its_own(client: ControlPlaneClient) -> None:
    await client.create_topic("orders")
    page = await describe(client, ["orders", "absent", "a/b"])
    assert {topic.name: topic.error_code for topic in page.topics} == {
        "a/b": ErrorCode.INVALID_TOPIC_EXCEPTION,
        "absent": ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
        "orders": ErrorCode.NONE,
    }
    assert all(topic.topic_id == ZERO_UUID for topic in page.topics if topic.error_code)


@pytest.mark.parametrize("names", [[], ["a", "b", "c"], ["c", "b", "a", "a"]])
async def test_pages_follow_one_another_without_gap_or_repetition(client: ControlPlaneClient, names: list[str]) -> None:
    await client.create(*(new_topic(name, 3) for name in ("a", "b", "c")))
    for limit in range(1, 11):
        seen = [await describe(client, names, limit=limit)]
        while (cursor := seen[-1].next_cursor) is not None:
            seen.append(await describe(client, names, limit=limit, cursor=cursor))
        pages = [partitions_in(page) for page in seen]
        assert [one for page in pages for one in page] == [(name, index) for name in "abc" for index in range(3)]
        assert all(0 < len(page) <= limit for page in pages)


@pytest.mark.parametrize("limit", [0, -1, -(2**31)])
async def test_a_page_has_at_least_one_partition(client: ControlPlaneClient, limit: int) -> None:
    await client.create_topic("orders", 2)
    page = await describe(client, ["orders"], limit=limit)
    assert partitions_in(page) == [("orders", 0)]
    assert page.next_cursor == Cursor(topic_name="orders", partition_index=1)


async def test_a_page_has_at_most_two_thousand_partitions(client: ControlPlaneClient) -> None:
    await client.create_topic("large", 2001)
    page = await describe(client, ["large"], limit=2**31 - 1)
    assert len(partitions_in(page)) == 2000
    assert page.next_cursor == Cursor(topic_name="large", partition_index=2000)


async def test_a_cursor_beyond_the_last_partition_goes_on_with_the_next_topic(client: ControlPlaneClient) -> None:
    await client.create(new_topic("a"), new_topic("b"))
    page = await describe(client, [], cursor=Cursor(topic_name="a", partition_index=2**31 - 1))
    assert partitions_in(page) == [("b", 0)]


@pytest.mark.parametrize(
    "cursor", [Cursor(topic_name="b", partition_index=0), Cursor(topic_name="a", partition_index=-1)]
)
async def test_a_cursor_that_fits_nothing_is_refused(client: ControlPlaneClient, cursor: Cursor) -> None:
    await client.create_topic("a")
    (topic,) = (await describe(client, ["a"], cursor=cursor)).topics
    assert (topic.name, topic.error_code, topic.partitions) == ("a", ErrorCode.INVALID_REQUEST, [])
