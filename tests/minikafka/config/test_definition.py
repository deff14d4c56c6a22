import pytest
from hypothesis import given
from hypothesis import strategies as st

from minikafka.config.broker import BROKER_KEYS, BrokerConfig
from minikafka.config.definition import (
    ConfigError,
    append_items,
    parse_all,
    subtract_items,
    to_text,
    unknown_key,
)
from minikafka.config.topic import TOPIC_KEYS, TopicConfig


@pytest.mark.parametrize("keys", [TOPIC_KEYS, BROKER_KEYS], ids=["topic", "broker"])
def test_every_default_is_within_its_bounds_and_survives_a_round_trip_as_text(keys):
    for known in keys.values():
        text = to_text(known.default)
        if text:
            assert known.parse(text) == known.default, known.name


@pytest.mark.parametrize("keys", [TOPIC_KEYS, BROKER_KEYS], ids=["topic", "broker"])
def test_every_key_says_what_it_is_for(keys):
    for known in keys.values():
        assert known.documentation.endswith("."), known.name


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("retention.ms", " 100 ", 100),
        ("retention.ms", "-1", -1),
        ("retention.ms", "9223372036854775807", 2**63 - 1),
        ("preallocate", "TRUE", True),
        ("min.cleanable.dirty.ratio", "0.25", 0.25),
        ("min.cleanable.dirty.ratio", "1", 1.0),
        ("cleanup.policy", "compact, delete", frozenset({"compact", "delete"})),
        ("cleanup.policy", "", frozenset()),
        ("message.timestamp.type", "LogAppendTime", "LogAppendTime"),
        ("compression.gzip.level", "-1", -1),
    ],
)
def test_text_becomes_a_typed_value(name, text, value):
    parsed = TOPIC_KEYS[name].parse(text)
    assert parsed == value
    assert type(parsed) is type(value)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("retention.ms", "soon"),
        ("retention.ms", ""),
        ("retention.ms", "-2"),
        ("retention.ms", "1_000"),
        ("retention.ms", "\uff11"),
        ("retention.ms", "1.5"),
        ("retention.ms", "9223372036854775808"),
        ("segment.bytes", "2147483648"),
        ("segment.bytes", "13"),
        ("preallocate", "yes"),
        ("min.cleanable.dirty.ratio", "nan"),
        ("min.cleanable.dirty.ratio", "inf"),
        ("min.cleanable.dirty.ratio", "1.1"),
        ("min.cleanable.dirty.ratio", "half"),
        ("min.cleanable.dirty.ratio", "0_0.5"),
        ("cleanup.policy", "shrink"),
        ("cleanup.policy", "delete,shrink"),
        ("compression.type", "brotli"),
        ("compression.gzip.level", "0"),
        ("compression.zstd.level", "23"),
        ("min.insync.replicas", "0"),
    ],
)
def test_a_malformed_value_is_refused_and_the_key_is_named(name, text):
    with pytest.raises(ConfigError, match=name):
        TOPIC_KEYS[name].parse(text)


@given(st.text())
def test_no_text_raises_anything_but_a_config_error(text):
    for known in TOPIC_KEYS.values():
        try:
            known.parse(text)
        except ConfigError:
            continue


def test_an_unknown_key_is_answered_with_the_nearest():
    with pytest.raises(ConfigError, match=r"retention\.msec \(did you mean retention\.ms\?\)"):
        parse_all(TOPIC_KEYS, {"retention.msec": "1"})


def test_a_key_that_is_like_no_other_gets_no_suggestion():
    assert unknown_key("zzz", TOPIC_KEYS) == "Unknown configuration key zzz"


def test_a_key_stands_under_kafkas_name():
    assert TOPIC_KEYS["min.insync.replicas"].attribute == "min_insync_replicas"
    assert BROKER_KEYS["log.segment.bytes"].attribute == "log_segment_bytes"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, None),
        (True, "true"),
        (0.5, "0.5"),
        (frozenset({"delete", "compact"}), "compact,delete"),
        (("b", "a"), "b,a"),
        (7, "7"),
    ],
)
def test_values_are_printed_as_kafka_prints_them(value, text):
    assert to_text(value) == text


def test_items_are_appended_once_and_in_order():
    assert append_items("delete", "compact,delete,compact") == "delete,compact"
    assert append_items(None, "compact") == "compact"


def test_items_are_subtracted_wherever_they_stand():
    assert subtract_items("compact,delete", "compact") == "delete"
    assert subtract_items("delete", "compact") == "delete"
    assert subtract_items(None, "compact") == ""


def test_configurations_are_values():
    assert TopicConfig() == TopicConfig()
    assert hash(BrokerConfig()) == hash(BrokerConfig())
