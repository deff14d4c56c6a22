import pytest

from minikafka.config.broker import BROKER_KEYS
from minikafka.config.definition import to_text
from minikafka.config.topic import TOPIC_KEYS, TopicConfig
from minikafka.errors import InvalidConfig

KAFKA_DEFAULTS = {
    "cleanup.policy": "delete",
    "compression.gzip.level": "-1",
    "compression.lz4.level": "9",
    "compression.type": "producer",
    "compression.zstd.level": "3",
    "delete.retention.ms": "86400000",
    "file.delete.delay.ms": "60000",
    "flush.messages": "9223372036854775807",
    "flush.ms": "9223372036854775807",
    "index.interval.bytes": "4096",
    "local.retention.bytes": "-2",
    "local.retention.ms": "-2",
    "max.compaction.lag.ms": "9223372036854775807",
    "max.message.bytes": "1048588",
    "message.timestamp.after.max.ms": "3600000",
    "message.timestamp.before.max.ms": "9223372036854775807",
    "message.timestamp.type": "CreateTime",
    "min.cleanable.dirty.ratio": "0.5",
    "min.compaction.lag.ms": "0",
    "min.insync.replicas": "1",
    "preallocate": "false",
    "remote.log.copy.disable": "false",
    "remote.log.delete.on.disable": "false",
    "remote.storage.enable": "false",
    "retention.bytes": "-1",
    "retention.ms": "604800000",
    "segment.bytes": "1073741824",
    "segment.index.bytes": "10485760",
    "segment.jitter.ms": "0",
    "segment.ms": "604800000",
    "unclean.leader.election.enable": "false",
}


def test_the_keys_and_defaults_are_those_of_kafka_4_3():
    assert {name: to_text(known.default) for name, known in TOPIC_KEYS.items()} == KAFKA_DEFAULTS


def test_every_synonym_is_a_broker_key():
    for known in TOPIC_KEYS.values():
        assert set(known.synonyms) <= BROKER_KEYS.keys(), known.name


def test_overrides_lie_over_the_defaults():
    defaults = TopicConfig(retention_ms=1, segment_bytes=100)
    config = TopicConfig.from_overrides({"retention.ms": "5", "cleanup.policy": "compact"}, defaults)
    assert config == TopicConfig(retention_ms=5, segment_bytes=100, cleanup_policy=frozenset({"compact"}))


def test_without_overrides_the_defaults_are_shared():
    defaults = TopicConfig()
    assert TopicConfig.from_overrides({}, defaults) is defaults


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"retention.mss": "5"}, r"did you mean retention\.ms"),
        ({"retention.ms": "never"}, r"Invalid value never for configuration retention\.ms"),
        ({"min.compaction.lag.ms": "2", "max.compaction.lag.ms": "1"}, r"min\.compaction\.lag\.ms \(2\) > max"),
        ({"remote.storage.enable": "true"}, "Tiered Storage functionality is disabled"),
        ({"message.downconversion.enable": "true"}, r"Unknown configuration key message\.downconversion\.enable"),
    ],
)
def test_what_a_topic_cannot_have_is_an_invalid_config(overrides, message):
    with pytest.raises(InvalidConfig, match=message):
        TopicConfig.from_overrides(overrides, TopicConfig())
