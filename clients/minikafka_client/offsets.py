"""Offsets as groups remember them, and who may commit them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from minikafka.types import NO_LEADER_EPOCH, TopicPartition

NO_GENERATION = -1


@dataclass(frozen=True, slots=True)
class OffsetAndMetadata:
    """How far a group has come in a partition: the offset of the next message it will read.

    ``metadata`` is a note for people, which nobody interprets.  ``leader_epoch`` is that of the last message read, -1
    when it is not known.
    """

    offset: int
    metadata: str = ""
    leader_epoch: int = NO_LEADER_EPOCH

    @classmethod
    def of(cls, offset: int | OffsetAndMetadata) -> OffsetAndMetadata:
        """A plain offset with nothing beside it; what is more than that stays as it is."""
        return cls(offset) if isinstance(offset, int) else offset


Commits = Mapping[TopicPartition, int | OffsetAndMetadata]
"""What callers give: the next offset to be read, in each partition."""


@dataclass(frozen=True, slots=True)
class GroupMetadata:
    """As whom a consumer commits: its place in the group, which the coordinator compares with what it knows.

    ``generation_id`` is the member epoch in a group of the consumer protocol, and -1 for a consumer that uses the group
    only to remember offsets.
    """

    group_id: str
    generation_id: int = NO_GENERATION
    member_id: str = ""
    group_instance_id: str | None = None
