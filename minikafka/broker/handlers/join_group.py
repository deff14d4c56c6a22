"""JoinGroup (API key 11): become a member of a classic group, or stay one through a rebalance.

The answer waits until all members of the group have asked, or have had their time.

Source: Kafka, GroupCoordinatorService.joinGroup, GroupMetadataManager.classicGroupJoin.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from minikafka.broker.context import RequestContext
from minikafka.broker.group_requests import check_group_id, client_of
from minikafka.broker.services import Services
from minikafka.coordinator.group.coordinator import GroupCoordinator
from minikafka.coordinator.group.values import ClassicProtocol, JoinAttempt, JoinResult, NewMemberId
from minikafka.errors import KafkaError
from minikafka.protocol.messages.join_group import JoinGroupRequest, JoinGroupResponse, JoinGroupResponseMember

FIRST_VERSION_WITH_REBALANCE_TIMEOUT = 1
FIRST_VERSION_WITH_KNOWN_MEMBER_IDS = 4
FIRST_VERSION_WITHOUT_PROTOCOL = 7
"""From here on the name of the protocol can be null, which says that there is none."""
FIRST_VERSION_WITH_SKIP_ASSIGNMENT = 9


class JoinGroupHandler:
    """Has members join."""

    __slots__ = ("_groups",)

    def __init__(self, groups: GroupCoordinator) -> None:
        self._groups = groups

    def __call__(
        self, request: JoinGroupRequest, ctx: RequestContext
    ) -> JoinGroupResponse | Coroutine[Any, Any, JoinGroupResponse]:
        """Answer ``request``, at once if nobody else has to be waited for."""
        try:
            check_group_id(request.group_id)
            promise = self._groups.shard_of(request.group_id).join(_attempt(request, ctx))
            if promise.done():
                return _joined(promise.result(), ctx)
        except KafkaError as error:
            return _refused(error, request, ctx)
        return _wait(promise, request, ctx)


async def _wait(
    promise: asyncio.Future[JoinResult], request: JoinGroupRequest, ctx: RequestContext
) -> JoinGroupResponse:
    try:
        return _joined(await promise, ctx)
    except KafkaError as error:
        return _refused(error, request, ctx)


def build(services: Services) -> JoinGroupHandler:
    """The handler, with what it needs of the broker."""
    return JoinGroupHandler(services.groups)


def _attempt(request: JoinGroupRequest, ctx: RequestContext) -> JoinAttempt:
    has_own_timeout = ctx.api_version >= FIRST_VERSION_WITH_REBALANCE_TIMEOUT
    return JoinAttempt(
        group_id=request.group_id,
        member_id=request.member_id,
        group_instance_id=request.group_instance_id,
        client=client_of(ctx),
        protocol_type=request.protocol_type,
        protocols=tuple(ClassicProtocol(offered.name, bytes(offered.metadata)) for offered in request.protocols),
        session_timeout_ms=request.session_timeout_ms,
        rebalance_timeout_ms=request.rebalance_timeout_ms if has_own_timeout else request.session_timeout_ms,
        requires_known_member_id=ctx.api_version >= FIRST_VERSION_WITH_KNOWN_MEMBER_IDS,
        supports_skip_assignment=ctx.api_version >= FIRST_VERSION_WITH_SKIP_ASSIGNMENT,
        reason=request.reason,
    )


def _joined(result: JoinResult, ctx: RequestContext) -> JoinGroupResponse:
    return JoinGroupResponse(
        generation_id=result.generation_id,
        protocol_type=result.protocol_type,
        protocol_name=_protocol_name(result.protocol_name, ctx),
        leader=result.leader,
        skip_assignment=result.skip_assignment,
        member_id=result.member_id,
        members=[
            JoinGroupResponseMember(
                member_id=member.member_id, group_instance_id=member.group_instance_id, metadata=member.metadata
            )
            for member in result.members
        ],
    )


def _refused(error: KafkaError, request: JoinGroupRequest, ctx: RequestContext) -> JoinGroupResponse:
    return JoinGroupResponse(
        error_code=error.code,
        protocol_name=_protocol_name(None, ctx),
        leader="",
        member_id=error.member_id if isinstance(error, NewMemberId) else request.member_id,
        members=[],
    )


def _protocol_name(name: str | None, ctx: RequestContext) -> str | None:
    return "" if name is None and ctx.api_version < FIRST_VERSION_WITHOUT_PROTOCOL else name
