"""EndTxn (API key 26): commit or abort a transaction.

It is decided when the coordinator's log has it; then every partition gets a marker.  Kafka answers before the markers
are written, and tells a client that begins its next transaction at once to come again.  Here the answer waits for them,
though not for long: a partition that cannot take its marker must not keep the client from knowing what was decided.
Where nothing has to be forced to the disk it is all done within the call.

Since version 5 every transaction has an epoch of its own, and the answer brings the next (KIP-890).

Source: Kafka, KafkaApis.handleEndTxnRequest.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from minikafka.broker.context import RequestContext
from minikafka.broker.services import Services
from minikafka.broker.transaction_requests import check_transactional_id, code_for
from minikafka.coordinator.transaction.coordinator import TransactionCoordinator
from minikafka.coordinator.transaction.metadata import TransactionVersion
from minikafka.coordinator.transaction.shard import Ended
from minikafka.errors import KafkaError
from minikafka.protocol.messages.end_txn import EndTxnRequest, EndTxnResponse
from minikafka.types import ProducerIdAndEpoch

FIRST_VERSION_WITH_FENCED = 2
FIRST_VERSION_WITH_EPOCH_BUMP = 5

MARKERS_TIMEOUT_S = 0.1
"""How long an answer waits for the markers."""


class EndTxnHandler:
    """Ends transactions."""

    __slots__ = ("_transactions",)

    def __init__(self, transactions: TransactionCoordinator) -> None:
        self._transactions = transactions

    def __call__(
        self, request: EndTxnRequest, ctx: RequestContext
    ) -> EndTxnResponse | Coroutine[Any, Any, EndTxnResponse]:
        """Answer ``request``, at once if nothing has to be waited for."""
        bumps_epoch = ctx.api_version >= FIRST_VERSION_WITH_EPOCH_BUMP
        try:
            check_transactional_id(request.transactional_id)
            ended = self._transactions.end(
                request.transactional_id,
                ProducerIdAndEpoch(request.producer_id, request.producer_epoch),
                is_commit=request.committed,
                version=TransactionVersion.TV_2 if bumps_epoch else TransactionVersion.TV_0,
            )
        except KafkaError as error:
            return _refusal(error, ctx)
        if isinstance(ended, Ended) and ended.is_over:
            return _answer(ended, ctx)
        return _wait(ended, ctx)


def build(services: Services) -> EndTxnHandler:
    """The handler, with what it needs of the broker."""
    return EndTxnHandler(services.transactions)


async def _wait(ended: Ended | Coroutine[Any, Any, Ended], ctx: RequestContext) -> EndTxnResponse:
    """Answer once it is decided, and every partition knows or has had time enough."""
    try:
        if not isinstance(ended, Ended):
            ended = await ended
        if ended.durable is not None:
            await ended.durable
    except KafkaError as error:
        return _refusal(error, ctx)
    if ended.completed is not None:
        await asyncio.wait([ended.completed], timeout=MARKERS_TIMEOUT_S)
    return _answer(ended, ctx)


def _answer(ended: Ended, ctx: RequestContext) -> EndTxnResponse:
    if ctx.api_version < FIRST_VERSION_WITH_EPOCH_BUMP:
        return EndTxnResponse()
    return EndTxnResponse(producer_id=ended.producer.producer_id, producer_epoch=ended.producer.producer_epoch)


def _refusal(error: KafkaError, ctx: RequestContext) -> EndTxnResponse:
    return EndTxnResponse(error_code=code_for(error, ctx, first_version_with_fenced=FIRST_VERSION_WITH_FENCED))
