"""InitProducerId (API key 22): give a producer the id and epoch under which its batches are numbered.

Without a transactional id the answer is always a new id at epoch 0, also to a producer that names the id it has: it is
done with that one.  With a transactional id its coordinator answers: whoever had the id before is fenced.

Source: Kafka, KafkaApis.handleInitProducerIdRequest.
"""

from __future__ import annotations

from minikafka.broker.context import RequestContext
from minikafka.broker.producer_ids import ProducerIds
from minikafka.broker.services import Services
from minikafka.broker.transaction_requests import code_for
from minikafka.coordinator.transaction.coordinator import TransactionCoordinator
from minikafka.errors import InvalidRequest, KafkaError
from minikafka.protocol.messages.init_producer_id import InitProducerIdRequest, InitProducerIdResponse
from minikafka.types import NO_PRODUCER_EPOCH, NO_PRODUCER_ID, ProducerIdAndEpoch

FIRST_VERSION_WITH_FENCED = 4


class InitProducerIdHandler:
    """Answers with a producer id and epoch."""

    __slots__ = ("_producer_ids", "_transactions")

    def __init__(self, producer_ids: ProducerIds, transactions: TransactionCoordinator) -> None:
        self._producer_ids = producer_ids
        self._transactions = transactions

    async def __call__(self, request: InitProducerIdRequest, ctx: RequestContext) -> InitProducerIdResponse:
        """Answer ``request``."""
        try:
            expected = _expected(request)
            if request.transactional_id is None:
                producer = ProducerIdAndEpoch(await self._producer_ids.next(), 0)
            else:
                producer = await self._transactions.initialize(
                    request.transactional_id, request.transaction_timeout_ms, expected
                )
        except KafkaError as error:
            return InitProducerIdResponse(
                error_code=code_for(error, ctx, first_version_with_fenced=FIRST_VERSION_WITH_FENCED),
                producer_id=NO_PRODUCER_ID,
                producer_epoch=NO_PRODUCER_EPOCH,
            )
        return InitProducerIdResponse(
            error_code=0, producer_id=producer.producer_id, producer_epoch=producer.producer_epoch
        )


def build(services: Services) -> InitProducerIdHandler:
    """The handler, with what it needs of the broker."""
    return InitProducerIdHandler(services.producer_ids, services.transactions)


def _expected(request: InitProducerIdRequest) -> ProducerIdAndEpoch | None:
    """Who the producer says it was, None if it does not.

    Raises:
        InvalidRequest: Only one of producer id and epoch is given.
    """
    if (request.producer_id == NO_PRODUCER_ID) != (request.producer_epoch == NO_PRODUCER_EPOCH):
        raise InvalidRequest("a producer id and its epoch come together")
    if request.producer_id == NO_PRODUCER_ID:
        return None
    return ProducerIdAndEpoch(request.producer_id, request.producer_epoch)
