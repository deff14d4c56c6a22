from __future__ import annotations

import pytest

from minikafka.coordinator.group.consumer.group import ConsumerGroup
from minikafka.coordinator.group.directory import GroupDirectory, new_member_id
from minikafka.coordinator.group.values import ConsumerHeartbeat, GroupLimits
from minikafka.errors import GroupIdNotFound, UnknownMemberId
from tests.minikafka.coordinator.group.classic.harness import Harness
from tests.minikafka.coordinator.group.consumer.harness import CLIENT
from tests.support.clock import ManualClock
from tests.support.group_topics import Topics


def directory(limits: GroupLimits | None = None) -> GroupDirectory:
    return GroupDirectory(limits or GroupLimits(), Topics(orders=4), ManualClock())


def consumer_group(group_id: str = "g") -> ConsumerGroup:
    return ConsumerGroup(group_id, GroupLimits(), Topics(), str)


def beat(epoch: int) -> ConsumerHeartbeat:
    return ConsumerHeartbeat("g", "a", epoch, CLIENT)


def test_a_group_is_found_by_its_id_from_when_it_was_put_there_until_it_is_removed() -> None:
    groups = directory()
    group = groups.new_classic("g")
    assert (groups.get("g"), list(groups), group in groups) == (None, [], False)
    groups.put(group)
    assert (groups.get("g"), groups.find("g"), groups.find_with_members("g")) == (group, group, group)
    assert (list(groups), group in groups, groups.new_classic("g") in groups) == ([group], True, False)
    groups.remove("g")
    groups.remove("g")
    assert (groups.get("g"), list(groups), group in groups) == (None, [], False)


def test_groups_may_come_and_go_while_all_are_looked_at() -> None:
    groups = directory()
    groups.replace_all({name: consumer_group(name) for name in "abc"})
    for group in groups:
        groups.remove(group.group_id)
        groups.put(consumer_group(group.group_id + group.group_id))
    assert [group.group_id for group in groups] == ["aa", "bb", "cc"]


def test_who_asks_for_a_group_that_is_not_there_is_told_in_their_words() -> None:
    groups = directory()
    with pytest.raises(GroupIdNotFound, match="Group g not found"):
        groups.find("g")
    with pytest.raises(UnknownMemberId):
        groups.find_with_members("g")


def test_a_group_is_found_as_what_it_is() -> None:
    groups = directory()
    classic = groups.new_classic("classic")
    consumer = consumer_group("consumer")
    groups.replace_all({"classic": classic, "consumer": consumer})
    assert groups.find_classic("classic") is classic
    assert groups.find_consumer("consumer") is consumer
    with pytest.raises(GroupIdNotFound, match="Group classic is not a consumer group"):
        groups.find_consumer("classic")
    with pytest.raises(GroupIdNotFound, match="Group consumer is not a classic group"):
        groups.find_classic("consumer")


def test_a_heartbeat_is_for_the_group_that_is_there() -> None:
    groups = directory()
    group = consumer_group()
    groups.put(group)
    for epoch in (0, 1, -1):
        assert groups.consumer_group_for(beat(epoch), 0.0) is group


def test_for_a_new_member_there_is_a_group_which_nobody_sees_before_it_is_put_there() -> None:
    groups = directory()
    assert groups.consumer_group_for(beat(0), 0.0) not in groups
    empty = groups.new_classic("g")
    groups.put(empty)
    assert groups.consumer_group_for(beat(0), 0.0).is_empty
    assert empty in groups
    groups.remove("g")
    for epoch in (1, -1):
        with pytest.raises(GroupIdNotFound, match="Consumer group g not found"):
            groups.consumer_group_for(beat(epoch), 0.0)


@pytest.mark.parametrize(("epoch", "policy"), [(1, "bidirectional"), (-1, "bidirectional"), (0, "disabled")])
def test_a_group_with_classic_members_changes_for_a_new_member_only_and_if_it_may(epoch: int, policy: str) -> None:
    groups = directory()
    harness = Harness(GroupLimits(migration_policy=policy))
    harness.join_new(protocols={"range": b"\0\0\0\0\0\0\xff\xff\xff\xff"})
    groups.put(harness.group)
    with pytest.raises(GroupIdNotFound, match="Group g is not a consumer group"):
        groups.consumer_group_for(beat(epoch), 0.0)
    harness.group.limits = GroupLimits()
    assert set(groups.consumer_group_for(beat(0), 0.0).members) == set(harness.group.members)
    assert harness.group in groups


@pytest.mark.parametrize("name", ["client", "x" * 249, "x" * 250, "x" * 32_767])
def test_a_member_id_begins_with_the_name_and_fits_into_what_is_sent(name: str) -> None:
    member_id = new_member_id(name)
    assert member_id.startswith(name[:249] + "-")
    assert len(member_id) <= 249 + 37
    assert new_member_id(name) != member_id
