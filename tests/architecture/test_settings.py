"""A setting does something, or is listed as one that does not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from minikafka.config.broker import BROKER_KEYS
from minikafka.config.topic import TOPIC_KEYS
from minikafka.config.without_effect import ONLY_DESCRIBED, WITHOUT_EFFECT

ROOT = Path(__file__).parents[2]
SOURCES = [path for path in (ROOT / "minikafka").rglob("*.py") if path.parent.name not in {"config", "messages"}]
READ = set(re.findall(r"\.(\w+)", "\n".join(path.read_text(encoding="utf-8") for path in SOURCES)))
READ_BY_THE_CONFIGURATION = {
    "group.consumer.max.heartbeat.interval.ms",
    "group.consumer.max.session.timeout.ms",
    "group.consumer.min.heartbeat.interval.ms",
    "group.consumer.min.session.timeout.ms",
    "offsets.retention.minutes",
    "offsets.topic.segment.bytes",
    "transaction.state.log.min.isr",
    "transaction.state.log.segment.bytes",
    "advertised.listeners",
    "controller.listener.names",
    "listeners",
    "listener.security.protocol.map",
}


def _is_read(key: str) -> bool:
    """Whether a module outside the configuration has the key's attribute, or that of a topic key it is a default of."""
    of_topics = [topic_key.attribute for topic_key in TOPIC_KEYS.values() if key in topic_key.synonyms]
    return not READ.isdisjoint({BROKER_KEYS[key].attribute, *of_topics})


@pytest.mark.parametrize("key", sorted(BROKER_KEYS.keys() - READ_BY_THE_CONFIGURATION))
def test_a_key_is_read_by_a_part_of_the_broker_or_listed_as_without_effect(key: str) -> None:
    assert _is_read(key) is (key not in ONLY_DESCRIBED)


def test_no_key_is_in_both_lists() -> None:
    assert not ONLY_DESCRIBED.keys() & WITHOUT_EFFECT.keys()
    assert ONLY_DESCRIBED.keys() <= BROKER_KEYS.keys()
