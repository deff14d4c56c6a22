"""JoinGroup over the wire."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from minikafka.errors import ErrorCode
from minikafka.net.connection import Connection
from minikafka.protocol.api_keys import ApiKey
from tests.support.broker import RunningBroker, running_broker
from tests.support.control_plane import versions_of
from tests.support.group_client import GroupClient, enter_together, group_client, subscription

VERSIONS = versions_of(ApiKey.JOIN_GROUP)


@pytest.mark.parametrize("version", VERSIONS)
async def test_the_first_member_leads_and_is_told_of_all_members(member: GroupClient, version: int) -> None:
    joined = await member.join_twice("billing", version=version)
    assert (joined.error_code, joined.generation_id, joined.protocol_name) == (0, 1, "range")
    assert joined.leader == joined.member_id
    assert joined.member_id.startswith("test-")
    ((listed),) = joined.members
    assert (listed.member_id, bytes(listed.metadata)) == (joined.member_id, subscription("orders")["range"])
    assert joined.protocol_type == ("consumer" if version >= 7 else None)


@pytest.mark.parametrize("version", VERSIONS)
async def test_from_version_4_on_a_new_member_is_first_given_an_id(member: GroupClient, version: int) -> None:
    joined = await member.join("billing", version=version)
    if version < 4:
        assert joined.error_code == 0
    else:
        assert joined.error_code == ErrorCode.MEMBER_ID_REQUIRED
        assert joined.member_id.startswith("test-")
        assert (joined.generation_id, joined.members) == (-1, [])


@pytest.mark.parametrize("version", [version for version in VERSIONS if version >= 5])
async def test_a_static_member_gets_in_at_once_and_its_instance_id_is_shown_to_the_leader(
    member: GroupClient, version: int
) -> None:
    joined = await member.join("billing", version=version, instance_id="till-1")
    assert joined.error_code == 0
    assert joined.member_id.startswith("till-1-")
    assert [listed.group_instance_id for listed in joined.members] == ["till-1"]


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_refusal_has_the_members_id_and_no_generation(member: GroupClient, version: int) -> None:
    refused = await member.join("billing", "nobody", version=version)
    assert refused.error_code == ErrorCode.UNKNOWN_MEMBER_ID
    assert (refused.member_id, refused.generation_id, refused.leader, refused.members) == ("nobody", -1, "", [])
    assert refused.protocol_name == (None if version >= 7 else "")


async def test_a_group_needs_a_name(member: GroupClient) -> None:
    assert (await member.join("")).error_code == ErrorCode.INVALID_GROUP_ID


@pytest.mark.parametrize("session_timeout_ms", [99, 1_800_001])
async def test_a_session_timeout_out_of_bounds_is_refused(member: GroupClient, session_timeout_ms: int) -> None:
    refused = await member.join("billing", session_timeout_ms=session_timeout_ms)
    assert refused.error_code == ErrorCode.INVALID_SESSION_TIMEOUT


async def test_members_without_a_protocol_in_common_do_not_come_together(
    member: GroupClient, other: GroupClient
) -> None:
    await member.enter("billing")
    refused = await other.join_twice("billing", protocols={"mine": b""})
    assert refused.error_code == ErrorCode.INCONSISTENT_GROUP_PROTOCOL


async def test_only_the_leader_is_told_of_the_members(group_broker: RunningBroker, member: GroupClient) -> None:
    async with group_client(group_broker, "second") as second:
        members = await enter_together("billing", member, second)
    assert [joined.is_leader for joined in members] == [True, False]
    assert {joined.generation_id for joined in members} == {2}
    assert [joined.assignment for joined in members] == [joined.member_id.encode() for joined in members]


async def test_in_version_0_members_have_as_long_to_rejoin_as_their_session_lasts(
    member: GroupClient, other: GroupClient
) -> None:
    first = await member.join("billing", version=0, session_timeout_ms=300)
    await member.sync("billing", first, {first.member_id: b""}, version=0)
    second = await other.join("billing", version=0, session_timeout_ms=300)  # answered when the first had its time
    assert (second.error_code, second.generation_id) == (0, 2)
    assert [listed.member_id for listed in second.members] == [second.member_id]


async def test_a_client_that_went_away_while_it_waited_holds_nobody_up_for_longer_than_its_session(
    group_broker: RunningBroker, member: GroupClient
) -> None:
    first = await member.join("billing", version=3, session_timeout_ms=300)
    await member.sync("billing", first, {first.member_id: b""})
    async with group_client(group_broker) as visitor:
        gone = asyncio.create_task(visitor.join("billing", version=3, session_timeout_ms=300))
        await member.until_rebalance("billing", first.member_id, 1)
    with pytest.raises(ConnectionError):
        await gone
    rejoined = await member.join("billing", first.member_id, session_timeout_ms=300)
    assert rejoined.error_code == 0
    assert rejoined.generation_id == 2


async def test_stopping_sends_those_who_wait_away(tmp_path: Path) -> None:
    async with running_broker(tmp_path / "data") as broker, group_client(broker) as member:
        first = await member.enter("billing")
        visitor = GroupClient(await Connection.open(*broker.address, client_id="test"))
        waiting = asyncio.create_task(visitor.join("billing", version=3))
        await member.until_rebalance("billing", first.member_id, first.generation_id)
    assert (await waiting).error_code == ErrorCode.COORDINATOR_NOT_AVAILABLE
