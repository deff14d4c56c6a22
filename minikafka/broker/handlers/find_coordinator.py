"""FindCoordinator (API key 10): which broker looks after a group or a transactional id.

The coordinator of a group is the broker that leads the group's partition of ``__consumer_offsets``, and that of a
transactional id the one that leads its partition of ``__transaction_state``.  The first client that asks brings that
topic into being, and is answered when it is there: Kafka says COORDINATOR_NOT_AVAILABLE and has it ask again, which
costs clients up to a second.

Source: KIP-699; Kafka, KafkaApis.handleFindCoordinatorRequest.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from enum import IntEnum
from typing import Any, Protocol

from minikafka.broker.context import RequestContext
from minikafka.broker.services import Services
from minikafka.errors import CoordinatorNotAvailable, InvalidRequest, KafkaError
from minikafka.net.handler import Address, ConnectionInfo
from minikafka.protocol.messages.find_coordinator import Coordinator, FindCoordinatorRequest, FindCoordinatorResponse

FIRST_VERSION_WITH_MANY_KEYS = 4

_NO_NODE = -1


class KeyType(IntEnum):
    """What a key names."""

    GROUP = 0
    TRANSACTION = 1
    SHARE = 2


class Topic(Protocol):
    """What the handler needs of an internal topic."""

    @property
    def partition_count(self) -> int:
        """How many partitions it has; none while it has still to be created."""
        ...

    async def create(self) -> None:
        """Create it."""
        ...

    def coordinator_of(self, key: str) -> int:
        """The broker that coordinates what is kept in it under a key."""
        ...


class FindCoordinatorHandler:
    """Names brokers."""

    __slots__ = ("_address_of", "_topics")

    def __init__(
        self,
        topics: Mapping[int, Topic],
        address_of: Callable[[int, ConnectionInfo], Address | None],
    ) -> None:
        self._topics = topics
        self._address_of = address_of

    def __call__(
        self, request: FindCoordinatorRequest, ctx: RequestContext
    ) -> FindCoordinatorResponse | Coroutine[Any, Any, FindCoordinatorResponse]:
        """Answer ``request``: one key before version 4, any number from then on."""
        topic = self._topics.get(request.key_type)
        if topic is not None and not topic.partition_count:
            return self._create_and_answer(topic, request, ctx)
        return self._answer(request, ctx)

    async def _create_and_answer(
        self, topic: Topic, request: FindCoordinatorRequest, ctx: RequestContext
    ) -> FindCoordinatorResponse:
        with suppress(KafkaError):  # it was logged, and becomes the error of each key
            await topic.create()
        return self._answer(request, ctx)

    def _answer(self, request: FindCoordinatorRequest, ctx: RequestContext) -> FindCoordinatorResponse:
        if ctx.api_version >= FIRST_VERSION_WITH_MANY_KEYS:
            return FindCoordinatorResponse(
                coordinators=[self._find(key, request.key_type, ctx) for key in request.coordinator_keys]
            )
        found = self._find(request.key, request.key_type, ctx)
        return FindCoordinatorResponse(
            error_code=found.error_code,
            error_message=found.error_message,
            node_id=found.node_id,
            host=found.host,
            port=found.port,
        )

    def _find(self, key: str, key_type: int, ctx: RequestContext) -> Coordinator:
        try:
            topic = self._topics.get(key_type)
            if topic is None:
                raise InvalidRequest(f"key type {key_type} has no coordinator here")
            broker_id = topic.coordinator_of(key)
            address = self._address_of(broker_id, ctx.connection)
            if address is None:
                raise CoordinatorNotAvailable("the coordinator is not registered with the cluster")
        except KafkaError as error:
            return Coordinator(
                key=key, node_id=_NO_NODE, host="", port=-1, error_code=error.code, error_message=str(error)
            )
        return Coordinator(key=key, node_id=broker_id, host=address.host, port=address.port, error_message=None)


def build(services: Services) -> FindCoordinatorHandler:
    """The handler, with what it needs of the broker."""
    return FindCoordinatorHandler(
        {KeyType.GROUP: services.groups.topic, KeyType.TRANSACTION: services.transactions.topic},
        services.advertiser.address_of,
    )
