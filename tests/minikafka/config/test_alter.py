import time

import pytest

from minikafka.config.alter import AlterOperation, ConfigAlteration, altered
from minikafka.config.topic import TOPIC_KEYS
from minikafka.errors import InvalidConfig, InvalidRequest

SET, DELETE, APPEND, SUBTRACT = AlterOperation

CURRENT = {"retention.ms": "5", "cleanup.policy": "compact"}
DEFAULTS = {"cleanup.policy": "delete", "retention.ms": "604800000"}


@pytest.mark.parametrize(
    ("current", "alteration", "result"),
    [
        (CURRENT, ConfigAlteration("retention.ms", SET, "6"), {**CURRENT, "retention.ms": "6"}),
        (CURRENT, ConfigAlteration("segment.ms", SET, "6"), {**CURRENT, "segment.ms": "6"}),
        (CURRENT, ConfigAlteration("retention.ms", DELETE, None), {"cleanup.policy": "compact"}),
        (CURRENT, ConfigAlteration("segment.ms", DELETE, None), CURRENT),
        (
            CURRENT,
            ConfigAlteration("cleanup.policy", APPEND, "delete"),
            {**CURRENT, "cleanup.policy": "compact,delete"},
        ),
        ({}, ConfigAlteration("cleanup.policy", APPEND, "compact"), {"cleanup.policy": "delete,compact"}),
        (CURRENT, ConfigAlteration("cleanup.policy", SUBTRACT, "compact"), {**CURRENT, "cleanup.policy": ""}),
        ({}, ConfigAlteration("cleanup.policy", SUBTRACT, "compact"), {"cleanup.policy": "delete"}),
    ],
)
def test_an_alteration_changes_one_key(current, alteration, result):
    assert altered(TOPIC_KEYS, current, [alteration], DEFAULTS) == result


def test_the_current_settings_stay_as_they_are():
    current = dict(CURRENT)
    altered(TOPIC_KEYS, current, [ConfigAlteration("retention.ms", SET, "6")], DEFAULTS)
    assert current == CURRENT


@pytest.mark.parametrize("operation", [APPEND, SUBTRACT])
def test_only_lists_can_be_appended_to_and_subtracted_from(operation):
    with pytest.raises(InvalidConfig, match=f"Can't {operation.name} to key retention.ms because its type is not LIST"):
        altered(TOPIC_KEYS, {}, [ConfigAlteration("retention.ms", operation, "1")], DEFAULTS)


@pytest.mark.parametrize("operation", [SET, APPEND, SUBTRACT])
def test_a_missing_value_is_refused(operation):
    with pytest.raises(InvalidRequest, match="Null value not supported"):
        altered(TOPIC_KEYS, {}, [ConfigAlteration("cleanup.policy", operation, None)], DEFAULTS)


def test_a_key_that_comes_twice_is_refused():
    twice = [ConfigAlteration("retention.ms", SET, "1"), ConfigAlteration("retention.ms", DELETE, None)]
    with pytest.raises(InvalidRequest, match=r"duplicate config keys: retention\.ms"):
        altered(TOPIC_KEYS, {}, twice, DEFAULTS)


def test_very_many_keys_that_come_twice_are_refused_as_fast():
    alterations = [ConfigAlteration(f"key.{number}", DELETE, None) for number in range(50_000)]
    began = time.perf_counter()
    with pytest.raises(InvalidRequest, match="duplicate config keys"):
        altered(TOPIC_KEYS, {}, alterations * 2, DEFAULTS)
    assert time.perf_counter() - began < 5  # counting each in the list of all takes minutes
