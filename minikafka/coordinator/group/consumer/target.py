"""The target assignment: what each member of a group shall have.

Source: Kafka, modern/TargetAssignmentBuilder.java.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from minikafka.coordinator.group.consumer.assignment import Assignment, Subscriber
from minikafka.coordinator.group.consumer.assignors import ASSIGNORS
from minikafka.coordinator.group.consumer.ledger import Ledger
from minikafka.coordinator.group.consumer.subscriptions import topics_of
from minikafka.coordinator.group.values import TopicsView


def preferred_assignor(ledger: Ledger, configured: Sequence[str]) -> str:
    """The assignor that most members ask for, of equals the one configured first; without wishes that one too."""
    votes = Counter(member.server_assignor for member in ledger.members.values() if member.server_assignor)
    return max(configured, key=lambda name: votes[name])


def compute_target(ledger: Ledger, topics: TopicsView, assignor: str) -> Assignment:
    """What the assignor gives the members of a group, by member id."""
    ids: dict[str, bytes] = {}
    counts: dict[bytes, int] = {}
    subscribers = []
    for member in ledger.members.values():
        names = set(topics_of(member, ledger.expressions))
        for name in names - ids.keys():
            if (topic_id := topics.topic_id(name)) is not None:
                ids[name] = topic_id
                counts[topic_id] = topics.partition_count(name)
        subscribed = frozenset(ids[name] for name in names & ids.keys())
        current = ledger.target(member.member_id)
        subscribers.append(Subscriber(member.member_id, member.instance_id, subscribed, current))
    return ASSIGNORS[assignor](subscribers, counts)
