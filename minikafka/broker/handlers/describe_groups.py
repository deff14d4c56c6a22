"""DescribeGroups (API key 15): the state and the members of classic groups.

A group that is not there is ``Dead``; since version 6 it is GROUP_ID_NOT_FOUND, too (KIP-1043).

Source: Kafka, GroupMetadataManager.describeGroups.
"""

from __future__ import annotations

from minikafka.broker.context import RequestContext
from minikafka.broker.group_requests import check_group_id
from minikafka.broker.operations import GROUP_OPERATIONS, NOT_ASKED
from minikafka.broker.services import Services
from minikafka.coordinator.group.coordinator import GroupCoordinator
from minikafka.coordinator.group.values import GroupDescription, MemberDescription
from minikafka.errors import GroupIdNotFound, KafkaError
from minikafka.protocol.messages.describe_groups import (
    DescribedGroup,
    DescribedGroupMember,
    DescribeGroupsRequest,
    DescribeGroupsResponse,
)

FIRST_VERSION_WITH_NOT_FOUND = 6

_DEAD = "Dead"


class DescribeGroupsHandler:
    """Describes groups one by one."""

    __slots__ = ("_groups",)

    def __init__(self, groups: GroupCoordinator) -> None:
        self._groups = groups

    def __call__(self, request: DescribeGroupsRequest, ctx: RequestContext) -> DescribeGroupsResponse:
        """Answer ``request``."""
        operations = GROUP_OPERATIONS if request.include_authorized_operations else NOT_ASKED
        return DescribeGroupsResponse(groups=[self._describe(group_id, operations, ctx) for group_id in request.groups])

    def _describe(self, group_id: str, operations: int, ctx: RequestContext) -> DescribedGroup:
        try:
            check_group_id(group_id)
            return _described(self._groups.shard_of(group_id).describe(group_id), operations)
        except GroupIdNotFound as error:
            if ctx.api_version < FIRST_VERSION_WITH_NOT_FOUND:
                return _nothing(group_id, _DEAD, operations=operations)
            return _nothing(group_id, _DEAD, error, str(error))
        except KafkaError as error:
            return _nothing(group_id, "", error)


def build(services: Services) -> DescribeGroupsHandler:
    """The handler, with what it needs of the broker."""
    return DescribeGroupsHandler(services.groups)


def _described(group: GroupDescription, operations: int) -> DescribedGroup:
    return DescribedGroup(
        group_id=group.group_id,
        group_state=group.state,
        protocol_type=group.protocol_type,
        protocol_data=group.protocol_name,
        members=[_member(member) for member in group.members],
        authorized_operations=operations,
    )


def _member(member: MemberDescription) -> DescribedGroupMember:
    return DescribedGroupMember(
        member_id=member.member_id,
        group_instance_id=member.group_instance_id,
        client_id=member.client.client_id,
        client_host=member.client.host,
        member_metadata=member.metadata,
        member_assignment=member.assignment,
    )


def _nothing(
    group_id: str,
    state: str,
    error: KafkaError | None = None,
    message: str | None = None,
    *,
    operations: int = NOT_ASKED,
) -> DescribedGroup:
    return DescribedGroup(
        error_code=0 if error is None else error.code,
        error_message=message,
        group_id=group_id,
        group_state=state,
        protocol_type="",
        protocol_data="",
        members=[],
        authorized_operations=operations,
    )
