"""DescribeGroups over the wire."""

from __future__ import annotations

import pytest

from minikafka.broker.operations import GROUP_OPERATIONS, NOT_ASKED
from minikafka.errors import ErrorCode
from minikafka.protocol.api_keys import ApiKey
from minikafka.protocol.messages.describe_groups import DescribedGroup, DescribeGroupsRequest
from tests.support.control_plane import versions_of
from tests.support.group_client import GroupClient, subscription

VERSIONS = versions_of(ApiKey.DESCRIBE_GROUPS)


async def describe(
    client: GroupClient, version: int, *group_ids: str, operations: bool = False
) -> list[DescribedGroup]:
    request = DescribeGroupsRequest(groups=list(group_ids))
    if operations:
        request.include_authorized_operations = True
    return (await client.ask(request, version)).groups


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_stable_group_is_shown_with_what_its_members_said_and_got(member: GroupClient, version: int) -> None:
    joined = await member.enter("billing", instance_id="till-1")
    (group,) = await describe(member, version, "billing")
    assert (group.error_code, group.group_id, group.group_state) == (0, "billing", "Stable")
    assert (group.protocol_type, group.protocol_data, group.authorized_operations) == ("consumer", "range", NOT_ASKED)
    (shown,) = group.members
    assert (shown.member_id, shown.client_id, shown.client_host) == (joined.member_id, "test", "/127.0.0.1")
    assert shown.group_instance_id == ("till-1" if version >= 4 else None)
    assert bytes(shown.member_metadata) == subscription("orders")["range"]
    assert bytes(shown.member_assignment) == joined.assignment


@pytest.mark.parametrize("version", VERSIONS)
async def test_before_members_agree_they_have_nothing_to_show(member: GroupClient, version: int) -> None:
    await member.join_twice("billing")
    (group,) = await describe(member, version, "billing")
    assert (group.error_code, group.group_state, group.protocol_data) == (0, "CompletingRebalance", "")
    assert [(bytes(shown.member_metadata), bytes(shown.member_assignment)) for shown in group.members] == [(b"", b"")]


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_group_that_is_not_there_is_dead_and_from_version_6_on_not_found(
    member: GroupClient, version: int
) -> None:
    (group,) = await describe(member, version, "nobody")
    assert (group.group_id, group.group_state, group.members) == ("nobody", "Dead", [])
    if version >= 6:
        assert (group.error_code, group.error_message) == (
            ErrorCode.GROUP_ID_NOT_FOUND,
            "Group nobody not found.",
        )
    else:
        assert group.error_code == 0


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_group_of_the_consumer_protocol_is_none_for_this_request(member: GroupClient, version: int) -> None:
    await member.consumer_join("new", "me", "orders")
    (group,) = await describe(member, version, "new")
    assert (group.group_state, group.members) == ("Dead", [])
    if version >= 6:
        assert (group.error_code, group.error_message) == (
            ErrorCode.GROUP_ID_NOT_FOUND,
            "Group new is not a classic group.",
        )
    else:
        assert group.error_code == 0


@pytest.mark.parametrize("version", VERSIONS)
async def test_each_group_has_its_own_answer(member: GroupClient, version: int) -> None:
    await member.commit("job", {0: 1})
    first, second = await describe(member, version, "job", "")
    assert (first.error_code, first.group_state) == (0, "Empty")
    assert second.error_code == ErrorCode.INVALID_GROUP_ID


@pytest.mark.parametrize("version", [version for version in VERSIONS if version >= 3])
async def test_what_may_be_done_is_told_when_asked(member: GroupClient, version: int) -> None:
    await member.commit("job", {0: 1})
    (group,) = await describe(member, version, "job", operations=True)
    assert group.authorized_operations == GROUP_OPERATIONS
