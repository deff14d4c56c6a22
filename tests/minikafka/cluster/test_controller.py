import asyncio
import json

import pytest

from minikafka.cluster.metadata import BrokerInfo, MetadataCache, PartitionState
from minikafka.cluster.store import StoreUnavailable
from minikafka.cluster.topic_requests import ManualReplicas, TopicSpec
from minikafka.config.alter import AlterOperation, ConfigAlteration
from minikafka.errors import (
    CoordinatorNotAvailable,
    InvalidConfig,
    InvalidPartitions,
    InvalidReplicaAssignment,
    InvalidRequest,
    InvalidTopic,
    TopicAlreadyExists,
    UnknownTopicOrPartition,
)
from tests.minikafka.cluster.conftest import BROKER

SET, DELETE, APPEND, SUBTRACT = AlterOperation


async def reloaded(new_controller) -> MetadataCache:
    """What a broker that starts now reads from the store."""
    fresh = MetadataCache()
    await new_controller(fresh).start()
    return fresh


async def test_a_created_topic_is_in_the_cache_and_in_the_store(controller, metadata, new_controller):
    topic = await controller.create_topic(TopicSpec("t", 2, 1, settings={"retention.ms": "5"}))
    assert topic.partitions == (PartitionState(1, 0, (1,), (1,)),) * 2
    assert metadata.topic("t") == topic
    assert (await reloaded(new_controller)).topic("t") == topic


async def test_a_topic_stands_at_kafkas_paths(controller, store):
    await controller.create_topic(TopicSpec("t", 2, 1, settings={"retention.ms": "5"}))
    tree = await store.tree("/brokers/topics")
    assert sorted(tree) == [
        "/brokers/topics/t",
        "/brokers/topics/t/partitions",
        "/brokers/topics/t/partitions/0",
        "/brokers/topics/t/partitions/0/state",
        "/brokers/topics/t/partitions/1",
        "/brokers/topics/t/partitions/1/state",
    ]
    state = json.loads(tree["/brokers/topics/t/partitions/0/state"].value)
    assert state == {"controller_epoch": 1, "leader": 1, "version": 1, "leader_epoch": 0, "isr": [1]}
    assert json.loads((await store.get("/config/topics/t")).value) == {"version": 1, "config": {"retention.ms": "5"}}


async def test_minus_one_means_the_brokers_defaults(new_controller, metadata):
    controller = new_controller(metadata, "num.partitions=3")
    await controller.start()
    await controller.join(BROKER)
    assert len((await controller.create_topic(TopicSpec("t"))).partitions) == 3


async def test_validation_alone_makes_nothing(controller, metadata, store):
    topic = await controller.create_topic(TopicSpec("t", 2), validate_only=True)
    assert len(topic.partitions) == 2
    assert metadata.topic("t") is None
    assert await store.exists("/brokers/topics/t") is None


async def test_a_topic_is_made_once_even_when_two_try_together(controller):
    results = await asyncio.gather(*(controller.create_topic(TopicSpec("t")) for _ in range(2)), return_exceptions=True)
    assert sorted(type(result).__name__ for result in results) == ["TopicAlreadyExists", "TopicMetadata"]


async def test_a_topic_that_another_broker_made_meanwhile_exists_already(controller, new_controller, metadata):
    elsewhere = new_controller(MetadataCache())
    await elsewhere.start()
    await controller.create_topic(TopicSpec("t"))
    with pytest.raises(TopicAlreadyExists, match="Topic 't' already exists"):
        await elsewhere.create_topic(TopicSpec("t", manual_replicas=[ManualReplicas(0, (1,))]))


@pytest.mark.parametrize(
    ("spec", "error"),
    [
        (TopicSpec("a/b"), InvalidTopic),
        (TopicSpec("there.is"), InvalidTopic),
        (TopicSpec("t", settings={"retention.mss": "1"}), InvalidConfig),
        (TopicSpec("t", settings={"retention.ms": "x"}), InvalidConfig),
        (TopicSpec("t", settings={"retention.ms": None}), InvalidConfig),
        (TopicSpec("t", 0), InvalidPartitions),
        (TopicSpec("t", manual_replicas=[ManualReplicas(0, (9,))]), InvalidReplicaAssignment),
    ],
)
async def test_a_topic_that_cannot_be_leaves_no_trace(controller, store, metadata, spec, error):
    await controller.create_topic(TopicSpec("there_is"))
    before = await store.tree("/")
    with pytest.raises(error):
        await controller.create_topic(spec)
    assert await store.tree("/") == before
    assert [topic.name for topic in metadata.topics] == ["there_is"]


