"""Offsets as groups remember them."""

from __future__ import annotations

from dataclasses import dataclass

from minikafka.types import NO_LEADER_EPOCH


@dataclass(frozen=True, slots=True)
class OffsetAndMetadata:
    """How far a group has come in a partition: the offset of the next message it will read.

    ``metadata`` is a note for people, which nobody interprets.  ``leader_epoch`` is that of the last message read, -1
    when it is not known.
    """

    offset: int
    metadata: str = ""
    leader_epoch: int = NO_LEADER_EPOCH
