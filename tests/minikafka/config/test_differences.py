from minikafka.config.broker import BrokerConfig
from minikafka.config.differences import differences_from_kafka


def test_every_difference_from_kafkas_defaults_is_listed():
    assert {difference.name: (difference.ours, difference.kafkas) for difference in differences_from_kafka()} == {
        "group.initial.rebalance.delay.ms": ("0", "3000"),
        "offsets.topic.replication.factor": ("1", "3"),
        "transaction.state.log.replication.factor": ("1", "3"),
        "node.id": ("1", "-1"),
        "socket.listen.backlog.size": ("511", "50"),
        "queued.max.request.bytes": ("268435456", "-1"),
        "background.threads": ("4", "10"),
        "log.dirs": ("minikafka-data", "/tmp/kafka-logs"),
        "log.retention.check.interval.ms": ("1000", "300000"),
        "log.flush.offset.checkpoint.interval.ms": ("2000", "60000"),
        "log.flush.on.acks.all": ("auto", "never"),
    }


def test_what_an_operator_has_set_is_no_difference():
    names = [difference.name for difference in differences_from_kafka(BrokerConfig(node_id=3))]
    assert "node.id" not in names
    assert "log.dirs" in names
