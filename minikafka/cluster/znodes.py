"""Kafka's own paths in the coordination store, and the JSON that stands there.

    /cluster/id                             {"version":"1","id":"..."}
    /brokers/ids/1                          (ephemeral) endpoints of a broker that is alive
    /brokers/topics/T                       {"version":3,"topic_id":"...","partitions":{"0":[1]},...}
    /brokers/topics/T/partitions/0/state    {"leader":1,"leader_epoch":0,"isr":[1],"controller_epoch":1,"version":1}
    /config/topics/T, /config/brokers/1     {"version":1,"config":{"retention.ms":"1000"}}
    /controller                             (ephemeral) {"version":1,"brokerid":1,"timestamp":"..."}
    /controller_epoch                       1
    /latest_producer_id_block               {"version":1,"broker":1,"block_start":"0","block_end":"999"}

Source: Kafka 3, core/zk/ZkData.scala.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from minikafka.cluster.metadata import BrokerInfo, Endpoint, PartitionState
from minikafka.cluster.placement import Assignment
from minikafka.types import uuid_from_text, uuid_text

CLUSTER_ID = "/cluster/id"
BROKER_IDS = "/brokers/ids"
TOPICS = "/brokers/topics"
TOPIC_CONFIGS = "/config/topics"
BROKER_CONFIGS = "/config/brokers"
CONTROLLER = "/controller"
CONTROLLER_EPOCH = "/controller_epoch"
PRODUCER_ID_BLOCK = "/latest_producer_id_block"
ALL_BROKERS = "<default>"
"""The name of the settings that hold for every broker."""

PERSISTENT_PATHS = ("/cluster", "/brokers", BROKER_IDS, TOPICS, "/config", TOPIC_CONFIGS, BROKER_CONFIGS)
"""What has to be there before anything else can be, each after the one above it."""


class TopicNode(NamedTuple):
    """What stands at ``/brokers/topics/T``."""

    topic_id: bytes
    assignment: Assignment


class ProducerIdBlock(NamedTuple):
    """Producer ids that one broker may hand out, both ends included."""

    first: int
    last: int


def topic_path(topic: str) -> str:
    """Where a topic's replicas stand."""
    return f"{TOPICS}/{topic}"


def partitions_path(topic: str) -> str:
    """Where a topic's partitions are below."""
    return f"{TOPICS}/{topic}/partitions"


def partition_path(topic: str, partition: int) -> str:
    """The node of one partition, which has its state below it."""
    return f"{TOPICS}/{topic}/partitions/{partition}"


def state_path(topic: str, partition: int) -> str:
    """Where a partition's leader and in-sync replicas stand."""
    return f"{TOPICS}/{topic}/partitions/{partition}/state"


def topic_config_path(topic: str) -> str:
    """Where a topic's own settings stand."""
    return f"{TOPIC_CONFIGS}/{topic}"


def broker_path(broker_id: int) -> str:
    """The node that lives as long as a broker does."""
    return f"{BROKER_IDS}/{broker_id}"


def broker_config_path(broker_id: int | None) -> str:
    """Where the settings stand that a broker got while it ran; None is all brokers."""
    return f"{BROKER_CONFIGS}/{ALL_BROKERS if broker_id is None else broker_id}"


def encode_cluster_id(cluster_id: str) -> bytes:
    """The value of ``/cluster/id``."""
    return _encode({"version": "1", "id": cluster_id})


def decode_cluster_id(value: bytes) -> str:
    """The id in ``/cluster/id``."""
    return str(_decode(value)["id"])


def encode_topic(topic: TopicNode) -> bytes:
    """The value of ``/brokers/topics/T``."""
    return _encode(
        {
            "version": 3,
            "topic_id": uuid_text(topic.topic_id),
            "partitions": {str(index): list(replicas) for index, replicas in enumerate(topic.assignment)},
            "adding_replicas": {},
            "removing_replicas": {},
        }
    )


def decode_topic(value: bytes) -> TopicNode:
    """What stands at ``/brokers/topics/T``."""
    found = _decode(value)
    by_index = {int(index): tuple(replicas) for index, replicas in found["partitions"].items()}
    return TopicNode(uuid_from_text(found["topic_id"]), tuple(by_index[index] for index in range(len(by_index))))


def encode_state(state: PartitionState, controller_epoch: int) -> bytes:
    """The value of a partition's ``state``; its replicas stand with the topic."""
    return _encode(
        {
            "controller_epoch": controller_epoch,
            "leader": state.leader_id,
            "version": 1,
            "leader_epoch": state.leader_epoch,
            "isr": list(state.isr),
        }
    )


def decode_state(value: bytes, replicas: tuple[int, ...]) -> PartitionState:
    """The state of a partition that has these replicas."""
    found = _decode(value)
    return PartitionState(found["leader"], found["leader_epoch"], tuple(found["isr"]), replicas)


def encode_settings(settings: Mapping[str, str]) -> bytes:
    """The value of a node below ``/config``."""
    return _encode({"version": 1, "config": dict(settings)})


def decode_settings(value: bytes) -> dict[str, str]:
    """The settings in a node below ``/config``."""
    return {str(name): str(text) for name, text in _decode(value)["config"].items()}


def encode_broker(broker: BrokerInfo, now_ms: int) -> bytes:
    """The value of ``/brokers/ids/N``."""
    plain = next(iter(broker.endpoints.values()), Endpoint("", -1))
    return _encode(
        {
            "version": 5,
            "endpoints": [f"{name}://{_bracketed(at.host)}:{at.port}" for name, at in broker.endpoints.items()],
            "listener_security_protocol_map": dict.fromkeys(broker.endpoints, "PLAINTEXT"),
            "host": plain.host,
            "port": plain.port,
            "jmx_port": -1,
            "timestamp": str(now_ms),
            "features": {},
        }
    )


def decode_broker(broker_id: int, value: bytes) -> BrokerInfo:
    """The broker that registered itself with ``value``."""
    endpoints: dict[str, Endpoint] = {}
    for text in _decode(value)["endpoints"]:
        name, _, address = text.partition("://")
        host, _, port = address.rpartition(":")
        endpoints[name] = Endpoint(host.strip("[]"), int(port))
    return BrokerInfo(broker_id, endpoints)


def encode_controller(broker_id: int, now_ms: int) -> bytes:
    """The value of ``/controller``."""
    return _encode({"version": 1, "brokerid": broker_id, "timestamp": str(now_ms)})


def decode_controller(value: bytes) -> int:
    """The id of the broker that is the controller."""
    return int(_decode(value)["brokerid"])


def encode_producer_id_block(broker_id: int, block: ProducerIdBlock) -> bytes:
    """The value of ``/latest_producer_id_block``."""
    return _encode({"version": 1, "broker": broker_id, "block_start": str(block.first), "block_end": str(block.last)})


def decode_producer_id_block(value: bytes) -> ProducerIdBlock:
    """The block that was handed out last."""
    found = _decode(value)
    return ProducerIdBlock(int(found["block_start"]), int(found["block_end"]))


def _encode(value: Mapping[str, object]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _decode(value: bytes) -> dict[str, Any]:
    decoded = json.loads(value)
    if not isinstance(decoded, dict):
        raise ValueError(f"a node holds {value[:40]!r} where a JSON object should stand")
    return decoded


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
