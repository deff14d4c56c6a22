"""OffsetFetch over the wire."""

from __future__ import annotations

from pathlib import Path

import pytest

from minikafka.errors import ErrorCode
from minikafka.protocol.api_keys import ApiKey
from minikafka.protocol.messages.offset_fetch import (
    OffsetFetchRequest,
    OffsetFetchRequestGroup,
    OffsetFetchRequestTopic,
    OffsetFetchRequestTopics,
)
from tests.support.broker import running_broker
from tests.support.control_plane import administering, versions_of
from tests.support.group_client import GroupClient, group_client

VERSIONS = versions_of(ApiKey.OFFSET_FETCH)
FOR_ONE_GROUP = [version for version in VERSIONS if version < 8]
FOR_MANY_GROUPS = [version for version in VERSIONS if version >= 8]


def one_group(group_id: str, *partitions: int, topic: str = "orders") -> OffsetFetchRequest:
    """A request as it was before version 8; without partitions it asks for all."""
    topics = [OffsetFetchRequestTopic(name=topic, partition_indexes=list(partitions))] if partitions else None
    return OffsetFetchRequest(group_id=group_id, topics=topics)


def many_groups(*groups: OffsetFetchRequestGroup) -> OffsetFetchRequest:
    return OffsetFetchRequest(groups=list(groups))


def wanted(group_id: str, topic: str | bytes, *partitions: int) -> OffsetFetchRequestGroup:
    """One group of a request since version 8."""
    asked = OffsetFetchRequestTopics(partition_indexes=list(partitions))
    if isinstance(topic, str):
        asked.name = topic
    else:
        asked.topic_id = topic
    return OffsetFetchRequestGroup(group_id=group_id, topics=[asked])


async def named(client: GroupClient, version: int) -> str | bytes:
    """What a request of ``version`` names the topic by."""
    (topic,) = (await client.metadata(["orders"])).topics
    return topic.topic_id if version >= 10 else "orders"


@pytest.mark.parametrize("version", FOR_ONE_GROUP)
async def test_the_offsets_of_one_group(member: GroupClient, version: int) -> None:
    await member.commit("job", {0: 41}, metadata="why", leader_epoch=5)
    answer = await member.ask(one_group("job", 0, 1), version)
    assert answer.error_code == 0
    (topic,) = answer.topics
    assert topic.name == "orders"
    epoch = 5 if version >= 5 else -1
    assert [
        (found.partition_index, found.committed_offset, found.committed_leader_epoch, found.metadata, found.error_code)
        for found in topic.partitions
    ] == [(0, 41, epoch, "why", 0), (1, -1, -1, "", 0)]


@pytest.mark.parametrize("version", FOR_MANY_GROUPS)
async def test_the_offsets_of_many_groups(member: GroupClient, version: int) -> None:
    topic = await named(member, version)
    await member.commit("job", {0: 41}, metadata="why", leader_epoch=5)
    await member.commit("other", {1: 7})
    answer = await member.ask(many_groups(wanted("job", topic, 0), wanted("other", topic, 0, 1)), version)
    found = {group.group_id: group.topics[0].partitions for group in answer.groups}
    assert [group.error_code for group in answer.groups] == [0, 0]
    assert [(one.committed_offset, one.committed_leader_epoch, one.metadata) for one in found["job"]] == [
        (41, 5, "why")
    ]
    assert [one.committed_offset for one in found["other"]] == [-1, 7]
    told = [(group.topics[0].name, group.topics[0].topic_id) for group in answer.groups]
    assert told == [("", topic) if isinstance(topic, bytes) else (topic, bytes(16))] * 2


@pytest.mark.parametrize("version", FOR_ONE_GROUP)
async def test_a_group_or_a_topic_that_is_not_there_is_no_error(member: GroupClient, version: int) -> None:
    for request in (one_group("nobody", 0), one_group("nobody", 0, topic="nothing")):
        answer = await member.ask(request, version)
        assert answer.error_code == 0
        ((found,),) = [topic.partitions for topic in answer.topics]
        assert (found.committed_offset, found.metadata, found.error_code) == (-1, "", 0)


@pytest.mark.parametrize("version", FOR_MANY_GROUPS)
async def test_a_group_that_is_not_there_is_no_error_among_many(member: GroupClient, version: int) -> None:
    answer = await member.ask(many_groups(wanted("nobody", await named(member, version), 0)), version)
    (group,) = answer.groups
    (found,) = group.topics[0].partitions
    assert (group.error_code, found.committed_offset, found.metadata, found.error_code) == (0, -1, "", 0)


