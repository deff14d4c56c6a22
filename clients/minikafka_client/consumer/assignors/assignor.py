"""What an assignor is given and gives."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from minikafka.types import TopicPartition

NO_GENERATION = -1


@dataclass(frozen=True, slots=True)
class MemberSubscription:
    """What a member of the group told its leader.

    ``owned`` is what it had when it joined, ``generation`` the one it got that in (-1: it does not say).
    """

    topics: frozenset[str]
    owned: frozenset[TopicPartition] = frozenset()
    generation: int = NO_GENERATION
    user_data: bytes | None = None
    group_instance_id: str | None = None
    rack: str | None = None


Members = Mapping[str, MemberSubscription]
PartitionCounts = Mapping[str, int]
Assignments = dict[str, list[TopicPartition]]


class Assignor(ABC):
    """A way to divide partitions among members; all members of a group must know it by the same ``name``.

    An assignor of one's own needs a name and :meth:`assign`.
    """

    name: str
    is_cooperative = False
    """Whether members keep what they have while the group rebalances (KIP-429), or give everything back first.

    A cooperative assignor must not give away what another member still has: that member gives it back, and the group
    rebalances again.
    """

    @abstractmethod
    def assign(self, members: Members, partition_counts: PartitionCounts) -> Assignments:
        """Divide all partitions of the topics that members subscribe to; pure, whoever leads gets the same.

        Args:
            members: By member id.
            partition_counts: The topics that exist, among those that members subscribe to.

        Returns:
            The partitions of each member, with an entry for every member.
        """

    def user_data(self, owned: frozenset[TopicPartition], generation: int) -> bytes | None:
        """What this member tells the leader's assignor beside its topics: nothing, unless overridden."""
        return None


def in_order(members: Members) -> list[str]:
    """Member ids as every assignor of Kafka's orders them: static members first, by their instance ids.

    A static member thus keeps its place when it comes back under another member id.
    """
    return sorted(members, key=lambda member: _place(member, members[member]))


def _place(member_id: str, member: MemberSubscription) -> tuple[bool, str]:
    instance_id = member.group_instance_id
    return (True, member_id) if instance_id is None else (False, instance_id)


def subscribers(members: Members, partition_counts: PartitionCounts) -> dict[str, list[str]]:
    """The members that want each topic that exists, in order; topics by name."""
    ordered = in_order(members)
    wanted: defaultdict[str, list[str]] = defaultdict(list)
    for member_id in ordered:
        for topic in members[member_id].topics:
            if partition_counts.get(topic):
                wanted[topic].append(member_id)
    return {topic: wanted[topic] for topic in sorted(wanted)}


def partitions_of(topics: Iterable[str], partition_counts: PartitionCounts) -> list[TopicPartition]:
    """All partitions of topics, in the topics' order."""
    return [TopicPartition(topic, number) for topic in topics for number in range(partition_counts[topic])]
