"""DeleteRecords (API key 21): move the start of partitions forward, and give the disk back what is before it.

When the answer is out the new start has been written and synced: deleted records do not come back after a crash.

Source: Kafka, KafkaApis.handleDeleteRecordsRequest and Partition.deleteRecordsOnLeader.
"""

from __future__ import annotations

from minikafka.broker.context import RequestContext
from minikafka.broker.fairness import Turns
from minikafka.broker.services import Services
from minikafka.errors import InvalidTopic, KafkaError
from minikafka.protocol.messages.delete_records import (
    DeleteRecordsPartitionResult,
    DeleteRecordsRequest,
    DeleteRecordsResponse,
    DeleteRecordsTopicResult,
)
from minikafka.replication.partitions import Partitions
from minikafka.types import INTERNAL_TOPICS

NO_LOW_WATERMARK = -1


class DeleteRecordsHandler:
    """Deletes what one request names."""

    __slots__ = ("_partitions",)

    def __init__(self, partitions: Partitions) -> None:
        self._partitions = partitions

    async def __call__(self, request: DeleteRecordsRequest, ctx: RequestContext) -> DeleteRecordsResponse:
        """Answer ``request``: of a partition listed twice the last offset counts, as in Kafka's map."""
        topics: dict[str, dict[int, int]] = {}
        for topic in request.topics:
            offsets = topics.setdefault(topic.name, {})
            offsets.update({partition.partition_index: partition.offset for partition in topic.partitions})
        turns = Turns()
        response = DeleteRecordsResponse(topics=[])
        for name, offsets in topics.items():
            results: list[DeleteRecordsPartitionResult] = []
            for index, offset in offsets.items():
                if turns.is_over:
                    await turns.next()
                results.append(self._delete(name, index, offset))
            response.topics.append(DeleteRecordsTopicResult(name=name, partitions=results))
        return response

    def _delete(self, topic: str, partition: int, offset: int) -> DeleteRecordsPartitionResult:
        try:
            if topic in INTERNAL_TOPICS:
                raise InvalidTopic(f"cannot delete records of internal topic {topic}")
            low_watermark = self._partitions.leader(topic, partition).delete_records(offset)
        except KafkaError as error:
            return DeleteRecordsPartitionResult(
                partition_index=partition, low_watermark=NO_LOW_WATERMARK, error_code=error.code
            )
        return DeleteRecordsPartitionResult(partition_index=partition, low_watermark=low_watermark, error_code=0)


def build(services: Services) -> DeleteRecordsHandler:
    """The handler, with what it needs of the broker."""
    return DeleteRecordsHandler(services.partitions)
