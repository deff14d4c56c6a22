"""Heartbeat over the wire."""

from __future__ import annotations

import asyncio

import pytest

from minikafka.errors import ErrorCode
from minikafka.protocol.api_keys import ApiKey
from tests.support.control_plane import versions_of
from tests.support.group_client import GroupClient

VERSIONS = versions_of(ApiKey.HEARTBEAT)


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_member_is_told_when_it_has_to_join_again(
    member: GroupClient, other: GroupClient, version: int
) -> None:
    joined = await member.enter("billing")
    assert await member.heartbeat("billing", joined.member_id, joined.generation_id, version=version) == 0
    joining = asyncio.create_task(other.join("billing", version=3))
    await member.until_rebalance("billing", joined.member_id, joined.generation_id, version=version)
    joining.cancel()


@pytest.mark.parametrize("version", VERSIONS)
async def test_what_is_wrong_with_the_member_is_the_answer(member: GroupClient, version: int) -> None:
    joined = await member.enter("billing")
    codes = [
        await member.heartbeat("billing", joined.member_id, 7, version=version),
        await member.heartbeat("billing", "nobody", joined.generation_id, version=version),
        await member.heartbeat("other", joined.member_id, joined.generation_id, version=version),
        await member.heartbeat("", joined.member_id, joined.generation_id, version=version),
    ]
    assert codes == [
        ErrorCode.ILLEGAL_GENERATION,
        ErrorCode.UNKNOWN_MEMBER_ID,
        ErrorCode.UNKNOWN_MEMBER_ID,
        ErrorCode.INVALID_GROUP_ID,
    ]


@pytest.mark.parametrize("version", [version for version in VERSIONS if version >= 3])
async def test_an_instance_id_that_is_somebody_elses_is_fenced(member: GroupClient, version: int) -> None:
    joined = await member.enter("billing", instance_id="till-1")
    code = await member.heartbeat(
        "billing", "an older one", joined.generation_id, version=version, instance_id="till-1"
    )
    assert code == ErrorCode.FENCED_INSTANCE_ID
