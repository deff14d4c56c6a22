"""Joining the cluster: its id, its state as it stands, this broker's registration, and who is the controller.

Source: Kafka 3, core/zk/KafkaZkClient.scala (registerBroker, registerControllerAndIncrementControllerEpoch).
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

from minikafka.clock import Clock
from minikafka.cluster import znodes
from minikafka.cluster.metadata import BrokerInfo, MetadataCache, TopicMetadata
from minikafka.cluster.store import (
    BadVersion,
    CoordinationStore,
    Create,
    Node,
    NodeExists,
    NoNode,
    Operation,
    SetValue,
    ensure_path,
)
from minikafka.types import new_uuid, uuid_text


class BrokerIdInUse(Exception):
    """Another process that is alive has registered the same broker id."""


async def ensure_layout(store: CoordinationStore) -> None:
    """Make the nodes that everything else stands below; together, so that the last one stands for all."""
    if await store.exists(znodes.PERSISTENT_PATHS[-1]) is not None:
        return
    try:
        await store.multi([Create(path) for path in znodes.PERSISTENT_PATHS])
    except NodeExists:
        # Another broker is starting too, or somebody made some of them by hand.
        for path in znodes.PERSISTENT_PATHS:
            await ensure_path(store, path)


async def ensure_cluster_id(store: CoordinationStore, wanted: str | None) -> str:
    """The cluster's id: the one that stands there, or else ``wanted``, or one that is drawn now."""
    if await store.exists(znodes.CLUSTER_ID) is None:
        with suppress(NodeExists):
            await store.create(znodes.CLUSTER_ID, znodes.encode_cluster_id(wanted or uuid_text(new_uuid())))
    return znodes.decode_cluster_id((await store.get(znodes.CLUSTER_ID)).value)


async def load(store: CoordinationStore, metadata: MetadataCache) -> None:
    """Fill the cache with what the store has."""
    metadata.replace_brokers(
        znodes.decode_broker(int(path.rpartition("/")[2]), node.value)
        for path, node in (await store.tree(znodes.BROKER_IDS)).items()
    )
    settings = _settings_by_name(await store.tree(znodes.TOPIC_CONFIGS))
    nodes = await store.tree(znodes.TOPICS)
    for path, node in nodes.items():
        name = path.removeprefix(znodes.TOPICS + "/")
        if "/" not in name:
            metadata.put_topic(_topic(name, node, nodes, settings.get(name, {})))
    set_broker_settings(metadata, _settings_by_name(await store.tree(znodes.BROKER_CONFIGS)))


async def register_broker(store: CoordinationStore, broker: BrokerInfo, now_ms: int) -> None:
    """Say that this broker is alive and where it can be reached, for as long as the session lives.

    Raises:
        BrokerIdInUse: Another session says so of the same id.
    """
    path = znodes.broker_path(broker.broker_id)
    value = znodes.encode_broker(broker, now_ms)
    try:
        await store.create(path, value, ephemeral=True)
    except NodeExists:
        if (await store.get(path)).stat.owner != store.session_id:
            raise BrokerIdInUse(
                f"another running broker has the id {broker.broker_id}: give node.id another value"
            ) from None
        await store.set(path, value)


async def elect_controller(store: CoordinationStore, broker_id: int, clock: Clock) -> int:
    """Become the controller unless another broker is, and return the id of the one that is."""
    while True:
        try:
            return znodes.decode_controller((await store.get(znodes.CONTROLLER)).value)
        except NoNode:
            value = znodes.encode_controller(broker_id, clock.now_ms())
        with suppress(NodeExists, BadVersion):  # another broker was faster: look who
            await store.multi(
                [Create(znodes.CONTROLLER, value, ephemeral=True), await _counting_one_more_controller(store)]
            )
            return broker_id


async def controller_epoch(store: CoordinationStore) -> int:
    """How many controllers there have been; the last one's changes carry this number."""
    try:
        return int((await store.get(znodes.CONTROLLER_EPOCH)).value)
    except NoNode:
        return 0


async def _counting_one_more_controller(store: CoordinationStore) -> Operation:
    try:
        epoch = await store.get(znodes.CONTROLLER_EPOCH)
    except NoNode:
        return Create(znodes.CONTROLLER_EPOCH, b"1")
    return SetValue(znodes.CONTROLLER_EPOCH, b"%d" % (int(epoch.value) + 1), epoch.stat.version)


def set_broker_settings(metadata: MetadataCache, by_name: Mapping[str, Mapping[str, str]]) -> None:
    """Know what was set for brokers while they run; the names are those of the nodes."""
    metadata.settings_for_all = by_name.get(znodes.ALL_BROKERS, {})
    metadata.settings_of = {int(name): found for name, found in by_name.items() if name != znodes.ALL_BROKERS}


def _settings_by_name(nodes: Mapping[str, Node]) -> dict[str, dict[str, str]]:
    return {path.rpartition("/")[2]: znodes.decode_settings(node.value) for path, node in nodes.items()}


def _topic(name: str, node: Node, nodes: Mapping[str, Node], settings: Mapping[str, str]) -> TopicMetadata:
    found = znodes.decode_topic(node.value)
    partitions = tuple(
        znodes.decode_state(nodes[znodes.state_path(name, index)].value, replicas)
        for index, replicas in enumerate(found.assignment)
    )
    return TopicMetadata(name, found.topic_id, partitions, settings)
