"""``listeners`` and ``advertised.listeners``: ``NAME://HOST:PORT``, one per place where clients are served."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from minikafka.config.definition import ConfigError

PLAINTEXT = "PLAINTEXT"
PROTOCOL_MAP = "listener.security.protocol.map"

_LISTENER = re.compile(r"(?P<name>[A-Za-z0-9_.-]+)://(?:\[(?P<ipv6>[^\]]*)\]|(?P<host>[^:\[\]]*)):(?P<port>\d{1,5})")


@dataclass(frozen=True, slots=True)
class Listener:
    """One listener: an empty ``host`` means every address of the machine, ``port`` 0 means any that is free."""

    name: str
    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.name}://{host}:{self.port}"


def parse_listeners(key: str, values: Iterable[str]) -> tuple[Listener, ...]:
    """The listeners that the text of ``key`` lists, in order.

    Raises:
        ConfigError: One is malformed, or two have one name.
    """
    listeners = tuple(_parse(key, value) for value in values)
    names = [listener.name for listener in listeners]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ConfigError(f"Each listener in {key} must have its own name, {twice} stands there twice")
    return listeners


def refuse_shared_ports(key: str, listeners: Iterable[Listener]) -> None:
    """Check that no two listeners are to be bound to one place.

    Raises:
        ConfigError: Two listeners have the same host and port.
    """
    seen: dict[tuple[str, int], Listener] = {}
    for listener in listeners:
        other = seen.setdefault((listener.host, listener.port), listener)
        if other is not listener and listener.port != 0:
            raise ConfigError(f"Each listener in {key} must have its own port, {other} and {listener} share one")


def parse_protocol_map(values: Iterable[str]) -> dict[str, str]:
    """``listener.security.protocol.map`` as listener name to security protocol.

    Raises:
        ConfigError: An entry is not of the form NAME:PROTOCOL.
    """
    protocols: dict[str, str] = {}
    for value in values:
        name, separator, protocol = value.partition(":")
        if not (name and separator and protocol):
            raise ConfigError(f"Invalid value {value} for configuration {PROTOCOL_MAP}: not of the form NAME:PROTOCOL")
        protocols[name.strip().upper()] = protocol.strip().upper()
    return protocols


def refuse_unserved_protocols(listeners: Iterable[Listener], protocols: dict[str, str]) -> None:
    """Check that every listener speaks the one security protocol there is.

    Raises:
        ConfigError: A listener's protocol is not PLAINTEXT.  It is not served in the clear instead.
    """
    for listener in listeners:
        protocol = protocols.get(listener.name, listener.name)
        if protocol != PLAINTEXT:
            raise ConfigError(
                f"listener {listener} has the security protocol {protocol}, and only {PLAINTEXT} is served "
                f"({PROTOCOL_MAP} tells what the names mean)"
            )


def _parse(key: str, value: str) -> Listener:
    match = _LISTENER.fullmatch(value)
    if match is None or int(match["port"]) > 65_535:
        raise ConfigError(f"Invalid value {value} for configuration {key}: not of the form NAME://HOST:PORT")
    host = match["ipv6"] if match["ipv6"] is not None else match["host"]
    return Listener(match["name"].upper(), host, int(match["port"]))
