"""Changing settings while the broker runs: what IncrementalAlterConfigs does to them.

Source: Kafka, ConfigurationControlManager.incrementalAlterConfigResource and server/ConfigAdminManager.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

from minikafka.config.definition import ConfigKey, ConfigType, append_items, subtract_items
from minikafka.errors import InvalidConfig, InvalidRequest


class AlterOperation(IntEnum):
    """What is done to a key, numbered as in the request."""

    SET = 0
    DELETE = 1
    APPEND = 2
    SUBTRACT = 3


@dataclass(frozen=True, slots=True)
class ConfigAlteration:
    """One change to one key; ``value`` is None for DELETE."""

    name: str
    operation: AlterOperation
    value: str | None


def altered(
    known_keys: Mapping[str, ConfigKey],
    current: Mapping[str, str],
    alterations: Sequence[ConfigAlteration],
    defaults: Mapping[str, str | None],
) -> dict[str, str]:
    """``current`` settings with ``alterations`` applied; the result is not yet checked against the keys' bounds.

    Args:
        known_keys: The keys that there are.
        current: The settings as they are, without defaults.
        alterations: What to change, at most once per key.
        defaults: What a key that is not set stands for: where APPEND and SUBTRACT start from.

    Raises:
        InvalidRequest: A key comes twice, or a value is missing.
        InvalidConfig: A key that is no list is appended to.
    """
    counts = Counter(alteration.name for alteration in alterations)
    if len(counts) < len(alterations):
        twice = sorted(name for name, count in counts.items() if count > 1)
        raise InvalidRequest(f"Error due to duplicate config keys: {','.join(twice)}")
    result = dict(current)
    for alteration in alterations:
        _alter(known_keys, result, alteration, defaults)
    return result


def _alter(
    known_keys: Mapping[str, ConfigKey],
    settings: dict[str, str],
    alteration: ConfigAlteration,
    defaults: Mapping[str, str | None],
) -> None:
    name, operation, value = alteration.name, alteration.operation, alteration.value
    if operation is AlterOperation.DELETE:
        settings.pop(name, None)
        return
    if value is None:
        raise InvalidRequest(f"Null value not supported for : {name}")
    if operation is AlterOperation.SET:
        settings[name] = value
        return
    known = known_keys.get(name)
    if known is not None and known.type is not ConfigType.LIST:
        raise InvalidConfig(f"Can't {operation.name} to key {name} because its type is not LIST.")
    start = settings.get(name, defaults.get(name))
    settings[name] = append_items(start, value) if operation is AlterOperation.APPEND else subtract_items(start, value)
