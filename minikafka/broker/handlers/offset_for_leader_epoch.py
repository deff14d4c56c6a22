"""OffsetForLeaderEpoch (API key 23): where a leader's epoch ended, for a client that looks for lost records.

The current epoch ends at the log's end, an older one where the next began; of an epoch that this log has never seen
the answer is epoch -1, offset -1.

Source: KIP-320; Kafka, ReplicaManager.lastOffsetForLeaderEpoch.
"""

from __future__ import annotations

from minikafka.broker.context import RequestContext
from minikafka.broker.fairness import Turns
from minikafka.broker.services import Services
from minikafka.errors import KafkaError
from minikafka.protocol.messages.offset_for_leader_epoch import (
    EpochEndOffset,
    OffsetForLeaderEpochRequest,
    OffsetForLeaderEpochResponse,
    OffsetForLeaderPartition,
    OffsetForLeaderTopicResult,
)
from minikafka.replication.partitions import Partitions


class OffsetForLeaderEpochHandler:
    """Answers from the epoch histories of partitions that this broker leads."""

    __slots__ = ("_partitions",)

    def __init__(self, partitions: Partitions) -> None:
        self._partitions = partitions

    async def __call__(self, request: OffsetForLeaderEpochRequest, ctx: RequestContext) -> OffsetForLeaderEpochResponse:
        """Answer ``request``."""
        turns = Turns()
        response = OffsetForLeaderEpochResponse(topics=[])
        for topic in request.topics:
            answers: list[EpochEndOffset] = []
            for asked in topic.partitions:
                if turns.is_over:
                    await turns.next()
                answers.append(self._look_up(topic.topic, asked))
            response.topics.append(OffsetForLeaderTopicResult(topic=topic.topic, partitions=answers))
        return response

    def _look_up(self, topic: str, asked: OffsetForLeaderPartition) -> EpochEndOffset:
        try:
            partition = self._partitions.leader(topic, asked.partition)
            found = partition.end_offset_for_epoch(asked.leader_epoch, asked.current_leader_epoch)
        except KafkaError as error:
            return EpochEndOffset(partition=asked.partition, error_code=error.code)
        return EpochEndOffset(
            partition=asked.partition, error_code=0, leader_epoch=found.leader_epoch, end_offset=found.end_offset
        )


def build(services: Services) -> OffsetForLeaderEpochHandler:
    """The handler, with what it needs of the broker."""
    return OffsetForLeaderEpochHandler(services.partitions)