async def test_a_deleted_topic_is_gone_everywhere(controller, metadata, store):
    topic = await controller.create_topic(TopicSpec("t", 3))
    assert await controller.delete_topic("t") == topic
    assert metadata.topic("t") is None
    assert await store.tree("/brokers/topics") == {}
    assert await store.tree("/config/topics") == {}


async def test_a_topic_made_again_has_another_id(controller):
    first = await controller.create_topic(TopicSpec("t"))
    await controller.delete_topic("t")
    assert (await controller.create_topic(TopicSpec("t"))).topic_id != first.topic_id


async def test_a_topic_that_another_broker_deleted_is_deleted(controller, new_controller):
    await controller.create_topic(TopicSpec("t"))
    elsewhere_metadata = MetadataCache()
    elsewhere = new_controller(elsewhere_metadata)
    await elsewhere.start()
    await controller.delete_topic("t")
    await elsewhere.delete_topic("t")
    assert elsewhere_metadata.topic("t") is None


async def test_a_topic_that_is_not_there_cannot_be_changed(controller):
    for attempt in (
        controller.delete_topic("t"),
        controller.create_partitions("t", 2),
        controller.alter_topic_config("t", []),
        controller.replace_topic_config("t", {}),
    ):
        with pytest.raises(UnknownTopicOrPartition, match="The topic 't' does not exist"):
            await attempt


async def test_a_topic_grows(controller, metadata, new_controller):
    before = await controller.create_topic(TopicSpec("t", 1))
    grown = await controller.create_partitions("t", 3)
    assert (len(grown.partitions), grown.topic_id) == (3, before.topic_id)
    assert metadata.topic("t") == grown
    assert (await reloaded(new_controller)).topic("t") == grown


async def test_growth_that_is_only_validated_does_not_happen(controller, metadata):
    await controller.create_topic(TopicSpec("t", 1))
    assert len((await controller.create_partitions("t", 3, validate_only=True)).partitions) == 3
    assert len(metadata.topic("t").partitions) == 1


async def test_growth_that_collides_with_another_brokers_is_refused(controller, new_controller):
    await controller.create_topic(TopicSpec("t", 1))
    elsewhere = new_controller(MetadataCache())
    await elsewhere.start()
    await controller.create_partitions("t", 3)
    with pytest.raises(InvalidRequest, match="changed meanwhile"):
        await elsewhere.create_partitions("t", 2)


async def test_a_topics_settings_are_altered_one_by_one(controller, metadata, new_controller):
    await controller.create_topic(TopicSpec("t", settings={"retention.ms": "5", "segment.ms": "7"}))
    topic = await controller.alter_topic_config(
        "t",
        [
            ConfigAlteration("retention.ms", SET, "6"),
            ConfigAlteration("segment.ms", DELETE, None),
            ConfigAlteration("cleanup.policy", APPEND, "compact"),
        ],
    )
    assert topic.settings == {"retention.ms": "6", "cleanup.policy": "delete,compact"}
    assert metadata.topic("t") == topic
    assert (await reloaded(new_controller)).topic("t") == topic


async def test_a_topics_settings_are_replaced_together(controller):
    await controller.create_topic(TopicSpec("t", settings={"retention.ms": "5"}))
    topic = await controller.replace_topic_config("t", {"segment.ms": "7"})
    assert topic.settings == {"segment.ms": "7"}
    with pytest.raises(InvalidRequest, match="Null value not supported"):
        await controller.replace_topic_config("t", {"segment.ms": None})


