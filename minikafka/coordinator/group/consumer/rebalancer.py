"""What a group does when a member or a topic has changed: begin an epoch, make a target, move a member towards it.

Source: Kafka, GroupMetadataManager (consumerGroupHeartbeat, updateTargetAssignment, consumerGroupFenceMember).
"""

from __future__ import annotations

from collections.abc import Iterable

from minikafka.coordinator.group.consumer.ledger import Ledger, Resolved
from minikafka.coordinator.group.consumer.member import Member
from minikafka.coordinator.group.consumer.partitions import NO_PARTITIONS, Partitions
from minikafka.coordinator.group.consumer.reconciliation import reconcile
from minikafka.coordinator.group.consumer.subscriptions import matching, metadata_hash, topics_of
from minikafka.coordinator.group.consumer.target import compute_target, preferred_assignor
from minikafka.coordinator.group.values import GroupLimits, TopicsView


class Rebalancer:
    """Works on a group's ledger, for the topics as they are."""

    def __init__(self, ledger: Ledger, limits: GroupLimits, topics: TopicsView) -> None:
        self._ledger = ledger
        self._limits = limits
        self._topics = topics
        self._seen_version: int | None = None

    @property
    def assignor(self) -> str:
        """The name of the assignor in use."""
        return preferred_assignor(self._ledger, self._limits.consumer_assignors)

    def adopt_topics(self) -> None:
        """Take the topics as those that the target was made for."""
        self._seen_version = self._topics.version
        self._ledger.metadata_hash = metadata_hash(self._subscribed(), self._topics)

    def follow_topics(self) -> None:
        """Look whether the topics changed; where they did for this group, an epoch begins."""
        if self._ledger.members and self._seen_version != self._topics.version:
            self._refresh(has_changed=False)

    def update(self, old: Member | None, new: Member, owned: Partitions | None) -> Member:
        """Take in a member, new or changed, and move it on; ``owned`` is what it says it has.

        Returns:
            The member as it is now.

        Raises:
            FencedMemberEpoch: As :func:`reconcile`.
        """
        self._ledger.put(new)
        before = old or Member(new.member_id, new.client)
        if not new.subscribes_as(before) or self._ledger.group_epoch == 0:
            self._forget_expressions()
            self._refresh(has_changed=True)
        self._make_target()
        ledger = self._ledger
        moved = reconcile(new, ledger.target(new.member_id), ledger.target_epoch, owned, ledger.holder)
        ledger.put(moved)
        return moved

    def remove(self, member_ids: Iterable[str]) -> None:
        """Take members out; an epoch begins."""
        for member_id in member_ids:
            self._ledger.remove(member_id)
        self._forget_expressions()
        self._refresh(has_changed=True)

    def _refresh(self, has_changed: bool) -> None:
        """Look at the topics; where the subscriptions mean something else now, or did change, an epoch begins."""
        ledger, topics = self._ledger, self._topics
        if self._resolve_expressions(topics):
            has_changed = True
        found_hash = metadata_hash(self._subscribed(), topics)
        if has_changed or found_hash != ledger.metadata_hash:
            ledger.begin_epoch(found_hash)

    def _subscribed(self) -> set[str]:
        members, expressions = self._ledger.members.values(), self._ledger.expressions
        return {name for member in members for name in topics_of(member, expressions)}

    def _resolve_expressions(self, topics: TopicsView) -> bool:
        """Match the expressions where that may give something new; returns whether it did."""
        used = {member.subscribed_topic_regex for member in self._ledger.members.values()}
        known = self._ledger.expressions
        is_stale = self._seen_version != topics.version
        self._seen_version = topics.version
        to_match = [name for name in used if name is not None and (is_stale or name not in known)]
        names = topics.names() if to_match else []
        has_changed = False
        for expression in to_match:
            found = matching(expression, names)
            if expression not in known or known[expression].topics != found:
                self._ledger.resolve(expression, Resolved(found, topics.version))
                has_changed = True
        return has_changed

    def _forget_expressions(self) -> None:
        used = {member.subscribed_topic_regex for member in self._ledger.members.values()}
        for expression in self._ledger.expressions.keys() - used:
            self._ledger.forget(expression)

    def _make_target(self) -> None:
        """Assign anew, where an epoch has begun since the last target."""
        ledger = self._ledger
        if ledger.group_epoch == ledger.target_epoch:
            return
        assignment = compute_target(ledger, self._topics, self.assignor)
        for member_id in ledger.members:
            ledger.set_target(member_id, assignment.get(member_id, NO_PARTITIONS))
        ledger.set_target_epoch(ledger.group_epoch)
