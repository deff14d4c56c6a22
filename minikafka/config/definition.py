"""What a configuration key is: its type, its text form, its bounds, and how dataclass fields carry it.

A configuration class is a frozen dataclass whose fields are made by :func:`key`.  The attribute is Kafka's key with
``.`` written as ``_`` (``log.segment.bytes`` is ``log_segment_bytes``), so that every key stands in one place.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import Any, TypeVar

ConfigValue = bool | int | float | str | frozenset[str] | tuple[str, ...] | None
T = TypeVar("T", bound=ConfigValue)
Validator = Callable[[Any], str | None]
"""Returns why a value is refused, or None when it is good."""

MAX_INT = 2**31 - 1
MAX_LONG = 2**63 - 1

_METADATA_KEY = "minikafka.config"


class ConfigError(ValueError):
    """A configuration key that nobody knows, or a value that it cannot have; the text names the key."""


class ConfigType(IntEnum):
    """The type of a key, numbered as DescribeConfigs numbers it."""

    BOOLEAN = 1
    STRING = 2
    INT = 3
    SHORT = 4
    LONG = 5
    DOUBLE = 6
    LIST = 7
    CLASS = 8
    PASSWORD = 9


class UpdateMode(Enum):
    """Whether a broker key can change while the broker runs, and for whom.

    Source: Kafka, DynamicBrokerConfig.
    """

    READ_ONLY = "read-only"
    PER_BROKER = "per-broker"
    CLUSTER_WIDE = "cluster-wide"


@dataclass(frozen=True, slots=True)
class ConfigKey:
    """One key: everything that is known of it apart from its value."""

    name: str
    attribute: str
    type: ConfigType
    default: ConfigValue
    documentation: str
    validator: Validator | None
    update_mode: UpdateMode
    sensitive: bool
    synonyms: tuple[str, ...]
    kafka_default: str | None

    def parse(self, text: str) -> ConfigValue:
        """The value that ``text`` stands for.

        Raises:
            ConfigError: ``text`` is not of the key's type, or out of its bounds.
        """
        try:
            value = _parse(self.type, text.strip())
        except ValueError as error:
            raise ConfigError(f"Invalid value {text} for configuration {self.name}: {error}") from None
        if isinstance(self.default, frozenset) and isinstance(value, tuple):
            value = frozenset(value)
        reason = self.validator(value) if self.validator is not None else None
        if reason is not None:
            raise ConfigError(f"Invalid value {text} for configuration {self.name}: {reason}")
        return value


def key(
    config_type: ConfigType,
    default: T,
    documentation: str,
    *,
    validator: Validator | None = None,
    update_mode: UpdateMode = UpdateMode.READ_ONLY,
    sensitive: bool = False,
    synonyms: tuple[str, ...] = (),
    kafka_default: str | None = None,
) -> T:
    """A dataclass field that holds a configuration value.

    Args:
        config_type: What clients are told the type is, and how text is read.
        default: The value when nobody sets one; None where Kafka's default is null.
        documentation: One sentence for DescribeConfigs and ``config show``.
        validator: Bounds, such as :func:`at_least`.
        update_mode: Whether a running broker takes a new value; topic keys always do.
        sensitive: The value is never shown.
        synonyms: Of a topic key: the broker keys that give its default, the first that is set wins.
        kafka_default: Kafka's own default as text, where ours differs.
    """
    carried = ConfigKey(
        "", "", config_type, default, documentation, validator, update_mode, sensitive, synonyms, kafka_default
    )
    field: T = dataclasses.field(default=default, metadata={_METADATA_KEY: carried})
    return field


def keys_of(config_class: type) -> dict[str, ConfigKey]:
    """The keys of a configuration class by name, in the order of their definition."""
    keys: dict[str, ConfigKey] = {}
    for field in dataclasses.fields(config_class):
        carried: ConfigKey = field.metadata[_METADATA_KEY]
        name = field.name.replace("_", ".")
        keys[name] = dataclasses.replace(carried, name=name, attribute=field.name)
    return keys


def parse_all(keys: Mapping[str, ConfigKey], texts: Mapping[str, str]) -> dict[str, ConfigValue]:
    """Values by attribute name, ready for the constructor of a configuration class.

    Raises:
        ConfigError: A key is unknown (the text names the nearest), or a value is malformed.
    """
    values: dict[str, ConfigValue] = {}
    for name, text in texts.items():
        known = keys.get(name)
        if known is None:
            raise ConfigError(unknown_key(name, keys))
        values[known.attribute] = known.parse(text)
    return values


def unknown_key(name: str, known: Iterable[str], what: str = "configuration key") -> str:
    """The text that says that ``name`` is unknown, and what may have been meant."""
    nearest = difflib.get_close_matches(name, list(known), n=1, cutoff=0.7)
    return f"Unknown {what} {name}" + (f" (did you mean {nearest[0]}?)" if nearest else "")


def to_text(value: ConfigValue) -> str | None:
    """A value as Kafka prints it; None stays None."""
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, frozenset):
        return ",".join(sorted(value))
    if isinstance(value, tuple):
        return ",".join(value)
    return str(value)


def append_items(current: str | None, items: str) -> str:
    """A list value with ``items`` added at its end, those already there left where they are."""
    parts = _split(current or "")
    return ",".join([*parts, *(item for item in dict.fromkeys(_split(items)) if item not in parts)])


def subtract_items(current: str | None, items: str) -> str:
    """A list value without ``items``."""
    removed = set(_split(items))
    return ",".join(item for item in _split(current or "") if item not in removed)


def at_least(minimum: float) -> Validator:
    """Accepts numbers from ``minimum`` on, and null."""

    def check(value: float | None) -> str | None:
        return None if value is None or value >= minimum else f"Value must be at least {minimum}"

    return check


def between(minimum: float, maximum: float) -> Validator:
    """Accepts numbers from ``minimum`` to ``maximum``, both included, and null."""

    def check(value: float | None) -> str | None:
        if value is None or minimum <= value <= maximum:
            return None
        return f"Value must be between {minimum} and {maximum}"

    return check


def one_of(*choices: str) -> Validator:
    """Accepts the strings given, and lists made of them."""

    def check(value: str | Iterable[str]) -> str | None:
        given = (value,) if isinstance(value, str) else value
        if all(item in choices for item in given):
            return None
        return f"String must be one of: {', '.join(choices)}"

    return check


def not_empty(value: str | tuple[str, ...]) -> str | None:
    """Refuses the empty string and the empty list."""
    return None if value else "Value must not be empty"


def _split(text: str) -> list[str]:
    return [item for item in (part.strip() for part in text.split(",")) if item]


def _parse(config_type: ConfigType, text: str) -> ConfigValue:
    match config_type:
        case ConfigType.BOOLEAN:
            return _parse_boolean(text)
        case ConfigType.INT:
            return _parse_integer(text, 31)
        case ConfigType.SHORT:
            return _parse_integer(text, 15)
        case ConfigType.LONG:
            return _parse_integer(text, 63)
        case ConfigType.DOUBLE:
            return _parse_double(text)
        case ConfigType.LIST:
            return tuple(_split(text))
        case _:
            return text


def _parse_boolean(text: str) -> bool:
    match text.lower():
        case "true":
            return True
        case "false":
            return False
        case _:
            raise ValueError("Expected value to be either true or false")


def _parse_integer(text: str, value_bits: int) -> int:
    # int() alone would also take "1_000" and digits of other scripts.
    if not (text.isascii() and text.lstrip("+-").isdigit()):
        raise ValueError("Not a number of type INT" if value_bits < 63 else "Not a number of type LONG")
    value = int(text)
    if not -(1 << value_bits) <= value < 1 << value_bits:
        raise ValueError(f"Value must fit into {value_bits + 1} bits")
    return value


def _parse_double(text: str) -> float:
    value = float(text)
    if "_" in text or not math.isfinite(value):
        raise ValueError("Not a number of type DOUBLE")
    return value
