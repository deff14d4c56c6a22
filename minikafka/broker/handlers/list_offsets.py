"""ListOffsets (API key 2): the first offset at or after a time, or one of the places that negative times stand for.

====== ===== ==========================================================================
time   from  the offset of
====== ===== ==========================================================================
>= 0   v1    the first record whose timestamp is at least that; -1 when there is none
-1     v1    the end of what a consumer at the request's isolation level may read
-2     v1    the start of the log
-3     v7    the record with the largest timestamp (KIP-734)
-4     v8    the start of what is on this disk: as -2, for nothing is tiered (KIP-405)
-5     v9    the last tiered record: -1, for nothing is (KIP-1005)
-6     v11   the first record that waits to be tiered: -1, for none does (KIP-1023)
====== ===== ==========================================================================

Source: Kafka, ReplicaManager.fetchOffset and UnifiedLog.fetchOffsetByTimestamp.
"""

from __future__ import annotations

from collections import Counter

from minikafka.broker.context import RequestContext
from minikafka.broker.fairness import Turns
from minikafka.broker.services import Services
from minikafka.errors import (
    ErrorCode,
    InvalidRequest,
    KafkaError,
    OffsetNotAvailable,
    TopicAuthorizationFailed,
    UnsupportedVersion,
)
from minikafka.protocol.messages.list_offsets import (
    ListOffsetsPartition,
    ListOffsetsPartitionResponse,
    ListOffsetsRequest,
    ListOffsetsResponse,
    ListOffsetsTopicResponse,
)
from minikafka.replication.partitions import Partitions
from minikafka.replication.state import OffsetSpec
from minikafka.types import (
    NO_LEADER_EPOCH,
    NO_OFFSET,
    NO_TIMESTAMP,
    IsolationLevel,
    TimestampAndOffset,
    TopicPartition,
)

FIRST_VERSION_OF: dict[int, int] = {
    OffsetSpec.LATEST: 1,
    OffsetSpec.EARLIEST: 1,
    OffsetSpec.MAX_TIMESTAMP: 7,
    OffsetSpec.EARLIEST_LOCAL: 8,
    OffsetSpec.LATEST_TIERED: 9,
    OffsetSpec.EARLIEST_PENDING_UPLOAD: 11,
}
"""The version from which each special time may be asked for."""

FIRST_VERSION_WITH_LEADER_EPOCH = 4
FIRST_VERSION_WITH_OFFSET_NOT_AVAILABLE = 5

_NOTHING_THAT_LATE = TimestampAndOffset(NO_TIMESTAMP, NO_OFFSET, NO_LEADER_EPOCH)


class ListOffsetsHandler:
    """Looks up offsets in partitions that this broker leads."""

    __slots__ = ("_partitions",)

    def __init__(self, partitions: Partitions) -> None:
        self._partitions = partitions

    async def __call__(self, request: ListOffsetsRequest, ctx: RequestContext) -> ListOffsetsResponse:
        """Answer ``request``, in turns: to find a time, a batch has to be read and decompressed."""
        listed = Counter(
            TopicPartition(topic.name, asked.partition_index) for topic in request.topics for asked in topic.partitions
        )
        duplicates = {name for name, times in listed.items() if times > 1}
        turns = Turns()
        response = ListOffsetsResponse(topics=[])
        for topic in request.topics:
            answers: list[ListOffsetsPartitionResponse] = []
            for asked in topic.partitions:
                if turns.is_over:
                    await turns.next()
                name = TopicPartition(topic.name, asked.partition_index)
                answers.append(self._answer(name, asked, request, duplicates, ctx))
            response.topics.append(ListOffsetsTopicResponse(name=topic.name, partitions=answers))
        return response

    def _answer(
        self,
        name: TopicPartition,
        asked: ListOffsetsPartition,
        request: ListOffsetsRequest,
        duplicates: set[TopicPartition],
        ctx: RequestContext,
    ) -> ListOffsetsPartitionResponse:
        version = ctx.api_version
        try:
            if name in duplicates:
                raise InvalidRequest(f"{name} is listed more than once")
            isolation = _check(request, asked.timestamp, version)
            found = self._look_up(name, asked, isolation)
        except KafkaError as error:
            return ListOffsetsPartitionResponse(
                partition_index=name.partition, error_code=_code_for_version(error, version)
            )
        return ListOffsetsPartitionResponse(
            partition_index=name.partition,
            timestamp=found.timestamp_ms,
            offset=found.offset,
            leader_epoch=found.leader_epoch if version >= FIRST_VERSION_WITH_LEADER_EPOCH else NO_LEADER_EPOCH,
        )

    def _look_up(
        self, name: TopicPartition, asked: ListOffsetsPartition, isolation: IsolationLevel
    ) -> TimestampAndOffset:
        partition = self._partitions.leader(name.topic, name.partition)
        found = partition.offset_for_timestamp(
            asked.timestamp, isolation=isolation, current_leader_epoch=asked.current_leader_epoch
        )
        return found or _NOTHING_THAT_LATE


def build(services: Services) -> ListOffsetsHandler:
    """The handler, with what it needs of the broker."""
    return ListOffsetsHandler(services.partitions)


def _check(request: ListOffsetsRequest, timestamp: int, version: int) -> IsolationLevel:
    """Check what does not depend on the partition.

    Raises:
        TopicAuthorizationFailed: The request comes as a replica's, which would see uncommitted records; no client may.
        UnsupportedVersion: The special time is unknown, or younger than this version of the API.
        InvalidRequest: The isolation level is none of Kafka's.
    """
    if request.replica_id >= 0:
        raise TopicAuthorizationFailed("only brokers ask as replicas")
    if timestamp < 0 and not FIRST_VERSION_OF.get(timestamp, version + 1) <= version:
        raise UnsupportedVersion(f"time {timestamp} has no meaning in version {version}")
    try:
        return IsolationLevel(request.isolation_level)
    except ValueError as error:
        raise InvalidRequest(f"{request.isolation_level} is no isolation level") from error


def _code_for_version(error: KafkaError, version: int) -> ErrorCode:
    if isinstance(error, OffsetNotAvailable) and version < FIRST_VERSION_WITH_OFFSET_NOT_AVAILABLE:
        return ErrorCode.LEADER_NOT_AVAILABLE
    return error.code
