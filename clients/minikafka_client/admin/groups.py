"""Groups and their members."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from enum import StrEnum
from typing import TypeVar

from minikafka.errors import ErrorCode, GroupIdNotFound, UnknownMemberId, UnsupportedVersion
from minikafka.protocol.api_keys import ApiKey
from minikafka.protocol.messages.consumer_group_describe import (
    Assignment,
    ConsumerGroupDescribeRequest,
    Member,
)
from minikafka.protocol.messages.consumer_group_describe import DescribedGroup as DescribedConsumerGroup
from minikafka.protocol.messages.delete_groups import DeleteGroupsRequest
from minikafka.protocol.messages.describe_groups import (
    DescribedGroup,
    DescribedGroupMember,
    DescribeGroupsRequest,
)
from minikafka.protocol.messages.leave_group import LeaveGroupRequest, MemberIdentity
from minikafka.protocol.messages.list_groups import ListGroupsRequest
from minikafka.types import TopicPartition
from minikafka_client.admin.requests import AdminPart, pick, together
from minikafka_client.admin.types import (
    GroupDescription,
    GroupListing,
    GroupState,
    GroupType,
    MemberDescription,
)
from minikafka_client.consumer.group.payloads import PROTOCOL_TYPE, decode_assignment, decode_subscription
from minikafka_client.errors import Outcome, raise_failures

LIST_GROUPS_VERSION = 5
DESCRIBE_GROUPS_VERSION = 6
CONSUMER_GROUP_DESCRIBE_VERSION = 1
DELETE_GROUPS_VERSION = 2
LEAVE_GROUP_VERSION = 5

_STATES_FROM = 4
_TYPES_FROM = 5
_SEVERAL_LEAVE_FROM = 3
_CLASSIC_MEMBER = 0

# Answers to ConsumerGroupDescribe that say that the group may still be one of the classic protocol.
_PERHAPS_CLASSIC = frozenset({ErrorCode.GROUP_ID_NOT_FOUND, ErrorCode.UNSUPPORTED_VERSION})

E = TypeVar("E", bound=StrEnum)


class GroupAdmin(AdminPart):
    """Lists, describes and deletes groups, and removes members."""

    async def list_groups(
        self, *, states: Iterable[GroupState | str] = (), types: Iterable[GroupType | str] = ()
    ) -> list[GroupListing]:
        """All groups, by their ids.

        Args:
            states: Only groups in one of these states.
            types: Only groups of one of these types.

        Raises:
            UnsupportedVersion: A broker does not know of states (before Kafka 2.6) or types (before 3.8).
            ClusterAuthorizationFailed, ...: As a broker says.
            OSError: A broker cannot be reached.
        """
        request = ListGroupsRequest(states_filter=list(map(str, states)), types_filter=list(map(str, types)))
        min_version = _TYPES_FROM if request.types_filter else _STATES_FROM if request.states_filter else 0
        brokers = await self._requests.brokers()
        # One question to all of them: the first that cannot answer says why.
        listed = await asyncio.gather(*(self._list_groups_of(node_id, request, min_version) for node_id in brokers))
        return sorted(group for groups in listed for group in groups)

    async def describe_groups(self, group_ids: Iterable[str]) -> dict[str, GroupDescription]:
        """State and members of groups, of whichever protocol.

        Raises:
            GroupIdNotFound: There is no such group.
            KafkaError: As a coordinator says.
        """
        wanted = list(dict.fromkeys(group_ids))
        return dict(zip(wanted, await together(map(self._describe_group, wanted)), strict=True))

    async def delete_groups(self, group_ids: Iterable[str]) -> None:
        """Delete groups and the offsets that they committed.

        Raises:
            NonEmptyGroup: A group has members.
            GroupIdNotFound: There is no such group.
            KafkaError: As a coordinator says.
        """
        await together(map(self._delete_group, dict.fromkeys(group_ids)))

    async def remove_group_members(
        self, group_id: str, members: Iterable[str] | None = None, *, reason: str = "removed by an admin"
    ) -> None:
        """Have members leave a group; those that are alive notice, and join again.

        Args:
            group_id: The group.
            members: Their member ids or group instance ids; all members by default.
            reason: What the brokers' logs say about it.

        Raises:
            GroupIdNotFound: There is no such group.
            UnknownMemberId: There is no such member; none was removed then.
            UnsupportedVersion: The broker removes no other members (before Kafka 2.4).
        """
        described = (await self._describe_group(group_id)).members
        leaving = described if members is None else [_member_named(name, group_id, described) for name in members]
        if not leaving:
            return
        connection = await self._requests.coordinators.connection(group_id)
        pick(connection, ApiKey.LEAVE_GROUP, _SEVERAL_LEAVE_FROM, LEAVE_GROUP_VERSION)
        request = LeaveGroupRequest(group_id=group_id, members=[_identity(member, reason) for member in leaving])
        response = await self._requests.ask_coordinator(
            group_id, request, LEAVE_GROUP_VERSION, lambda answer: answer.error_code
        )
        raise_failures({f"group {group_id!r}": Outcome(response.error_code, None)})
        raise_failures(
            {
                f"member {left.group_instance_id or left.member_id!r}": Outcome(left.error_code, None)
                for left in response.members
            }
        )

    async def _list_groups_of(self, node_id: int, request: ListGroupsRequest, min_version: int) -> list[GroupListing]:
        response = await self._requests.ask_patiently(
            request,
            LIST_GROUPS_VERSION,
            node_id=node_id,
            min_version=min_version,
            error_of=lambda answer: answer.error_code,
        )
        raise_failures({f"groups of broker {node_id}": Outcome(response.error_code, None)})
        return [
            GroupListing(
                group.group_id,
                group.protocol_type,
                _known(GroupState, group.group_state),
                _known(GroupType, group.group_type),
            )
            for group in response.groups
        ]

    async def _describe_group(self, group_id: str) -> GroupDescription:
        described = await self._describe_consumer_group(group_id)
        return described if described is not None else await self._describe_classic_group(group_id)

    async def _describe_consumer_group(self, group_id: str) -> GroupDescription | None:
        """The group, if it is one of the consumer protocol (KIP-848)."""
        request = ConsumerGroupDescribeRequest(group_ids=[group_id], include_authorized_operations=False)
        try:
            response = await self._requests.ask_coordinator(
                group_id, request, CONSUMER_GROUP_DESCRIBE_VERSION, lambda answer: answer.groups[0].error_code
            )
        except UnsupportedVersion:
            return None
        (group,) = response.groups
        if group.error_code in _PERHAPS_CLASSIC:
            return None
        raise_failures({f"group {group_id!r}": Outcome(group.error_code, group.error_message)})
        return _consumer_group(group, await self._requests.coordinators.node_id(group_id))

    async def _describe_classic_group(self, group_id: str) -> GroupDescription:
        request = DescribeGroupsRequest(groups=[group_id])
        response = await self._requests.ask_coordinator(
            group_id, request, DESCRIBE_GROUPS_VERSION, lambda answer: answer.groups[0].error_code
        )
        (group,) = response.groups
        if group.error_code == ErrorCode.NONE and group.group_state == GroupState.DEAD and not group.members:
            group.error_code = ErrorCode.GROUP_ID_NOT_FOUND  # as brokers before Kafka 4.0 say it
        if group.error_code == ErrorCode.GROUP_ID_NOT_FOUND:
            raise GroupIdNotFound(f"group {group_id!r} does not exist")
        raise_failures({f"group {group_id!r}": Outcome(group.error_code, group.error_message)})
        return _classic_group(group, await self._requests.coordinators.node_id(group_id))

    async def _delete_group(self, group_id: str) -> None:
        response = await self._requests.ask_coordinator(
            group_id,
            DeleteGroupsRequest(groups_names=[group_id]),
            DELETE_GROUPS_VERSION,
            lambda answer: answer.results[0].error_code,
        )
        raise_failures({f"group {group_id!r}": Outcome(response.results[0].error_code, None)})


def _consumer_group(group: DescribedConsumerGroup, coordinator_id: int) -> GroupDescription:
    return GroupDescription(
        group.group_id,
        GroupType.CONSUMER,
        _known(GroupState, group.group_state),
        PROTOCOL_TYPE,
        group.assignor_name,
        coordinator_id,
        tuple(_consumer_member(member) for member in group.members),
        group.group_epoch,
        group.assignment_epoch,
    )


def _consumer_member(member: Member) -> MemberDescription:
    return MemberDescription(
        member.member_id,
        member.instance_id,
        member.client_id,
        member.client_host,
        frozenset(member.subscribed_topic_names),
        _partitions(member.assignment),
        GroupType.CLASSIC if member.member_type == _CLASSIC_MEMBER else GroupType.CONSUMER,
        member.subscribed_topic_regex or None,
        member.rack_id,
        member.member_epoch,
        _partitions(member.target_assignment),
    )


def _partitions(assignment: Assignment) -> frozenset[TopicPartition]:
    return frozenset(
        TopicPartition(topic.topic_name, number) for topic in assignment.topic_partitions for number in topic.partitions
    )


def _classic_group(group: DescribedGroup, coordinator_id: int) -> GroupDescription:
    return GroupDescription(
        group.group_id,
        GroupType.CLASSIC,
        _known(GroupState, group.group_state),
        group.protocol_type,
        group.protocol_data,
        coordinator_id,
        tuple(_classic_member(member, group.protocol_type) for member in group.members),
    )


def _classic_member(member: DescribedGroupMember, protocol_type: str) -> MemberDescription:
    """A member; what it told its leader, and that told it, is readable among consumers."""
    topics: frozenset[str] = frozenset()
    assignment: frozenset[TopicPartition] = frozenset()
    rack: str | None = None
    if protocol_type == PROTOCOL_TYPE and member.member_metadata:
        subscription = decode_subscription(member.member_metadata, member.group_instance_id)
        topics, rack = subscription.topics, subscription.rack
    if protocol_type == PROTOCOL_TYPE:
        assignment = decode_assignment(member.member_assignment)
    return MemberDescription(
        member.member_id,
        member.group_instance_id,
        member.client_id,
        member.client_host,
        topics,
        assignment,
        GroupType.CLASSIC,
        rack_id=rack,
    )


def _member_named(name: str, group_id: str, members: Iterable[MemberDescription]) -> MemberDescription:
    for member in members:
        if name in {member.member_id, member.group_instance_id}:
            return member
    raise UnknownMemberId(f"group {group_id!r} has no member {name!r}")


def _identity(member: MemberDescription, reason: str) -> MemberIdentity:
    """A static member leaves for good only under the name it will have again when it returns."""
    if member.group_instance_id is not None:
        return MemberIdentity(member_id="", group_instance_id=member.group_instance_id, reason=reason)
    return MemberIdentity(member_id=member.member_id, reason=reason)


def _known(kind: type[E], value: str) -> E:
    """A word as this client knows it; newer brokers have newer ones, and old ones none, which become UNKNOWN."""
    return next((known for known in kind if known.value.lower() == value.lower()), kind("Unknown"))
