"""What the handlers of group requests have in common."""

from __future__ import annotations

from minikafka.broker.context import RequestContext
from minikafka.coordinator.group.values import Client
from minikafka.errors import InvalidGroupId


def check_group_id(group_id: str) -> None:
    """Check that a group has a name; one that only keeps offsets needs none.

    Raises:
        InvalidGroupId: It is empty.
    """
    if not group_id:
        raise InvalidGroupId("the group id is empty")


def client_of(ctx: RequestContext) -> Client:
    """Who sent a request; the host as Java prints an address, with a slash where a name could be."""
    return Client(ctx.client_id, f"/{ctx.connection.peer.host}")
