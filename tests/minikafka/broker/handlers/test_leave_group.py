"""LeaveGroup over the wire."""

from __future__ import annotations

import pytest

from minikafka.errors import ErrorCode
from minikafka.protocol.api_keys import ApiKey
from minikafka.protocol.messages.leave_group import LeaveGroupRequest, MemberIdentity
from tests.support.control_plane import versions_of
from tests.support.group_client import GroupClient

VERSIONS = versions_of(ApiKey.LEAVE_GROUP)


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_member_that_left_is_not_known_any_more(member: GroupClient, version: int) -> None:
    joined = await member.enter("billing")
    left = await member.leave("billing", joined.member_id, version=version)
    assert left.error_code == 0
    assert [(one.member_id, one.error_code) for one in left.members] == (
        [(joined.member_id, 0)] if version >= 3 else []
    )
    code = await member.heartbeat("billing", joined.member_id, joined.generation_id)
    assert code == ErrorCode.UNKNOWN_MEMBER_ID


@pytest.mark.parametrize("group_id", ["billing", "other"])
@pytest.mark.parametrize("version", VERSIONS)
async def test_a_member_that_is_not_there_cannot_leave(member: GroupClient, version: int, group_id: str) -> None:
    await member.enter("billing")
    left = await member.leave(group_id, "nobody", version=version)
    if version < 3:
        assert left.error_code == ErrorCode.UNKNOWN_MEMBER_ID
    else:
        assert left.error_code == 0
        assert [(one.member_id, one.error_code) for one in left.members] == [("nobody", ErrorCode.UNKNOWN_MEMBER_ID)]


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_group_needs_a_name(member: GroupClient, version: int) -> None:
    assert (await member.leave("", "nobody", version=version)).error_code == ErrorCode.INVALID_GROUP_ID


@pytest.mark.parametrize("version", [version for version in VERSIONS if version >= 3])
async def test_an_administrator_removes_static_members_by_their_instance_id(member: GroupClient, version: int) -> None:
    joined = await member.enter("billing", instance_id="till-1")
    leaving = [
        MemberIdentity(member_id="", group_instance_id="till-1"),
        MemberIdentity(member_id="", group_instance_id="till-2"),
    ]
    left = await member.ask(LeaveGroupRequest(group_id="billing", members=leaving), version)
    assert left.error_code == 0
    assert [(one.group_instance_id, one.error_code) for one in left.members] == [
        ("till-1", 0),
        ("till-2", ErrorCode.UNKNOWN_MEMBER_ID),
    ]
    assert await member.heartbeat("billing", joined.member_id, 1) == ErrorCode.UNKNOWN_MEMBER_ID


async def test_one_with_another_member_id_does_not_leave_for_its_instance_id(member: GroupClient) -> None:
    await member.enter("billing", instance_id="till-1")
    leaving = [MemberIdentity(member_id="an older one", group_instance_id="till-1")]
    (left,) = (await member.ask(LeaveGroupRequest(group_id="billing", members=leaving), 5)).members
    assert left.error_code == ErrorCode.FENCED_INSTANCE_ID
