"""A member of a group of the consumer protocol."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from minikafka.coordinator.group.consumer.partitions import NO_PARTITIONS, Partitions, union
from minikafka.coordinator.group.consumer.states import MemberState
from minikafka.coordinator.group.values import ClassicProtocol, Client

JOIN_EPOCH: Final = 0
LEAVE_EPOCH: Final = -1
LEAVE_STATIC_EPOCH: Final = -2
"""Of a static member that went away and may come back; what it had is kept for it until its session is over."""

NOT_GIVEN: Final = -1


@dataclass(frozen=True, slots=True)
class ClassicMembership:
    """What a member that speaks the classic protocol brought along; ``protocols`` as it prefers them."""

    session_timeout_ms: int
    protocols: tuple[ClassicProtocol, ...]


@dataclass(frozen=True, slots=True)
class Member:
    """A member: who it is, what it subscribes to, and what it has.

    ``epoch`` is the group epoch whose target the member has reached, or is reaching.  ``previous_epoch`` is the one
    before: a member that missed the answer which moved it on comes once more with that.
    """

    member_id: str
    client: Client
    instance_id: str | None = None
    rack_id: str | None = None
    rebalance_timeout_ms: int = NOT_GIVEN
    subscribed_topic_names: tuple[str, ...] = ()
    """In order, each once."""
    subscribed_topic_regex: str | None = None
    server_assignor: str | None = None
    classic: ClassicMembership | None = None
    state: MemberState = MemberState.STABLE
    epoch: int = JOIN_EPOCH
    previous_epoch: int = JOIN_EPOCH
    assigned: Partitions = field(default_factory=lambda: NO_PARTITIONS)
    """What it was given, and may keep."""
    pending_revocation: Partitions = field(default_factory=lambda: NO_PARTITIONS)
    """What it was given, and was told to let go."""

    @property
    def held(self) -> Partitions:
        """All that nobody else may be given."""
        return union(self.assigned, self.pending_revocation) if self.pending_revocation else self.assigned

    def is_reconciled_to(self, target_epoch: int) -> bool:
        """Whether it has all that the target assignment of that epoch gives it."""
        return self.state is MemberState.STABLE and self.epoch == target_epoch

    def subscribes_as(self, other: Member) -> bool:
        """Whether both subscribe by the same names and expression."""
        return (
            self.subscribed_topic_names == other.subscribed_topic_names
            and self.subscribed_topic_regex == other.subscribed_topic_regex
        )
