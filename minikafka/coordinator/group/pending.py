"""Stands in for consumer groups until their state machine is there."""

from __future__ import annotations

from typing import Any

try:
    from minikafka.coordinator.group import conversion
    from minikafka.coordinator.group.consumer.group import ConsumerGroup
except ImportError:

    class ConsumerGroup:  # type: ignore[no-redef]
        """None exist."""

        def __init__(self, *arguments: Any) -> None:
            raise NotImplementedError

    conversion: Any = None  # type: ignore[no-redef]

__all__ = ["ConsumerGroup", "conversion"]
