"""Whose configuration a request is about: the resources of DescribeConfigs and of both requests that alter.

Source: Kafka, clients/common/config/ConfigResource.java, server/ConfigAdminManager.scala.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from enum import IntEnum
from typing import NamedTuple, Protocol, TypeVar

from minikafka.broker.fairness import Turns
from minikafka.errors import InvalidRequest, KafkaError


class ResourceType(IntEnum):
    """The kinds of resources that have a configuration here."""

    TOPIC = 2
    BROKER = 4


class ConfigResource(Protocol):
    """A resource as every one of the requests names it."""

    @property
    def resource_type(self) -> int:
        """Its kind; any number may come."""
        ...

    @property
    def resource_name(self) -> str:
        """A topic, or the id of a broker, or for all brokers nothing."""
        ...


R = TypeVar("R", bound=ConfigResource)


class ResourceOutcome(NamedTuple):
    """What became of the change to one resource."""

    resource_type: int
    resource_name: str
    error_code: int
    error_message: str | None


def named_broker(resource_name: str, this_broker_id: int) -> int | None:
    """The broker that ``resource_name`` means, None for all of them.

    Raises:
        InvalidRequest: It is not a number, or that of another broker: each answers for itself.
    """
    if not resource_name:
        return None
    if not (resource_name.isascii() and resource_name.isdigit()):
        raise InvalidRequest(f"Node id must be an integer, but it is: {resource_name[:100]}")
    if int(resource_name[:20]) != this_broker_id:
        raise InvalidRequest(
            f"Unexpected broker id, expected {this_broker_id} or empty string, but received {resource_name[:100]}"
        )
    return this_broker_id


def unknown_resource_type(resource_type: int) -> InvalidRequest:
    """The error for a resource of a kind that has no configuration here."""
    return InvalidRequest(f"Unknown resource type {resource_type}")


async def alter_each(resources: Sequence[R], alter: Callable[[R], Awaitable[None]]) -> list[ResourceOutcome]:
    """Apply ``alter`` to each resource, one after the other; the failure of one does not keep the next from it.

    A resource that is listed twice is not altered at all.
    """
    counts = Counter((resource.resource_type, resource.resource_name) for resource in resources)
    turns = Turns()
    outcomes = []
    for resource in resources:
        if turns.is_over:
            await turns.next()
        name = (resource.resource_type, resource.resource_name)
        try:
            if counts[name] > 1:
                raise InvalidRequest("Each resource must appear at most once.")
            await alter(resource)
        except KafkaError as error:
            outcomes.append(ResourceOutcome(*name, error.code, str(error)))
        else:
            outcomes.append(ResourceOutcome(*name, 0, None))
    return outcomes
