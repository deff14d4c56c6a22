"""As even as can be, and then with as few partitions moving as can be.

Every member keeps what it has.  What nobody has goes to whoever has least; then, as long as some member has two more
than another and can pass one on to it, directly or through others (``a`` gives to ``b``, who gives to ``c``), it does.
No assignment is more even than where this ends.

Source of names and of what members tell one another: Kafka, clients/consumer/StickyAssignor.java,
clients/consumer/CooperativeStickyAssignor.java.  The algorithm is not Kafka's.
"""

from __future__ import annotations

import struct
from collections import defaultdict, deque
from collections.abc import Sequence
from typing import Final, NamedTuple

from minikafka.protocol.codec import decode_prefix, encode
from minikafka.protocol.errors import DecodeError
from minikafka.protocol.schema import INT32, STRING, Message, array, field, message
from minikafka.protocol.schema import struct as wire_struct
from minikafka.types import TopicPartition
from minikafka_client.consumer.assignors.assignor import (
    NO_GENERATION,
    Assignments,
    Assignor,
    Members,
    MemberSubscription,
    PartitionCounts,
    partitions_of,
    subscribers,
)

_GENERATION: Final = struct.Struct(">i")


@wire_struct
class _TopicAssignment:
    """Partitions of one topic."""

    topic: str = field(STRING)
    partitions: list[int] = array(INT32)


@message(valid="0-1", flexible="none")
class StickyUserData(Message):
    """What a member of an eager sticky group had: it gives everything back before it joins, and says so here."""

    previous_assignment: list[_TopicAssignment] = array(_TopicAssignment)
    generation: int = field(INT32, "1+", default=NO_GENERATION)


class _Claim(NamedTuple):
    """What a member had, and when."""

    generation: int
    owned: frozenset[TopicPartition]


class StickyAssignor(Assignor):
    """Kafka's "sticky": members give everything back and get most of it again."""

    name = "sticky"

    def user_data(self, owned: frozenset[TopicPartition], generation: int) -> bytes:  # noqa: D102 - see Assignor
        by_topic: defaultdict[str, list[int]] = defaultdict(list)
        for partition in sorted(owned):
            by_topic[partition.topic].append(partition.partition)
        previous = [_TopicAssignment(topic=topic, partitions=numbers) for topic, numbers in by_topic.items()]
        out = bytearray()
        encode(StickyUserData(previous_assignment=previous, generation=generation), 1, out)
        return bytes(out)

    def assign(self, members: Members, partition_counts: PartitionCounts) -> Assignments:  # noqa: D102 - see Assignor
        claims = {member_id: self._claim(member) for member_id, member in members.items()}
        return _Balancer(members, partition_counts, claims).assignments()

    def _claim(self, member: MemberSubscription) -> _Claim:
        if member.owned or not member.user_data:
            return _Claim(member.generation, member.owned)
        # Kafka writes version 1 and reads version 0, which lacks the generation; neither says which it is.
        for version in (1, 0):
            try:
                told, size = decode_prefix(StickyUserData, version, member.user_data)
            except DecodeError:
                continue
            if size == len(member.user_data):
                owned = frozenset(TopicPartition(t.topic, n) for t in told.previous_assignment for n in t.partitions)
                return _Claim(told.generation, owned)
        return _Claim(NO_GENERATION, frozenset())


class CooperativeStickyAssignor(StickyAssignor):
    """Kafka's "cooperative-sticky": members keep what they have; what is to move is given back first (KIP-429)."""

    name = "cooperative-sticky"
    is_cooperative = True

    def user_data(self, owned: frozenset[TopicPartition], generation: int) -> bytes:  # noqa: D102 - see Assignor
        return _GENERATION.pack(generation)  # for leaders from before KIP-792 put it into the subscription

    def assign(self, members: Members, partition_counts: PartitionCounts) -> Assignments:  # noqa: D102 - see Assignor
        assignments = super().assign(members, partition_counts)
        taken = frozenset[TopicPartition]().union(*(member.owned for member in members.values()))
        return {
            member_id: [where for where in given if where in members[member_id].owned or where not in taken]
            for member_id, given in assignments.items()
        }

    def _claim(self, member: MemberSubscription) -> _Claim:
        generation = member.generation
        if generation == NO_GENERATION and member.user_data and len(member.user_data) == _GENERATION.size:
            (generation,) = _GENERATION.unpack(member.user_data)
        return _Claim(generation, member.owned)


