"""How a member gets from what it has to what it shall have, one heartbeat at a time.

A member first lets go what it shall not have.  Only a heartbeat whose list of owned partitions lacks them shows that
it did.  Then it reaches the target's epoch, is given what is free of the rest, and what others let go later as they do.

Source: Kafka, modern/consumer/CurrentAssignmentBuilder.java; KIP-848, "Member Assignment Reconciliation".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from minikafka.coordinator.group.consumer.member import Member
from minikafka.coordinator.group.consumer.partitions import (
    NO_PARTITIONS,
    Partitions,
    TopicIdPartition,
    common,
    each,
    gather,
    minus,
    overlap,
    union,
)
from minikafka.coordinator.group.consumer.states import MEMBER_TRANSITIONS, MemberState, Step
from minikafka.errors import FencedMemberEpoch

Holder = Callable[[TopicIdPartition], str | None]


def reconcile(
    member: Member, target: Partitions, target_epoch: int, owned: Partitions | None, holder: Holder
) -> Member:
    """The member as far on its way to the target as it can be now.

    Args:
        member: The member as it is.
        target: What it shall have.
        target_epoch: The group epoch of the target.
        owned: What the member says it has; None when it did not say.
        holder: Who holds a partition.

    Raises:
        FencedMemberEpoch: The member is in a state that is not known here, and has partitions.
    """
    match member.state:
        case MemberState.STABLE if member.epoch == target_epoch:
            return member
        case MemberState.UNREVOKED_PARTITIONS if _still_owns(owned, member.pending_revocation):
            return member
        case MemberState.UNKNOWN if owned is None or owned:
            raise FencedMemberEpoch("the member is in an unknown state; it must abandon its partitions and rejoin")
    return _advance(member, target, target_epoch, owned, holder)


def _advance(member: Member, target: Partitions, target_epoch: int, owned: Partitions | None, holder: Holder) -> Member:
    kept = common(member.assigned, target)
    to_revoke = minus(member.assigned, kept)
    if to_revoke and _still_owns(owned, to_revoke):
        return _moved(member, Step.MUST_REVOKE, member.epoch, kept, to_revoke)
    wanted = minus(target, kept)
    # What the member itself was told to let go is free: it has just shown that it did.
    free = gather(pair for pair in each(wanted) if holder(pair) in {None, member.member_id})
    step = Step.COMPLETE if free == wanted else Step.MUST_WAIT
    return _moved(member, step, target_epoch, union(kept, free), NO_PARTITIONS)


def _still_owns(owned: Partitions | None, revoked: Partitions) -> bool:
    return owned is None or overlap(owned, revoked)


def _moved(member: Member, step: Step, epoch: int, assigned: Partitions, pending_revocation: Partitions) -> Member:
    return replace(
        member,
        state=MEMBER_TRANSITIONS[member.state, step],
        epoch=epoch,
        # Kept while the epoch stays, so that an answer can be lost more than once.
        previous_epoch=member.previous_epoch if epoch == member.epoch else member.epoch,
        assigned=assigned,
        pending_revocation=pending_revocation,
    )
