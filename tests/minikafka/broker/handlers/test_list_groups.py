"""ListGroups over the wire."""

from __future__ import annotations

from pathlib import Path

import pytest

from minikafka.protocol.api_keys import ApiKey
from minikafka.protocol.messages.list_groups import ListGroupsRequest
from tests.support.broker import running_broker
from tests.support.control_plane import administering, versions_of
from tests.support.group_client import GroupClient

VERSIONS = versions_of(ApiKey.LIST_GROUPS)


async def some_groups(client: GroupClient) -> None:
    """A group with a member, one that waits for its leader, and one that only keeps offsets."""
    await client.enter("settled")
    await client.join_twice("waiting")
    await client.commit("offsets", {0: 1})


@pytest.mark.parametrize("version", VERSIONS)
async def test_all_groups_of_all_partitions_are_listed(member: GroupClient, version: int) -> None:
    await some_groups(member)
    answer = await member.ask(ListGroupsRequest(), version)
    assert answer.error_code == 0
    found = {group.group_id: (group.protocol_type, group.group_state, group.group_type) for group in answer.groups}
    kind = "classic" if version >= 5 else ""
    expected = {
        "settled": ("consumer", "Stable", kind),
        "waiting": ("consumer", "CompletingRebalance", kind),
        "offsets": ("", "Empty", kind),
    }
    if version < 4:
        expected = {group_id: (protocol_type, "", "") for group_id, (protocol_type, _, _) in expected.items()}
    assert found == expected


@pytest.mark.parametrize("version", [4, 5])
async def test_states_are_filtered_in_any_case(member: GroupClient, version: int) -> None:
    await some_groups(member)
    answer = await member.ask(ListGroupsRequest(states_filter=["STABLE", " empty "]), version)
    assert {group.group_id for group in answer.groups} == {"settled", "offsets"}
    assert (await member.ask(ListGroupsRequest(states_filter=["nothing"]), version)).groups == []


async def test_types_are_filtered_in_any_case(member: GroupClient) -> None:
    await some_groups(member)
    await member.consumer_join("new", "me", "orders")

    async def listed(*types: str) -> set[str]:
        return {group.group_id for group in (await member.ask(ListGroupsRequest(types_filter=list(types)), 5)).groups}

    assert await listed("CLASSIC") == {"settled", "waiting", "offsets"}
    assert await listed("consumer") == {"new"}
    assert await listed("Consumer", "classic") == {"settled", "waiting", "offsets", "new"}
    assert await listed("share") == set()


@pytest.mark.parametrize("version", [4, 5])
async def test_groups_of_the_consumer_protocol_have_states_of_their_own(member: GroupClient, version: int) -> None:
    await some_groups(member)
    await member.consumer_join("new", "a", "orders")
    await member.consumer_join("new", "b", "orders")
    (group,) = (await member.ask(ListGroupsRequest(states_filter=["reconciling"]), version)).groups
    assert (group.group_id, group.protocol_type, group.group_state) == ("new", "consumer", "Reconciling")


@pytest.mark.parametrize("version", VERSIONS)
async def test_before_there_was_any_group_none_is_listed(tmp_path: Path, version: int) -> None:
    async with running_broker(tmp_path / "data") as broker, administering(broker) as client:
        answer = await client.ask(ListGroupsRequest(), version)
        assert (answer.error_code, answer.groups) == (0, [])
