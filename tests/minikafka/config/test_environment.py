import pytest

from minikafka.config.environment import key_of_variable, settings_in

GOLDEN = [
    ("KAFKA_LOG_SEGMENT_BYTES", "log.segment.bytes"),
    ("KAFKA_ADVERTISED_LISTENERS", "advertised.listeners"),
    ("KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR", "offsets.topic.replication.factor"),
    ("KAFKA_LISTENER_NAME_A__B_SSL", "listener.name.a_b.ssl"),
    ("KAFKA_LISTENER_NAME_A___B_SSL", "listener.name.a-b.ssl"),
    ("KAFKA_A____B", "a____b"),
    ("KAFKA_NODE_ID", "node.id"),
]


@pytest.mark.parametrize(("variable", "key"), GOLDEN)
def test_variables_are_named_as_in_the_official_image(variable, key):
    assert key_of_variable(variable, "KAFKA_") == key


def keys(environ):
    return [variable.key for variable in settings_in(environ)]


def test_kafkas_names_count_only_in_the_image():
    environ = {"KAFKA_NUM_PARTITIONS": "3", "MINIKAFKA_NUM_PARTITIONS": "4"}
    assert keys(environ) == ["num.partitions"]
    assert keys({**environ, "MINIKAFKA_IMAGE": "1"}) == ["num.partitions", "num.partitions"]


def test_the_stronger_name_comes_last():
    environ = {
        "MINIKAFKA_IMAGE": "1",
        "MINIKAFKA_NUM_PARTITIONS": "ours",
        "KAFKA_NUM_PARTITIONS": "kafka's",
        "KAFKA_CFG_NUM_PARTITIONS": "bitnami's",
    }
    assert [variable.value for variable in settings_in(environ)] == ["bitnami's", "kafka's", "ours"]


def test_the_images_cluster_id_is_ours_to_use():
    (variable,) = settings_in({"MINIKAFKA_IMAGE": "1", "CLUSTER_ID": "abc"})
    assert (variable.key, variable.value) == ("minikafka.cluster.id", "abc")


@pytest.mark.parametrize(
    "name",
    [
        "KAFKA_HEAP_OPTS",
        "KAFKA_OPTS",
        "KAFKA_LOG4J_ROOT_LOGLEVEL",
        "KAFKA_JMX_PORT",
        "KAFKA_BOOTSTRAP_SERVERS",
        "KAFKA_PORT",
        "KAFKA_PORT_9092_TCP_ADDR",
        "KAFKA_SERVICE_HOST",
        "KAFKA_SERVICE_PORT_PLAIN",
        "MINIKAFKA_PORT",
        "MINIKAFKA_SERVICE_HOST",
        "MINIKAFKA_FAILPOINT",
        "PATH",
    ],
)
def test_variables_that_are_no_settings_are_left_alone(name):
    assert keys({"MINIKAFKA_IMAGE": "1", name: "x"}) == []
