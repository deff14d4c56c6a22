"""ConsumerGroupDescribe over the wire."""

from __future__ import annotations

import pytest

from minikafka.broker.operations import GROUP_OPERATIONS, NOT_ASKED
from minikafka.errors import ErrorCode
from minikafka.protocol.api_keys import ApiKey
from minikafka.protocol.messages.consumer_group_describe import Assignment
from tests.support.control_plane import versions_of
from tests.support.group_client import GroupClient

VERSIONS = versions_of(ApiKey.CONSUMER_GROUP_DESCRIBE)


def named(assignment: Assignment) -> dict[str, list[int]]:
    return {topic.topic_name: topic.partitions for topic in assignment.topic_partitions}


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_group_is_shown_with_what_its_members_have_and_shall_have(member: GroupClient, version: int) -> None:
    await member.consumer_join("billing", "a", "orders", instance_id="till-1", rack_id="north")
    await member.consumer_join("billing", "b", "orders", server_assignor="range")
    (group,) = await member.consumer_describe("billing", version=version)
    assert (group.error_code, group.error_message, group.group_id) == (0, None, "billing")
    assert (group.group_state, group.group_epoch, group.assignment_epoch) == ("Reconciling", 2, 2)
    assert (group.assignor_name, group.authorized_operations) == ("range", NOT_ASKED)
    first, second = group.members
    assert (first.member_id, first.instance_id, first.rack_id, first.member_epoch) == ("a", "till-1", "north", 1)
    assert (first.client_id, first.client_host, first.subscribed_topic_names) == ("test", "/127.0.0.1", ["orders"])
    assert (named(first.assignment), named(first.target_assignment)) == ({"orders": [0, 1, 2, 3]}, {"orders": [0, 1]})
    assert (named(second.assignment), named(second.target_assignment)) == ({}, {"orders": [2, 3]})
    assert first.member_type == (1 if version >= 1 else -1)


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_regular_expression_is_shown_as_it_was_given(member: GroupClient, version: int) -> None:
    await member.consumer_join("billing", "a", subscribed_topic_regex="ord.*")
    (group,) = await member.consumer_describe("billing", version=version)
    (shown,) = group.members
    assert (shown.subscribed_topic_names, shown.subscribed_topic_regex) == ([], "ord.*")


@pytest.mark.parametrize("version", VERSIONS)
async def test_topics_that_are_gone_are_left_out(member: GroupClient, version: int) -> None:
    await member.consumer_join("billing", "a", "orders")
    await member.delete("orders")
    (group,) = await member.consumer_describe("billing", version=version)
    assert [named(shown.assignment) for shown in group.members] == [{}]


@pytest.mark.parametrize("version", VERSIONS)
async def test_each_group_has_its_own_answer(member: GroupClient, version: int) -> None:
    await member.consumer_join("billing", "a", "orders")
    await member.commit("job", {0: 1})
    nobody, classic, nameless, found = await member.consumer_describe("nobody", "job", "", "billing", version=version)
    assert (nobody.error_code, nobody.error_message) == (ErrorCode.GROUP_ID_NOT_FOUND, "Group nobody not found.")
    assert (classic.error_code, classic.error_message) == (
        ErrorCode.GROUP_ID_NOT_FOUND,
        "Group job is not a consumer group.",
    )
    assert nameless.error_code == ErrorCode.INVALID_GROUP_ID
    assert (found.error_code, found.group_state) == (0, "Stable")
    assert [group.group_id for group in (nobody, classic, nameless)] == ["nobody", "job", ""]


@pytest.mark.parametrize("version", VERSIONS)
async def test_what_may_be_done_is_told_when_asked(member: GroupClient, version: int) -> None:
    await member.consumer_join("billing", "a", "orders")
    (group,) = await member.consumer_describe("billing", version=version, operations=True)
    assert group.authorized_operations == GROUP_OPERATIONS
