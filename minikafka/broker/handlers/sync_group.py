"""SyncGroup (API key 14): the leader of a classic group hands out assignments, each member receives its own.

The answer waits until the leader has asked, and its assignments are durable.

Source: Kafka, KafkaApis.handleSyncGroupRequest, GroupMetadataManager.classicGroupSync.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from minikafka.broker.context import RequestContext
from minikafka.broker.group_requests import check_group_id
from minikafka.broker.services import Services
from minikafka.coordinator.group.coordinator import GroupCoordinator
from minikafka.coordinator.group.values import SyncAttempt, SyncResult
from minikafka.errors import InconsistentGroupProtocol, KafkaError
from minikafka.protocol.messages.sync_group import SyncGroupRequest, SyncGroupResponse

FIRST_VERSION_WITH_PROTOCOL = 5


class SyncGroupHandler:
    """Gives members what they shall work on."""

    __slots__ = ("_groups",)

    def __init__(self, groups: GroupCoordinator) -> None:
        self._groups = groups

    def __call__(
        self, request: SyncGroupRequest, ctx: RequestContext
    ) -> SyncGroupResponse | Coroutine[Any, Any, SyncGroupResponse]:
        """Answer ``request``, at once if nobody has to be waited for."""
        try:
            _check_protocol(request, ctx)
            check_group_id(request.group_id)
            promise = self._groups.shard_of(request.group_id).sync(_attempt(request))
            if promise.done():
                return _assigned(promise.result())
        except KafkaError as error:
            return _refused(error)
        return _wait(promise)


async def _wait(promise: asyncio.Future[SyncResult]) -> SyncGroupResponse:
    try:
        return _assigned(await promise)
    except KafkaError as error:
        return _refused(error)


def build(services: Services) -> SyncGroupHandler:
    """The handler, with what it needs of the broker."""
    return SyncGroupHandler(services.groups)


def _check_protocol(request: SyncGroupRequest, ctx: RequestContext) -> None:
    """Check that the member says which protocol it believes in.

    Raises:
        InconsistentGroupProtocol: It does not, though it can.
    """
    if ctx.api_version >= FIRST_VERSION_WITH_PROTOCOL and None in {request.protocol_type, request.protocol_name}:
        raise InconsistentGroupProtocol("the type and the name of the protocol are missing")


def _attempt(request: SyncGroupRequest) -> SyncAttempt:
    return SyncAttempt(
        group_id=request.group_id,
        member_id=request.member_id,
        group_instance_id=request.group_instance_id,
        generation_id=request.generation_id,
        protocol_type=request.protocol_type,
        protocol_name=request.protocol_name,
        assignments={given.member_id: bytes(given.assignment) for given in request.assignments},
    )


def _assigned(result: SyncResult) -> SyncGroupResponse:
    return SyncGroupResponse(
        protocol_type=result.protocol_type, protocol_name=result.protocol_name, assignment=result.assignment
    )


def _refused(error: KafkaError) -> SyncGroupResponse:
    return SyncGroupResponse(error_code=error.code, assignment=b"")
