import json

import pytest

from minikafka.cluster import znodes
from minikafka.cluster.metadata import BrokerInfo, Endpoint, PartitionState
from minikafka.cluster.znodes import ProducerIdBlock, TopicNode
from minikafka.types import uuid_text

TOPIC_ID = bytes(range(16))


def test_the_paths_are_kafkas():
    assert znodes.topic_path("t") == "/brokers/topics/t"
    assert znodes.state_path("t", 3) == "/brokers/topics/t/partitions/3/state"
    assert znodes.topic_config_path("t") == "/config/topics/t"
    assert znodes.broker_path(1) == "/brokers/ids/1"
    assert znodes.broker_config_path(1) == "/config/brokers/1"
    assert znodes.broker_config_path(None) == "/config/brokers/<default>"


def test_a_topic_is_written_as_kafka_writes_it():
    node = TopicNode(TOPIC_ID, ((1, 2), (2, 1)))
    value = znodes.encode_topic(node)
    assert json.loads(value) == {
        "version": 3,
        "topic_id": uuid_text(TOPIC_ID),
        "partitions": {"0": [1, 2], "1": [2, 1]},
        "adding_replicas": {},
        "removing_replicas": {},
    }
    assert znodes.decode_topic(value) == node


def test_partitions_are_read_in_the_order_of_their_numbers():
    partitions = {str(index): [index] for index in reversed(range(12))}
    value = json.dumps({"version": 3, "topic_id": uuid_text(TOPIC_ID), "partitions": partitions}).encode()
    assert znodes.decode_topic(value).assignment == tuple((index,) for index in range(12))


def test_a_state_is_written_as_kafka_writes_it():
    state = PartitionState(1, 4, (1, 2), (2, 1, 3))
    value = znodes.encode_state(state, 7)
    assert json.loads(value) == {"controller_epoch": 7, "leader": 1, "version": 1, "leader_epoch": 4, "isr": [1, 2]}
    assert znodes.decode_state(value, (2, 1, 3)) == state


def test_a_broker_is_written_as_kafka_writes_it():
    broker = BrokerInfo(1, {"PLAINTEXT": Endpoint("host", 9092), "LAN": Endpoint("::1", 9093)})
    value = znodes.encode_broker(broker, 1600)
    assert json.loads(value) == {
        "version": 5,
        "endpoints": ["PLAINTEXT://host:9092", "LAN://[::1]:9093"],
        "listener_security_protocol_map": {"PLAINTEXT": "PLAINTEXT", "LAN": "PLAINTEXT"},
        "host": "host",
        "port": 9092,
        "jmx_port": -1,
        "timestamp": "1600",
        "features": {},
    }
    assert znodes.decode_broker(1, value) == broker


def test_the_other_values_survive_a_round_trip():
    assert znodes.decode_settings(znodes.encode_settings({"retention.ms": "5"})) == {"retention.ms": "5"}
    assert znodes.decode_cluster_id(znodes.encode_cluster_id("abc")) == "abc"
    assert znodes.decode_controller(znodes.encode_controller(3, 0)) == 3
    block = ProducerIdBlock(1000, 1999)
    assert znodes.decode_producer_id_block(znodes.encode_producer_id_block(1, block)) == block


def test_a_node_that_is_no_object_is_refused():
    with pytest.raises(ValueError, match="where a JSON object should stand"):
        znodes.decode_settings(b"[]")
