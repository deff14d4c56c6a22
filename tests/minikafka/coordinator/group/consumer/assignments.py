"""What assignors are tested with: random members, and what must hold of any assignment."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from hypothesis import strategies as st

from minikafka.coordinator.group.consumer.assignment import Assignment, Subscriber
from minikafka.coordinator.group.consumer.partitions import NO_PARTITIONS, TopicIdPartition, each

TOPIC_IDS = [bytes(15) + bytes([number]) for number in range(3)]

partition_counts = st.fixed_dictionaries({topic_id: st.integers(0, 6) for topic_id in TOPIC_IDS})
subscriptions = st.frozensets(st.sampled_from(TOPIC_IDS))


def subscriber(member_id: str, *topic_ids: bytes, instance_id: str | None = None) -> Subscriber:
    return Subscriber(member_id, instance_id, frozenset(topic_ids), NO_PARTITIONS)


@st.composite
def subscribers(draw: st.DrawFn, *, alike: bool = False) -> list[Subscriber]:
    """Members, in any order, that subscribe to something; to the same if they are ``alike``."""
    names = draw(st.lists(st.sampled_from("abcdef"), unique=True, min_size=1))
    topic_ids = st.just(draw(subscriptions)) if alike else subscriptions
    return [Subscriber(name, None, draw(topic_ids), NO_PARTITIONS) for name in names]


def after(members: Sequence[Subscriber], assignment: Assignment) -> list[Subscriber]:
    """The members, with what they were assigned."""
    return [member._replace(current=assignment.get(member.member_id, NO_PARTITIONS)) for member in members]


def holders(assignment: Assignment) -> dict[TopicIdPartition, str]:
    """Who has each partition; fails if anybody else has it, too."""
    found: dict[TopicIdPartition, str] = {}
    for member_id, partitions in assignment.items():
        for pair in each(partitions):
            assert pair not in found, f"{pair} has two holders"
            found[pair] = member_id
    return found


def check_complete(members: Sequence[Subscriber], counts: Mapping[bytes, int], assignment: Assignment) -> None:
    """Each partition has one holder, who subscribes to it, if anybody does."""
    subscribed = {topic_id for member in members for topic_id in member.topic_ids}
    expected = {TopicIdPartition(topic_id, number) for topic_id in subscribed for number in range(counts[topic_id])}
    found = holders(assignment)
    assert found.keys() == expected
    by_id = {member.member_id: member for member in members}
    assert all(pair.topic_id in by_id[member_id].topic_ids for pair, member_id in found.items())


def loads(members: Sequence[Subscriber], assignment: Assignment) -> dict[str, int]:
    """How many partitions each member has."""
    counted = Counter(holders(assignment).values())
    return {member.member_id: counted[member.member_id] for member in members}
