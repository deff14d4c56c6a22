"""All of a group that outlives its coordinator, where each change leaves the record that repeats it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from minikafka.coordinator.group.consumer import records
from minikafka.coordinator.group.consumer.member import JOIN_EPOCH, LEAVE_EPOCH, Member
from minikafka.coordinator.group.consumer.partitions import (
    NO_PARTITIONS,
    Partitions,
    TopicIdPartition,
    each,
    from_record,
)
from minikafka.coordinator.group.consumer.states import ConsumerGroupState
from minikafka.coordinator.group.values import Client, GroupRecord
from minikafka.protocol.payloads.group_records import (
    ConsumerGroupCurrentMemberAssignmentKey,
    ConsumerGroupCurrentMemberAssignmentValue,
    ConsumerGroupMemberMetadataKey,
    ConsumerGroupMemberMetadataValue,
    ConsumerGroupMetadataKey,
    ConsumerGroupMetadataValue,
    ConsumerGroupRegularExpressionKey,
    ConsumerGroupRegularExpressionValue,
    ConsumerGroupTargetAssignmentMemberKey,
    ConsumerGroupTargetAssignmentMemberValue,
    ConsumerGroupTargetAssignmentMetadataKey,
    ConsumerGroupTargetAssignmentMetadataValue,
)

_UNKNOWN_CLIENT: Final = Client("", "")


@dataclass(frozen=True, slots=True)
class Resolved:
    """The topics that a regular expression matched, when the metadata had that version."""

    topics: frozenset[str]
    version: int


class Ledger:
    """Members, targets, epochs and resolved expressions of one group.

    What is read here is public; what changes it goes through methods, which append records for :meth:`take_records`.
    A partition has one holder at most; :meth:`put` makes sure of it.  :meth:`replay` does again what a record repeats;
    after the last, :meth:`index` puts together what is only derived.
    """

    def __init__(self, group_id: str) -> None:
        self.group_id = group_id
        self.group_epoch = 0
        self.metadata_hash = 0
        self.target_epoch = 0
        self.members: dict[str, Member] = {}
        self.targets: dict[str, Partitions] = {}
        self.expressions: dict[str, Resolved] = {}
        self._static: dict[str, str] = {}
        self._holders: dict[TopicIdPartition, str] = {}
        self._journal: list[GroupRecord] = []

    @property
    def state(self) -> ConsumerGroupState:
        """What the group is doing."""
        if not self.members:
            return ConsumerGroupState.EMPTY
        if self.group_epoch > self.target_epoch:
            return ConsumerGroupState.ASSIGNING
        if all(member.is_reconciled_to(self.target_epoch) for member in self.members.values()):
            return ConsumerGroupState.STABLE
        return ConsumerGroupState.RECONCILING

    def static_member(self, instance_id: str) -> Member | None:
        """The member of that instance id."""
        member_id = self._static.get(instance_id)
        return None if member_id is None else self.members[member_id]

    def holder(self, partition: TopicIdPartition) -> str | None:
        """The member that has the partition, or has not shown yet that it let it go."""
        return self._holders.get(partition)

    def target(self, member_id: str) -> Partitions:
        """What a member shall have."""
        return self.targets.get(member_id, NO_PARTITIONS)

    def subscribers(self, expression: str) -> Iterator[Member]:
        """The members that subscribe by a regular expression."""
        return (member for member in self.members.values() if member.subscribed_topic_regex == expression)

    def adopt(self, epoch: int, members: Iterable[Member]) -> None:
        """Begin with these members, at this epoch, with what they have as their target."""
        self.group_epoch = self.target_epoch = epoch
        for member in members:
            self.put(member)
            self.set_target(member.member_id, member.assigned)

    def put(self, member: Member) -> None:
        """Add a member, or exchange what is known of it."""
        old = self.members.get(member.member_id)
        if old == member:
            return
        subscription = records.subscription(self.group_id, member)
        if old is None or subscription != records.subscription(self.group_id, old):
            self._journal.append(subscription)
        assignment = records.current_assignment(self.group_id, member)
        if assignment != records.current_assignment(self.group_id, old or Member(member.member_id, _UNKNOWN_CLIENT)):
            self._journal.append(assignment)
        self._index(old, member)
        self.members[member.member_id] = member

    def remove(self, member_id: str) -> None:
        """Take a member out, and what it shall have."""
        self._journal += records.member_tombstones(self.group_id, member_id)
        self._drop(member_id)
        self.targets.pop(member_id, None)

    def replace_static(self, old: Member, member_id: str) -> Member:
        """Give a static member that came back under another id all that it had; returns it, at the joining epoch."""
        target = self.target(old.member_id)
        self.remove(old.member_id)
        new = replace(old, member_id=member_id, epoch=JOIN_EPOCH, previous_epoch=JOIN_EPOCH)
        self.put(new)
        self.set_target(member_id, target)
        return new

    def set_target(self, member_id: str, partitions: Partitions) -> None:
        """Say what a member shall have."""
        if self.targets.get(member_id) != partitions:
            self.targets[member_id] = partitions
            self._journal.append(records.target_assignment(self.group_id, member_id, partitions))

    def set_target_epoch(self, epoch: int) -> None:
        """Say for which group epoch the targets are."""
        self.target_epoch = epoch
        self._journal.append(records.target_epoch(self.group_id, epoch))

    def begin_epoch(self, metadata_hash: int) -> None:
        """Begin the next group epoch, with what the topics look like now."""
        self.group_epoch += 1
        self.metadata_hash = metadata_hash
        self._journal.append(records.group_epoch(self.group_id, self.group_epoch, metadata_hash))

    def resolve(self, expression: str, resolved: Resolved) -> None:
        """Note the topics that an expression matches."""
        if self.expressions.get(expression) != resolved:
            self.expressions[expression] = resolved
            self._journal.append(
                records.regular_expression(self.group_id, expression, resolved.topics, resolved.version)
            )

    def forget(self, expression: str) -> None:
        """Nobody subscribes by the expression any more."""
        if self.expressions.pop(expression, None) is not None:
            self._journal.append(records.regular_expression_tombstone(self.group_id, expression))

    def take_records(self) -> tuple[GroupRecord, ...]:
        """The records of all changes since the last call, in order."""
        taken = tuple(self._journal)
        self._journal.clear()
        return taken

    def snapshot(self) -> tuple[GroupRecord, ...]:
        """The records that make the group as it is."""
        members = self.members.values()
        made = [records.subscription(self.group_id, member) for member in members]
        made += [
            records.regular_expression(self.group_id, expression, resolved.topics, resolved.version)
            for expression, resolved in self.expressions.items()
        ]
        made.append(records.group_epoch(self.group_id, self.group_epoch, self.metadata_hash))
        made += [records.target_assignment(self.group_id, name, target) for name, target in self.targets.items()]
        made.append(records.target_epoch(self.group_id, self.target_epoch))
        made += [records.current_assignment(self.group_id, member) for member in members]
        return tuple(made)

    def tombstones(self) -> tuple[GroupRecord, ...]:
        """The records that delete the group."""
        gone = [record for member_id in self.members for record in records.member_tombstones(self.group_id, member_id)]
        gone += [records.regular_expression_tombstone(self.group_id, expression) for expression in self.expressions]
        return (*gone, *records.group_tombstones(self.group_id))

    def replay(self, record: GroupRecord) -> None:
        """Do again what left this record; records of other groups' kinds are none of its business."""
        match record.key, record.value:
            case ConsumerGroupMetadataKey(), ConsumerGroupMetadataValue() as epoch:
                self.group_epoch, self.metadata_hash = epoch.epoch, epoch.metadata_hash
            case ConsumerGroupMetadataKey(), None:
                self.group_epoch = self.metadata_hash = 0
            case ConsumerGroupTargetAssignmentMetadataKey(), ConsumerGroupTargetAssignmentMetadataValue() as target:
                self.target_epoch = target.assignment_epoch
            case ConsumerGroupTargetAssignmentMetadataKey(), None:
                self.target_epoch = 0
            case ConsumerGroupTargetAssignmentMemberKey() as key, ConsumerGroupTargetAssignmentMemberValue() as value:
                self.targets[key.member_id] = from_record(value.topic_partitions)
            case ConsumerGroupTargetAssignmentMemberKey() as key, None:
                self.targets.pop(key.member_id, None)
            case ConsumerGroupRegularExpressionKey() as key, ConsumerGroupRegularExpressionValue() as value:
                self.expressions[key.regular_expression] = Resolved(frozenset(value.topics), value.version)
            case ConsumerGroupRegularExpressionKey() as key, None:
                self.expressions.pop(key.regular_expression, None)
            case _:
                self._replay_member(record)

    def index(self) -> None:
        """After :meth:`replay`: who is which static member, and who holds which partition."""
        self._static = {member.instance_id: name for name, member in self.members.items() if member.instance_id}
        self._holders = {partition: name for name, member in self.members.items() for partition in each(member.held)}

    def _replay_member(self, record: GroupRecord) -> None:
        match record.key, record.value:
            case ConsumerGroupMemberMetadataKey() as key, ConsumerGroupMemberMetadataValue() as value:
                self.members[key.member_id] = records.with_subscription(self._known(key.member_id), value)
            case ConsumerGroupMemberMetadataKey() as key, None:
                self._drop(key.member_id)
            case (
                ConsumerGroupCurrentMemberAssignmentKey() as key,
                ConsumerGroupCurrentMemberAssignmentValue() as value,
            ):
                self.members[key.member_id] = records.with_current_assignment(self._known(key.member_id), value)
            case ConsumerGroupCurrentMemberAssignmentKey() as key, None:
                if (member := self.members.get(key.member_id)) is not None:
                    self.members[key.member_id] = replace(
                        member, epoch=LEAVE_EPOCH, assigned=NO_PARTITIONS, pending_revocation=NO_PARTITIONS
                    )
            case _:
                pass

    def _known(self, member_id: str) -> Member:
        return self.members.get(member_id) or Member(member_id, _UNKNOWN_CLIENT)

    def _drop(self, member_id: str) -> None:
        member = self.members.pop(member_id, None)
        if member is None:
            return
        self._release(member)
        if member.instance_id is not None and self._static.get(member.instance_id) == member_id:
            del self._static[member.instance_id]

    def _index(self, old: Member | None, new: Member) -> None:
        """Keep the indexes by instance id and by partition in step.

        Raises:
            RuntimeError: Somebody else holds what the member would get, which must never happen.
        """
        if old is not None and old.instance_id is not None and old.instance_id != new.instance_id:
            del self._static[old.instance_id]
        if new.instance_id is not None:
            self._static[new.instance_id] = new.member_id
        if old is not None and old.held == new.held:
            return
        if old is not None:
            self._release(old)
        for partition in each(new.held):
            holder = self._holders.setdefault(partition, new.member_id)
            if holder != new.member_id:
                raise RuntimeError(f"{partition} of {self.group_id} is {holder}'s and cannot be {new.member_id}'s")

    def _release(self, member: Member) -> None:
        for partition in each(member.held):
            if self._holders.get(partition) == member.member_id:
                del self._holders[partition]