@pytest.mark.parametrize("version", [version for version in VERSIONS if version >= 9])
async def test_a_member_that_says_who_it_is_has_to_be_at_its_epoch(member: GroupClient, version: int) -> None:
    name = await named(member, version)
    await member.consumer_join("billing", "me", "orders")
    await member.commit("billing", {0: 41}, member_id="me", generation_id=1)
    codes = []
    for who, epoch in [("me", 1), (None, -1), ("me", 0), ("me", 2), ("nobody", 1)]:
        asked = wanted("billing", name, 0)
        asked.member_id, asked.member_epoch = who, epoch
        (group,) = (await member.ask(many_groups(asked), version)).groups
        told = [found.committed_offset for topic in group.topics for found in topic.partitions]
        assert told == ([] if group.error_code else [41])
        codes.append(group.error_code)
    stale = ErrorCode.STALE_MEMBER_EPOCH
    assert codes == [0, 0, stale, stale, ErrorCode.UNKNOWN_MEMBER_ID]


@pytest.mark.parametrize("version", FOR_MANY_GROUPS)
async def test_offsets_of_a_topic_that_was_made_anew_are_those_of_before_no_more(
    member: GroupClient, version: int
) -> None:
    await member.commit("job", {0: 41})
    await member.delete("orders")
    await member.create_topic("orders", 4)
    (group,) = (await member.ask(many_groups(wanted("job", await named(member, version), 0)), version)).groups
    assert [found.committed_offset for found in group.topics[0].partitions] == [-1]


async def test_a_topic_id_that_is_not_known_is_an_error_of_its_partitions(member: GroupClient) -> None:
    (group,) = (await member.ask(many_groups(wanted("job", bytes(range(16)), 0)), 10)).groups
    assert group.error_code == 0
    assert [found.error_code for found in group.topics[0].partitions] == [ErrorCode.UNKNOWN_TOPIC_ID]


@pytest.mark.parametrize("version", [version for version in VERSIONS if version >= 2])
async def test_null_asks_for_everything(member: GroupClient, version: int) -> None:
    await member.create_topic("returns", 1)
    await member.commit("job", {0: 1, 2: 3})
    await member.commit("job", {0: 9}, topic="returns")
    if version < 8:
        old = (await member.ask(one_group("job"), version)).topics
        found = {(topic.name, one.partition_index): one.committed_offset for topic in old for one in topic.partitions}
    else:
        (group,) = (await member.ask(many_groups(OffsetFetchRequestGroup(group_id="job", topics=None)), version)).groups
        names = {topic.topic_id: topic.name or "" for topic in (await member.metadata()).topics}
        found = {
            (topic.name or names[topic.topic_id], one.partition_index): one.committed_offset
            for topic in group.topics
            for one in topic.partitions
        }
    assert found == {("orders", 0): 1, ("orders", 2): 3, ("returns", 0): 9}


@pytest.mark.parametrize("version", [version for version in VERSIONS if version >= 2])
async def test_a_group_that_has_committed_nothing_has_no_topics(member: GroupClient, version: int) -> None:
    if version < 8:
        assert (await member.ask(one_group("nobody"), version)).topics == []
    else:
        request = many_groups(OffsetFetchRequestGroup(group_id="nobody", topics=None))
        (group,) = (await member.ask(request, version)).groups
        assert (group.error_code, group.topics) == (0, [])


@pytest.mark.parametrize("version", VERSIONS)
async def test_while_there_is_no_coordinator_the_error_is_where_the_version_has_a_place(
    tmp_path: Path, version: int
) -> None:
    async with running_broker(tmp_path / "data") as broker, administering(broker) as client:
        if version >= 8:
            (group,) = (await client.ask(many_groups(wanted("job", "orders", 0)), version)).groups
            assert (group.error_code, group.topics) == (ErrorCode.NOT_COORDINATOR, [])
            return
        answer = await client.ask(one_group("job", 0), version)
        if version >= 2:
            assert (answer.error_code, answer.topics) == (ErrorCode.NOT_COORDINATOR, [])
        else:
            assert [found.error_code for found in answer.topics[0].partitions] == [ErrorCode.NOT_COORDINATOR]


@pytest.mark.parametrize("version", [version for version in VERSIONS if version >= 7])
async def test_who_wants_stable_offsets_sees_the_commits_that_had_begun(tmp_path: Path, version: int) -> None:
    async with (
        running_broker(tmp_path / "data", "log.flush.on.acks.all=always") as broker,
        group_client(broker) as client,
        group_client(broker) as reader,
    ):
        await client.create_topic("orders", 1)
        topic = await named(reader, version)
        request = one_group("job", 0) if version < 8 else many_groups(wanted("job", topic, 0))
        request.require_stable = True
        for offset in range(20):
            await client.commit("job", {0: offset})
            answer = await reader.ask(request, version)
            topics = answer.topics if version < 8 else answer.groups[0].topics
            assert topics[0].partitions[0].committed_offset == offset
