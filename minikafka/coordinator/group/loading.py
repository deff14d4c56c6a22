"""From the records of a partition of ``__consumer_offsets`` to the groups that they describe."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from operator import attrgetter
from typing import Protocol

from minikafka.clock import Clock
from minikafka.coordinator.group.classic.group import ClassicGroup
from minikafka.coordinator.group.consumer.group import ConsumerGroup
from minikafka.coordinator.group.offsets import Offsets
from minikafka.coordinator.group.records import decode
from minikafka.coordinator.group.values import Group, GroupLimits, GroupRecord, TopicsView
from minikafka.coordinator.state_log import StoredMarker, StoredRecord
from minikafka.protocol.payloads.group_records import (
    ConsumerGroupMetadataKey,
    GroupMetadataKey,
    GroupMetadataValue,
    OffsetCommitKey,
)
from minikafka.types import NO_PRODUCER_ID

RECORDS_PER_STEP = 500
"""Records that are loaded before others get their turn: about 5 ms."""

NewMemberIds = Callable[[str], str]
"""From what a new member calls itself to the id that it gets."""


class ReadableLog(Protocol):
    """A log that can be read; a :class:`~minikafka.coordinator.state_log.StateLog`."""

    def read_all(self) -> Iterator[StoredRecord | StoredMarker]:
        """Its records, in their order."""
        ...


class _ConsumerGroupKey(Protocol):
    """What the keys of all records of consumer groups have in common."""

    group_id: str


class Replay:
    """Applies records in the order of the log.

    Of a classic group the last record says everything.  A consumer group is made of many records, and gone with the one
    that deletes its metadata.  Between the two selves of a group that changed its protocol are the records that delete
    the former.
    """

    __slots__ = ("_classic", "_clock", "_consumer", "_limits", "_new_member_id", "_offsets", "_topics")

    def __init__(
        self, offsets: Offsets, limits: GroupLimits, topics: TopicsView, new_member_id: NewMemberIds, clock: Clock
    ) -> None:
        self._offsets = offsets
        self._limits = limits
        self._topics = topics
        self._new_member_id = new_member_id
        self._clock = clock
        self._classic: dict[str, GroupMetadataValue] = {}
        self._consumer: dict[str, ConsumerGroup] = {}

    def read(self, log: ReadableLog) -> Iterator[None]:
        """Apply the last record of each key of a log, with a step for every so many records.

        That is what compaction leaves, too: of a log of commits only one record in thousands has to be decoded.

        Raises:
            KafkaError: The log cannot be read.
            DecodeError: It holds something else.
        """
        latest = _Latest()
        for count, stored in enumerate(log.read_all(), 1):
            latest.add(stored)
            if count % RECORDS_PER_STEP == 0:
                yield
        for count, stored in enumerate(latest.records(), 1):
            record = decode(stored.key, stored.value)
            if record is not None:
                self.apply(record, stored.producer_id)
            if count % RECORDS_PER_STEP == 0:
                yield

    def apply(self, record: GroupRecord, producer_id: int = NO_PRODUCER_ID) -> None:
        """Apply one record; with ``producer_id`` it is part of a transaction that is open."""
        key, value = record
        if isinstance(key, OffsetCommitKey):
            self._offsets.replay(record, producer_id)
        elif isinstance(key, GroupMetadataKey):
            if isinstance(value, GroupMetadataValue):
                self._classic[key.group] = value
            else:
                self._classic.pop(key.group, None)
        else:
            self._apply_to_consumer_group(record)

    def groups(self, now_ms: float) -> dict[str, Group]:
        """The groups as of the last record; the sessions of their members begin now."""
        groups: dict[str, Group] = {}
        for group_id in self._offsets.groups():
            groups[group_id] = ClassicGroup(group_id, self._limits, self._new_member_id, self._clock)
        for group_id, value in self._classic.items():
            groups[group_id] = ClassicGroup.restore(
                group_id, value, self._limits, self._new_member_id, now_ms, clock=self._clock
            )
        for group_id, group in self._consumer.items():
            group.loaded(now_ms)
            groups[group_id] = group
        return groups

    def _apply_to_consumer_group(self, record: GroupRecord) -> None:
        key: _ConsumerGroupKey = record.key  # type: ignore[assignment]  # all that are left
        group = self._consumer.get(key.group_id)
        if record.value is None and (group is None or isinstance(record.key, ConsumerGroupMetadataKey)):
            self._consumer.pop(key.group_id, None)
            return
        if group is None:
            group = ConsumerGroup(key.group_id, self._limits, self._topics, self._new_member_id)
            self._consumer[key.group_id] = group
        group.replay(record)


class _Latest:
    """The records of a log that count: the last of each key, and those of open transactions."""

    __slots__ = ("_last", "_open")

    def __init__(self) -> None:
        self._last: dict[bytes, StoredRecord] = {}
        self._open: dict[int, dict[bytes, StoredRecord]] = {}

    def add(self, stored: StoredRecord | StoredMarker) -> None:
        """Take up what comes next in the log."""
        if isinstance(stored, StoredMarker):
            ended = self._open.pop(stored.producer_id, {})
            for record in ended.values() if stored.is_commit else ():
                before = self._last.get(record.key)
                if before is None or before.offset < record.offset:
                    self._put(record._replace(producer_id=NO_PRODUCER_ID))
        elif stored.producer_id != NO_PRODUCER_ID:
            self._open.setdefault(stored.producer_id, {})[stored.key] = stored
        else:
            self._put(stored)
            if stored.value is None:
                for pending in self._open.values():
                    pending.pop(stored.key, None)

    def records(self) -> Sequence[StoredRecord]:
        """What counts, in the order of the log."""
        pending = (record for of_producer in self._open.values() for record in of_producer.values())
        return sorted([*self._last.values(), *pending], key=attrgetter("offset"))

    def _put(self, record: StoredRecord) -> None:
        self._last.pop(record.key, None)
        self._last[record.key] = record
