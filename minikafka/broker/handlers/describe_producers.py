"""DescribeProducers (API key 61): what partitions remember of their producers (KIP-664).

Source: Kafka, KafkaApis.handleDescribeProducersRequest and UnifiedLog.activeProducers.
"""

from __future__ import annotations

from minikafka.broker.context import RequestContext
from minikafka.broker.fairness import Turns
from minikafka.broker.services import Services
from minikafka.errors import InvalidTopic, KafkaError
from minikafka.protocol.messages.describe_producers import (
    DescribeProducersRequest,
    DescribeProducersResponse,
    PartitionResponse,
    ProducerState,
    TopicResponse,
)
from minikafka.replication.partitions import Partitions
from minikafka.types import is_legal_topic_name


class DescribeProducersHandler:
    """Describes the producers of partitions that this broker leads."""

    __slots__ = ("_partitions",)

    def __init__(self, partitions: Partitions) -> None:
        self._partitions = partitions

    async def __call__(self, request: DescribeProducersRequest, ctx: RequestContext) -> DescribeProducersResponse:
        """Answer ``request``, in turns: a partition may have very many producers."""
        turns = Turns()
        response = DescribeProducersResponse(topics=[])
        for topic in request.topics:
            described: list[PartitionResponse] = []
            for index in topic.partition_indexes:
                if turns.is_over:
                    await turns.next()
                described.append(self._describe(topic.name, index))
            response.topics.append(TopicResponse(name=topic.name, partitions=described))
        return response

    def _describe(self, topic: str, index: int) -> PartitionResponse:
        try:
            if not is_legal_topic_name(topic):
                raise InvalidTopic(f"no topic can have the name {topic!r}")
            states = self._partitions.leader(topic, index).log.producers.states
        except KafkaError as error:
            return PartitionResponse(
                partition_index=index, error_code=error.code, error_message=str(error), active_producers=[]
            )
        return PartitionResponse(
            partition_index=index,
            active_producers=[
                ProducerState(
                    producer_id=state.producer_id,
                    producer_epoch=state.epoch,
                    last_sequence=state.last_sequence,
                    last_timestamp=state.last_timestamp_ms,
                    coordinator_epoch=state.coordinator_epoch,
                    current_txn_start_offset=state.transaction_first_offset,
                )
                for state in states.all
            ],
        )


def build(services: Services) -> DescribeProducersHandler:
    """The handler, with what it needs of the broker."""
    return DescribeProducersHandler(services.partitions)
