import pytest

from minikafka.config.broker import BrokerConfig
from minikafka.config.definition import ConfigError
from minikafka.config.listeners import Listener
from minikafka.config.topic import TopicConfig


def test_the_topic_defaults_of_a_default_broker_are_the_default_topic():
    assert BrokerConfig().topic_defaults() == TopicConfig()


@pytest.mark.parametrize(
    ("settings", "retention_ms"),
    [
        ({"log_retention_hours": 2}, 7_200_000),
        ({"log_retention_hours": 2, "log_retention_minutes": 3}, 180_000),
        ({"log_retention_hours": 2, "log_retention_minutes": 3, "log_retention_ms": 4}, 4),
        ({"log_retention_hours": -1}, -1),
        ({"log_retention_minutes": -5}, -1),
    ],
)
def test_the_finest_unit_that_is_set_counts(settings, retention_ms):
    assert BrokerConfig(**settings).topic_defaults().retention_ms == retention_ms


def test_roll_and_flush_synonyms_count_in_kafkas_order():
    defaults = BrokerConfig(
        log_roll_hours=1, log_roll_jitter_hours=2, log_flush_scheduler_interval_ms=7
    ).topic_defaults()
    assert (defaults.segment_ms, defaults.segment_jitter_ms, defaults.flush_ms) == (3_600_000, 7_200_000, 7)
    finer = BrokerConfig(log_roll_hours=1, log_roll_ms=5, log_flush_interval_ms=3).topic_defaults()
    assert (finer.segment_ms, finer.flush_ms) == (5, 3)


def test_renamed_keys_reach_the_topic():
    defaults = BrokerConfig(
        message_max_bytes=10, log_cleaner_min_cleanable_ratio=0.1, log_segment_delete_delay_ms=3
    ).topic_defaults()
    assert (defaults.max_message_bytes, defaults.min_cleanable_dirty_ratio, defaults.file_delete_delay_ms) == (
        10,
        0.1,
        3,
    )


def test_controller_listeners_are_not_served():
    config = BrokerConfig(
        listeners=("PLAINTEXT://:9092", "CONTROLLER://:9093"), controller_listener_names=("CONTROLLER",)
    )
    config.check()
    assert config.parsed_listeners() == (Listener("PLAINTEXT", "", 9092),)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"listeners": ("SSL://:9093",)}, "security protocol SSL"),
        ({"listeners": ("EXTERNAL://:9093",)}, "security protocol EXTERNAL"),
        ({"listeners": ("PLAINTEXT://:1", "PLAINTEXT://:2")}, "stands there twice"),
        (
            {
                "listeners": ("A://h:1", "B://h:1"),
                "listener_security_protocol_map": ("A:PLAINTEXT", "B:PLAINTEXT"),
            },
            "share one",
        ),
        ({"listeners": ("PLAINTEXT://h",)}, "not of the form NAME://HOST:PORT"),
        ({"advertised_listeners": ("OTHER://h:1",)}, "listeners has no OTHER"),
        ({"advertised_listeners": ("PLAINTEXT://0.0.0.0:1",)}, "clients cannot connect to that"),
        ({"log_retention_ms": 0}, "unlimited"),
        ({"listener_security_protocol_map": ("PLAINTEXT",)}, "not of the form NAME:PROTOCOL"),
    ],
)
def test_contradictions_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        BrokerConfig(**settings).check()


def test_listeners_without_a_port_yet_do_not_collide():
    BrokerConfig(
        listeners=("A://127.0.0.1:0", "B://127.0.0.1:0"),
        listener_security_protocol_map=("A:PLAINTEXT", "B:PLAINTEXT"),
    ).check()
