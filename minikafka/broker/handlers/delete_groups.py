"""DeleteGroups (API key 42): remove groups without members, and their offsets.

Source: Kafka, GroupCoordinatorShard.deleteGroups.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from minikafka.broker.context import RequestContext
from minikafka.broker.services import Services
from minikafka.coordinator.group.coordinator import GroupCoordinator
from minikafka.errors import KafkaError
from minikafka.protocol.messages.delete_groups import DeletableGroupResult, DeleteGroupsRequest, DeleteGroupsResponse


class DeleteGroupsHandler:
    """Deletes groups, each by itself."""

    __slots__ = ("_groups",)

    def __init__(self, groups: GroupCoordinator) -> None:
        self._groups = groups

    def __call__(
        self, request: DeleteGroupsRequest, ctx: RequestContext
    ) -> DeleteGroupsResponse | Coroutine[Any, Any, DeleteGroupsResponse]:
        """Answer ``request`` when the groups are gone for good; a group that is listed twice is answered once."""
        results = [DeletableGroupResult(group_id=group_id) for group_id in dict.fromkeys(request.groups_names)]
        unfinished = []
        for result in results:
            try:
                durable = self._groups.shard_of(result.group_id).delete(result.group_id)
            except KafkaError as error:
                result.error_code = error.code
                continue
            if durable is not None:
                unfinished.append((result, durable))
        response = DeleteGroupsResponse(results=results)
        return _wait(unfinished, response) if unfinished else response


async def _wait(
    unfinished: list[tuple[DeletableGroupResult, asyncio.Future[None]]], response: DeleteGroupsResponse
) -> DeleteGroupsResponse:
    for result, durable in unfinished:
        try:
            await asyncio.shield(durable)
        except KafkaError as error:
            result.error_code = error.code
    return response


def build(services: Services) -> DeleteGroupsHandler:
    """The handler, with what it needs of the broker."""
    return DeleteGroupsHandler(services.groups)
