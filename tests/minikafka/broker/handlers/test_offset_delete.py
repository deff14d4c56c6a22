"""OffsetDelete over the wire."""

from __future__ import annotations

from pathlib import Path

from minikafka.errors import ErrorCode
from minikafka.protocol.messages.offset_delete import (
    OffsetDeleteRequest,
    OffsetDeleteRequestPartition,
    OffsetDeleteRequestTopic,
    OffsetDeleteResponse,
)
from tests.support.broker import running_broker
from tests.support.group_client import GroupClient, group_client


async def delete(client: GroupClient, group_id: str, topic: str, *partitions: int) -> OffsetDeleteResponse:
    wanted = OffsetDeleteRequestTopic(
        name=topic, partitions=[OffsetDeleteRequestPartition(partition_index=index) for index in partitions]
    )
    return await client.ask(OffsetDeleteRequest(group_id=group_id, topics=[wanted]), 0)


def codes_of(answer: OffsetDeleteResponse) -> dict[tuple[str, int], int]:
    assert answer.error_code == 0
    return {
        (topic.name, partition.partition_index): partition.error_code
        for topic in answer.topics
        for partition in topic.partitions
    }


async def test_offsets_are_gone_and_those_of_other_partitions_stay(tmp_path: Path) -> None:
    async with running_broker(tmp_path / "data") as broker, group_client(broker) as client:
        await client.create_topic("orders", 4)
        await client.commit("job", {0: 1, 1: 2, 2: 3})
        codes = codes_of(await delete(client, "job", "orders", 0, 1, 3))
        assert codes == {("orders", 0): 0, ("orders", 1): 0, ("orders", 3): 0}
        assert [found.offset for found in (await client.fetch("job", range(3))).values()] == [-1, -1, 3]
    async with running_broker(tmp_path / "data") as broker, group_client(broker) as client:
        assert [found.offset for found in (await client.fetch("job", range(3))).values()] == [-1, -1, 3]


async def test_offsets_of_a_topic_that_the_group_reads_stay(member: GroupClient) -> None:
    await member.create_topic("returns", 1)
    joined = await member.enter("billing")
    who = {"member_id": joined.member_id, "generation_id": joined.generation_id}
    await member.commit("billing", {0: 1}, **who)  # type: ignore[arg-type]
    await member.commit("billing", {0: 2}, topic="returns", **who)  # type: ignore[arg-type]
    assert codes_of(await delete(member, "billing", "orders", 0)) == {
        ("orders", 0): ErrorCode.GROUP_SUBSCRIBED_TO_TOPIC
    }
    assert codes_of(await delete(member, "billing", "returns", 0)) == {("returns", 0): 0}
    assert await member.offset("billing") == 1
    assert await member.offset("billing", topic="returns") == -1


async def test_offsets_of_a_topic_that_members_read_by_an_expression_stay(member: GroupClient) -> None:
    await member.create_topic("returns", 1)
    await member.consumer_join("new", "me", subscribed_topic_regex="ord.*")
    for topic in ("orders", "returns"):
        await member.commit("new", {0: 1}, topic=topic, member_id="me", generation_id=1)
    assert codes_of(await delete(member, "new", "orders", 0)) == {("orders", 0): ErrorCode.GROUP_SUBSCRIBED_TO_TOPIC}
    assert codes_of(await delete(member, "new", "returns", 0)) == {("returns", 0): 0}


async def test_a_group_whose_members_are_no_consumers_keeps_its_offsets_while_it_has_any(member: GroupClient) -> None:
    joined = await member.join_twice("workers", protocol_type="connect", protocols={"default": b""})
    await member.leave("workers", "nobody")
    assert (await delete(member, "workers", "orders", 0)).error_code == ErrorCode.NON_EMPTY_GROUP
    await member.leave("workers", joined.member_id)
    assert codes_of(await delete(member, "workers", "orders", 0)) == {("orders", 0): 0}


async def test_partitions_that_are_not_there_are_told(member: GroupClient) -> None:
    await member.commit("job", {0: 1})
    unknown = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    assert codes_of(await delete(member, "job", "nothing", 0)) == {("nothing", 0): unknown}
    assert codes_of(await delete(member, "job", "orders", 0, 9)) == {("orders", 0): 0, ("orders", 9): unknown}


async def test_a_group_that_is_not_there_is_told(member: GroupClient) -> None:
    assert (await delete(member, "nobody", "orders", 0)).error_code == ErrorCode.GROUP_ID_NOT_FOUND
    assert (await delete(member, "", "orders", 0)).error_code == ErrorCode.INVALID_GROUP_ID
