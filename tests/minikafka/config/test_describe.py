import pytest

from minikafka.config.broker import BROKER_KEYS
from minikafka.config.definition import ConfigType
from minikafka.config.describe import BrokerSettings, ConfigSource, ConfigSynonym
from minikafka.config.sources import load
from minikafka.config.topic import TOPIC_KEYS
from minikafka.errors import InvalidConfig


def settings(*overrides, for_all=None, for_this=None):
    return BrokerSettings(load(None, {}, overrides), for_all or {}, for_this or {})


def broker_key(described, name):
    return next(entry for entry in described.describe_broker() if entry.name == name)


def topic_key(described, name, overrides=None):
    return next(entry for entry in described.describe_topic(overrides or {}) if entry.name == name)


def test_every_key_is_described():
    described = settings()
    assert [entry.name for entry in described.describe_broker()] == list(BROKER_KEYS)
    assert [entry.name for entry in described.describe_topic({})] == list(TOPIC_KEYS)


def test_a_default_is_described_with_the_broker_key_that_gives_it():
    entry = topic_key(settings(), "retention.ms")
    assert (entry.value, entry.source, entry.is_default) == ("604800000", ConfigSource.DEFAULT_CONFIG, True)
    assert entry.synonyms == (ConfigSynonym("log.retention.hours", "168", ConfigSource.DEFAULT_CONFIG),)
    assert entry.type is ConfigType.LONG
    assert entry.documentation
    assert not entry.is_read_only
    assert not entry.is_sensitive


def test_the_layers_of_a_topic_key_are_listed_from_the_strongest():
    described = settings(
        "log.retention.ms=1000",
        "log.retention.hours=5",
        for_all={"log.retention.ms": "2000"},
        for_this={"log.retention.ms": "3000"},
    )
    entry = topic_key(described, "retention.ms", {"retention.ms": "4000"})
    assert (entry.value, entry.source) == ("4000", ConfigSource.DYNAMIC_TOPIC_CONFIG)
    assert entry.synonyms == (
        ConfigSynonym("retention.ms", "4000", ConfigSource.DYNAMIC_TOPIC_CONFIG),
        ConfigSynonym("log.retention.ms", "3000", ConfigSource.DYNAMIC_BROKER_CONFIG),
        ConfigSynonym("log.retention.ms", "2000", ConfigSource.DYNAMIC_DEFAULT_BROKER_CONFIG),
        ConfigSynonym("log.retention.ms", "1000", ConfigSource.STATIC_BROKER_CONFIG),
        ConfigSynonym("log.retention.hours", "5", ConfigSource.STATIC_BROKER_CONFIG),
        ConfigSynonym("log.retention.hours", "168", ConfigSource.DEFAULT_CONFIG),
    )


def test_a_topic_inherits_what_the_broker_was_told_at_start_and_since():
    entry = topic_key(settings("log.segment.bytes=2000"), "segment.bytes")
    assert (entry.value, entry.source) == ("2000", ConfigSource.STATIC_BROKER_CONFIG)
    entry = topic_key(settings(for_all={"log.segment.bytes": "3000"}), "segment.bytes")
    assert (entry.value, entry.source) == ("3000", ConfigSource.DYNAMIC_DEFAULT_BROKER_CONFIG)


def test_a_key_without_a_broker_synonym_has_its_own_default():
    entry = topic_key(settings(), "remote.storage.enable")
    assert entry.synonyms == (ConfigSynonym("remote.storage.enable", "false", ConfigSource.DEFAULT_CONFIG),)
    changed = topic_key(settings(), "remote.log.copy.disable", {"remote.log.copy.disable": "true"})
    assert (changed.value, changed.source) == ("true", ConfigSource.DYNAMIC_TOPIC_CONFIG)


def test_a_broker_key_says_where_it_comes_from_and_whether_it_can_change():
    static = broker_key(settings("num.partitions=3"), "num.partitions")
    assert (static.value, static.source, static.is_read_only) == ("3", ConfigSource.STATIC_BROKER_CONFIG, True)
    dynamic = broker_key(settings(for_this={"message.max.bytes": "77"}), "message.max.bytes")
    assert (dynamic.value, dynamic.source, dynamic.is_read_only) == ("77", ConfigSource.DYNAMIC_BROKER_CONFIG, False)


def test_a_null_default_is_described_as_null():
    entry = broker_key(settings(), "log.retention.ms")
    assert (entry.value, entry.source) == (None, ConfigSource.DEFAULT_CONFIG)


def test_what_was_set_for_one_broker_is_stronger_than_what_was_set_for_all():
    described = settings(for_all={"message.max.bytes": "1"}, for_this={"message.max.bytes": "2"})
    assert described.effective.message_max_bytes == 2
    assert settings(for_all={"message.max.bytes": "1"}).effective.message_max_bytes == 1


def test_settings_that_cannot_be_read_are_an_invalid_config():
    with pytest.raises(InvalidConfig, match=r"message\.max\.bytes"):
        _ = settings(for_all={"message.max.bytes": "many"}).effective
    with pytest.raises(InvalidConfig, match="unlimited"):
        _ = settings(for_all={"log.retention.ms": "0"}).effective
