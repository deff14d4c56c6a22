"""FindCoordinator (API key 10): which broker looks after a group or a transactional id.

Kafka spreads them over the partitions of ``__consumer_offsets`` and ``__transaction_state``: the coordinator of a key
is the leader of its partition.  A broker that is alone leads all of them, so it names itself, for any key.

Source: KIP-699; Kafka, KafkaApis.handleFindCoordinatorRequest.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from enum import IntEnum

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


class FindCoordinatorHandler:
    """Names this broker."""

    __slots__ = ("_address_of", "_broker_id")

    def __init__(self, broker_id: int, address_of: Callable[[int, ConnectionInfo], Address | None]) -> None:
        self._broker_id = broker_id
        self._address_of = address_of

    def __call__(self, request: FindCoordinatorRequest, ctx: RequestContext) -> FindCoordinatorResponse:
        """Answer ``request``: one key before version 4, any number from then on."""
        found = self._find(request.key_type, ctx)
        if ctx.api_version >= FIRST_VERSION_WITH_MANY_KEYS:
            return FindCoordinatorResponse(coordinators=[replace(found, key=key) for key in request.coordinator_keys])
        return FindCoordinatorResponse(
            error_code=found.error_code,
            error_message=found.error_message,
            node_id=found.node_id,
            host=found.host,
            port=found.port,
        )

    def _find(self, key_type: int, ctx: RequestContext) -> Coordinator:
        """The coordinator of any key of that kind, without the key."""
        try:
            host, port = self._coordinator_address(key_type, ctx)
        except KafkaError as error:
            return Coordinator(
                key="", node_id=_NO_NODE, host="", port=-1, error_code=error.code, error_message=str(error)
            )
        return Coordinator(key="", node_id=self._broker_id, host=host, port=port, error_message=None)

    def _coordinator_address(self, key_type: int, ctx: RequestContext) -> Address:
        """Where the client reaches this broker.

        Raises:
            InvalidRequest: The kind of key is unknown, or names share groups, which are not served here.
            CoordinatorNotAvailable: The broker is about to stop.
        """
        if key_type not in {KeyType.GROUP, KeyType.TRANSACTION}:
            raise InvalidRequest(f"key type {key_type} has no coordinator here")
        address = self._address_of(self._broker_id, ctx.connection)
        if address is None:
            raise CoordinatorNotAvailable("the broker is not registered with its cluster")
        return address


def build(services: Services) -> FindCoordinatorHandler:
    """The handler, with what it needs of the broker."""
    return FindCoordinatorHandler(services.loaded_config.config.node_id, services.advertiser.address_of)