class _Balancer:
    """Moves partitions between members until nothing is gained."""

    def __init__(self, members: Members, partition_counts: PartitionCounts, claims: dict[str, _Claim]) -> None:
        self._subscribers = subscribers(members, partition_counts)
        self._held: dict[str, defaultdict[str, set[TopicPartition]]] = {m: defaultdict(set) for m in members}
        self._load = dict.fromkeys(members, 0)
        self._is_free: set[TopicPartition] = set()  # nobody had it: it may go anywhere as well as where it went
        owners = _undisputed(claims)
        for partition in partitions_of(self._subscribers, partition_counts):
            owner = owners.get(partition)
            if owner is not None and partition.topic in members[owner].topics:
                self._give(owner, partition)
            else:
                self._is_free.add(partition)
        # First those that few want, to those who want little else: who has no choice should not come too late.
        choices = {member_id: len(member.topics & self._subscribers.keys()) for member_id, member in members.items()}
        for partition in sorted(self._is_free, key=lambda free: (len(self._subscribers[free.topic]), free)):
            wanting = self._subscribers[partition.topic]
            self._give(min(wanting, key=lambda member_id: (self._load[member_id], choices[member_id])), partition)

    def assignments(self) -> Assignments:
        """The partitions of each member, sorted."""
        while self._pass_one_on():
            pass
        return {
            member_id: sorted(partition for partitions in held.values() for partition in partitions)
            for member_id, held in self._held.items()
        }

    def _give(self, member_id: str, partition: TopicPartition) -> None:
        self._held[member_id][partition.topic].add(partition)
        self._load[member_id] += 1

    def _pass_one_on(self) -> bool:
        """Even out by one partition; False when no two members can be made more alike."""
        least = min(self._load.values(), default=0)
        for giver in sorted(self._load, key=self._load.__getitem__, reverse=True):
            if self._load[giver] < least + 2:
                return False
            way = self._way_to_less(giver, least)
            if way:
                for partition, source, target in way:
                    self._held[source][partition.topic].remove(partition)
                    self._load[source] -= 1
                    self._give(target, partition)
                return True
        return False

    def _way_to_less(self, giver: str, least: int) -> Sequence[tuple[TopicPartition, str, str]]:
        """The shortest way, hand to hand, from ``giver`` to the member with least, if that has two less."""
        reached = self._within_reach(giver, least)
        best = min(reached, key=self._load.__getitem__, default=giver)
        if self._load[best] > self._load[giver] - 2:
            return ()
        way = []
        while best != giver:
            source, topic = reached[best]
            way.append((max(self._held[source][topic], key=self._readiness), source, best))
            best = source
        return way

    def _readiness(self, partition: TopicPartition) -> tuple[bool, TopicPartition]:
        return partition in self._is_free, partition

    def _within_reach(self, giver: str, least: int) -> dict[str, tuple[str, str]]:
        """Whom a partition can get to from ``giver``, with from whom and of which topic; no farther than to the least.

        Each topic is looked at once: whoever holds it first reaches all who want it.
        """
        reached: dict[str, tuple[str, str]] = {}
        seen: set[str] = set()
        waiting = deque([giver])
        while waiting:
            member_id = waiting.popleft()
            held = self._held[member_id]
            for topic in sorted(
                (t for t in held if held[t] and t not in seen), key=lambda t: not self._is_free & held[t]
            ):
                seen.add(topic)
                for other in self._subscribers[topic]:
                    if other != giver and other not in reached:
                        reached[other] = (member_id, topic)
                        waiting.append(other)
                        if self._load[other] == least:
                            return reached
        return reached


def _undisputed(claims: dict[str, _Claim]) -> dict[TopicPartition, str]:
    """Who had each partition last; nobody, where two say so of the same generation."""
    owners: dict[TopicPartition, str] = {}
    generations: dict[TopicPartition, int] = {}
    for member_id, claim in sorted(claims.items()):
        for partition in claim.owned:
            before = generations.get(partition)
            if before is None or claim.generation > before:
                owners[partition], generations[partition] = member_id, claim.generation
            elif claim.generation == before:
                owners.pop(partition, None)
    return owners
