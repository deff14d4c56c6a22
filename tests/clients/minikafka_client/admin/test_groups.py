from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from minikafka.errors import ErrorCode, GroupIdNotFound, NonEmptyGroup, UnknownMemberId, UnsupportedVersion
from minikafka.protocol.api_keys import ApiKey
from minikafka.protocol.messages.describe_groups import (
    DescribedGroup,
    DescribedGroupMember,
    DescribeGroupsRequest,
    DescribeGroupsResponse,
)
from minikafka.protocol.messages.find_coordinator import FindCoordinatorRequest, FindCoordinatorResponse
from minikafka.protocol.messages.list_groups import ListedGroup, ListGroupsRequest, ListGroupsResponse
from minikafka_client import AsyncAdmin, AsyncConsumer, GroupState, GroupType, NewTopic, TopicPartition
from tests.clients.support.fake_cluster import FakeCluster

ORDERS = [TopicPartition("orders", 0), TopicPartition("orders", 1)]


@pytest.fixture
async def admin(admin: AsyncAdmin) -> AsyncAdmin:
    """An admin of a broker that has a topic with two partitions."""
    await admin.create_topics([NewTopic("orders", num_partitions=2)])
    return admin


@asynccontextmanager
async def member(bootstrap: str, group_id: str = "billing", **options: Any) -> AsyncIterator[AsyncConsumer]:
    """A consumer that has its partitions."""
    async with AsyncConsumer(bootstrap, topics=["orders"], group_id=group_id, **options) as consumer:
        while not consumer.assignment:
            await consumer.poll(timeout_ms=10)
        yield consumer


async def test_groups_are_listed_by_state_and_type(admin: AsyncAdmin, bootstrap: str) -> None:
    await admin.alter_group_offsets("shipping", {ORDERS[0]: 0})
    async with member(bootstrap):
        assert [(group.group_id, group.state, group.type) for group in await admin.list_groups()] == [
            ("billing", GroupState.STABLE, GroupType.CLASSIC),
            ("shipping", GroupState.EMPTY, GroupType.CLASSIC),
        ]
        assert [group.group_id for group in await admin.list_groups(states=[GroupState.EMPTY])] == ["shipping"]
        assert [group.group_id for group in await admin.list_groups(states=["Stable", "Empty"], types=["classic"])] == [
            "billing",
            "shipping",
        ]
        assert await admin.list_groups(types=[GroupType.CONSUMER]) == []


async def test_a_classic_group_is_described_with_what_its_members_own(admin: AsyncAdmin, bootstrap: str) -> None:
    async with member(bootstrap, client_id="till", group_instance_id="till-1") as consumer:
        group = (await admin.describe_groups(["billing"]))["billing"]
        assert (group.type, group.state, group.protocol_type) == (GroupType.CLASSIC, GroupState.STABLE, "consumer")
        assert group.assignor == "range"
        assert group.coordinator_id == (await admin.describe_cluster()).brokers[0].node_id
        (till,) = group.members
        assert (till.client_id, till.group_instance_id) == ("till", "till-1")
        assert till.client_host.endswith("127.0.0.1")
        assert till.subscription == {"orders"}
        assert till.assignment == consumer.assignment == set(ORDERS)
        assert till.member_epoch is till.target_assignment is None


async def test_a_group_of_the_consumer_protocol_is_described_the_same_way(admin: AsyncAdmin, bootstrap: str) -> None:
    async with member(bootstrap, group_protocol="consumer"):
        group = (await admin.describe_groups(["billing"]))["billing"]
        assert (group.type, group.protocol_type, group.assignor) == (GroupType.CONSUMER, "consumer", "uniform")
        assert group.group_epoch == group.assignment_epoch
        (only,) = group.members
        assert only.type is GroupType.CONSUMER
        assert only.assignment == only.target_assignment == set(ORDERS)
        assert only.subscription == {"orders"}
        assert only.member_epoch == group.group_epoch
        assert [listed.type for listed in await admin.list_groups()] == [GroupType.CONSUMER]


async def test_a_group_that_does_not_exist_is_an_error(admin: AsyncAdmin) -> None:
    with pytest.raises(GroupIdNotFound, match="'billing'"):
        await admin.describe_groups(["billing"])
    with pytest.raises(GroupIdNotFound, match="'billing'"):
        await admin.delete_groups(["billing"])
    with pytest.raises(GroupIdNotFound, match="'billing'"):
        await admin.remove_group_members("billing")


