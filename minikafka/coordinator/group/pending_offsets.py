"""Offsets that were committed in a transaction which is still open.

They become visible with its commit, and vanish with its abort.  Of a commit in a transaction and one outside the later
record wins, whenever the transaction ends::

    in the log     pending 5    plain 7    commit        visible: 7
                   plain 7    pending 5    commit        visible: 5

Source: Kafka, OffsetMetadataManager.pendingTransactionalOffsets.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator
from typing import NamedTuple

from minikafka.coordinator.group.values import CommittedOffset
from minikafka.types import TopicPartition


class _Where(NamedTuple):
    group_id: str
    topic_partition: TopicPartition


class _Pending(NamedTuple):
    order: int
    """Grows with every record."""
    committed: CommittedOffset | None
    """None where a later commit has taken its place, though the partition stays unstable."""


class PendingOffsets:
    """The pending offsets of all groups of one partition of ``__consumer_offsets``, by producer."""

    __slots__ = ("_by_producer", "_order", "_producers")

    def __init__(self) -> None:
        self._order = 0
        self._by_producer: dict[int, dict[_Where, _Pending]] = {}
        self._producers: dict[str, dict[TopicPartition, set[int]]] = {}

    def add(self, producer_id: int, group_id: str, topic_partition: TopicPartition, committed: CommittedOffset) -> None:
        """Remember what a producer has committed in its transaction."""
        self._order += 1
        pending = _Pending(self._order, committed)
        self._by_producer.setdefault(producer_id, {})[_Where(group_id, topic_partition)] = pending
        self._producers.setdefault(group_id, defaultdict(set))[topic_partition].add(producer_id)

    def supersede(self, group_id: str, topic_partition: TopicPartition) -> None:
        """Have the pending offsets of a partition come to nothing: what came later is visible."""
        self._supersede(_Where(group_id, topic_partition), self._order + 1)

    def remove(self, group_id: str, topic_partition: TopicPartition) -> None:
        """Forget the pending offsets of a partition: they were deleted."""
        for producer_id in tuple(self._producers.get(group_id, {}).get(topic_partition, ())):
            self._take(producer_id, _Where(group_id, topic_partition))

    def abort(self, producer_id: int) -> None:
        """Forget what a producer has pending."""
        for where in list(self._by_producer.get(producer_id, ())):
            self._take(producer_id, where)

    def commit(self, producer_id: int) -> Iterator[tuple[str, TopicPartition, CommittedOffset]]:
        """Forget what a producer has pending, and tell what of it becomes visible."""
        for where in list(self._by_producer.get(producer_id, ())):
            order, committed = self._take(producer_id, where)
            if committed is not None:
                self._supersede(where, order)
                yield (*where, committed)

    def is_pending(self, group_id: str, topic_partition: TopicPartition) -> bool:
        """Whether a partition has pending offsets."""
        return topic_partition in self._producers.get(group_id, ())

    def partitions_of(self, group_id: str) -> Collection[TopicPartition]:
        """The partitions of a group that have pending offsets."""
        return self._producers.get(group_id, {}).keys()

    def groups(self) -> Collection[str]:
        """The groups that have pending offsets."""
        return self._producers.keys()

    def _supersede(self, where: _Where, before_order: int) -> None:
        for producer_id in self._producers.get(where.group_id, {}).get(where.topic_partition, ()):
            pending = self._by_producer[producer_id][where]
            if pending.order < before_order:
                self._by_producer[producer_id][where] = pending._replace(committed=None)

    def _take(self, producer_id: int, where: _Where) -> _Pending:
        of_producer, of_group = self._by_producer[producer_id], self._producers[where.group_id]
        pending = of_producer.pop(where)
        if not of_producer:
            del self._by_producer[producer_id]
        of_group[where.topic_partition].discard(producer_id)
        if not of_group[where.topic_partition]:
            del of_group[where.topic_partition]
            if not of_group:
                del self._producers[where.group_id]
        return pending
