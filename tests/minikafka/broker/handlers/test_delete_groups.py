"""DeleteGroups over the wire."""

from __future__ import annotations

from pathlib import Path

import pytest

from minikafka.errors import ErrorCode
from minikafka.protocol.api_keys import ApiKey
from minikafka.protocol.messages.delete_groups import DeleteGroupsRequest
from minikafka.protocol.messages.list_groups import ListGroupsRequest
from tests.support.broker import running_broker
from tests.support.control_plane import versions_of
from tests.support.group_client import GroupClient, group_client

VERSIONS = versions_of(ApiKey.DELETE_GROUPS)


async def delete(client: GroupClient, *group_ids: str, version: int = 2) -> dict[str, int]:
    answer = await client.ask(DeleteGroupsRequest(groups_names=list(group_ids)), version)
    return {result.group_id: result.error_code for result in answer.results}


async def listed(client: GroupClient) -> set[str]:
    return {group.group_id for group in (await client.ask(ListGroupsRequest(), 5)).groups}


@pytest.mark.parametrize("version", VERSIONS)
async def test_only_groups_without_members_can_be_deleted(member: GroupClient, version: int) -> None:
    await member.enter("settled")
    await member.commit("job", {0: 1})
    left = await member.enter("left")
    await member.leave("left", left.member_id)
    assert await delete(member, "settled", "job", "left", "nobody", "job", version=version) == {
        "settled": ErrorCode.NON_EMPTY_GROUP,
        "job": 0,
        "left": 0,
        "nobody": ErrorCode.GROUP_ID_NOT_FOUND,
    }
    assert await listed(member) == {"settled"}
    assert await member.offset("job") == -1


@pytest.mark.parametrize("version", VERSIONS)
async def test_groups_of_the_consumer_protocol_are_deleted_alike(member: GroupClient, version: int) -> None:
    await member.consumer_join("new", "me", "orders")
    await member.commit("new", {0: 1}, member_id="me", generation_id=1)
    assert await delete(member, "new", version=version) == {"new": ErrorCode.NON_EMPTY_GROUP}
    await member.consumer_heartbeat("new", "me", -1)
    assert await delete(member, "new", version=version) == {"new": 0}
    assert (await listed(member), await member.offset("new")) == (set(), -1)


@pytest.mark.parametrize("flush", ["never", "always"])
async def test_a_deleted_group_stays_deleted_and_its_name_is_free(tmp_path: Path, flush: str) -> None:
    setting = f"log.flush.on.acks.all={flush}"
    async with running_broker(tmp_path / "data", setting) as broker, group_client(broker) as client:
        await client.create_topic("orders", 2)
        for group_id in ("gone", "again"):
            joined = await client.enter(group_id)
            await client.commit(group_id, {0: 1}, member_id=joined.member_id, generation_id=joined.generation_id)
            await client.leave(group_id, joined.member_id)
        assert await delete(client, "gone", "again") == {"gone": 0, "again": 0}
        assert (await client.enter("again")).generation_id == 1
        assert await client.offset("again") == -1
    async with running_broker(tmp_path / "data", setting) as broker, group_client(broker) as client:
        assert await listed(client) == {"again"}
        assert await client.offset("gone") == -1
