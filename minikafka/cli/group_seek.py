"""Moving a group: where it would go on, partition by partition, and doing it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from minikafka.cli.console import JsonValue, plural
from minikafka.cli.exits import Failure
from minikafka.cli.group_progress import led_partitions, member_name, place_name
from minikafka.cli.places import Place
from minikafka.errors import GroupIdNotFound
from minikafka.types import TopicPartition
from minikafka_client.offsets import OffsetAndMetadata
from minikafka_client.sync import Admin, Consumer

HEADER = ("PARTITION", "COMMITTED", "NEW", "CHANGE", "")


@dataclass(frozen=True, slots=True)
class Seek:
    """Where a group shall go on: in a place, or so many records further on from where it is.

    No topics stand for those that it has committed something for, no partitions for all of these topics.
    """

    group_id: str
    place: Place | None
    shift: int | None
    topics: Collection[str]
    partitions: Collection[int]


@dataclass(frozen=True, slots=True)
class Move:
    """One partition; ``wanted`` is the offset as it was asked for, which may be outside of the log."""

    where: TopicPartition
    committed: int | None
    wanted: int
    begin: int
    end: int

    @property
    def offset(self) -> int:
        """Where the group will go on."""
        return min(max(self.wanted, self.begin), self.end)

    @property
    def changes(self) -> bool:
        """Whether that is another place than it is in."""
        return self.offset != self.committed

    def row(self) -> tuple[object, ...]:
        """What stands in the table, under :data:`HEADER`."""
        change = "-" if self.committed is None else f"{self.offset - self.committed:+}"
        remark = "" if self.offset == self.wanted else "the first there is" if self.offset > self.wanted else "the end"
        return (place_name(self.where), "-" if self.committed is None else self.committed, self.offset, change, remark)

    def as_json(self) -> dict[str, JsonValue]:
        """All of it."""
        return {
            "topic": self.where.topic,
            "partition": self.where.partition,
            "committed_offset": self.committed,
            "new_offset": self.offset,
        }


def plan(seek: Seek, admin: Admin, consumer: Consumer) -> list[Move]:
    """What would change.

    Raises:
        Failure: The group is in use, has no place yet, or a topic has no such partition.
        KafkaError, OSError: As a broker says, or it does not answer.
    """
    _refuse_members(seek.group_id, admin)
    committed = admin.list_group_offsets(seek.group_id)
    partitions = _chosen(seek, admin, committed)
    if seek.shift is not None:
        partitions = [where for where in partitions if where in committed]
    if not partitions:
        raise Failure(
            f"group {seek.group_id!r} has committed nothing there; name topics with --topic, and a place with --to"
        )
    wanted = (
        seek.place.resolve(consumer, partitions)
        if seek.place is not None
        else {where: committed[where].offset + (seek.shift or 0) for where in partitions}
    )
    begins, ends = consumer.beginning_offsets(partitions), consumer.end_offsets(partitions)
    return [
        Move(where, _offset(committed.get(where)), wanted[where], begins[where], ends[where]) for where in partitions
    ]


def carry_out(group_id: str, moves: Sequence[Move], admin: Admin) -> None:
    """Have the group go on where the plan says.

    Raises:
        UnknownMemberId: Somebody has joined it meanwhile.
        KafkaError, OSError: As a broker says, or it does not answer.
    """
    admin.alter_group_offsets(group_id, {move.where: move.offset for move in moves if move.changes})


def _refuse_members(group_id: str, admin: Admin) -> None:
    try:
        members = admin.describe_groups([group_id])[group_id].members
    except GroupIdNotFound:
        return  # it comes into being, if it is told where to begin
    if members:
        names = ", ".join(map(member_name, members))
        raise Failure(
            f"group {group_id!r} has {plural(len(members), 'member')} ({names}); stop them, and try again "
            "(one that crashed is gone after its session time-out)"
        )


def _chosen(seek: Seek, admin: Admin, committed: Collection[TopicPartition]) -> list[TopicPartition]:
    topics = set(seek.topics) or {where.topic for where in committed}
    if seek.topics:
        admin.describe_topics(seek.topics)  # says which of them does not exist
    known = sorted(where for where in led_partitions(admin) if where.topic in topics)
    for topic in sorted({where.topic for where in known}):
        missing = set(seek.partitions) - {where.partition for where in known if where.topic == topic}
        if missing:
            raise Failure(f"{topic} has no partition {min(missing)}; see 'minikafka topic describe {topic}'")
    return [where for where in known if not seek.partitions or where.partition in seek.partitions]


def _offset(committed: OffsetAndMetadata | None) -> int | None:
    return None if committed is None else committed.offset
