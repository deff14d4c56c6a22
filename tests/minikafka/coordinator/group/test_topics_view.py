"""The topics of the cluster, as groups see them."""

from __future__ import annotations

from minikafka.cluster.metadata import MetadataCache, PartitionState, TopicMetadata
from minikafka.coordinator.group.topics_view import ClusterTopics
from minikafka.types import GROUP_METADATA_TOPIC


def topic(name: str, partitions: int = 1, *, topic_id: int = 1, leader: int = 1) -> TopicMetadata:
    state = PartitionState(leader, 0, (1,), (1,))
    return TopicMetadata(name, bytes([topic_id] * 16), (state,) * partitions)


def test_a_topic_is_found_by_name_and_by_id() -> None:
    metadata = MetadataCache()
    metadata.put_topic(topic("orders", 3))
    view = ClusterTopics(metadata)
    assert (view.topic_id("orders"), view.partition_count("orders")) == (bytes([1] * 16), 3)
    assert view.topic_name(bytes([1] * 16)) == "orders"


def test_a_topic_that_is_not_there_has_no_id_no_name_and_no_partitions() -> None:
    view = ClusterTopics(MetadataCache())
    assert (view.topic_id("orders"), view.topic_name(bytes(16)), view.partition_count("orders")) == (None, None, 0)


def test_internal_topics_are_not_among_the_names() -> None:
    metadata = MetadataCache()
    metadata.put_topic(topic("orders"))
    metadata.put_topic(topic(GROUP_METADATA_TOPIC, topic_id=2))
    assert ClusterTopics(metadata).names() == ["orders"]


def test_the_version_changes_with_what_matters_to_groups_and_with_nothing_else() -> None:
    metadata = MetadataCache()
    view = ClusterTopics(metadata)
    versions = [view.version]
    for changed in (topic("orders"), topic("orders", 2), topic("orders", 2, topic_id=9), topic("returns", topic_id=3)):
        metadata.put_topic(changed)
        versions.append(view.version)
    metadata.remove_topic("returns")
    versions.append(view.version)
    assert versions == sorted(set(versions))
    metadata.put_topic(topic("orders", 2, topic_id=9, leader=2))
    metadata.remove_topic("unknown")
    assert view.version == versions[-1]