async def test_groups_are_deleted_when_they_are_empty(admin: AsyncAdmin, bootstrap: str) -> None:
    await admin.alter_group_offsets("shipping", {ORDERS[0]: 0})
    async with member(bootstrap):
        with pytest.raises(NonEmptyGroup, match="'billing'"):
            await admin.delete_groups(["billing", "shipping"])
    assert [group.group_id for group in await admin.list_groups()] == ["billing"]
    await admin.delete_groups(["billing"])
    assert await admin.list_groups() == []


async def test_members_are_removed(admin: AsyncAdmin, bootstrap: str) -> None:
    async with member(bootstrap, group_instance_id="till-1"), member(bootstrap, "shipping") as other:
        with pytest.raises(UnknownMemberId, match="'till-2'"):
            await admin.remove_group_members("billing", ["till-1", "till-2"])
        assert len((await admin.describe_groups(["billing"]))["billing"].members) == 1
        await admin.remove_group_members("billing", ["till-1"])
        await admin.remove_group_members("shipping", [other.group_metadata.member_id])
        described = await admin.describe_groups(["billing", "shipping"])
        assert [group.members for group in described.values()] == [(), ()]
    async with member(bootstrap):
        await admin.remove_group_members("billing")
        await admin.remove_group_members("billing")  # which is then empty
        assert (await admin.describe_groups(["billing"]))["billing"].state is GroupState.EMPTY


# What old brokers say


def office(cluster: FakeCluster, *groups: DescribedGroup) -> None:
    """Have the cluster describe these groups, and nothing newer than DescribeGroups v5."""

    def find(node_id: int, _request: FindCoordinatorRequest) -> FindCoordinatorResponse:
        return FindCoordinatorResponse(node_id=node_id)

    def describe(_node_id: int, request: DescribeGroupsRequest) -> DescribeGroupsResponse:
        return DescribeGroupsResponse(groups=[group for group in groups if group.group_id in request.groups])

    cluster.serve(ApiKey.FIND_COORDINATOR, 3, find)
    cluster.serve(ApiKey.DESCRIBE_GROUPS, 5, describe)


def described(group_id: str, state: str, protocol_type: str, *members: DescribedGroupMember) -> DescribedGroup:
    return DescribedGroup(
        group_id=group_id, group_state=state, protocol_type=protocol_type, protocol_data="", members=list(members)
    )


async def test_a_group_that_an_old_broker_calls_dead_does_not_exist(cluster: FakeCluster) -> None:
    office(cluster, described("billing", "Dead", ""))
    async with AsyncAdmin(cluster.bootstrap_servers) as admin:
        with pytest.raises(GroupIdNotFound):
            await admin.describe_groups(["billing"])


async def test_members_of_groups_that_are_not_consumers_keep_their_secrets(cluster: FakeCluster) -> None:
    worker = DescribedGroupMember(
        member_id="w", client_id="connect", client_host="/::1", member_metadata=b"\0\1?", member_assignment=b"?"
    )
    office(cluster, described("workers", "Stable", "connect", worker))
    async with AsyncAdmin(cluster.bootstrap_servers) as admin:
        (only,) = (await admin.describe_groups(["workers"]))["workers"].members
    assert (only.client_id, only.subscription, only.assignment) == ("connect", frozenset(), frozenset())


async def test_a_state_that_this_client_does_not_know_is_unknown(cluster: FakeCluster) -> None:
    office(cluster, described("billing", "Bewildered", "consumer"))
    async with AsyncAdmin(cluster.bootstrap_servers) as admin:
        assert (await admin.describe_groups(["billing"]))["billing"].state is GroupState.UNKNOWN


async def test_all_brokers_are_asked_for_groups_and_those_that_start_again(two_brokers: FakeCluster) -> None:
    codes = [ErrorCode.COORDINATOR_LOAD_IN_PROGRESS, ErrorCode.COORDINATOR_NOT_AVAILABLE]

    def listed(node_id: int, _request: ListGroupsRequest) -> ListGroupsResponse:
        if node_id == 1 and codes:
            return ListGroupsResponse(error_code=codes.pop(), groups=[])
        return ListGroupsResponse(groups=[ListedGroup(group_id=f"group {2 - node_id}", protocol_type="consumer")])

    two_brokers.serve(ApiKey.LIST_GROUPS, 3, listed)
    async with AsyncAdmin(two_brokers.bootstrap_servers, retry_backoff_ms=1) as admin, asyncio.timeout(30):
        groups = await admin.list_groups()
        assert [group.group_id for group in groups] == ["group 1", "group 2"]
        assert {(group.state, group.type) for group in groups} == {(GroupState.UNKNOWN, GroupType.UNKNOWN)}
        with pytest.raises(UnsupportedVersion, match="LIST_GROUPS only up to version 3"):
            await admin.list_groups(states=["Stable"])
