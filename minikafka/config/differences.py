"""Where our defaults are not Kafka's: nothing differs that is not listed here."""

from __future__ import annotations

from typing import NamedTuple

from minikafka.config.broker import BROKER_KEYS, BrokerConfig
from minikafka.config.definition import to_text


class Difference(NamedTuple):
    """A key whose default is not Kafka's."""

    name: str
    ours: str
    kafkas: str


def differences_from_kafka(config: BrokerConfig | None = None) -> tuple[Difference, ...]:
    """Where ``config`` (the defaults when None) differs from Kafka's defaults because ours do.

    Only keys that still have our default are listed: what an operator sets differs by intention.
    """
    shown = config if config is not None else BrokerConfig()
    return tuple(
        Difference(known.name, to_text(known.default) or "", known.kafka_default)
        for known in BROKER_KEYS.values()
        if known.kafka_default is not None and getattr(shown, known.attribute) == known.default
    )
