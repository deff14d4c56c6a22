"""Committed offsets: writing and reading them at the group's coordinator."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping

from minikafka.errors import ErrorCode, KafkaError
from minikafka.protocol.api_keys import ApiKey
from minikafka.protocol.messages.offset_commit import (
    OffsetCommitRequest,
    OffsetCommitRequestPartition,
    OffsetCommitRequestTopic,
    OffsetCommitResponse,
)
from minikafka.protocol.messages.offset_fetch import (
    OffsetFetchRequest,
    OffsetFetchRequestGroup,
    OffsetFetchRequestTopic,
    OffsetFetchRequestTopics,
    OffsetFetchResponse,
)
from minikafka.types import TopicPartition
from minikafka_client.cluster import Cluster
from minikafka_client.coordinators import Coordinators
from minikafka_client.errors import CommitFailed, error_from_code, error_name
from minikafka_client.offsets import GroupMetadata, OffsetAndMetadata

OFFSET_COMMIT_VERSION = 9
OFFSET_FETCH_VERSION = 9

Offsets = Mapping[TopicPartition, OffsetAndMetadata]

_BATCHED_FROM = 8
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
            found |= await self._fetch_once(missing)
            missing -= found.keys()
            if missing:
                await self._pause(attempt)  # a transaction that commits offsets is about to end
                attempt += 1
        return {partition: found[partition] if found[partition].offset >= 0 else None for partition in wanted}

    async def _commit_once(self, claim: GroupMetadata, offsets: Offsets, timeout_ms: int | None) -> int:
        by_topic: defaultdict[str, list[OffsetCommitRequestPartition]] = defaultdict(list)
        for where, offset in offsets.items():
            by_topic[where.topic].append(
                OffsetCommitRequestPartition(
                    partition_index=where.partition,
                    committed_offset=offset.offset,
                    committed_leader_epoch=offset.leader_epoch,
                    committed_metadata=offset.metadata,
                )
            )
        request = OffsetCommitRequest(
            group_id=claim.group_id,
            generation_id_or_member_epoch=claim.generation_id,
            member_id=claim.member_id,
            group_instance_id=claim.group_instance_id,
            topics=[OffsetCommitRequestTopic(name=name, partitions=parts) for name, parts in by_topic.items()],
        )
        response = await self._coordinators.ask(
            self._group_id,
            request,
            OFFSET_COMMIT_VERSION,
            timeout_ms=timeout_ms or self._cluster.options.request_timeout_ms,
            error_of=_commit_error,
        )
        return _commit_error(response)

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

    async def _fetch_once(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, OffsetAndMetadata]:
        """What the coordinator has, -1 for nothing; partitions that must be asked for again are left out."""
        connection = await self._coordinators.connection(self._group_id)
        version = connection.pick(ApiKey.OFFSET_FETCH, OFFSET_FETCH_VERSION)
        response = await self._coordinators.ask(
            self._group_id,
            _fetch_request(self._group_id, partitions, version),
            version,
            timeout_ms=self._cluster.options.request_timeout_ms,
            error_of=_fetch_error,
        )
        if (code := _fetch_error(response)) != ErrorCode.NONE:
            raise error_from_code(code, f"cannot read the offsets of group {self._group_id!r}: {error_name(code)}")
        found = {}
        for topic in response.groups[0].topics if response.groups else response.topics:
            for told in topic.partitions:
                if told.error_code == ErrorCode.UNSTABLE_OFFSET_COMMIT:
                    continue
                where = TopicPartition(topic.name, told.partition_index)
                if told.error_code != ErrorCode.NONE:
                    raise error_from_code(told.error_code, f"offset of {where}: {error_name(told.error_code)}")
                found[where] = OffsetAndMetadata(
                    told.committed_offset, told.metadata or "", told.committed_leader_epoch
                )
        return found

    async def _pause(self, attempt: int) -> None:
        await asyncio.sleep(self._cluster.options.backoff.delay_s(attempt))


def _fetch_request(group_id: str, partitions: Iterable[TopicPartition], version: int) -> OffsetFetchRequest:
    by_topic: defaultdict[str, list[int]] = defaultdict(list)
    for where in partitions:
        by_topic[where.topic].append(where.partition)
    request = OffsetFetchRequest(require_stable=version >= 7)
    if version >= _BATCHED_FROM:
        topics = [OffsetFetchRequestTopics(name=name, partition_indexes=numbers) for name, numbers in by_topic.items()]
        request.groups = [OffsetFetchRequestGroup(group_id=group_id, topics=topics)]
    else:
        request.group_id = group_id
        request.topics = [
            OffsetFetchRequestTopic(name=name, partition_indexes=numbers) for name, numbers in by_topic.items()
        ]
    return request


def _fetch_error(response: OffsetFetchResponse) -> int:
    """The error of the group as a whole; some brokers give it to each partition instead."""
    if response.error_code or not (response.groups or response.topics):
        return response.error_code
    if response.groups and response.groups[0].error_code:
        return response.groups[0].error_code
    topics = response.groups[0].topics if response.groups else response.topics
    codes = {partition.error_code for topic in topics for partition in topic.partitions}
    return next(iter(codes)) if len(codes) == 1 and ErrorCode.UNSTABLE_OFFSET_COMMIT not in codes else 0


def _commit_error(response: OffsetCommitResponse) -> int:
    """The first error: what befalls one partition mostly befalls all."""
    codes = (partition.error_code for topic in response.topics for partition in topic.partitions)
    return next((code for code in codes if code), ErrorCode.NONE)
