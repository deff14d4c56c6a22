"""The uniform assignor: as even as the subscriptions allow, and with as few moves as that takes.

Members keep what they have; what is free goes to those that have least.  Then partitions are moved, one at a time,
from a member to one that has at least two fewer, over others in between if need be: *a* gives one to *b*, which gives
another one to *c*.  When no such way is left, no assignment is more even (Harvey, Ladner, Lovász, Tamir: Semi-matchings
for bipartite graphs and load balancing, 2006).  Where all subscribe to the same topics, every way is one move.

Source: Kafka, assignor/UniformAssignor.java, for what it promises; the way there is another one.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from minikafka.coordinator.group.consumer.assignment import Assignment, Subscriber
from minikafka.coordinator.group.consumer.partitions import TopicIdPartition, each


def assign_uniformly(members: Sequence[Subscriber], partition_counts: Mapping[bytes, int]) -> Assignment:
    """Give every partition that somebody subscribes to, sticking to ``current`` where that is fair."""
    table = _Table(members, partition_counts)
    table.keep_current()
    table.give_free_ones()
    table.even_out()
    return table.assignment()


class _Hop(NamedTuple):
    """How a search came to a member: ``giver`` could give it a partition of the topic."""

    giver: str
    topic_id: bytes


class _Table:
    """Who has what, while it is worked out.  Members and topics are looked at in the order of their ids."""

    def __init__(self, members: Sequence[Subscriber], partition_counts: Mapping[bytes, int]) -> None:
        self._members = {member.member_id: member for member in sorted(members)}
        self._counts = partition_counts
        self._has: dict[str, dict[bytes, set[int]]] = {member_id: {} for member_id in self._members}
        self._load = dict.fromkeys(self._members, 0)
        self._subscribers: dict[bytes, list[str]] = {}
        for member in self._members.values():
            for topic_id in member.topic_ids & partition_counts.keys():
                self._subscribers.setdefault(topic_id, []).append(member.member_id)
        self._taken: set[TopicIdPartition] = set()

    def keep_current(self) -> None:
        """Leave everybody what is still there, and still subscribed to."""
        for member in self._members.values():
            for pair in each(member.current):
                exists = pair.partition < self._counts.get(pair.topic_id, 0)
                if exists and pair.topic_id in member.topic_ids and pair not in self._taken:
                    self._give(pair, member.member_id)

    def give_free_ones(self) -> None:
        """Give each free partition to the subscriber with the fewest, topics with the fewest subscribers first."""
        for topic_id in sorted(self._subscribers, key=lambda topic_id: (len(self._subscribers[topic_id]), topic_id)):
            free = [pair for pair in self._all_of(topic_id) if pair not in self._taken]
            if not free:
                continue
            by_load = [(self._load[member_id], member_id) for member_id in self._subscribers[topic_id]]
            heapq.heapify(by_load)
            for pair in free:
                load, member_id = by_load[0]
                self._give(pair, member_id)
                heapq.heapreplace(by_load, (load + 1, member_id))

    def even_out(self) -> None:
        """Move partitions until nobody can be relieved."""
        settled: set[str] = set()
        fullest = sorted(self._load, key=lambda member_id: -self._load[member_id])
        while fullest:
            if fullest[0] in settled or not self._relieve(fullest[0], settled):
                fullest.pop(0)
            else:
                fullest.sort(key=lambda member_id: -self._load[member_id])

    def assignment(self) -> Assignment:
        """What came out."""
        return {
            member_id: {topic_id: frozenset(numbers) for topic_id, numbers in has.items() if numbers}
            for member_id, has in self._has.items()
        }

    def _all_of(self, topic_id: bytes) -> Iterator[TopicIdPartition]:
        return (TopicIdPartition(topic_id, number) for number in range(self._counts[topic_id]))

    def _give(self, pair: TopicIdPartition, member_id: str) -> None:
        self._taken.add(pair)
        self._has[member_id].setdefault(pair.topic_id, set()).add(pair.partition)
        self._load[member_id] += 1

    def _relieve(self, start: str, settled: set[str]) -> bool:
        """Take one partition off a member, the shortest way to one that has two fewer or less.

        Without a way, all that were reached can have none either: their ways would be this one's, and they have fewer.
        """
        hops: dict[str, _Hop | None] = {start: None}
        seen_topics: set[bytes] = set()
        ring = [start]
        while ring:
            found: list[str] = []
            for giver in ring:
                for topic_id in sorted(topic for topic, has in self._has[giver].items() if has):
                    if topic_id in seen_topics:
                        continue
                    seen_topics.add(topic_id)
                    for taker in self._subscribers[topic_id]:
                        if taker not in hops:
                            hops[taker] = _Hop(giver, topic_id)
                            found.append(taker)
            end = min(found, key=self._load.__getitem__, default=start)
            if self._load[end] <= self._load[start] - 2:
                self._shift(end, hops)
                return True
            ring = found
        settled.update(hops)
        return False

    def _shift(self, taker: str, hops: Mapping[str, _Hop | None]) -> None:
        """Hand partitions on, along the way that a search found."""
        hop = hops[taker]
        while hop is not None:
            numbers = self._has[hop.giver][hop.topic_id]
            pair = TopicIdPartition(hop.topic_id, self._least_missed(hop, numbers))
            numbers.remove(pair.partition)
            self._load[hop.giver] -= 1
            self._give(pair, taker)
            taker, hop = hop.giver, hops[hop.giver]

    def _least_missed(self, hop: _Hop, numbers: set[int]) -> int:
        """Rather one that the giver did not have before; the last of its kind."""
        before = self._members[hop.giver].current.get(hop.topic_id, frozenset())
        return max(numbers - before or numbers)
