from __future__ import annotations

from minikafka.config.broker import BROKER_KEYS, BrokerConfig
from minikafka.config.topic import TOPIC_KEYS

KAFKAS = {
    "transaction.max.timeout.ms": "900000",
    "transactional.id.expiration.ms": "604800000",
    "transaction.state.log.num.partitions": "50",
    "transaction.state.log.replication.factor": "3",
    "transaction.state.log.min.isr": "2",
    "transaction.state.log.segment.bytes": "104857600",
    "transaction.state.log.load.buffer.size": "5242880",
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "10000",
    "transaction.remove.expired.transaction.cleanup.interval.ms": "3600000",
}


def test_defaults_are_kafkas_or_say_so() -> None:
    for name, default in KAFKAS.items():
        assert BROKER_KEYS[name].kafka_default or str(BROKER_KEYS[name].default) == default
        assert BROKER_KEYS[name].kafka_default in (None, default)


def test_the_topic_is_compacted_and_never_compressed() -> None:
    settings = BrokerConfig(transaction_state_log_min_isr=2).transaction_topic_settings()
    assert settings.keys() <= TOPIC_KEYS.keys()
    assert (settings["cleanup.policy"], settings["compression.type"]) == ("compact", "uncompressed")
    assert settings["min.insync.replicas"] == "2"
