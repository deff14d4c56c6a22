"""ListGroups (API key 16): the groups that this broker coordinates; a client asks every broker.

Source: Kafka, GroupMetadataManager.listGroups.
"""

from __future__ import annotations

from minikafka.broker.context import RequestContext
from minikafka.broker.services import Services
from minikafka.coordinator.group.coordinator import GroupCoordinator
from minikafka.coordinator.group.values import GroupListing
from minikafka.errors import KafkaError
from minikafka.protocol.messages.list_groups import ListedGroup, ListGroupsRequest, ListGroupsResponse


class ListGroupsHandler:
    """Lists groups, those that pass the filters; neither states nor types mind upper and lower case."""

    __slots__ = ("_groups",)

    def __init__(self, groups: GroupCoordinator) -> None:
        self._groups = groups

    def __call__(self, request: ListGroupsRequest, ctx: RequestContext) -> ListGroupsResponse:
        """Answer ``request``."""
        try:
            shards = self._groups.shards()
        except KafkaError as error:
            return ListGroupsResponse(error_code=error.code, groups=[])
        states = {state.strip().lower() for state in request.states_filter}
        types = {group_type.strip().lower() for group_type in request.types_filter}
        listed = [
            _listed(group)
            for shard in shards
            for group in shard.listings()
            if (not states or group.state.lower() in states) and (not types or group.group_type in types)
        ]
        return ListGroupsResponse(groups=listed)


def build(services: Services) -> ListGroupsHandler:
    """The handler, with what it needs of the broker."""
    return ListGroupsHandler(services.groups)


def _listed(group: GroupListing) -> ListedGroup:
    return ListedGroup(
        group_id=group.group_id,
        protocol_type=group.protocol_type,
        group_state=group.state,
        group_type=group.group_type,
    )
