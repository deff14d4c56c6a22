"""Where a broker's configuration comes from: default < properties file < environment < ``-X key=value``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, NamedTuple

from minikafka.config.broker import BROKER_KEYS, OWN_PREFIX, BrokerConfig
from minikafka.config.definition import ConfigError, ConfigValue, unknown_key
from minikafka.config.environment import settings_in
from minikafka.config.properties import parse_properties
from minikafka.config.without_effect import ALIASES, ONLY_DESCRIBED, WITHOUT_EFFECT


class OriginKind(Enum):
    """The kinds of places that a value can come from, the weakest first."""

    DEFAULT = "default"
    FILE = "file"
    ENVIRONMENT = "environment"
    OVERRIDE = "override"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value was found: ``detail`` is a file and line, or the name of a variable, or an option."""

    kind: OriginKind
    detail: str = ""

    def __str__(self) -> str:
        return self.detail or self.kind.value


DEFAULT_ORIGIN = Origin(OriginKind.DEFAULT)


@dataclass(frozen=True, slots=True)
class LoadedConfig:
    """A checked configuration and the origin of every key in it; ``warnings`` are for the operator to read once."""

    config: BrokerConfig
    origins: Mapping[str, Origin]
    warnings: tuple[str, ...] = ()


class _Setting(NamedTuple):
    key: str
    text: str
    origin: Origin
    may_be_unknown: bool = False


def load(properties: Path | None, environ: Mapping[str, str], overrides: Sequence[str]) -> LoadedConfig:
    """Read a broker's configuration.

    Args:
        properties: A file in Java's properties format, such as Kafka's ``server.properties``.
        environ: The process's environment variables.
        overrides: ``key=value`` texts, a later one replacing an earlier one.

    Raises:
        ConfigError: A key is unknown, a value malformed or contradictory, or the file cannot be read.
    """
    values: dict[str, ConfigValue] = {}
    origins = dict.fromkeys(BROKER_KEYS, DEFAULT_ORIGIN)
    warnings: list[str] = []
    for source in (_from_file(properties), _from_environment(environ), _from_overrides(overrides)):
        for setting in _newer_names_last(source):
            _apply(setting, values, origins, warnings)
    checked: dict[str, Any] = dict(values)
    config = BrokerConfig(**checked)
    config.check()
    return LoadedConfig(config, origins, tuple(dict.fromkeys(warnings)))


def _apply(setting: _Setting, values: dict[str, ConfigValue], origins: dict[str, Origin], warnings: list[str]) -> None:
    name = _known_name(setting.key)
    reason = ONLY_DESCRIBED.get(setting.key) or WITHOUT_EFFECT.get(setting.key)
    if reason is not None:
        warnings.append(f"{setting.key} ({setting.origin}) has no effect: {reason}")
    if name is None:
        if reason is not None:
            return
        message = f"{unknown_key(setting.key, [*BROKER_KEYS, *WITHOUT_EFFECT])}, set by {setting.origin}"
        if not setting.may_be_unknown:
            raise ConfigError(message)
        warnings.append(message)
        return
    known = BROKER_KEYS[name]
    try:
        values[known.attribute] = known.parse(setting.text)
    except ConfigError as error:
        raise ConfigError(f"{error}, set by {setting.origin}") from None
    origins[name] = setting.origin


def _known_name(name: str) -> str | None:
    """The key that ``name`` means: itself, the newer name of an alias, or one of ours without its prefix."""
    candidates = (name, ALIASES.get(name, ""), OWN_PREFIX + name)
    return next((candidate for candidate in candidates if candidate in BROKER_KEYS), None)


def _newer_names_last(settings: Iterable[_Setting]) -> list[_Setting]:
    return sorted(settings, key=lambda setting: setting.key not in ALIASES)


def _from_file(path: Path | None) -> Iterable[_Setting]:
    if path is None:
        return
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {path}: {error}") from error
    for entry in parse_properties(text):
        yield _Setting(entry.key, entry.value, Origin(OriginKind.FILE, f"{path}:{entry.line}"))


def _from_environment(environ: Mapping[str, str]) -> Iterable[_Setting]:
    for variable in settings_in(environ):
        origin = Origin(OriginKind.ENVIRONMENT, variable.name)
        yield _Setting(variable.key, variable.value, origin, may_be_unknown=not variable.is_ours)


def _from_overrides(overrides: Sequence[str]) -> Iterable[_Setting]:
    for override in overrides:
        name, separator, value = override.partition("=")
        if not separator or not name:
            raise ConfigError(f"-X {override} is not of the form key=value")
        yield _Setting(name.strip(), value, Origin(OriginKind.OVERRIDE, f"-X {name.strip()}"))
