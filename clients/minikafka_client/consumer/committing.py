"""How far a consumer's group has come: committing offsets and reading them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from math import inf

from minikafka.types import TopicPartition
from minikafka_client.consumer.group.group import Group
from minikafka_client.consumer.group.membership import GroupOptions
from minikafka_client.consumer.positioning import Positioning
from minikafka_client.offsets import Commits, GroupMetadata, OffsetAndMetadata

_log = logging.getLogger(__name__)


class Committing(Positioning):
    """The group of a consumer that has a ``group_id``, as far as it remembers offsets."""

    _group_options: GroupOptions | None
    _group: Group | None
    _committing: set[asyncio.Task[None]]

    async def commit(self, offsets: Commits | None = None) -> None:
        """Have the group remember these offsets or, without, the positions of all partitions.

        A committed offset is that of the *next* message to be read: one more than that of the last one processed.
        Without arguments, every message that was handed out counts as processed.

        Raises:
            CommitFailed: The group went on without this consumer.
            RebalanceInProgress: The group rebalances: poll, and commit again.
            RequestTimedOut: The coordinator did not answer in time.
            KafkaError: The coordinator refuses.
            ValueError: The consumer has no ``group_id``.
        """
        group = await self._group_in_use()
        await self._wait_for_commits(inf)  # an earlier one shall not overtake this one
        await group.commit(offsets)

    def commit_async(self, offsets: Commits | None = None) -> asyncio.Task[None]:
        """As :meth:`commit`, without waiting: awaiting what is returned does; failures are logged too."""
        return self._commit_later(dict(self._reader.positions() if offsets is None else offsets))

    async def committed(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, OffsetAndMetadata | None]:
        """What the group remembers of these partitions; None where nothing.

        Raises:
            KafkaError: The coordinator refuses, or does not answer in time.
            ValueError: The consumer has no ``group_id``.
        """
        group = await self._group_in_use()
        return await group.committed(partitions)

    @property
    def group_metadata(self) -> GroupMetadata:
        """As whom this consumer commits.

        Raises:
            ValueError: The consumer has no ``group_id``.
        """
        if self._group_options is None:
            raise ValueError("the consumer has no group_id")
        return GroupMetadata(self._group_options.group_id) if self._group is None else self._group.metadata

    # Inside

    @property
    def _is_member(self) -> bool:
        return self._group is not None and self._group.is_member

    async def _group_in_use(self) -> Group:
        if self._group is None:
            await self.start()
        if self._group is None:
            raise ValueError("the consumer has no group_id")
        return self._group

    def _commit_what_goes(self, partitions: frozenset[TopicPartition]) -> None:
        """The program will not read these any longer, and is done with what it got of them."""
        if partitions and self._group is not None and self._group.commits_by_itself:
            positions = self._reader.positions()
            self._commit_later({where: positions[where] for where in partitions & positions.keys()})

    def _commit_later(self, offsets: Commits) -> asyncio.Task[None]:
        async def commit() -> None:
            group = await self._group_in_use()
            await group.commit(offsets)

        made = asyncio.create_task(commit())
        self._committing.add(made)
        made.add_done_callback(self._committing.discard)
        made.add_done_callback(_log_failure)
        return made

    async def _wait_for_commits(self, timeout_s: float) -> None:
        if self._committing:
            await asyncio.wait(self._committing, timeout=None if timeout_s == inf else timeout_s)


def _log_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.warning("offsets were not committed: %s", error)
