"""The states of a transaction, and which may follow which.

    ==================  ============================================================  =================================
    state               means                                                         may come after
    ==================  ============================================================  =================================
    Empty               a producer has its id and epoch, and has not begun anything   Empty, CompleteCommit,
                                                                                      CompleteAbort
    Ongoing             partitions are being written to                               Ongoing, Empty, CompleteCommit,
                                                                                      CompleteAbort
    PrepareEpochFence   its producer is being replaced, or took too long              Ongoing
    PrepareCommit       it is decided; markers are being written                      Ongoing
    PrepareAbort        it is decided; markers are being written                      Ongoing, PrepareEpochFence, Empty,
                                                                                      CompleteCommit, CompleteAbort
    CompleteCommit      every partition has its marker                                PrepareCommit
    CompleteAbort       every partition has its marker                                PrepareAbort
    Dead                the transactional id has expired                              Empty, CompleteCommit,
                                                                                      CompleteAbort
    ==================  ============================================================  =================================

A transaction to which nothing has been added is aborted from Empty or a Complete state (KIP-890): what comes of it is
a new epoch.  Neither PrepareEpochFence nor Dead is ever in the log: the one is passed through on the way to
PrepareAbort, the other is a tombstone.

Source: Kafka, TransactionState.
"""

from __future__ import annotations

from enum import IntEnum


class TransactionState(IntEnum):
    """A state, with the number that the log has for it."""

    EMPTY = 0
    ONGOING = 1
    PREPARE_COMMIT = 2
    PREPARE_ABORT = 3
    COMPLETE_COMMIT = 4
    COMPLETE_ABORT = 5
    DEAD = 6
    PREPARE_EPOCH_FENCE = 7

    @property
    def title(self) -> str:
        """The name by which clients know it: ``PrepareCommit``."""
        return "".join(word.capitalize() for word in self.name.split("_"))


_AT_REST = frozenset({TransactionState.EMPTY, TransactionState.COMPLETE_COMMIT, TransactionState.COMPLETE_ABORT})
_ONGOING = frozenset({TransactionState.ONGOING})

PREVIOUS_STATES: dict[TransactionState, frozenset[TransactionState]] = {
    TransactionState.EMPTY: _AT_REST,
    TransactionState.ONGOING: _AT_REST | _ONGOING,
    TransactionState.PREPARE_EPOCH_FENCE: _ONGOING,
    TransactionState.PREPARE_COMMIT: _ONGOING,
    TransactionState.PREPARE_ABORT: _AT_REST | _ONGOING | {TransactionState.PREPARE_EPOCH_FENCE},
    TransactionState.COMPLETE_COMMIT: frozenset({TransactionState.PREPARE_COMMIT}),
    TransactionState.COMPLETE_ABORT: frozenset({TransactionState.PREPARE_ABORT}),
    TransactionState.DEAD: _AT_REST,
}
"""What a state may come after."""


def is_at_rest(state: TransactionState) -> bool:
    """Whether there is no transaction in that state: nothing is written, nothing to be decided."""
    return state in _AT_REST


def is_ending(state: TransactionState) -> bool:
    """Whether the transaction is decided, and not every partition knows it."""
    return state in (TransactionState.PREPARE_COMMIT, TransactionState.PREPARE_ABORT)
