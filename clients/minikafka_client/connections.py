"""Connections to brokers, opened when first needed and shared from then on."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from minikafka.net.connection import Connection
from minikafka_client.metadata import BrokerAddress


class Lane(Enum):
    """What a connection is for.

    A broker answers the requests of one connection in order, so that a fetch that waits for records, or an
    ``acks=all`` produce that waits for replicas, holds up whatever was sent behind it.  Metadata and look-ups
    therefore travel on a connection of their own, and a consumer that must not wait for its own fetches has others.
    Joining a group waits for its other members, and has a connection of its own too.
    """

    CONTROL = "control"
    DATA = "data"
    SECOND = "second"
    BEHIND = "behind"
    GROUP = "group"


@dataclass(frozen=True, slots=True)
class ConnectionOptions:
    """What every connection of a client has in common."""

    client_id: str
    connect_timeout_ms: int
    max_response_bytes: int


class _Key(NamedTuple):
    address: BrokerAddress
    lane: Lane


class ConnectionPool:
    """At most one connection for each address and lane; a host name is looked up anew whenever one is opened."""

    def __init__(self, options: ConnectionOptions) -> None:
        self._options = options
        self._opening: dict[_Key, asyncio.Task[Connection]] = {}
        self._open: dict[_Key, Connection] = {}

    async def get(self, address: BrokerAddress, lane: Lane) -> Connection:
        """The connection to ``address``; who asks while it is being opened waits for the same one.

        Raises:
            OSError: It cannot be opened; the text names the address.
        """
        key = _Key(address, lane)
        connection = self._open.get(key)
        if connection is not None and not connection.is_closed:
            return connection
        opening = self._opening.get(key)
        if opening is None:
            opening = self._opening[key] = asyncio.create_task(self._connect(key))
        # Shielded, for one caller that gives up must not take the connection away from the others.
        return await asyncio.shield(opening)

    def ready(self, address: BrokerAddress, lane: Lane) -> Connection | None:
        """The connection, when it is open already."""
        connection = self._open.get(_Key(address, lane))
        return connection if connection is not None and not connection.is_closed else None

    def forget_all_but(self, addresses: frozenset[BrokerAddress]) -> None:
        """Close the connections to brokers that are no longer part of the cluster."""
        for key in [key for key in self._open if key.address not in addresses]:
            self._open.pop(key).close()

    async def close(self) -> None:
        """Close every connection; requests in flight fail."""
        opening = list(self._opening.values())
        for task in opening:
            task.cancel()
        await asyncio.gather(*opening, return_exceptions=True)
        for connection in self._open.values():
            connection.close()
        self._open.clear()

    async def _connect(self, key: _Key) -> Connection:
        options = self._options
        try:
            connection = await Connection.open(
                key.address.host,
                key.address.port,
                client_id=options.client_id,
                connect_timeout_ms=options.connect_timeout_ms,
                max_response_bytes=options.max_response_bytes,
            )
        finally:
            self._opening.pop(key, None)
        self._open[key] = connection
        return connection
