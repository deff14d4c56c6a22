"""LeaveGroup (API key 13): members leave a classic group.

Up to version 2 a member leaves by itself, and the error is the response's.  Later an administrator may remove several,
by instance id too; then each has its own error.

Source: Kafka, GroupCoordinatorService.leaveGroup, LeaveGroupResponse.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from minikafka.broker.context import RequestContext
from minikafka.broker.group_requests import check_group_id
from minikafka.broker.services import Services
from minikafka.coordinator.group.coordinator import GroupCoordinator
from minikafka.coordinator.group.shard import LeaveResult
from minikafka.coordinator.group.values import LeavingMember
from minikafka.errors import KafkaError, UnknownMemberId
from minikafka.protocol.messages.leave_group import LeaveGroupRequest, LeaveGroupResponse, MemberResponse

FIRST_VERSION_WITH_MANY_MEMBERS = 3


class LeaveGroupHandler:
    """Removes members."""

    __slots__ = ("_groups",)

    def __init__(self, groups: GroupCoordinator) -> None:
        self._groups = groups

    def __call__(
        self, request: LeaveGroupRequest, ctx: RequestContext
    ) -> LeaveGroupResponse | Coroutine[Any, Any, LeaveGroupResponse]:
        """Answer ``request``: when the group has been written, if it has to be."""
        members = _leaving(request, ctx)
        try:
            check_group_id(request.group_id)
            left = self._groups.shard_of(request.group_id).leave(request.group_id, members)
        except UnknownMemberId as error:
            return _results([LeaveResult(member.member_id, member.group_instance_id, error) for member in members], ctx)
        except KafkaError as error:
            return LeaveGroupResponse(error_code=error.code)
        if left.durable is None:
            return _results(left.value, ctx)
        return _wait(left.durable, left.value, ctx)


async def _wait(durable: asyncio.Future[None], results: list[LeaveResult], ctx: RequestContext) -> LeaveGroupResponse:
    try:
        await asyncio.shield(durable)
    except KafkaError as error:
        return LeaveGroupResponse(error_code=error.code)
    return _results(results, ctx)


def build(services: Services) -> LeaveGroupHandler:
    """The handler, with what it needs of the broker."""
    return LeaveGroupHandler(services.groups)


def _leaving(request: LeaveGroupRequest, ctx: RequestContext) -> list[LeavingMember]:
    if ctx.api_version < FIRST_VERSION_WITH_MANY_MEMBERS:
        return [LeavingMember(request.member_id, None)]
    return [LeavingMember(member.member_id, member.group_instance_id, member.reason) for member in request.members]


def _results(results: list[LeaveResult], ctx: RequestContext) -> LeaveGroupResponse:
    if ctx.api_version < FIRST_VERSION_WITH_MANY_MEMBERS:
        return LeaveGroupResponse(error_code=_code(results[0].error))
    return LeaveGroupResponse(
        members=[
            MemberResponse(
                member_id=result.member_id,
                group_instance_id=result.group_instance_id,
                error_code=_code(result.error),
            )
            for result in results
        ]
    )


def _code(error: KafkaError | None) -> int:
    return 0 if error is None else error.code
