"""``listeners`` and ``advertised.listeners``: ``NAME://HOST:PORT``, one per place where clients are served."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
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


def check_listeners(
    listeners: Sequence[Listener], advertised: Sequence[Listener], protocols: Mapping[str, str]
) -> None:
    """Check listeners against each other and against what is advertised.

    Args:
        listeners: Where to listen.
        advertised: What clients are told; need not name every listener.
        protocols: The security protocol of each listener's name; a name that is missing is its own protocol.

    Raises:
        ConfigError: Two listeners share a place, one would have to speak another protocol than PLAINTEXT (it is not
            served in the clear instead), or clients would be told of one that is not there.
    """
    bound: dict[tuple[str, int], Listener] = {}
    for listener in listeners:
        protocol = protocols.get(listener.name, listener.name)
        if protocol != PLAINTEXT:
            raise ConfigError(
                f"listener {listener} has the security protocol {protocol}, and only {PLAINTEXT} is served "
                f"({PROTOCOL_MAP} tells what the names mean)"
            )
        other = bound.setdefault((listener.host, listener.port), listener)
        if other is not listener and listener.port != 0:
            raise ConfigError(f"Each listener must have its own port, {other} and {listener} share one")
    names = {listener.name for listener in listeners}
    for listener in advertised:
        if listener.name not in names:
            raise ConfigError(f"advertised.listeners has {listener}, but listeners has no {listener.name}")
        if listener.host in {"", "0.0.0.0", "::"}:
            raise ConfigError(f"advertised.listeners cannot use {listener}: clients cannot connect to that")


def _parse(key: str, value: str) -> Listener:
    match = _LISTENER.fullmatch(value)
    if match is None or int(match["port"]) > 65_535:
        raise ConfigError(f"Invalid value {value} for configuration {key}: not of the form NAME://HOST:PORT")
    host = match["ipv6"] if match["ipv6"] is not None else match["host"]
    return Listener(match["name"].upper(), host, int(match["port"]))
