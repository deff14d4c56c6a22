"""ConsumerGroupHeartbeat over the wire."""

from __future__ import annotations

from pathlib import Path

import pytest

from minikafka.errors import ErrorCode
from minikafka.protocol.api_keys import ApiKey
from minikafka.protocol.messages.consumer_group_heartbeat import ConsumerGroupHeartbeatResponse
from minikafka.protocol.payloads.consumer_protocol import ConsumerProtocolAssignment, TopicPartition
from minikafka.protocol.payloads.versioned import decode_versioned, encode_versioned
from tests.support.broker import running_broker
from tests.support.control_plane import versions_of
from tests.support.group_client import GroupClient, group_client, subscription

LEAVE_EPOCH = -1
VERSIONS = versions_of(ApiKey.CONSUMER_GROUP_HEARTBEAT)


def given(answer: ConsumerGroupHeartbeatResponse) -> dict[bytes, list[int]]:
    """The assignment that a member is told."""
    assert answer.assignment is not None
    return {topic.topic_id: topic.partitions for topic in answer.assignment.topic_partitions}


async def topic_id_of(client: GroupClient, name: str = "orders") -> bytes:
    (topic,) = (await client.metadata([name])).topics
    return topic.topic_id


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_member_that_joins_is_given_partitions_by_topic_id_at_once(member: GroupClient, version: int) -> None:
    joined = await member.consumer_join("billing", "me", "orders", version=version)
    assert (joined.error_code, joined.error_message, joined.member_id) == (0, None, "me")
    assert (joined.member_epoch, joined.heartbeat_interval_ms) == (1, 5_000)
    assert given(joined) == {await topic_id_of(member): [0, 1, 2, 3]}


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_heartbeat_without_news_is_answered_without_any(member: GroupClient, version: int) -> None:
    joined = await member.consumer_join("billing", "me", "orders", version=version)
    answer = await member.consumer_heartbeat("billing", "me", joined.member_epoch, version=version)
    assert (answer.error_code, answer.member_epoch, answer.assignment) == (0, joined.member_epoch, None)


async def test_before_version_1_the_coordinator_makes_the_member_ids(member: GroupClient) -> None:
    joined = await member.consumer_join("billing", "", "orders", version=0)
    assert joined.error_code == 0
    assert joined.member_id
    assert (await member.consumer_heartbeat("billing", joined.member_id, 1, version=0)).error_code == 0


@pytest.mark.parametrize("member_id", ["", " "])
async def test_from_version_1_on_the_client_brings_its_member_id(member: GroupClient, member_id: str) -> None:
    refused = await member.consumer_join("billing", member_id, "orders")
    assert (refused.error_code, refused.error_message) == (ErrorCode.INVALID_REQUEST, "MemberId can't be empty.")


async def test_from_version_1_on_a_member_can_subscribe_by_a_regular_expression(member: GroupClient) -> None:
    await member.create_topic("orders-eu")
    joined = await member.consumer_join("billing", "me", subscribed_topic_regex="orders-.*")
    assert given(joined) == {await topic_id_of(member, "orders-eu"): [0]}


@pytest.mark.parametrize("version", VERSIONS)
async def test_partitions_go_to_another_member_when_the_first_has_let_go(
    member: GroupClient, other: GroupClient, version: int
) -> None:
    await member.consumer_join("billing", "a", "orders", version=version)
    joined = await other.consumer_join("billing", "b", "orders", version=version)
    assert (joined.member_epoch, given(joined)) == (2, {})
    topic_id = await topic_id_of(member)
    told = await member.consumer_heartbeat("billing", "a", 1, version=version)
    kept = given(told)
    assert (told.member_epoch, len(kept[topic_id])) == (1, 2)
    assert (await other.consumer_heartbeat("billing", "b", 2, version=version)).assignment is None
    let_go = await member.consumer_heartbeat("billing", "a", 1, owned=kept, version=version)
    assert let_go.member_epoch == 2
    got = given(await other.consumer_heartbeat("billing", "b", 2, version=version))
    assert sorted(kept[topic_id] + got[topic_id]) == [0, 1, 2, 3]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("epoch", [-1, -2])
async def test_a_member_that_leaves_is_told_the_epoch_that_it_left_with(
    member: GroupClient, version: int, epoch: int
) -> None:
    await member.consumer_join("billing", "me", "orders", version=version, instance_id="till-1")
    answer = await member.consumer_heartbeat("billing", "me", epoch, version=version, instance_id="till-1")
    assert (answer.error_code, answer.member_id, answer.member_epoch) == (0, "me", epoch)
    (group,) = await member.consumer_describe("billing")
    assert [shown.member_epoch for shown in group.members] == ([] if epoch == -1 else [-2])