@pytest.mark.parametrize(
    "alterations",
    [
        [ConfigAlteration("retention.ms", SET, "x")],
        [ConfigAlteration("segment.ms", SET, "7"), ConfigAlteration("nothing", SET, "1")],
        [ConfigAlteration("retention.ms", APPEND, "1")],
    ],
)
async def test_an_alteration_that_makes_no_sense_changes_nothing(controller, metadata, alterations):
    topic = await controller.create_topic(TopicSpec("t", settings={"retention.ms": "5"}))
    with pytest.raises(InvalidConfig):
        await controller.alter_topic_config("t", alterations)
    assert metadata.topic("t") == topic


async def test_an_alteration_that_is_only_validated_does_not_happen(controller, metadata, new_controller):
    await controller.create_topic(TopicSpec("t"))
    await controller.alter_topic_config("t", [ConfigAlteration("retention.ms", SET, "6")], validate_only=True)
    assert metadata.topic("t").settings == {}
    assert (await reloaded(new_controller)).topic("t").settings == {}


async def test_a_running_broker_takes_new_defaults_for_topics(controller, metadata, new_controller):
    settings = await controller.alter_broker_config(None, [ConfigAlteration("log.retention.ms", SET, "1000")])
    assert settings.effective.topic_defaults().retention_ms == 1000
    assert controller.topic_config({}).retention_ms == 1000
    await controller.alter_broker_config(1, [ConfigAlteration("log.retention.ms", SET, "2000")])
    assert controller.topic_config({}).retention_ms == 2000
    fresh = await reloaded(new_controller)
    assert fresh.settings_for_all == {"log.retention.ms": "1000"}
    assert fresh.settings_of == {1: {"log.retention.ms": "2000"}}
    await controller.replace_broker_config(1, {})
    assert controller.topic_config({}).retention_ms == 1000


async def test_another_brokers_settings_are_not_ours(controller):
    await controller.replace_broker_config(2, {"log.retention.ms": "1000"})
    assert controller.topic_config({}).retention_ms == 604_800_000


@pytest.mark.parametrize(
    ("name", "value", "error", "message"),
    [
        ("num.partitions", "3", InvalidRequest, r"Cannot update these configs dynamically: num\.partitions"),
        ("log.retention.msec", "3", InvalidConfig, r"did you mean log\.retention\.ms"),
        ("log.retention.ms", "x", InvalidConfig, r"Invalid value x for configuration log\.retention\.ms"),
    ],
)
async def test_what_a_running_broker_cannot_take_is_refused(controller, metadata, name, value, error, message):
    with pytest.raises(error, match=message):
        await controller.alter_broker_config(1, [ConfigAlteration(name, SET, value)])
    assert metadata.settings_of == {}


async def test_producer_ids_come_in_blocks_that_never_overlap(controller, new_controller):
    elsewhere = new_controller(MetadataCache())
    blocks = await asyncio.gather(
        *(source.next_producer_id_block() for _ in range(5) for source in (controller, elsewhere))
    )
    assert sorted(blocks) == [(first, first + 999) for first in range(0, 10_000, 1000)]


async def test_without_its_store_a_controller_has_no_producer_ids(controller, store):
    await store.close()
    with pytest.raises(CoordinatorNotAvailable):
        await controller.next_producer_id_block()
    with pytest.raises(StoreUnavailable):
        await controller.create_topic(TopicSpec("t"))


async def test_leader_epochs_begin_again_for_what_this_broker_leads(controller, metadata, new_controller):
    await controller.create_topic(TopicSpec("t", 2))
    metadata.replace_brokers([BROKER, BrokerInfo(2, {})])
    await controller.create_topic(TopicSpec("other", manual_replicas=[ManualReplicas(0, (2,))]))
    await controller.begin_leader_epochs()
    assert [state.leader_epoch for state in metadata.topic("t").partitions] == [1, 1]
    assert [state.leader_epoch for state in metadata.topic("other").partitions] == [0]
    fresh = await reloaded(new_controller)
    assert fresh.topic("t") == metadata.topic("t")
    assert fresh.topic("other") == metadata.topic("other")


async def test_the_description_of_a_broker_has_all_layers(controller):
    await controller.alter_broker_config(None, [ConfigAlteration("message.max.bytes", SET, "77")])
    described = {entry.name: entry.value for entry in controller.broker_settings.describe_broker()}
    assert described["message.max.bytes"] == "77"
