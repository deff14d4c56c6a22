"""What stands between a transactional batch and a partition: proof that the coordinator knows of it (KIP-890).

A coordinator writes the end of a transaction into the partitions that it knows to be in it.  A batch that came to
another one, or after the end, would never be decided and hold up every ``read_committed`` consumer for good.  So the
first batch of a transaction in a partition is taken only after the coordinator has confirmed it, and only with the
guard that was given out before it was asked: a marker that is written in between makes that worthless.

Source: Kafka, storage/internals/log/VerificationStateEntry.java, VerificationGuard.java.
"""

from __future__ import annotations

from dataclasses import dataclass

from minikafka.storage.producer_state import is_before


class VerificationGuard:
    """Stands for one question to the coordinator; equal to nothing but itself."""

    __slots__ = ()


@dataclass(slots=True)
class Verification:
    """A producer whose next transactional batch has to be confirmed."""

    guard: VerificationGuard
    epoch: int
    lowest_sequence: int
    """The lowest that has been seen: were a higher one let in first, this one could never come in."""
    bumps_epochs: bool
    """Whether the producer gets a new epoch with every transaction (transaction version 2)."""
    begun_ms: int


class Verifications:
    """The producers of a log that have been asked about and have not written yet, by id."""

    __slots__ = ("_by_id",)

    def __init__(self) -> None:
        self._by_id: dict[int, Verification] = {}

    def begin(
        self, producer_id: int, epoch: int, sequence: int, *, bumps_epochs: bool, now_ms: int
    ) -> VerificationGuard:
        """The guard of a producer, whose batch begins with ``sequence``."""
        verification = self._by_id.get(producer_id)
        if verification is None:
            verification = Verification(VerificationGuard(), epoch, sequence, bumps_epochs, now_ms)
            self._by_id[producer_id] = verification
        elif epoch > verification.epoch:
            verification.epoch, verification.lowest_sequence = epoch, sequence
        elif epoch == verification.epoch and is_before(sequence, verification.lowest_sequence):
            verification.lowest_sequence = sequence
        return verification.guard

    def get(self, producer_id: int) -> Verification | None:
        """The verification that is under way or has been passed."""
        return self._by_id.get(producer_id)

    def end(self, producer_id: int) -> None:
        """Forget it: the transaction has its first batch, or its end."""
        self._by_id.pop(producer_id, None)

    def expire(self, before_ms: int) -> None:
        """Forget those that were begun at ``before_ms`` or earlier."""
        for producer_id in [number for number, one in self._by_id.items() if one.begun_ms <= before_ms]:
            del self._by_id[producer_id]