@pytest.mark.parametrize("version", VERSIONS)
async def test_what_is_wrong_is_the_answer(member: GroupClient, other: GroupClient, version: int) -> None:
    beat = member.consumer_heartbeat
    await member.consumer_join("billing", "me", "orders", version=version)
    await member.consumer_join("till", "a", "orders", version=version, instance_id="till-1")
    answers = [
        await beat("", "me", 1, version=version),
        await beat("other", "me", 1, version=version),
        await beat("billing", "nobody", 1, version=version),
        await beat("billing", "me", 7, version=version),
        await beat("billing", "me", -3, version=version),
        await beat("billing", "me", 1, version=version, server_assignor="sticky"),
        await beat("till", "b", 1, version=version, instance_id="till-1"),
        await other.consumer_join("till", "b", "orders", version=version, instance_id="till-1"),
    ]
    assert [answer.error_code for answer in answers] == [
        ErrorCode.INVALID_REQUEST,
        ErrorCode.GROUP_ID_NOT_FOUND,
        ErrorCode.UNKNOWN_MEMBER_ID,
        ErrorCode.FENCED_MEMBER_EPOCH,
        ErrorCode.INVALID_REQUEST,
        ErrorCode.UNSUPPORTED_ASSIGNOR,
        ErrorCode.FENCED_INSTANCE_ID,
        ErrorCode.UNRELEASED_INSTANCE_ID,
    ]
    for answer in answers:
        assert answer.error_message
        assert (answer.member_id, answer.member_epoch, answer.heartbeat_interval_ms) == (None, 0, 0)


async def test_an_expression_that_cannot_be_used_is_refused(member: GroupClient) -> None:
    refused = await member.consumer_join("billing", "me", subscribed_topic_regex="(?=orders)")
    assert refused.error_code == ErrorCode.INVALID_REGULAR_EXPRESSION
    assert "(?=orders)" in (refused.error_message or "")


async def test_the_protocol_can_be_switched_off(tmp_path: Path) -> None:
    setting = "group.coordinator.rebalance.protocols=classic"
    async with running_broker(tmp_path / "data", setting) as broker, group_client(broker) as client:
        refused = await client.consumer_join("billing", "me", "orders")
        assert refused.error_code == ErrorCode.UNSUPPORTED_VERSION
        (group,) = await client.consumer_describe("billing")
        assert group.error_code == ErrorCode.UNSUPPORTED_VERSION


async def test_a_member_goes_on_with_its_epoch_after_the_broker_was_restarted(tmp_path: Path) -> None:
    async with running_broker(tmp_path / "data") as broker, group_client(broker) as client:
        topic_id = await client.create_topic("orders", 4)
        joined = await client.consumer_join("billing", "me", "orders")
    async with running_broker(tmp_path / "data") as broker, group_client(broker) as client:
        fields = {"rebalance_timeout_ms": 20_000, "topics": ["orders"], "owned": given(joined)}
        answer = await client.consumer_heartbeat("billing", "me", joined.member_epoch, **fields)
        assert (answer.error_code, answer.member_epoch) == (0, joined.member_epoch)
        assert given(answer) == {topic_id: [0, 1, 2, 3]}


async def test_members_of_both_protocols_share_a_group_and_its_partitions(
    member: GroupClient, other: GroupClient
) -> None:
    first = await member.join_twice("billing")
    await member.sync("billing", first, {first.member_id: assigned(0, 1, 2, 3)})
    joined = await other.consumer_join("billing", "new", "orders")
    assert (joined.error_code, given(joined)) == (0, {})
    await member.until_rebalance("billing", first.member_id, first.generation_id)
    (group,) = await other.consumer_describe("billing")
    assert {shown.member_id: shown.member_type for shown in group.members} == {"new": 1, first.member_id: 0}
    again = await member.join("billing", first.member_id, protocols=subscription("orders", version=1))
    kept = taken(bytes((await member.sync("billing", again)).assignment))
    got = given(await other.consumer_heartbeat("billing", "new", joined.member_epoch))[await topic_id_of(member)]
    assert (len(kept), sorted(kept + got)) == (2, [0, 1, 2, 3])


async def test_members_of_the_classic_protocol_carry_on_when_the_last_of_the_new_one_has_left(
    member: GroupClient, other: GroupClient
) -> None:
    await other.consumer_join("billing", "new", "orders")
    joined = await member.join_twice("billing", protocols=subscription("orders", version=1))
    await member.sync("billing", joined)
    assert (await other.consumer_heartbeat("billing", "new", LEAVE_EPOCH)).error_code == 0
    generation = joined.generation_id
    assert await member.commit("billing", {0: 5}, member_id=joined.member_id, generation_id=generation) == {0: 0}
    assert await member.heartbeat("billing", joined.member_id, generation) == ErrorCode.REBALANCE_IN_PROGRESS
    again = await member.join("billing", joined.member_id, protocols=subscription("orders", version=1))
    assert (again.error_code, again.generation_id) == (0, generation + 1)
    assert again.leader == joined.member_id


def assigned(*partitions: int) -> bytes:
    """Partitions of ``orders``, as a leader assigns them."""
    topic = TopicPartition(topic="orders", partitions=list(partitions))
    return encode_versioned(ConsumerProtocolAssignment(assigned_partitions=[topic]), 0)


def taken(assignment: bytes) -> list[int]:
    """What a classic member was given of ``orders``."""
    (topic,) = decode_versioned(ConsumerProtocolAssignment, assignment).assigned_partitions
    assert topic.topic == "orders"
    return topic.partitions
