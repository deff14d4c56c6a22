"""The states of a group of the consumer protocol and of its members, and how they follow from one another.

Source: Kafka, ConsumerGroup.ConsumerGroupState and MemberState; KIP-848.
"""

from __future__ import annotations

from enum import Enum, IntEnum
from typing import Final


class ConsumerGroupState(Enum):
    """What a group is doing; the values are what clients are shown."""

    EMPTY = "Empty"
    ASSIGNING = "Assigning"
    """Something has changed and the new target assignment is not made yet."""
    RECONCILING = "Reconciling"
    """Some members are on their way to the target assignment."""
    STABLE = "Stable"
    DEAD = "Dead"
    """There is no such group; what DescribeGroups, which knows classic groups only, says of any other."""


class MemberState(IntEnum):
    """How far a member is; the values are those of ``ConsumerGroupCurrentMemberAssignmentValue.state``."""

    STABLE = 0
    """It has all that its target assignment gives it."""
    UNREVOKED_PARTITIONS = 1
    """It has been told to let partitions go, and has not shown that it did."""
    UNRELEASED_PARTITIONS = 2
    """It waits for partitions that other members have not let go yet."""
    UNKNOWN = 127
    """A later version of Kafka wrote a state that is not known here."""


class Step(Enum):
    """What comparing a member with its target found, the first that applies."""

    MUST_REVOKE = "it holds partitions that it shall not have"
    MUST_WAIT = "others hold partitions that it shall have"
    COMPLETE = "neither"


MEMBER_TRANSITIONS: Final = {
    (MemberState.STABLE, Step.MUST_REVOKE): MemberState.UNREVOKED_PARTITIONS,
    (MemberState.STABLE, Step.MUST_WAIT): MemberState.UNRELEASED_PARTITIONS,
    (MemberState.STABLE, Step.COMPLETE): MemberState.STABLE,
    (MemberState.UNREVOKED_PARTITIONS, Step.MUST_REVOKE): MemberState.UNREVOKED_PARTITIONS,
    (MemberState.UNREVOKED_PARTITIONS, Step.MUST_WAIT): MemberState.UNRELEASED_PARTITIONS,
    (MemberState.UNREVOKED_PARTITIONS, Step.COMPLETE): MemberState.STABLE,
    (MemberState.UNRELEASED_PARTITIONS, Step.MUST_REVOKE): MemberState.UNREVOKED_PARTITIONS,
    (MemberState.UNRELEASED_PARTITIONS, Step.MUST_WAIT): MemberState.UNRELEASED_PARTITIONS,
    (MemberState.UNRELEASED_PARTITIONS, Step.COMPLETE): MemberState.STABLE,
    # Such a member is fenced until it comes with nothing; hence it has nothing to revoke.
    (MemberState.UNKNOWN, Step.MUST_WAIT): MemberState.UNRELEASED_PARTITIONS,
    (MemberState.UNKNOWN, Step.COMPLETE): MemberState.STABLE,
}
"""From a member's state, by what was found, to its next."""


def member_state(value: int) -> MemberState:
    """The state that a record names by its number."""
    try:
        return MemberState(value)
    except ValueError:
        return MemberState.UNKNOWN
