"""What DescribeConfigs tells of a key: its value, where that comes from, and what would count without it.

A broker's values have four layers, the strongest first: set while it runs for this broker, for all brokers, given at
its start (file, environment, ``-X``), and default.  A topic's own settings lie above all four.

Source: Kafka, server/ConfigHelper.scala and DynamicBrokerConfig.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Any

from minikafka.config.broker import BROKER_KEYS, BrokerConfig
from minikafka.config.definition import (
    ConfigError,
    ConfigKey,
    ConfigType,
    UpdateMode,
    parse_all,
    to_text,
)
from minikafka.config.sources import LoadedConfig, OriginKind
from minikafka.config.topic import TOPIC_KEYS, TopicConfig
from minikafka.errors import InvalidConfig


class ConfigSource(IntEnum):
    """The layers, numbered as DescribeConfigs numbers them."""

    DYNAMIC_TOPIC_CONFIG = 1
    DYNAMIC_BROKER_CONFIG = 2
    DYNAMIC_DEFAULT_BROKER_CONFIG = 3
    STATIC_BROKER_CONFIG = 4
    DEFAULT_CONFIG = 5


@dataclass(frozen=True, slots=True)
class ConfigSynonym:
    """A value that counts, or would count if the ones before it were not there."""

    name: str
    value: str | None
    source: ConfigSource


@dataclass(frozen=True, slots=True)
class ConfigDescription:
    """One key as it stands.  The value of a sensitive key is None here, and in every synonym."""

    name: str
    value: str | None
    type: ConfigType
    source: ConfigSource
    synonyms: tuple[ConfigSynonym, ...]
    documentation: str
    is_read_only: bool
    is_sensitive: bool

    @property
    def is_default(self) -> bool:
        """Whether nobody set the value."""
        return self.source is ConfigSource.DEFAULT_CONFIG


@dataclass(frozen=True, slots=True)
class BrokerSettings:
    """All layers of one broker's configuration; ``effective`` is what they come to."""

    static: LoadedConfig
    for_all_brokers: Mapping[str, str] = field(default_factory=dict)
    for_this_broker: Mapping[str, str] = field(default_factory=dict)

    @property
    def effective(self) -> BrokerConfig:
        """The configuration with everything that was set while the broker runs.

        Raises:
            InvalidConfig: What was set cannot be read.
        """
        if not self.for_all_brokers and not self.for_this_broker:
            return self.static.config
        try:
            values: dict[str, Any] = parse_all(BROKER_KEYS, {**self.for_all_brokers, **self.for_this_broker})
            changed = replace(self.static.config, **values)
            changed.check()
        except ConfigError as error:
            raise InvalidConfig(str(error)) from None
        return changed

    def describe_broker(self) -> list[ConfigDescription]:
        """Every broker key."""
        return [self._describe_broker_key(known) for known in BROKER_KEYS.values()]

    def describe_topic(self, overrides: Mapping[str, str]) -> list[ConfigDescription]:
        """Every topic key of a topic that has the settings ``overrides`` of its own."""
        config = TopicConfig.from_overrides(overrides, self.effective.topic_defaults())
        return [self._describe_topic_key(known, config, overrides) for known in TOPIC_KEYS.values()]

    def _describe_broker_key(self, known: ConfigKey) -> ConfigDescription:
        layers = tuple(self._layers(known))
        read_only = known.update_mode is UpdateMode.READ_ONLY
        return _describe(known, layers[0].value, layers[0].source, layers, is_read_only=read_only)

    def _describe_topic_key(
        self, known: ConfigKey, config: TopicConfig, overrides: Mapping[str, str]
    ) -> ConfigDescription:
        layers = [
            layer for name in known.synonyms for layer in self._layers(BROKER_KEYS[name]) if layer.value is not None
        ]
        if known.name in overrides:
            layers.insert(0, ConfigSynonym(known.name, overrides[known.name], ConfigSource.DYNAMIC_TOPIC_CONFIG))
        if not known.synonyms:
            layers.append(ConfigSynonym(known.name, to_text(known.default), ConfigSource.DEFAULT_CONFIG))
        value = to_text(getattr(config, known.attribute))
        return _describe(known, value, layers[0].source, tuple(layers), is_read_only=False)

    def _layers(self, known: ConfigKey) -> Iterator[ConfigSynonym]:
        if known.name in self.for_this_broker:
            yield ConfigSynonym(known.name, self.for_this_broker[known.name], ConfigSource.DYNAMIC_BROKER_CONFIG)
        if known.name in self.for_all_brokers:
            yield ConfigSynonym(
                known.name, self.for_all_brokers[known.name], ConfigSource.DYNAMIC_DEFAULT_BROKER_CONFIG
            )
        if self.static.origins[known.name].kind is not OriginKind.DEFAULT:
            value = to_text(getattr(self.static.config, known.attribute))
            yield ConfigSynonym(known.name, value, ConfigSource.STATIC_BROKER_CONFIG)
        yield ConfigSynonym(known.name, to_text(known.default), ConfigSource.DEFAULT_CONFIG)


def _describe(
    known: ConfigKey,
    value: str | None,
    source: ConfigSource,
    synonyms: tuple[ConfigSynonym, ...],
    *,
    is_read_only: bool,
) -> ConfigDescription:
    if known.sensitive:
        value = None
        synonyms = tuple(replace(synonym, value=None) for synonym in synonyms)
    return ConfigDescription(
        known.name, value, known.type, source, synonyms, known.documentation, is_read_only, known.sensitive
    )
