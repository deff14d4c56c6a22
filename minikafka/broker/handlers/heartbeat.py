"""Heartbeat (API key 12): a member of a classic group is alive, and learns whether it has to join again.

Source: Kafka, GroupCoordinatorService.heartbeat.
"""

from __future__ import annotations

from minikafka.broker.context import RequestContext
from minikafka.broker.group_requests import check_group_id
from minikafka.broker.services import Services
from minikafka.coordinator.group.coordinator import GroupCoordinator
from minikafka.coordinator.group.values import MemberClaim
from minikafka.errors import CoordinatorLoadInProgress, KafkaError
from minikafka.protocol.messages.heartbeat import HeartbeatRequest, HeartbeatResponse


class HeartbeatHandler:
    """Keeps members alive."""

    __slots__ = ("_groups",)

    def __init__(self, groups: GroupCoordinator) -> None:
        self._groups = groups

    def __call__(self, request: HeartbeatRequest, ctx: RequestContext) -> HeartbeatResponse:
        """Answer ``request``."""
        claim = MemberClaim(request.member_id, request.group_instance_id, request.generation_id)
        try:
            check_group_id(request.group_id)
            self._groups.shard_of(request.group_id).heartbeat(request.group_id, claim)
        except CoordinatorLoadInProgress:
            return HeartbeatResponse()  # sessions begin when the group is loaded: nothing is wrong with the member
        except KafkaError as error:
            return HeartbeatResponse(error_code=error.code)
        return HeartbeatResponse()


def build(services: Services) -> HeartbeatHandler:
    """The handler, with what it needs of the broker."""
    return HeartbeatHandler(services.groups)
