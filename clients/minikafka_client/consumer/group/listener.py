"""What a program is told when partitions come and go."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from minikafka.types import TopicPartition

Partitions = frozenset[TopicPartition]
RebalanceCallback = Callable[[Partitions], Awaitable[None] | None]
"""A plain or an async function."""

Caller = Callable[[Callable[[], Awaitable[None] | None]], Awaitable[None]]
"""Calls a function of the program, and awaits what it returns if that is to be awaited."""


async def call_here(function: Callable[[], Awaitable[None] | None]) -> None:
    """Call a function of the program where the event loop is."""
    answer = function()
    if answer is not None:
        await answer


class RebalanceListener:
    """Told of rebalances, inside ``poll`` and iteration; override what is wanted, with plain or async methods.

    What a method raises, ``poll`` raises, after the rebalance step is complete.
    """

    def on_partitions_assigned(self, partitions: Partitions) -> Awaitable[None] | None:
        """These partitions are this consumer's from now on, beside those it had; a place to ``seek``.

        Called after each rebalance, with an empty set if nothing came.
        """

    def on_partitions_revoked(self, partitions: Partitions) -> Awaitable[None] | None:
        """These partitions go to others next; they are still this consumer's, so that offsets can be committed."""

    def on_partitions_lost(self, partitions: Partitions) -> Awaitable[None] | None:
        """These partitions were taken away, and others may have them already: commits are refused.

        Unless overridden, :meth:`on_partitions_revoked` is called.
        """
        return self.on_partitions_revoked(partitions)


class FunctionListener(RebalanceListener):
    """A listener made of functions."""

    def __init__(
        self,
        assigned: RebalanceCallback | None = None,
        revoked: RebalanceCallback | None = None,
        lost: RebalanceCallback | None = None,
    ) -> None:
        self._assigned = assigned
        self._revoked = revoked
        self._lost = lost

    def on_partitions_assigned(self, partitions: Partitions) -> Awaitable[None] | None:  # noqa: D102 - see above
        return None if self._assigned is None else self._assigned(partitions)

    def on_partitions_revoked(self, partitions: Partitions) -> Awaitable[None] | None:  # noqa: D102 - see above
        return None if self._revoked is None else self._revoked(partitions)

    def on_partitions_lost(self, partitions: Partitions) -> Awaitable[None] | None:  # noqa: D102 - see above
        return self.on_partitions_revoked(partitions) if self._lost is None else self._lost(partitions)
