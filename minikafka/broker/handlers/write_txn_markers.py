"""WriteTxnMarkers (API key 27): write the ends of transactions into partitions that this broker leads.

Coordinators on other brokers send it, and administrators who end a transaction that hangs (KIP-664).

Source: Kafka, KafkaApis.handleWriteTxnMarkersRequest.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import NamedTuple

from minikafka.broker.context import RequestContext
from minikafka.broker.services import Services
from minikafka.coordinator.transaction.markers import Marker, WriteMarker
from minikafka.coordinator.transaction.partition_markers import PartitionMarkers
from minikafka.errors import ErrorCode, KafkaError, RequestTimedOut
from minikafka.protocol.messages.write_txn_markers import (
    WritableTxnMarker,
    WritableTxnMarkerPartitionResult,
    WritableTxnMarkerResult,
    WritableTxnMarkerTopicResult,
    WriteTxnMarkersRequest,
    WriteTxnMarkersResponse,
)
from minikafka.types import ProducerIdAndEpoch, TopicPartition

TIMEOUT_MS = 30_000
"""How long a marker may take to be durable: Kafka's default of ``request.timeout.ms``."""

_NOT_READY = frozenset(
    {ErrorCode.COORDINATOR_NOT_AVAILABLE, ErrorCode.COORDINATOR_LOAD_IN_PROGRESS, ErrorCode.NOT_COORDINATOR}
)

Results = dict[TopicPartition, WritableTxnMarkerPartitionResult]


class Unacknowledged(NamedTuple):
    """A marker in the log that is not durable yet."""

    result: WritableTxnMarkerPartitionResult
    durable: asyncio.Future[None]


class WriteTxnMarkersHandler:
    """Appends the markers that one request brings.

    Args:
        write_marker: Appends one.
    """

    __slots__ = ("_write_marker",)

    def __init__(self, write_marker: WriteMarker) -> None:
        self._write_marker = write_marker

    async def __call__(self, request: WriteTxnMarkersRequest, ctx: RequestContext) -> WriteTxnMarkersResponse:
        """Answer ``request`` when every marker is durable, or has failed, or the time is up.

        Markers of one producer are answered together, as in Kafka: a partition that is listed twice with the last.
        """
        results: dict[int, Results] = {}
        unacknowledged: list[Unacknowledged] = []
        for marker in request.markers:
            self._write(marker, results.setdefault(marker.producer_id, {}), unacknowledged)
        await _wait(unacknowledged, ctx.deadline(TIMEOUT_MS))
        return WriteTxnMarkersResponse(
            markers=[
                WritableTxnMarkerResult(producer_id=producer_id, topics=_by_topic(of_producer))
                for producer_id, of_producer in results.items()
            ]
        )

    def _write(self, asked: WritableTxnMarker, results: Results, unacknowledged: list[Unacknowledged]) -> None:
        marker = Marker(
            ProducerIdAndEpoch(asked.producer_id, asked.producer_epoch),
            is_commit=asked.transaction_result,
            coordinator_epoch=asked.coordinator_epoch,
            transaction_version=asked.transaction_version,
        )
        for topic in asked.topics:
            for index in topic.partition_indexes:
                result = results[TopicPartition(topic.name, index)] = WritableTxnMarkerPartitionResult(
                    partition_index=index
                )
                try:
                    durable = self._write_marker(TopicPartition(topic.name, index), marker)
                except KafkaError as error:
                    result.error_code = _code_of(error)
                    continue
                if durable is not None:
                    unacknowledged.append(Unacknowledged(result, durable))


def build(services: Services) -> WriteTxnMarkersHandler:
    """The handler, with what it needs of the broker."""
    return WriteTxnMarkersHandler(PartitionMarkers(services.partitions, services.groups))


async def _wait(unacknowledged: list[Unacknowledged], deadline: float) -> None:
    if not unacknowledged:
        return
    left_s = deadline - asyncio.get_running_loop().time()
    await asyncio.wait([durable for _, durable in unacknowledged], timeout=left_s)
    for result, durable in unacknowledged:
        try:
            if not durable.done():
                raise RequestTimedOut("the marker was not durable in time")
            durable.result()
        except KafkaError as error:
            result.error_code = _code_of(error)


def _code_of(error: KafkaError) -> int:
    """Of partitions with offsets of groups, whose coordinator may not be ready: the sender is to look again."""
    return ErrorCode.NOT_LEADER_OR_FOLLOWER if error.code in _NOT_READY else error.code


def _by_topic(results: Mapping[TopicPartition, WritableTxnMarkerPartitionResult]) -> list[WritableTxnMarkerTopicResult]:
    topics: dict[str, list[WritableTxnMarkerPartitionResult]] = {}
    for (topic, _), result in results.items():
        topics.setdefault(topic, []).append(result)
    return [WritableTxnMarkerTopicResult(name=name, partitions=partitions) for name, partitions in topics.items()]
