"""Committed offsets: writing and reading them at the group's coordinator."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping

from minikafka.errors import ErrorCode, KafkaError
from minikafka.types import TopicPartition
from minikafka_client.cluster import Cluster
from minikafka_client.commits import commit_offsets, fetch_offsets, first_error
from minikafka_client.coordinators import Coordinators
from minikafka_client.errors import CommitFailed, error_from_code, error_name
from minikafka_client.offsets import GroupMetadata, OffsetAndMetadata

Offsets = Mapping[TopicPartition, OffsetAndMetadata]

_STALE_ATTEMPTS = 20

_FENCED = frozenset(
    {
        ErrorCode.UNKNOWN_MEMBER_ID,
        ErrorCode.ILLEGAL_GENERATION,
        ErrorCode.FENCED_MEMBER_EPOCH,
        ErrorCode.STALE_MEMBER_EPOCH,
        ErrorCode.FENCED_INSTANCE_ID,
    }
)


class Committer:
    """Commits and reads the offsets of one group.

    Args:
        cluster: Where to send them.
        coordinators: Who takes them.
        group_id: The group.
        claim: As whom this consumer commits; it raises CommitFailed when that is nobody.
        owns: Whether all these partitions are this consumer's.
        refused: Told of what the coordinator has against this member.
    """

    def __init__(
        self,
        cluster: Cluster,
        coordinators: Coordinators,
        group_id: str,
        *,
        claim: Callable[[], GroupMetadata],
        owns: Callable[[Iterable[TopicPartition]], bool],
        refused: Callable[[KafkaError], None],
    ) -> None:
        self._cluster = cluster
        self._coordinators = coordinators
        self._group_id = group_id
        self._claim = claim
        self._owns = owns
        self._refused = refused
        self._turn = asyncio.Lock()

    async def commit(self, offsets: Offsets, timeout_ms: int | None = None) -> None:
        """Store these offsets; commits are carried out one after the other, so that none overtakes a later one.

        Args:
            offsets: The next offset to be read, in each partition.
            timeout_ms: How long to try, instead of ``request_timeout_ms``.

        Raises:
            CommitFailed: The partitions are no longer this consumer's.
            RequestTimedOut: The coordinator did not answer in time; the offsets may be stored or not.
            KafkaError: The coordinator refuses.
        """
        if not offsets:
            return
        # Of the time when it was asked for: after a rebalance these offsets are for others to commit.
        claim = self._claim()
        async with self._turn:
            attempt = 0
            while (code := await self._commit_once(claim, offsets, timeout_ms)) == ErrorCode.STALE_MEMBER_EPOCH:
                if attempt == _STALE_ATTEMPTS or not self._owns(offsets):
                    break
                await self._pause(attempt)  # a heartbeat brings the new epoch
                claim = self._claim()
                attempt += 1
            if code != ErrorCode.NONE:
                self._fail(code)

    async def committed(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, OffsetAndMetadata | None]:
        """The committed offset of each partition, None where there is none.

        Raises:
            RequestTimedOut: The coordinator did not answer in time.
            KafkaError: The coordinator refuses.
        """
        wanted = list(partitions)
        found: dict[TopicPartition, OffsetAndMetadata] = {}
        missing = set(wanted)
        attempt = 0
        while missing:
            found |= await fetch_offsets(
                self._coordinators,
                self._group_id,
                missing,
                require_stable=True,
                timeout_ms=self._cluster.options.request_timeout_ms,
            )
            missing -= found.keys()
            if missing:
                await self._pause(attempt)  # a transaction that commits offsets is about to end
                attempt += 1
        return {partition: found[partition] if found[partition].offset >= 0 else None for partition in wanted}

    async def _commit_once(self, claim: GroupMetadata, offsets: Offsets, timeout_ms: int | None) -> int:
        wait_ms = timeout_ms or self._cluster.options.request_timeout_ms
        return first_error((await commit_offsets(self._coordinators, claim, offsets, timeout_ms=wait_ms)).values())

    def _fail(self, code: int) -> None:
        """Raise what the coordinator said, in words that say what to do about it."""
        error = error_from_code(code)
        self._refused(error)
        if code in _FENCED:
            raise CommitFailed(
                f"group {self._group_id!r} went on without this consumer ({error_name(code)}) and gave its partitions "
                "to others, so that its offsets were not committed.  It polled too late (max_poll_interval_ms), or its "
                "heartbeats did not arrive within session_timeout_ms; the next poll joins again"
            ) from error
        if code == ErrorCode.REBALANCE_IN_PROGRESS:
            raise error_from_code(code, f"group {self._group_id!r} rebalances: poll, and then commit again") from error
        raise error_from_code(code, f"cannot commit offsets of group {self._group_id!r}: {error_name(code)}")

    async def _pause(self, attempt: int) -> None:
        await asyncio.sleep(self._cluster.options.backoff.delay_s(attempt))
