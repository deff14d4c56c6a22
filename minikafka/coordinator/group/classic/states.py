"""The states of a classic group, and what leads from one to the next.

    Empty ──────► PreparingRebalance ──────────► CompletingRebalance ──────────► Stable
      ▲   came      │          ▲   all have joined,   │    the assignment is       │
      │             │          │   or time is up      │    durable                 │
      └─────────────┘          └──────────────────────┴────────────────────────────┘
       nobody is left                       came, left, changed

Source: Kafka, ClassicGroupState.java.
"""

from __future__ import annotations

from enum import Enum
from typing import Final


class ClassicState(Enum):
    """Where a group is between two generations; the values are what clients see."""

    EMPTY = "Empty"
    """No members; there may be offsets."""
    PREPARING_REBALANCE = "PreparingRebalance"
    """Members are to join again; who has, waits for the others."""
    COMPLETING_REBALANCE = "CompletingRebalance"
    """There is a new generation, and its leader is working out who gets what."""
    STABLE = "Stable"
    """Everybody can have an assignment."""
    DEAD = "Dead"
    """Deleted, converted, or in other hands: nothing is answered here any more."""


class Event(Enum):
    """What changes a group's state."""

    REBALANCE_BEGAN = "a member came, went or changed"
    MEMBERS_JOINED = "a new generation has members"
    EVERYBODY_LEFT = "a new generation has no members"
    ASSIGNMENT_WRITTEN = "the leader's assignment is durable"
    GROUP_CLOSED = "the group is not served here any more"


class IllegalTransition(Exception):
    """An event where it cannot be: a bug."""

    def __init__(self, state: ClassicState, event: Event) -> None:
        super().__init__(f"{event.name} in {state.name}")


TRANSITIONS: Final[dict[tuple[ClassicState, Event], ClassicState]] = {
    (ClassicState.EMPTY, Event.REBALANCE_BEGAN): ClassicState.PREPARING_REBALANCE,
    (ClassicState.COMPLETING_REBALANCE, Event.REBALANCE_BEGAN): ClassicState.PREPARING_REBALANCE,
    (ClassicState.STABLE, Event.REBALANCE_BEGAN): ClassicState.PREPARING_REBALANCE,
    (ClassicState.PREPARING_REBALANCE, Event.MEMBERS_JOINED): ClassicState.COMPLETING_REBALANCE,
    (ClassicState.PREPARING_REBALANCE, Event.EVERYBODY_LEFT): ClassicState.EMPTY,
    (ClassicState.COMPLETING_REBALANCE, Event.ASSIGNMENT_WRITTEN): ClassicState.STABLE,
    **{(state, Event.GROUP_CLOSED): ClassicState.DEAD for state in ClassicState},
}


def next_state(state: ClassicState, event: Event) -> ClassicState:
    """The state that ``event`` leads to.

    Raises:
        IllegalTransition: It cannot happen in ``state``.
    """
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise IllegalTransition(state, event) from None
