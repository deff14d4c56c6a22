"""The topics of the cluster, as groups see them."""

from __future__ import annotations

from minikafka.cluster.metadata import MetadataCache


class ClusterTopics:
    """What this broker knows of topics, under the names that groups use; a :class:`values.TopicsView`."""

    __slots__ = ("_metadata",)

    def __init__(self, metadata: MetadataCache) -> None:
        self._metadata = metadata

    @property
    def version(self) -> int:
        """Changes whenever a topic comes, goes or grows."""
        return self._metadata.topics_version

    def names(self) -> list[str]:
        """All topics, without the internal ones."""
        return [topic.name for topic in self._metadata.topics if not topic.is_internal]

    def topic_id(self, name: str) -> bytes | None:
        """The id of a topic, None when there is no such topic."""
        topic = self._metadata.topic(name)
        return None if topic is None else topic.topic_id

    def topic_name(self, topic_id: bytes) -> str | None:
        """The name of a topic, None when there is no such topic."""
        return self._metadata.topic_name(topic_id)

    def partition_count(self, name: str) -> int:
        """How many partitions a topic has, 0 when there is no such topic."""
        topic = self._metadata.topic(name)
        return 0 if topic is None else len(topic.partitions)
