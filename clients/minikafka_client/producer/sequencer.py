"""Numbers for batches, by which brokers recognise what they have already stored (KIP-98, KIP-360).

A producer id and an epoch name the producer; each partition counts its records.  When the count has a hole (a batch
was given up after it may have been sent, or a broker lost what it knew), the partition goes on at 0 under its next
epoch.  Epochs are counted for each partition apart: brokers compare them for each partition too.
"""

from __future__ import annotations

from minikafka.errors import ErrorCode, KafkaError
from minikafka.protocol.api_keys import ApiKey
from minikafka.protocol.messages.init_producer_id import InitProducerIdRequest
from minikafka.types import NO_PRODUCER_ID
from minikafka_client.cluster import Cluster
from minikafka_client.errors import error_from_code
from minikafka_client.producer.accumulator import PartitionQueue
from minikafka_client.producer.batch import ProducerBatch

INIT_PRODUCER_ID_VERSION = 4
PRODUCE_VERSION = 12

_MAX_SEQUENCE = 2**31 - 1
_MAX_EPOCH = 2**15 - 1

_LOST_COUNT = frozenset(
    {
        ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER,
        ErrorCode.UNKNOWN_PRODUCER_ID,
        ErrorCode.INVALID_PRODUCER_EPOCH,
    }
)


def is_lost_count(error: Exception) -> bool:
    """Whether the broker refused a batch for its number: it can be sent again, if need be under a new one."""
    return isinstance(error, KafkaError) and error.code in _LOST_COUNT


class Sequencer:
    """Hands out producer id, epoch and sequence numbers; with transactions a subclass does."""

    transactional_id: str | None = None
    failure: Exception | None = None
    """Why nothing may be sent at the moment, and what is there fails; None when it may."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._producer_id = NO_PRODUCER_ID
        self._producer_epoch = 0

    @property
    def is_ready(self) -> bool:
        """Whether there is a producer id; :meth:`acquire` gets one."""
        return self._producer_id != NO_PRODUCER_ID

    async def acquire(self) -> None:
        """Ask some broker for a producer id.

        Raises:
            OSError, RequestTimedOut: No broker answered.
            KafkaError: The broker gives none.
        """
        connection = await self._cluster.any_connection()
        version = connection.pick(ApiKey.INIT_PRODUCER_ID, INIT_PRODUCER_ID_VERSION)
        timeout_ms = self._cluster.options.request_timeout_ms
        request = InitProducerIdRequest(transactional_id=None, transaction_timeout_ms=timeout_ms)
        response = await connection.request(request, version, timeout_ms=timeout_ms)
        if response.error_code != 0:
            raise error_from_code(response.error_code)
        self._producer_id = response.producer_id
        self._producer_epoch = response.producer_epoch

    @property
    def produce_version(self) -> int:
        """The newest version of Produce that may be used."""
        return PRODUCE_VERSION

    def may_send(self, queue: PartitionQueue) -> bool:
        """Whether batches of a partition may go out now; if not, the sender is woken when they may."""
        return True

    def gave_up(self, batch: ProducerBatch, error: Exception) -> None:
        """Take note of a batch that will not be stored."""

    def number(self, batch: ProducerBatch) -> None:
        """Give a batch that goes out for the first time its place in the partition's count."""
        queue, builder = batch.queue, batch.builder
        if queue.producer_id == NO_PRODUCER_ID:
            queue.producer_id = self._producer_id
            queue.producer_epoch = self._producer_epoch
        builder.producer_id = queue.producer_id
        builder.producer_epoch = queue.producer_epoch
        builder.base_sequence = queue.next_sequence
        queue.next_sequence = (queue.next_sequence + len(builder)) & _MAX_SEQUENCE
        batch.is_numbered = True

    def start_over(self, queue: PartitionQueue) -> None:
        """Count from 0 again under the next epoch; nothing of the partition may be in flight."""
        queue.next_sequence = 0
        queue.producer_epoch += 1
        if queue.producer_epoch > _MAX_EPOCH:
            queue.producer_id = self._producer_id = NO_PRODUCER_ID
        for batch in queue.ready:
            batch.is_numbered = False
        queue.must_renumber = False
