import pytest

from minikafka.config.broker import BROKER_KEYS, BrokerConfig
from minikafka.config.definition import ConfigError
from minikafka.config.sources import OriginKind, load
from minikafka.config.without_effect import ALIASES, WITHOUT_EFFECT

SERVER_PROPERTIES = """
process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=localhost:9093
listeners=PLAINTEXT://:9092,CONTROLLER://:9093
inter.broker.listener.name=PLAINTEXT
advertised.listeners=PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL
num.network.threads=3
num.io.threads=8
socket.send.buffer.bytes=102400
socket.receive.buffer.bytes=102400
socket.request.max.bytes=104857600
log.dirs=/var/lib/logs
num.partitions=1
num.recovery.threads.per.data.dir=1
offsets.topic.replication.factor=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
log.retention.hours=168
log.segment.bytes=1073741824
log.retention.check.interval.ms=300000
"""


@pytest.fixture
def write(tmp_path):
    def write_properties(text):
        path = tmp_path / "server.properties"
        path.write_text(text, encoding="utf-8")
        return path

    return write_properties


def test_without_sources_everything_is_default():
    loaded = load(None, {}, [])
    assert loaded.config == BrokerConfig()
    assert {origin.kind for origin in loaded.origins.values()} == {OriginKind.DEFAULT}
    assert loaded.warnings == ()


def test_each_source_is_stronger_than_the_one_before(write):
    path = write("num.partitions=2\nlog.segment.bytes=100\nmin.insync.replicas=2")
    environ = {"MINIKAFKA_NUM_PARTITIONS": "3", "MINIKAFKA_LOG_SEGMENT_BYTES": "200"}
    loaded = load(path, environ, ["num.partitions=4"])
    config = loaded.config
    assert (config.num_partitions, config.log_segment_bytes, config.min_insync_replicas) == (4, 200, 2)
    assert str(loaded.origins["num.partitions"]) == "-X num.partitions"
    assert str(loaded.origins["log.segment.bytes"]) == "MINIKAFKA_LOG_SEGMENT_BYTES"
    assert str(loaded.origins["min.insync.replicas"]) == f"{path}:3"
    assert str(loaded.origins["log.dirs"]) == "default"


def test_kafkas_own_server_properties_are_taken(write):
    loaded = load(write(SERVER_PROPERTIES), {}, [])
    assert loaded.config.log_dirs == ("/var/lib/logs",)
    assert [str(listener) for listener in loaded.config.parsed_listeners()] == ["PLAINTEXT://:9092"]
    assert all("has no effect" in warning for warning in loaded.warnings)
    assert any(warning.startswith("num.io.threads") for warning in loaded.warnings)


def test_the_official_images_variables_are_taken():
    environ = {
        "MINIKAFKA_IMAGE": "1",
        "KAFKA_PROCESS_ROLES": "broker,controller",
        "KAFKA_NODE_ID": "7",
        "KAFKA_LISTENERS": "PLAINTEXT://0.0.0.0:9092,CONTROLLER://localhost:9093",
        "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
        "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
        "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
        "KAFKA_NUM_PARTITIONS": "3",
    }
    loaded = load(None, environ, [])
    assert (loaded.config.node_id, loaded.config.num_partitions) == (7, 3)


def test_an_unknown_kafka_variable_is_warned_of_once_and_not_fatal():
    loaded = load(None, {"MINIKAFKA_IMAGE": "1", "KAFKA_NUM_PARTITION": "3"}, [])
    assert loaded.warnings == (
        "Unknown configuration key num.partition (did you mean num.partitions?), set by KAFKA_NUM_PARTITION",
    )


@pytest.mark.parametrize(
    ("environ", "overrides", "message"),
    [
        ({}, ["num.partition=3"], r"did you mean num\.partitions\?\), set by -X num\.partition"),
        ({"MINIKAFKA_NUM_PARTITION": "3"}, [], "set by MINIKAFKA_NUM_PARTITION"),
        ({}, ["num.partitions=three"], r"Invalid value three .* set by -X num\.partitions"),
        ({}, ["num.partitions"], "not of the form key=value"),
        ({}, ["=3"], "not of the form key=value"),
        ({}, ["ssl.keystore.location=/x"], r"Unknown configuration key ssl\.keystore\.location"),
        ({}, ["listeners=SASL_SSL://:9092"], "only PLAINTEXT is served"),
    ],
)
def test_what_cannot_be_meant_is_an_error_that_names_its_source(environ, overrides, message):
    with pytest.raises(ConfigError, match=message):
        load(None, environ, overrides)


def test_a_file_that_cannot_be_read_is_a_config_error(tmp_path):
    with pytest.raises(ConfigError, match="cannot read"):
        load(tmp_path / "missing", {}, [])


def test_our_own_keys_need_no_prefix_in_our_own_variables():
    loaded = load(None, {"MINIKAFKA_PUBLISHED_PORT": "19092"}, ["minikafka.advertised.host=lab"])
    assert loaded.config.minikafka_published_port == 19_092
    assert loaded.config.minikafka_advertised_host == "lab"


def test_older_names_work_and_the_newer_name_wins(write):
    assert load(write("broker.id=5\nlog.dir=/x"), {}, []).config.node_id == 5
    both = load(write("node.id=6\nbroker.id=5"), {}, [])
    assert both.config.node_id == 6


def test_a_later_override_replaces_an_earlier_one():
    assert load(None, {}, ["num.partitions=2", "num.partitions=3"]).config.num_partitions == 3


def test_no_key_is_both_served_and_said_to_have_no_effect():
    assert not BROKER_KEYS.keys() & (WITHOUT_EFFECT.keys() | ALIASES.keys())


def test_a_key_that_is_only_described_is_taken_with_a_warning():
    loaded = load(None, {}, ["log.preallocate=true"])
    assert loaded.config.log_preallocate is True
    assert loaded.warnings == ("log.preallocate (-X log.preallocate) has no effect: segments grow as they are written",)
