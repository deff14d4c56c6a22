"""The groups of a shard, by id, and which group a request is for: one that is there, a new one, or a changed one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final
from uuid import uuid4

from minikafka.clock import Clock
from minikafka.coordinator.group import conversion
from minikafka.coordinator.group.classic.group import ClassicGroup
from minikafka.coordinator.group.consumer.group import ConsumerGroup
from minikafka.coordinator.group.consumer.member import JOIN_EPOCH
from minikafka.coordinator.group.values import ConsumerHeartbeat, Group, GroupLimits, TopicsView
from minikafka.errors import GroupIdNotFound, UnknownMemberId

_MAX_NAME_LENGTH: Final = 249


def new_member_id(name: str) -> str:
    """The id of a new member that calls itself ``name``, of which it has as much as an instance id may have."""
    return f"{name[:_MAX_NAME_LENGTH]}-{uuid4()}"


class GroupDirectory:
    """Finds groups; one that is made here is not among them before :meth:`put`."""

    __slots__ = ("_clock", "_groups", "_limits", "_topics")

    def __init__(self, limits: GroupLimits, topics: TopicsView, clock: Clock) -> None:
        self._limits = limits
        self._topics = topics
        self._clock = clock
        self._groups: dict[str, Group] = {}

    def __iter__(self) -> Iterator[Group]:
        """All groups, as of now."""
        return iter(list(self._groups.values()))

    def __contains__(self, group: Group) -> bool:
        """Whether it is this one that has its id."""
        return self._groups.get(group.group_id) is group

    def replace_all(self, groups: Mapping[str, Group]) -> None:
        """Have these groups, by id, and no others."""
        self._groups = dict(groups)

    def put(self, group: Group) -> None:
        """Have this group under its id."""
        self._groups[group.group_id] = group

    def remove(self, group_id: str) -> None:
        """Have no group of this id."""
        self._groups.pop(group_id, None)

    def get(self, group_id: str) -> Group | None:
        """A group; None when there is none of this id."""
        return self._groups.get(group_id)

    def find(self, group_id: str) -> Group:
        """A group.

        Raises:
            GroupIdNotFound: There is none of this id.
        """
        group = self._groups.get(group_id)
        if group is None:
            raise GroupIdNotFound(f"Group {group_id} not found.")
        return group

    def find_with_members(self, group_id: str) -> Group:
        """The group of somebody who claims to be a member.

        Raises:
            UnknownMemberId: There is no such group.
        """
        group = self._groups.get(group_id)
        if group is None:
            raise UnknownMemberId(f"there is no group {group_id}")
        return group

    def find_classic(self, group_id: str) -> ClassicGroup:
        """A classic group.

        Raises:
            GroupIdNotFound: There is no such group, or it is of another type.
        """
        group = self.find(group_id)
        if not isinstance(group, ClassicGroup):
            raise GroupIdNotFound(f"Group {group_id} is not a classic group.")
        return group

    def find_consumer(self, group_id: str) -> ConsumerGroup:
        """A group of the consumer protocol.

        Raises:
            GroupIdNotFound: There is no such group, or it is of another type.
        """
        group = self.find(group_id)
        if not isinstance(group, ConsumerGroup):
            raise GroupIdNotFound(f"Group {group_id} is not a consumer group.")
        return group

    def new_classic(self, group_id: str) -> ClassicGroup:
        """A classic group without members."""
        return ClassicGroup(group_id, self._limits, new_member_id, self._clock)

    def consumer_group_for(self, beat: ConsumerHeartbeat, now_ms: float) -> ConsumerGroup:
        """The group that a heartbeat is for: as it is, or, for a new member, new or made of a classic one.

        Raises:
            GroupIdNotFound: There is no such group, and none to come; or it may not change its protocol.
        """
        group = self._groups.get(beat.group_id)
        if isinstance(group, ConsumerGroup):
            return group
        if beat.member_epoch == JOIN_EPOCH:
            if group is None or group.is_empty:
                return ConsumerGroup(beat.group_id, self._limits, self._topics, new_member_id)
            if isinstance(group, ClassicGroup) and conversion.can_upgrade(group):
                return conversion.upgrade(group, self._topics, now_ms)
        if group is None:
            raise GroupIdNotFound(f"Consumer group {beat.group_id} not found.")
        raise GroupIdNotFound(f"Group {beat.group_id} is not a consumer group.")
