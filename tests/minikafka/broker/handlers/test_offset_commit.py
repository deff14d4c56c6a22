"""OffsetCommit over the wire."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from minikafka.errors import ErrorCode
from minikafka.protocol.api_keys import ApiKey
from tests.support.broker import running_broker
from tests.support.control_plane import versions_of
from tests.support.group_client import Fetched, GroupClient, group_client

VERSIONS = versions_of(ApiKey.OFFSET_COMMIT)


async def topic_to_name(client: GroupClient, version: int, name: str = "orders") -> str | bytes:
    """What a request of ``version`` names the topic by."""
    (topic,) = (await client.metadata([name])).topics
    return topic.topic_id if version >= 10 else name


@pytest.mark.parametrize("version", VERSIONS)
async def test_who_is_no_member_may_commit_in_a_group_without_members(member: GroupClient, version: int) -> None:
    topic = await topic_to_name(member, version)
    codes = await member.commit("job", {0: 41, 3: 7}, topic=topic, metadata="why", leader_epoch=5, version=version)
    assert codes == {0: 0, 3: 0}
    epoch = 5 if version >= 6 else -1
    assert await member.fetch("job", [0, 1, 3]) == {
        0: Fetched(41, epoch, "why", 0),
        1: Fetched(-1, -1, "", 0),
        3: Fetched(7, epoch, "why", 0),
    }


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_member_commits_in_its_generation(member: GroupClient, version: int) -> None:
    topic = await topic_to_name(member, version)
    joined = await member.enter("billing")
    outcomes = [
        await member.commit("billing", {0: offset}, topic=topic, member_id=who, generation_id=when, version=version)
        for offset, who, when in [
            (1, joined.member_id, joined.generation_id),
            (2, joined.member_id, joined.generation_id + 1),
            (3, "nobody", joined.generation_id),
            (4, "", -1),
        ]
    ]
    assert [codes[0] for codes in outcomes] == [
        ErrorCode.NONE,
        ErrorCode.ILLEGAL_GENERATION,
        ErrorCode.UNKNOWN_MEMBER_ID,
        ErrorCode.UNKNOWN_MEMBER_ID,
    ]
    assert await member.offset("billing") == 1


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_member_of_the_consumer_protocol_commits_at_its_epoch_if_the_version_knows_of_epochs(
    member: GroupClient, version: int
) -> None:
    topic = await topic_to_name(member, version)
    await member.consumer_join("billing", "me", "orders")
    outcomes = [
        await member.commit("billing", {0: offset}, topic=topic, member_id=who, generation_id=when, version=version)
        for offset, who, when in [(1, "me", 1), (2, "me", 0), (3, "me", 2), (4, "nobody", 1), (5, "", -1)]
    ]
    at_its_epoch = ErrorCode.NONE if version >= 9 else ErrorCode.UNSUPPORTED_VERSION
    assert [codes[0] for codes in outcomes] == [
        at_its_epoch,
        ErrorCode.STALE_MEMBER_EPOCH,
        ErrorCode.STALE_MEMBER_EPOCH,
        ErrorCode.UNKNOWN_MEMBER_ID,
        ErrorCode.UNKNOWN_MEMBER_ID,
    ]
    assert await member.offset("billing") == (1 if version >= 9 else -1)


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_member_of_a_group_that_is_not_there_is_told_so(member: GroupClient, version: int) -> None:
    topic = await topic_to_name(member, version)
    codes = await member.commit("other", {0: 1}, topic=topic, member_id="a", generation_id=3, version=version)
    assert codes == {0: ErrorCode.GROUP_ID_NOT_FOUND if version >= 9 else ErrorCode.ILLEGAL_GENERATION}


@pytest.mark.parametrize("version", VERSIONS)
async def test_partitions_that_are_not_there_are_refused_and_the_others_are_committed(
    member: GroupClient, version: int
) -> None:
    topic = await topic_to_name(member, version)
    codes = await member.commit("job", {0: 1, 4: 1, -1: 1}, topic=topic, version=version)
    assert codes == {0: 0, 4: ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, -1: ErrorCode.UNKNOWN_TOPIC_OR_PARTITION}
    assert await member.offset("job") == 1


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_topic_that_is_not_there_is_refused(member: GroupClient, version: int) -> None:
    topic = bytes(range(16)) if version >= 10 else "nothing"
    codes = await member.commit("job", {0: 1}, topic=topic, version=version)
    assert codes == {0: ErrorCode.UNKNOWN_TOPIC_ID if version >= 10 else ErrorCode.UNKNOWN_TOPIC_OR_PARTITION}


async def test_metadata_that_is_too_long_is_refused_and_null_is_empty(member: GroupClient) -> None:
    assert await member.commit("job", {0: 1}, metadata="x" * 4097) == {0: ErrorCode.OFFSET_METADATA_TOO_LARGE}
    assert await member.offset("job") == -1
    assert await member.commit("job", {0: 1}, metadata="x" * 4096) == {0: 0}
    assert await member.commit("job", {1: 1}, metadata=None) == {1: 0}
    assert [found.metadata for found in (await member.fetch("job", [0, 1])).values()] == ["x" * 4096, ""]


async def test_a_group_without_a_name_may_keep_offsets(member: GroupClient) -> None:
    assert await member.commit("", {0: 5}) == {0: 0}
    assert await member.offset("") == 5


async def test_while_members_wait_for_their_assignment_nobody_commits(member: GroupClient) -> None:
    joined = await member.join_twice("billing")
    codes = await member.commit("billing", {0: 1}, member_id=joined.member_id, generation_id=joined.generation_id)
    assert codes == {0: ErrorCode.REBALANCE_IN_PROGRESS}


@pytest.mark.parametrize("version", [2, 3, 4])
async def test_clients_of_old_choose_how_long_offsets_are_kept(tmp_path: Path, version: int) -> None:
    settings = ("offsets.topic.num.partitions=1", "offsets.retention.check.interval.ms=20")
    async with running_broker(tmp_path / "data", *settings) as broker, group_client(broker) as client:
        await client.create_topic("orders", 2)
        await client.commit("kept", {0: 1}, version=version, retention_time_ms=3_600_000)
        await client.commit("forgotten", {0: 1}, version=version, retention_time_ms=0)
        while await client.offset("forgotten") != -1:
            await client.offset("kept")
        assert await client.offset("kept") == 1


async def test_commits_of_one_connection_share_the_way_to_the_disk_and_keep_their_order(tmp_path: Path) -> None:
    async with (
        running_broker(tmp_path / "data", "log.flush.on.acks.all=always") as broker,
        group_client(broker) as client,
    ):
        await client.create_topic("orders", 1)
        codes = await asyncio.gather(*(client.commit("job", {0: offset}) for offset in range(50)))
        assert codes == [{0: 0}] * 50
        assert await client.offset("job") == 49


async def test_what_was_committed_is_there_after_a_restart(tmp_path: Path) -> None:
    async with running_broker(tmp_path / "data") as broker, group_client(broker) as client:
        await client.create_topic("orders", 2)
        await client.commit("job", {0: 3, 1: 4}, metadata="why", leader_epoch=2)
        await client.commit("job", {0: 5}, metadata="because", leader_epoch=2)
    async with running_broker(tmp_path / "data") as broker, group_client(broker) as client:
        assert await client.fetch("job", [0, 1]) == {0: Fetched(5, 2, "because", 0), 1: Fetched(4, 2, "why", 0)}
