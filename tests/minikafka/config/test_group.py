import pytest

from minikafka.config.broker import BrokerConfig
from minikafka.config.definition import ConfigError
from minikafka.config.group import GroupConfig
from minikafka.config.sources import load
from minikafka.config.topic import TopicConfig


def test_the_defaults_agree_with_each_other():
    GroupConfig().check_groups()


def test_the_retention_of_offsets_is_a_week_in_milliseconds():
    assert GroupConfig().offsets_retention_ms == 7 * 24 * 3_600_000
    assert GroupConfig(offsets_retention_minutes=2).offsets_retention_ms == 120_000


def test_the_topic_of_offsets_is_compacted_and_keeps_batches_as_they_are_written():
    settings = BrokerConfig(offsets_topic_segment_bytes=5000, compression_type="zstd").offsets_topic_settings()
    config = TopicConfig.from_overrides(settings, BrokerConfig(compression_type="zstd").topic_defaults())
    assert config.cleanup_policy == {"compact"}
    assert config.compression_type == "producer"
    assert config.segment_bytes == 5000


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"group_coordinator_rebalance_protocols": ("consumer",)}, "Disabling the 'classic' protocol"),
        (
            {"group_consumer_heartbeat_interval_ms": 4999},
            r"group\.consumer\.heartbeat\.interval\.ms must be greater than or equal to group\.consumer\.min",
        ),
        (
            {"group_consumer_heartbeat_interval_ms": 15_001},
            r"group\.consumer\.heartbeat\.interval\.ms must be less than or equal to group\.consumer\.max\.heartbeat",
        ),
        (
            {"group_consumer_max_heartbeat_interval_ms": 4999},
            r"group\.consumer\.max\.heartbeat\.interval\.ms must be greater than or equal to group\.consumer\.min",
        ),
        (
            {"group_consumer_session_timeout_ms": 44_999},
            r"group\.consumer\.session\.timeout\.ms must be greater than or equal to group\.consumer\.min\.session",
        ),
        (
            {"group_consumer_session_timeout_ms": 60_001},
            r"group\.consumer\.session\.timeout\.ms must be less than or equal to group\.consumer\.max\.session",
        ),
        (
            {"group_consumer_max_session_timeout_ms": 44_999},
            r"group\.consumer\.max\.session\.timeout\.ms must be greater than or equal to group\.consumer\.min",
        ),
        (
            {"group_consumer_min_session_timeout_ms": 1, "group_consumer_session_timeout_ms": 5000},
            r"group\.consumer\.heartbeat\.interval\.ms must be less than group\.consumer\.session\.timeout\.ms",
        ),
    ],
)
def test_contradictions_are_refused_with_the_whole_configuration(settings, message):
    with pytest.raises(ConfigError, match=message):
        BrokerConfig(**settings).check()


@pytest.mark.parametrize(
    "setting",
    [
        "group.max.size=0",
        "group.initial.rebalance.delay.ms=-1",
        "group.coordinator.rebalance.protocols=classic,unheard",
        "group.consumer.assignors=sticky",
        "group.consumer.migration.policy=sometimes",
        "offsets.topic.num.partitions=0",
        "offsets.topic.replication.factor=32768",
        "offsets.topic.compression.codec=5",
        "offsets.retention.minutes=0",
    ],
)
def test_values_that_kafka_refuses_are_refused(setting):
    name = setting.partition("=")[0]
    with pytest.raises(ConfigError, match=name.replace(".", r"\.")):
        load(None, {}, [setting])


def test_kafkas_settings_are_taken_by_their_names():
    overrides = [
        "group.initial.rebalance.delay.ms=3000",
        "group.consumer.assignors=range",
        "offsets.retention.minutes=1",
    ]
    config = load(None, {}, overrides).config
    assert config.group_initial_rebalance_delay_ms == 3000
    assert config.group_consumer_assignors == ("range",)
    assert config.offsets_retention_ms == 60_000


def test_an_interval_that_is_not_waited_for_is_taken_with_a_warning():
    loaded = load(None, {}, ["group.consumer.regex.refresh.interval.ms=10000"])
    assert loaded.config.group_consumer_regex_refresh_interval_ms == 10_000
    assert any("group.consumer.regex.refresh.interval.ms" in warning for warning in loaded.warnings)
