"""What a request has to fulfil before it may change a group.

Source: Kafka, GroupMetadataManager (throwIf...).
"""

from __future__ import annotations

from minikafka.coordinator.group.consumer.member import (
    JOIN_EPOCH,
    LEAVE_EPOCH,
    LEAVE_STATIC_EPOCH,
    NOT_GIVEN,
    Member,
)
from minikafka.coordinator.group.consumer.partitions import Partitions, is_within
from minikafka.coordinator.group.values import ConsumerHeartbeat, GroupLimits, MemberClaim
from minikafka.errors import (
    FencedInstanceId,
    FencedMemberEpoch,
    IllegalGeneration,
    InvalidRequest,
    StaleMemberEpoch,
    UnknownMemberId,
    UnreleasedInstanceId,
    UnsupportedAssignor,
)


def check_heartbeat(beat: ConsumerHeartbeat, limits: GroupLimits) -> None:
    """Check what can be said of a request without knowing the group.

    Raises:
        InvalidRequest: A field is missing, or has a value that means nothing.
        UnsupportedAssignor: The broker is not configured to use the assignor.
    """
    for name in ("group_id", "instance_id", "rack_id"):
        if getattr(beat, name) == "":
            raise InvalidRequest(f"{name} cannot be empty")
    if beat.member_epoch < LEAVE_STATIC_EPOCH:
        raise InvalidRequest(f"{beat.member_epoch} is no member epoch")
    if beat.member_epoch == JOIN_EPOCH:
        _check_join(beat)
    elif not beat.member_id:
        raise InvalidRequest("member_id cannot be empty")
    if beat.member_epoch == LEAVE_STATIC_EPOCH and beat.instance_id is None:
        raise InvalidRequest("only a member with an instance_id can leave to come back")
    if beat.server_assignor is not None and beat.server_assignor not in limits.consumer_assignors:
        supported = ", ".join(limits.consumer_assignors)
        raise UnsupportedAssignor(f"the assignor {beat.server_assignor} is not among the supported: {supported}")


def _check_join(beat: ConsumerHeartbeat) -> None:
    if beat.rebalance_timeout_ms == NOT_GIVEN:
        raise InvalidRequest("a member that joins has to give its rebalance_timeout_ms")
    if beat.owned is None or any(beat.owned.values()):
        raise InvalidRequest("a member that joins cannot own partitions")
    # Both may be empty: a member without any subscription is one too.
    if beat.subscribed_topic_names is None and beat.subscribed_topic_regex is None:
        raise InvalidRequest("a member that joins has to give subscribed_topic_names or subscribed_topic_regex")


def is_leaving(beat: ConsumerHeartbeat) -> bool:
    """Whether the member wants to go, for good or for a while."""
    return beat.member_epoch in {LEAVE_EPOCH, LEAVE_STATIC_EPOCH}


def check_epoch(member: Member, epoch: int, owned: Partitions | None) -> None:
    """Check that a member is where its coordinator believes it to be.

    It may also be one epoch behind, with nothing that it should not have: then the answer that moved it on was lost.
    Or it comes back after having given up everything.

    Raises:
        FencedMemberEpoch: The member must give up its partitions and join again.
    """
    if epoch in {member.epoch, JOIN_EPOCH}:
        return
    is_one_behind = epoch == member.previous_epoch and epoch < member.epoch
    if is_one_behind and owned is not None and is_within(owned, member.assigned):
        return
    raise FencedMemberEpoch(
        f"member {member.member_id} is at epoch {member.epoch}, not {epoch}; it must abandon its partitions and rejoin"
    )


def check_identity(member: Member | None, member_id: str, instance_id: str) -> Member:
    """Check that a static member is the one that is known by its instance id.

    Raises:
        UnknownMemberId: There is none.
        FencedInstanceId: There is another.
    """
    if member is None:
        raise UnknownMemberId(f"there is no member with instance id {instance_id}")
    if member.member_id != member_id:
        raise FencedInstanceId(f"member {member_id} with instance id {instance_id} was replaced by {member.member_id}")
    return member


def check_released(member: Member, joining_id: str) -> None:
    """Check that a static member has gone, so that another may take its place.

    Raises:
        UnreleasedInstanceId: It has not.
    """
    if member.epoch != LEAVE_STATIC_EPOCH:
        raise UnreleasedInstanceId(
            f"{joining_id} cannot join: instance id {member.instance_id} is in use by {member.member_id}"
        )


def check_claim(member: Member | None, claim: MemberClaim) -> Member:
    """Check who commits or fetches offsets.

    Raises:
        UnknownMemberId: It is no member.
        IllegalGeneration: It speaks the classic protocol and is not in its generation.
        StaleMemberEpoch: It speaks the consumer protocol and is not at its epoch.
    """
    if member is None:
        raise UnknownMemberId(f"{claim.member_id} is not a member")
    if claim.generation_id != member.epoch:
        text = f"member {claim.member_id} is at epoch {member.epoch}, not {claim.generation_id}"
        raise StaleMemberEpoch(text) if member.classic is None else IllegalGeneration(text)
    return member
