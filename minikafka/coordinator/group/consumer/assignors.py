"""What an assignor is, and those that there are (``group.consumer.assignors``).

Source: Kafka, group-coordinator/api/assignor; KIP-848.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from minikafka.coordinator.group.consumer.assignment import Assignment, Subscriber
from minikafka.coordinator.group.consumer.range_assignor import assign_ranges
from minikafka.coordinator.group.consumer.uniform import assign_uniformly

Assignor = Callable[[Sequence[Subscriber], Mapping[bytes, int]], Assignment]
"""From members and the partition counts of all their topics to what each member shall have."""

ASSIGNORS: Final[Mapping[str, Assignor]] = {"uniform": assign_uniformly, "range": assign_ranges}
