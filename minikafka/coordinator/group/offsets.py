"""The committed offsets of groups: how far each came in each partition, and when that is forgotten.

An offset is visible once its record is durable.  Between the two it is in flight::

    commit_records ──► the log ──► appended ──► durable ──► replay ──► visible
                                       └── in flight ──────────┘

A partition with a commit in flight does not expire, for the tombstone would come after the commit and delete it; and a
group that is deleted takes such a commit along.  What is committed in a transaction is *pending* when it is durable,
and visible when the transaction is committed, too.

Source: Kafka, OffsetMetadataManager, which has a timeline of snapshots for this.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from types import MappingProxyType

from minikafka.coordinator.group.pending_offsets import PendingOffsets
from minikafka.coordinator.group.values import CommittedOffset, GroupRecord
from minikafka.protocol.payloads.group_records import OffsetCommitKey, OffsetCommitValue
from minikafka.types import NO_PRODUCER_ID, NO_TIMESTAMP, TopicPartition

_NOTHING: Mapping[TopicPartition, CommittedOffset] = MappingProxyType({})


class Offsets:
    """The offsets of all groups of one partition of ``__consumer_offsets``.

    Every change is a record: whoever asks for one writes it, and has it applied by :meth:`replay` when it is durable.
    """

    __slots__ = ("_by_group", "_in_flight", "_pending")

    def __init__(self) -> None:
        self._pending = PendingOffsets()
        self._by_group: dict[str, dict[TopicPartition, CommittedOffset]] = {}
        self._in_flight: dict[str, Counter[TopicPartition]] = {}

    def get(self, group_id: str, topic_partition: TopicPartition) -> CommittedOffset | None:
        """How far a group came in a partition; None when it has not committed there."""
        return self.all_of(group_id).get(topic_partition)

    def all_of(self, group_id: str) -> Mapping[TopicPartition, CommittedOffset]:
        """How far a group came in every partition where it has committed; a view, not a copy."""
        return self._by_group.get(group_id, _NOTHING)

    def groups(self) -> Collection[str]:
        """The groups that have offsets, visible or pending."""
        return dict.fromkeys([*self._by_group, *self._pending.groups()])

    def has_offsets(self, group_id: str) -> bool:
        """Whether a group has offsets, in flight, pending or visible."""
        return group_id in self._by_group or group_id in self._in_flight or group_id in self._pending.groups()

    def has_pending(self, group_id: str) -> bool:
        """Whether offsets of a group are part of transactions that are open."""
        return group_id in self._pending.groups()

    def is_pending(self, group_id: str, topic_partition: TopicPartition) -> bool:
        """Whether an offset of a partition is part of a transaction that is open."""
        return self._pending.is_pending(group_id, topic_partition)

    @staticmethod
    def commit_records(group_id: str, offsets: Mapping[TopicPartition, CommittedOffset]) -> tuple[GroupRecord, ...]:
        """The records by which a group commits ``offsets``."""
        return tuple(
            GroupRecord(_key_of(group_id, topic_partition), _value_of(committed))
            for topic_partition, committed in offsets.items()
        )

    def appended(self, records: Iterable[GroupRecord]) -> None:
        """Note that records are in the log and will be replayed when they are durable.

        Records of other kinds are ignored.  There is no way back: where they do not become durable, nobody knows what
        the log has, and the state has to be loaded anew.
        """
        for key, _ in records:
            if isinstance(key, OffsetCommitKey):
                flying = self._in_flight.setdefault(key.group, Counter())
                flying[TopicPartition(key.topic, key.partition)] += 1

    def replay(self, record: GroupRecord, producer_id: int = NO_PRODUCER_ID) -> None:
        """Apply a durable record, in the order of the log; records of other kinds are ignored.

        With ``producer_id`` it is part of that producer's transaction.
        """
        key, value = record
        if not isinstance(key, OffsetCommitKey):
            return
        topic_partition = TopicPartition(key.topic, key.partition)
        self._land(key.group, topic_partition)
        if not isinstance(value, OffsetCommitValue):
            self._remove(key.group, topic_partition)
            self._pending.remove(key.group, topic_partition)
        elif producer_id != NO_PRODUCER_ID:
            self._pending.add(producer_id, key.group, topic_partition, _committed_in(value))
        else:
            self._by_group.setdefault(key.group, {})[topic_partition] = _committed_in(value)
            self._pending.supersede(key.group, topic_partition)

    def end_transaction(self, producer_id: int, *, is_commit: bool) -> None:
        """Apply the end of a producer's transaction, which is durable: what it has pending is visible, or gone."""
        if not is_commit:
            self._pending.abort(producer_id)
            return
        for group_id, topic_partition, committed in self._pending.commit(producer_id):
            self._by_group.setdefault(group_id, {})[topic_partition] = committed

    def delete_records(
        self, group_id: str, partitions: Iterable[TopicPartition] | None = None
    ) -> tuple[GroupRecord, ...]:
        """The records that delete a group's offsets of ``partitions``, of all when None; none for what is not there."""
        present = self._present_in(group_id)
        wanted = present if partitions is None else dict.fromkeys(partitions)
        return tuple(_tombstone(group_id, topic_partition) for topic_partition in wanted if topic_partition in present)

    def delete_topic(self, topic: str) -> tuple[GroupRecord, ...]:
        """The records that delete every group's offsets of a topic, which is gone."""
        return tuple(
            _tombstone(group_id, topic_partition)
            for group_id in self._groups_with_any()
            for topic_partition in self._present_in(group_id)
            if topic_partition.topic == topic
        )

    def expired(
        self,
        group_id: str,
        now_ms: int,
        retention_ms: int,
        is_subscribed: Callable[[str], bool],
        empty_since_ms: int | None = None,
    ) -> tuple[GroupRecord, ...]:
        """The records that delete those offsets of a group that have had their time.

        Args:
            group_id: The group.
            now_ms: The time, by the clock that commits are dated with.
            retention_ms: ``offsets.retention.minutes``, in milliseconds.
            is_subscribed: Whether members may be reading a topic: its offsets stay.
            empty_since_ms: When the last member of a classic group left; the retention then counts from there.  None:
                it counts from each commit.

        Source: Kafka, OffsetExpirationConditionImpl.
        """

        def is_over(committed: CommittedOffset) -> bool:
            if committed.expire_timestamp_ms != NO_TIMESTAMP:
                return now_ms >= committed.expire_timestamp_ms
            since_ms = committed.commit_timestamp_ms if empty_since_ms is None else empty_since_ms
            return now_ms - since_ms >= retention_ms

        return tuple(
            _tombstone(group_id, topic_partition)
            for topic_partition, committed in self._settled(group_id)
            if is_over(committed) and not is_subscribed(topic_partition.topic)
        )

    def _settled(self, group_id: str) -> Iterator[tuple[TopicPartition, CommittedOffset]]:
        unsettled = {*self._in_flight.get(group_id, ()), *self._pending.partitions_of(group_id)}
        return (item for item in self.all_of(group_id).items() if item[0] not in unsettled)

    def _groups_with_any(self) -> Collection[str]:
        return dict.fromkeys([*self._by_group, *self._in_flight, *self._pending.groups()])

    def _present_in(self, group_id: str) -> Collection[TopicPartition]:
        """The partitions of a group that have an offset, visible, in flight or pending."""
        in_flight, pending = self._in_flight.get(group_id, ()), self._pending.partitions_of(group_id)
        return dict.fromkeys([*self.all_of(group_id), *in_flight, *pending])

    def _land(self, group_id: str, topic_partition: TopicPartition) -> None:
        flying = self._in_flight.get(group_id)
        if flying is None or topic_partition not in flying:
            return
        flying[topic_partition] -= 1
        if flying[topic_partition] == 0:
            del flying[topic_partition]
            if not flying:
                del self._in_flight[group_id]

    def _remove(self, group_id: str, topic_partition: TopicPartition) -> None:
        offsets = self._by_group.get(group_id)
        if offsets is not None:
            offsets.pop(topic_partition, None)
            if not offsets:
                del self._by_group[group_id]


def _tombstone(group_id: str, topic_partition: TopicPartition) -> GroupRecord:
    return GroupRecord(_key_of(group_id, topic_partition), None)


def _key_of(group_id: str, topic_partition: TopicPartition) -> OffsetCommitKey:
    return OffsetCommitKey(group=group_id, topic=topic_partition.topic, partition=topic_partition.partition)


def _value_of(committed: CommittedOffset) -> OffsetCommitValue:
    return OffsetCommitValue(
        offset=committed.offset,
        leader_epoch=committed.leader_epoch,
        metadata=committed.metadata,
        commit_timestamp=committed.commit_timestamp_ms,
        expire_timestamp=committed.expire_timestamp_ms,
        topic_id=committed.topic_id,
    )


def _committed_in(value: OffsetCommitValue) -> CommittedOffset:
    return CommittedOffset(
        offset=value.offset,
        leader_epoch=value.leader_epoch,
        metadata=value.metadata,
        commit_timestamp_ms=value.commit_timestamp,
        expire_timestamp_ms=value.expire_timestamp,
        topic_id=value.topic_id,
    )
