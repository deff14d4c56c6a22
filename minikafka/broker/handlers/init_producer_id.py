"""InitProducerId (API key 22): give an idempotent producer the id under which its batches are numbered.

Without a transactional id the answer is always a new id at epoch 0, also to a producer that names the id it has: it is
done with that one.  A transactional id needs a transaction coordinator, which this broker does not run:
COORDINATOR_NOT_AVAILABLE, which clients retry until their own time is over.

Source: Kafka, KafkaApis.handleInitProducerIdRequest and TransactionCoordinator.handleInitProducerId.
"""

from __future__ import annotations

from minikafka.broker.context import RequestContext
from minikafka.broker.producer_ids import ProducerIds
from minikafka.broker.services import Services
from minikafka.errors import (
    CoordinatorNotAvailable,
    InvalidRequest,
    InvalidTransactionTimeout,
    KafkaError,
)
from minikafka.observability.logging import get_logger
from minikafka.protocol.messages.init_producer_id import InitProducerIdRequest, InitProducerIdResponse
from minikafka.types import NO_PRODUCER_EPOCH, NO_PRODUCER_ID

MAX_TRANSACTION_TIMEOUT_MS = 900_000
"""``transaction.max.timeout.ms``."""

_log = get_logger(__name__)


class InitProducerIdHandler:
    """Answers with a new producer id."""

    __slots__ = ("_producer_ids",)

    def __init__(self, producer_ids: ProducerIds) -> None:
        self._producer_ids = producer_ids

    async def __call__(self, request: InitProducerIdRequest, ctx: RequestContext) -> InitProducerIdResponse:
        """Answer ``request``."""
        try:
            _check(request)
            producer_id = await self._next_id()
        except KafkaError as error:
            return InitProducerIdResponse(
                error_code=error.code, producer_id=NO_PRODUCER_ID, producer_epoch=NO_PRODUCER_EPOCH
            )
        return InitProducerIdResponse(error_code=0, producer_id=producer_id, producer_epoch=0)

    async def _next_id(self) -> int:
        try:
            return await self._producer_ids.next()
        except KafkaError:
            raise
        except Exception as error:
            # Whatever the store's trouble is, the client's remedy is to ask again, and this is the code that says so.
            _log.exception("no_producer_ids")
            raise CoordinatorNotAvailable("no producer ids at the moment") from error


def build(services: Services) -> InitProducerIdHandler:
    """The handler, with what it needs of the broker."""
    return InitProducerIdHandler(ProducerIds(services.controller.next_producer_id_block))


def _check(request: InitProducerIdRequest) -> None:
    """Check everything that can be checked without a coordinator.

    Raises:
        InvalidRequest: Only one of producer id and epoch is given, or the transactional id is empty.
        InvalidTransactionTimeout: It is not positive, or longer than this broker allows.
        CoordinatorNotAvailable: There is a transactional id.
    """
    if (request.producer_id == NO_PRODUCER_ID) != (request.producer_epoch == NO_PRODUCER_EPOCH):
        raise InvalidRequest("a producer id and its epoch come together")
    if request.transactional_id is None:
        return
    if not request.transactional_id:
        raise InvalidRequest("the transactional id is empty")
    if not 0 < request.transaction_timeout_ms <= MAX_TRANSACTION_TIMEOUT_MS:
        raise InvalidTransactionTimeout(f"{request.transaction_timeout_ms} ms is not in (0, 900000]")
    raise CoordinatorNotAvailable("this broker coordinates no transactions")
