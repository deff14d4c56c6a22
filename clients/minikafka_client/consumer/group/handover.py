"""Partitions come and go: the order in which offsets are committed, the program is told, and reading ends or begins."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Protocol

from minikafka.types import TopicPartition
from minikafka_client.consumer.group.listener import Caller, Partitions, RebalanceListener

_log = logging.getLogger(__name__)


class Reading(Protocol):
    """What reads the partitions: the consumer itself."""

    def add(self, partitions: Partitions) -> None:
        """Read these as well, from where the group has come."""

    def remove(self, partitions: Partitions) -> None:
        """Forget these, and what was read ahead of them."""

    async def commit_processed(self, partitions: Partitions) -> None:
        """Commit how far the program has come in these, if that is to be done by itself; failures are logged."""


class Handover:
    """The partitions that a group gave this consumer, and the steps by which that changes."""

    def __init__(self, group_id: str, reading: Reading, listener: RebalanceListener, call: Caller) -> None:
        self.owned: Partitions = frozenset()
        self.listener = listener
        self._group_id = group_id
        self._reading = reading
        self._call = call
        self._failure: Exception | None = None

    def owns(self, partitions: Iterable[TopicPartition]) -> bool:
        """Whether all of these are this consumer's."""
        return self.owned.issuperset(partitions)

    async def assign(self, partitions: Iterable[TopicPartition]) -> None:
        """These come in addition; the program is told even if there are none."""
        added = frozenset(partitions) - self.owned
        self.owned |= added
        self._reading.add(added)
        _log.info("group %s: %s", self._group_id, f"assigned {_names(added)}" if added else "nothing was added")
        await self._tell(self.listener.on_partitions_assigned, added)

    async def revoke(self, partitions: Iterable[TopicPartition]) -> None:
        """These go to others next: what was processed is committed, the program may commit more, then they go."""
        gone = frozenset(partitions) & self.owned
        if gone:
            _log.info("group %s: giving back %s", self._group_id, _names(gone))
            await self._reading.commit_processed(gone)
            await self._tell(self.listener.on_partitions_revoked, gone)
            self._drop(gone)

    async def lose_all(self) -> None:
        """Everything was taken away already."""
        gone = self.owned
        if gone:
            _log.warning("group %s: lost %s", self._group_id, _names(gone))
            self._drop(gone)
            await self._tell(self.listener.on_partitions_lost, gone)

    def raise_failure(self) -> None:
        """Raise what a listener raised, once."""
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def _drop(self, gone: Partitions) -> None:
        self.owned -= gone
        self._reading.remove(gone)

    async def _tell(self, method: Callable[[Partitions], Awaitable[None] | None], partitions: Partitions) -> None:
        try:
            await self._call(lambda: method(partitions))
        except Exception as error:  # noqa: BLE001 - whatever the program raises: the step is finished first
            self._failure = self._failure or error


def _names(partitions: Iterable[TopicPartition]) -> str:
    return ", ".join(f"{topic}[{number}]" for topic, number in sorted(partitions))
