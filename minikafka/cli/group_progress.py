"""How far groups are: each partition with who reads it, what is committed, and what is still to come."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from minikafka.cli.console import JsonValue, plural
from minikafka.types import NO_LEADER, TopicPartition
from minikafka_client.admin.types import GroupDescription, MemberDescription, OffsetSpec
from minikafka_client.sync import Admin

HEADER = ("PARTITION", "MEMBER", "COMMITTED", "END", "LAG")

_MEMBER_ID_CHARACTERS = 8

Row = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class PartitionProgress:
    """One partition; offsets are None where there are none: nothing committed, no such topic any more, no leader."""

    where: TopicPartition
    member: MemberDescription | None
    begin: int | None
    committed: int | None
    end: int | None

    @property
    def lag(self) -> int | None:
        """How many records the group has still to acknowledge, None when nobody knows."""
        if self.begin is None or self.end is None:
            return None
        return max(0, self.end - max(self.begin, self.committed or 0))


@dataclass(frozen=True, slots=True)
class GroupProgress:
    """One group and its partitions, in the order of their names."""

    group: GroupDescription
    partitions: tuple[PartitionProgress, ...]

    @property
    def lag(self) -> int:
        """All that is known of it."""
        return sum(partition.lag or 0 for partition in self.partitions)

    def title(self) -> str:
        """What stands above the table, behind the name."""
        group = self.group
        how = f"{group.type.lower()} protocol" + (f", assignor {group.assignor}" if group.assignor else "")
        epoch = f"  epoch {group.group_epoch}" if group.group_epoch is not None else ""
        members = plural(len(group.members), "member")
        return f"{group.state}  {members}  {how}{epoch}  coordinator {group.coordinator_id}  lag {self.lag:,}"

    def rows(self) -> list[Row]:
        """What stands in the table, under :data:`HEADER`."""
        return [
            (
                place_name(partition.where),
                "-" if partition.member is None else member_name(partition.member),
                _or_dash(partition.committed),
                _or_dash(partition.end),
                _or_dash(partition.lag),
            )
            for partition in self.partitions
        ]

    def remarks(self) -> list[str]:
        """What is worth a line below the table."""
        members = self.group.members
        idle = [member_name(member) for member in members if not member.assignment]
        unread = [place_name(partition.where) for partition in self.partitions if partition.member is None]
        found = []
        if idle:
            found.append(f"{', '.join(idle)}: reads nothing, for a partition has one reader at most")
        if members and unread:
            found.append(f"{', '.join(unread)}: no member reads it")
        return found

    def as_json(self) -> dict[str, JsonValue]:
        """All of it."""
        group = self.group
        return {
            "group": group.group_id,
            "state": group.state,
            "type": group.type,
            "protocol_type": group.protocol_type,
            "assignor": group.assignor,
            "coordinator": group.coordinator_id,
            "epoch": group.group_epoch,
            "lag": self.lag,
            "members": [_member_as_json(member) for member in group.members],
            "partitions": [
                {
                    "topic": partition.where.topic,
                    "partition": partition.where.partition,
                    "member_id": None if partition.member is None else partition.member.member_id,
                    "start_offset": partition.begin,
                    "committed_offset": partition.committed,
                    "end_offset": partition.end,
                    "lag": partition.lag,
                }
                for partition in self.partitions
            ],
        }


def progress_of(admin: Admin, group_ids: Iterable[str]) -> list[GroupProgress]:
    """How far these groups are now.

    Partitions are those that a group has committed something for or reads, and the others of the topics it subscribes
    to, which nobody reads.

    Raises:
        GroupIdNotFound: There is no such group.
        KafkaError, OSError: As a broker says, or it does not answer.
    """
    groups = admin.describe_groups(group_ids)
    committed = {group_id: admin.list_group_offsets(group_id) for group_id in groups}
    led = led_partitions(admin)
    shown = {group_id: _partitions(group, committed[group_id], led) for group_id, group in groups.items()}
    readable = led & {where for partitions in shown.values() for where in partitions}
    begins = admin.list_offsets(dict.fromkeys(readable, OffsetSpec.EARLIEST))
    ends = admin.list_offsets(dict.fromkeys(readable, OffsetSpec.LATEST))
    described = []
    for group_id, group in groups.items():
        owners = {where: member for member in group.members for where in member.assignment}
        partitions = tuple(
            PartitionProgress(
                where,
                owners.get(where),
                begins[where].offset if where in begins else None,
                committed[group_id][where].offset if where in committed[group_id] else None,
                ends[where].offset if where in ends else None,
            )
            for where in shown[group_id]
        )
        described.append(GroupProgress(group, partitions))
    return described


def led_partitions(admin: Admin) -> frozenset[TopicPartition]:
    """All partitions that have a leader, which can therefore be asked about."""
    return frozenset(
        TopicPartition(topic.name, partition.partition)
        for topic in admin.list_topics(include_internal=True)
        for partition in topic.partitions
        if partition.leader_id != NO_LEADER
    )


def place_name(where: TopicPartition) -> str:
    """A partition as all commands write it: ``orders[2]``."""
    return f"{where.topic}[{where.partition}]"


def member_name(member: MemberDescription) -> str:
    """A member by the name it was given, or by its client and the beginning of what makes its id unique."""
    if member.group_instance_id is not None:
        return member.group_instance_id
    unique = member.member_id.removeprefix(f"{member.client_id}-")[:_MEMBER_ID_CHARACTERS]
    return f"{member.client_id}-{unique}"


def _partitions(
    group: GroupDescription, committed: Iterable[TopicPartition], led: Iterable[TopicPartition]
) -> Sequence[TopicPartition]:
    assigned = {where for member in group.members for where in member.assignment}
    topics = {topic for member in group.members for topic in member.subscription}
    return sorted({*committed, *assigned, *(where for where in led if where.topic in topics)})


def _member_as_json(member: MemberDescription) -> dict[str, JsonValue]:
    return {
        "member_id": member.member_id,
        "group_instance_id": member.group_instance_id,
        "client_id": member.client_id,
        "host": member.client_host.removeprefix("/"),
        "type": member.type,
        "epoch": member.member_epoch,
        "subscription": sorted(member.subscription),
        "assignment": [{"topic": topic, "partition": partition} for topic, partition in sorted(member.assignment)],
    }


def _or_dash(value: int | None) -> int | str:
    return "-" if value is None else value
