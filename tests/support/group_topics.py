"""The topics of a cluster that tests change, as groups see them."""

from __future__ import annotations

from collections.abc import Iterable

from minikafka.coordinator.group.consumer.partitions import Partitions, TopicIdPartition, gather

ID_LENGTH = 16


class Topics:
    """A :class:`~minikafka.coordinator.group.values.TopicsView`; an id is the name of its topic, and a number."""

    def __init__(self, **counts: int) -> None:
        self.version = 0
        self._counts: dict[str, int] = {}
        self._ids: dict[str, bytes] = {}
        for name, count in counts.items():
            self.create(name, count)

    def create(self, name: str, count: int) -> bytes:
        """Make a topic, or make it anew: under another id then."""
        self.version += 1
        self._counts[name] = count
        self._ids[name] = name.encode().ljust(ID_LENGTH - 1, b".") + bytes([self.version])
        return self._ids[name]

    def grow(self, name: str, count: int) -> None:
        self.version += 1
        self._counts[name] = count

    def delete(self, name: str) -> None:
        self.version += 1
        del self._counts[name], self._ids[name]

    def names(self) -> list[str]:
        return sorted(self._ids)

    def topic_id(self, name: str) -> bytes | None:
        return self._ids.get(name)

    def topic_name(self, topic_id: bytes) -> str | None:
        return next((name for name, known in self._ids.items() if known == topic_id), None)

    def partition_count(self, name: str) -> int:
        return self._counts.get(name, 0)

    def partitions(self, name: str, numbers: Iterable[int] | None = None) -> Partitions:
        """Partitions of a topic, all unless some are named."""
        wanted = range(self._counts[name]) if numbers is None else numbers
        return gather(TopicIdPartition(self._ids[name], number) for number in wanted)
