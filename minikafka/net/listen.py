"""Listening sockets for a host and a port."""

from __future__ import annotations

import errno
import socket
from collections.abc import Sequence

_PORT_TRIES = 20


def bind(host: str, port: int, backlog: int) -> list[socket.socket]:
    """Listen on every address that ``host`` has, all at the same port.

    Args:
        host: A name or an address; empty means every interface, IPv4 and IPv6 through one socket where that exists.
        port: 0 lets the system choose.
        backlog: How many connections may wait to be accepted.

    Raises:
        OSError: the name is unknown, or the port is taken.
    """
    if not host:
        return [_bind_everywhere(port, backlog)]
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    addresses = list(dict.fromkeys((family, str(address[0])) for family, _, _, _, address in found))
    for attempt in range(1, _PORT_TRIES + 1):
        try:
            return _bind_all(addresses, port, backlog)
        except OSError as error:
            # The port that the system chose for the first address may be taken at the second.
            if port or len(addresses) == 1 or error.errno != errno.EADDRINUSE or attempt == _PORT_TRIES:
                raise
    raise AssertionError("unreachable")


def _bind_all(addresses: Sequence[tuple[socket.AddressFamily, str]], port: int, backlog: int) -> list[socket.socket]:
    sockets: list[socket.socket] = []
    try:
        for family, address in addresses:
            if sockets:
                port = sockets[0].getsockname()[1]
            made = _bind_one(family, address, port, backlog)
            if made is not None:
                sockets.append(made)
    except OSError:
        for made in sockets:
            made.close()
        raise
    if not sockets:
        raise OSError(
            errno.EADDRNOTAVAIL, f"none of {', '.join(address for _, address in addresses)} is of this machine"
        )
    return sockets


def _bind_one(family: socket.AddressFamily, address: str, port: int, backlog: int) -> socket.socket | None:
    """One listening socket, or None when this machine has no such address (an IPv6 name on an IPv4 machine)."""
    try:
        listening = socket.socket(family, socket.SOCK_STREAM)
    except OSError:
        return None
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listening.bind((address, port))
        listening.listen(backlog)
        listening.setblocking(False)
    except OSError as error:
        listening.close()
        if error.errno == errno.EADDRNOTAVAIL:
            return None
        raise
    return listening


def _bind_everywhere(port: int, backlog: int) -> socket.socket:
    if not socket.has_dualstack_ipv6():
        return _bind_all([(socket.AF_INET, "0.0.0.0")], port, backlog)[0]  # every interface was asked for
    listening = socket.create_server(("", port), family=socket.AF_INET6, backlog=backlog, dualstack_ipv6=True)
    listening.setblocking(False)
    return listening
