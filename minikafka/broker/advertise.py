"""Which address a client is told to connect to: decided for each connection, not once for the broker.

Kafka answers Metadata with ``advertised.listeners``, one fixed address for everybody, and a client that cannot reach it
fails after its first request.  A broker that looks at the connection itself can do better, because the client has just
shown one address that works:

======================================================  ========================================================
situation                                               told
======================================================  ========================================================
``advertised.listeners`` names this listener            exactly that, never overridden
the broker runs on the machine, or in the same network  the address this connection arrived at
in a container, the peer is its default gateway         ``localhost`` and the published port
in a container, the peer is outside every local subnet  ``minikafka.advertised.host``, else the arrival address
======================================================  ========================================================

The gateway row is ``docker run -p``: what arrives through a published port seems to come from the gateway, and the
program that sent it dialled a port of its own machine.

The decision is a pure function of values; :func:`gather_facts` alone looks at the machine, once, at start.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, ip_address
from pathlib import Path
from typing import NamedTuple

from minikafka.broker.reachability import Reachability
from minikafka.broker.reconnects import MAX_PEERS, LostClient, ReconnectWatch
from minikafka.cluster.metadata import BrokerInfo, MetadataCache
from minikafka.config.broker import BrokerConfig
from minikafka.net.handler import Address, ConnectionInfo
from minikafka.observability.logging import get_logger

_log = get_logger(__name__)

_CONTAINER_MARKS = ("/.dockerenv", "/run/.containerenv")
_CONTAINER_CGROUPS = ("docker", "containerd", "kubepods", "libpod", "lxc")


class Reason(Enum):
    """The row of the table that decided."""

    CONFIGURED = "configured"
    ARRIVAL = "arrival"
    PUBLISHED_PORT = "published port"
    ADVERTISED_HOST = "advertised host"
    OUTSIDE_CONTAINER = "outside container"


class Advice(NamedTuple):
    """What a client is told, and why."""

    address: Address
    reason: Reason


@dataclass(frozen=True, slots=True)
class HostFacts:
    """What the broker knows of the machine, or container, it runs on."""

    in_container: bool = False
    gateways: frozenset[str] = frozenset()
    networks: tuple[IPv4Network, ...] = ()

    def is_outside(self, host: str) -> bool:
        """Whether ``host`` is an IPv4 address in none of the local subnets; nothing is outside when none is known."""
        if not self.networks:
            return False
        address = ip_address(host)
        return isinstance(address, IPv4Address) and not any(address in network for network in self.networks)


@dataclass(frozen=True, slots=True)
class AdvertiseSettings:
    """What the user said about addresses.

    Attributes:
        listeners: The advertised address of each listener named in ``advertised.listeners``, by listener name.
        published_port: The port of the host that is forwarded to this container; None when it is the same number.
        host: The name by which machines outside the container's network reach it.
    """

    listeners: Mapping[str, Address] = field(default_factory=dict)
    published_port: int | None = None
    host: str | None = None

    @classmethod
    def of(cls, config: BrokerConfig) -> AdvertiseSettings:
        """What ``config`` says."""
        return cls(
            {at.name: Address(at.host, at.port) for at in config.parsed_advertised_listeners()},
            config.minikafka_published_port,
            config.minikafka_advertised_host,
        )


def normalise_host(host: str) -> str:
    """An address as a client should see it: IPv4 not dressed up as ``::ffff:``, and without a zone.

    A zone (``%eth0``) means something on this machine alone (RFC 4007, section 11.2).

    Raises:
        ValueError: ``host`` is not an IP address.
    """
    bare = host.partition("%")[0]
    address = ip_address(bare)
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return bare


def decide(
    listener: str, peer_host: str, arrival_host: str, port: int, *, settings: AdvertiseSettings, facts: HostFacts
) -> Advice:
    """Choose the address of a broker of this machine for one connection.

    Args:
        listener: Name of the listener that the connection came in by.
        peer_host: Where the connection came from.
        arrival_host: The address of this machine that it arrived at (``getsockname``).
        port: The port on which the broker in question listens.
        settings: The user's word.
        facts: The machine's.
    """
    configured = settings.listeners.get(listener)
    if configured is not None:
        return Advice(configured, Reason.CONFIGURED)
    peer, arrival = normalise_host(peer_host), normalise_host(arrival_host)
    if not facts.in_container or ip_address(peer).is_loopback:
        return Advice(Address(arrival, port), Reason.ARRIVAL)
    if peer in facts.gateways:
        return Advice(Address("localhost", settings.published_port or port), Reason.PUBLISHED_PORT)
    if facts.is_outside(peer):
        if settings.host is not None:
            return Advice(Address(settings.host, settings.published_port or port), Reason.ADVERTISED_HOST)
        return Advice(Address(arrival, port), Reason.OUTSIDE_CONTAINER)
    return Advice(Address(arrival, port), Reason.ARRIVAL)


class BrokerAddress(NamedTuple):
    """A broker that is alive, and where one client finds it."""

    broker_id: int
    address: Address


class Advertiser:
    """Tells each connection where the brokers are, and the operator when a client was told in vain.

    Args:
        broker_id: This broker.
        metadata: Who is alive, and what the others registered as their endpoints.
        settings: What the user said.
        facts: What the machine is like.
        watch: Told of every answer that sends a client elsewhere than where it already is.
    """

    __slots__ = ("_broker_id", "_facts", "_metadata", "_settings", "_warned_peers", "_watch")

    def __init__(
        self,
        broker_id: int,
        metadata: MetadataCache,
        settings: AdvertiseSettings,
        facts: HostFacts,
        watch: ReconnectWatch,
    ) -> None:
        self._broker_id = broker_id
        self._metadata = metadata
        self._settings = settings
        self._facts = facts
        self._watch = watch
        self._warned_peers: set[str] = set()

    def address_of(self, broker_id: int, connection: ConnectionInfo) -> Address | None:
        """The address of a broker for one connection; None when it is not alive or has no such listener."""
        broker = self._metadata.broker(broker_id)
        return None if broker is None else self._address_of(broker, connection)

    def brokers(self, connection: ConnectionInfo) -> list[BrokerAddress]:
        """Every broker that is alive and can be reached by the listener of this connection."""
        found = []
        for broker in self._metadata.brokers:
            address = self._address_of(broker, connection)
            if address is not None:
                found.append(BrokerAddress(broker.broker_id, address))
        return found

    def reachability(self, connection: ConnectionInfo) -> Reachability:
        """Which brokers the client of this connection can get to."""
        alive = frozenset(broker.broker_id for broker in self._metadata.brokers)
        return Reachability(alive, frozenset(at.broker_id for at in self.brokers(connection)))

    def metadata_answered(self, connection: ConnectionInfo) -> None:
        """Watch whether the client comes to the address of this broker that it has just been told."""
        advice = self._advise(connection, connection.local.port)
        peer = normalise_host(connection.peer.host)
        self._watch.told(peer, advice.address, Address(normalise_host(connection.local.host), connection.local.port))
        is_new = peer not in self._warned_peers and len(self._warned_peers) < MAX_PEERS
        if advice.reason is Reason.OUTSIDE_CONTAINER and is_new:
            self._warned_peers.add(peer)
            _log.warning(
                "client_outside_container",
                client=peer,
                told=str(advice.address),
                hint="the client may not reach the container's own address: set MINIKAFKA_ADVERTISED_HOST",
            )

    def connection_opened(self, connection: ConnectionInfo) -> None:
        """A client connected: it may be one that was told where to."""
        self._watch.connected(normalise_host(connection.peer.host))

    def _address_of(self, broker: BrokerInfo, connection: ConnectionInfo) -> Address | None:
        if broker.broker_id == self._broker_id:
            return self._advise(connection, connection.local.port).address
        endpoint = broker.endpoints.get(connection.listener)
        if endpoint is None:
            return None
        if connection.listener not in self._settings.listeners and self._is_here(broker, connection.listener):
            return self._advise(connection, endpoint.port).address
        return Address(endpoint.host, endpoint.port)

    def _is_here(self, broker: BrokerInfo, listener: str) -> bool:
        """Whether another broker runs on this machine: it registered itself under the same host."""
        here = self._metadata.broker(self._broker_id)
        mine = None if here is None else here.endpoints.get(listener)
        return mine is not None and mine.host == broker.endpoints[listener].host

    def _advise(self, connection: ConnectionInfo, port: int) -> Advice:
        return decide(
            connection.listener,
            connection.peer.host,
            connection.local.host,
            port,
            settings=self._settings,
            facts=self._facts,
        )


def log_lost_client(lost: LostClient) -> None:
    """Say in one line what a client that did not come back was told, and what to do."""
    _log.warning(
        "client_did_not_come_back",
        client=lost.peer_host,
        told=str(lost.told),
        arrived_at=str(lost.arrived_at),
        hint="published a different port? Set MINIKAFKA_PUBLISHED_PORT=PORT, or "
        "KAFKA_ADVERTISED_LISTENERS=PLAINTEXT://HOST:PORT",
    )


def gather_facts(root: Path = Path("/")) -> HostFacts:
    """Look at the machine once: whether this is a container, its default gateways and its IPv4 subnets.

    Args:
        root: Where the file system begins; a test puts a small tree there.
    """
    gateways, networks = _parse_routes(_read(root / "proc/net/route"))
    return HostFacts(_is_container(root), gateways, networks)


def _is_container(root: Path) -> bool:
    if any((root / mark.removeprefix("/")).exists() for mark in _CONTAINER_MARKS):
        return True
    return any(word in _read(root / "proc/self/cgroup") for word in _CONTAINER_CGROUPS)


def _parse_routes(text: str) -> tuple[frozenset[str], tuple[IPv4Network, ...]]:
    """Read ``/proc/net/route``: addresses are 8 hexadecimal digits of a little-endian word.

    ::

        Iface   Destination  Gateway   Flags  RefCnt  Use  Metric  Mask      ...
        eth0    00000000     010011AC  0003   0       0    0       00000000      a default gateway, 172.17.0.1
        eth0    000011AC     00000000  0001   0       0    0       0000FFFF      a subnet of ours, 172.17.0.0/16
    """
    gateways, networks = set(), []
    for line in text.splitlines()[1:]:
        columns = line.split()
        if len(columns) < 8:
            continue
        destination, gateway, mask = (_route_address(columns[index]) for index in (1, 2, 7))
        if destination == mask == "0.0.0.0":
            gateways.add(gateway)
        elif gateway == "0.0.0.0":
            networks.append(IPv4Network(f"{destination}/{mask}", strict=False))
    return frozenset(gateways), tuple(networks)


def _route_address(digits: str) -> str:
    return str(ip_address(bytes.fromhex(digits)[::-1]))


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
