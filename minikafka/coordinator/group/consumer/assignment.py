"""What assignors are given and give back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from minikafka.coordinator.group.consumer.partitions import Partitions

Assignment = Mapping[str, Partitions]
"""What each member shall have, by member id; a member that shall have nothing may be missing."""


class Subscriber(NamedTuple):
    """A member as an assignor sees it; ``current`` is what the last target gave it."""

    member_id: str
    instance_id: str | None
    topic_ids: frozenset[bytes]
    current: Partitions
