"""SyncGroup over the wire."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from minikafka.errors import ErrorCode
from minikafka.protocol.api_keys import ApiKey
from minikafka.protocol.messages.sync_group import SyncGroupRequest
from tests.support.control_plane import versions_of
from tests.support.group_client import GroupClient

VERSIONS = versions_of(ApiKey.SYNC_GROUP)


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_member_gets_what_the_leader_assigned(member: GroupClient, version: int) -> None:
    joined = await member.join_twice("billing")
    synced = await member.sync("billing", joined, {joined.member_id: b"all of it"}, version=version)
    assert (synced.error_code, bytes(synced.assignment)) == (0, b"all of it")
    told = (synced.protocol_type, synced.protocol_name)
    assert told == (("consumer", "range") if version >= 5 else (None, None))


async def test_a_follower_waits_for_the_leader(member: GroupClient, other: GroupClient) -> None:
    first = await member.enter("billing")
    joining = asyncio.create_task(other.join_twice("billing"))
    await member.until_rebalance("billing", first.member_id, first.generation_id)
    leader = await member.join("billing", first.member_id)
    follower = await joining
    waiting = asyncio.create_task(other.sync("billing", follower))
    assert await member.heartbeat("billing", first.member_id, leader.generation_id) == ErrorCode.NONE
    assert not waiting.done()
    await member.sync("billing", leader, {follower.member_id: b"its part"})
    assert bytes((await waiting).assignment) == b"its part"


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_wrong_generation_is_refused(member: GroupClient, version: int) -> None:
    joined = await member.join_twice("billing")
    refused = await member.sync("billing", replace(joined, generation_id=7), version=version)
    assert (refused.error_code, bytes(refused.assignment)) == (ErrorCode.ILLEGAL_GENERATION, b"")


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_group_that_is_not_there_knows_no_member(member: GroupClient, version: int) -> None:
    joined = await member.join_twice("billing")
    assert (await member.sync("other", joined, version=version)).error_code == ErrorCode.UNKNOWN_MEMBER_ID


async def test_a_group_needs_a_name(member: GroupClient) -> None:
    joined = await member.join_twice("billing")
    assert (await member.sync("", joined)).error_code == ErrorCode.INVALID_GROUP_ID


@pytest.mark.parametrize("names", [(None, "range"), ("consumer", None), ("connect", "range"), ("consumer", "sticky")])
async def test_from_version_5_on_a_member_has_to_name_the_protocol(
    member: GroupClient, names: tuple[str | None, str | None]
) -> None:
    joined = await member.join_twice("billing")
    request = SyncGroupRequest(
        group_id="billing",
        generation_id=joined.generation_id,
        member_id=joined.member_id,
        protocol_type=names[0],
        protocol_name=names[1],
        assignments=[],
    )
    assert (await member.ask(request, 5)).error_code == ErrorCode.INCONSISTENT_GROUP_PROTOCOL


@pytest.mark.parametrize("version", [version for version in VERSIONS if version >= 3])
async def test_an_instance_id_that_is_somebody_elses_is_fenced(member: GroupClient, version: int) -> None:
    joined = await member.join("billing", instance_id="till-1")
    fenced = replace(joined, member_id="an older one")
    refused = await member.sync("billing", fenced, version=version, instance_id="till-1")
    assert refused.error_code == ErrorCode.FENCED_INSTANCE_ID
