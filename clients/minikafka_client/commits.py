"""Committed offsets on the wire: what a group's coordinator is told of them and asked for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress

from minikafka.errors import ErrorCode
from minikafka.protocol.api_keys import ApiKey
from minikafka.protocol.errors import EncodeError
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
from minikafka_client.coordinators import Coordinators
from minikafka_client.errors import error_from_code, error_name
from minikafka_client.offsets import GroupMetadata, OffsetAndMetadata

OFFSET_COMMIT_VERSION = 9
OFFSET_FETCH_VERSION = 9

_BATCHED_FROM = 8
_STABLE_FROM = 7


async def commit_offsets(
    coordinators: Coordinators,
    claim: GroupMetadata,
    offsets: Mapping[TopicPartition, OffsetAndMetadata],
    *,
    timeout_ms: int,
) -> dict[TopicPartition, int]:
    """Have a group remember the next offset to be read in each partition.

    Returns:
        What became of each partition, as error codes.

    Raises:
        RequestTimedOut: The coordinator did not answer in time; the offsets may be stored or not.
        KafkaError: The group may not be used, or the broker is too old.
    """
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
    response = await coordinators.ask(
        claim.group_id,
        request,
        OFFSET_COMMIT_VERSION,
        timeout_ms=timeout_ms,
        error_of=lambda answer: first_error(_commit_codes(answer).values()),
    )
    return _commit_codes(response)


def first_error(codes: Iterable[int]) -> int:
    """What befalls one partition mostly befalls all."""
    return next((code for code in codes if code), ErrorCode.NONE)


async def fetch_offsets(
    coordinators: Coordinators,
    group_id: str,
    partitions: Iterable[TopicPartition] | None,
    *,
    require_stable: bool,
    timeout_ms: int,
) -> dict[TopicPartition, OffsetAndMetadata]:
    """What a group has committed.

    Args:
        coordinators: Who is asked.
        group_id: The group.
        partitions: Which partitions; None for all that it has committed something for.
        require_stable: Leave out the partitions for which a transaction is about to commit, so that the caller asks
            again, where the broker can tell (KIP-447).
        timeout_ms: How long to try.

    Returns:
        By partition; the offset is -1 where nothing is committed.

    Raises:
        RequestTimedOut: The coordinator did not answer in time.
        KafkaError: The coordinator refuses.
    """
    wanted = None if partitions is None else list(partitions)
    response = None
    while response is None:
        connection = await coordinators.connection(group_id)
        version = connection.pick(ApiKey.OFFSET_FETCH, OFFSET_FETCH_VERSION)
        request = _fetch_request(group_id, wanted, version)
        request.require_stable = require_stable and version >= _STABLE_FROM
        with suppress(EncodeError):  # the group moved to an older broker meanwhile, which is asked in other words
            response = await coordinators.ask(group_id, request, version, timeout_ms=timeout_ms, error_of=_fetch_error)
    if (code := _fetch_error(response)) != ErrorCode.NONE:
        raise error_from_code(code, f"cannot read the offsets of group {group_id!r}: {error_name(code)}")
    found = {}
    for where, code, offset in _fetched(response):
        if code == ErrorCode.UNSTABLE_OFFSET_COMMIT:
            continue
        if code != ErrorCode.NONE:
            raise error_from_code(code, f"offset of {where}: {error_name(code)}")
        found[where] = offset
    return found


def _commit_codes(response: OffsetCommitResponse) -> dict[TopicPartition, int]:
    return {
        TopicPartition(topic.name, partition.partition_index): partition.error_code
        for topic in response.topics
        for partition in topic.partitions
    }


def _fetch_request(group_id: str, partitions: list[TopicPartition] | None, version: int) -> OffsetFetchRequest:
    by_topic: defaultdict[str, list[int]] = defaultdict(list)
    for where in partitions or ():
        by_topic[where.topic].append(where.partition)
    if version >= _BATCHED_FROM:
        topics = [OffsetFetchRequestTopics(name=name, partition_indexes=numbers) for name, numbers in by_topic.items()]
        group = OffsetFetchRequestGroup(group_id=group_id, topics=None if partitions is None else topics)
        return OffsetFetchRequest(groups=[group])
    old = [OffsetFetchRequestTopic(name=name, partition_indexes=numbers) for name, numbers in by_topic.items()]
    return OffsetFetchRequest(group_id=group_id, topics=None if partitions is None else old)


def _fetch_error(response: OffsetFetchResponse) -> int:
    """The error of the group as a whole; some brokers give it to each partition instead."""
    group_code = response.groups[0].error_code if response.groups else response.error_code
    if group_code != ErrorCode.NONE:
        return group_code
    codes = {code for _, code, _ in _fetched(response)}
    return next(iter(codes)) if len(codes) == 1 and ErrorCode.UNSTABLE_OFFSET_COMMIT not in codes else 0


def _fetched(response: OffsetFetchResponse) -> Iterator[tuple[TopicPartition, int, OffsetAndMetadata]]:
    """Partition by partition: its error code, and what is committed."""
    for topic in response.groups[0].topics if response.groups else response.topics:
        for told in topic.partitions:
            where = TopicPartition(topic.name, told.partition_index)
            offset = OffsetAndMetadata(told.committed_offset, told.metadata or "", told.committed_leader_epoch)
            yield where, told.error_code, offset
