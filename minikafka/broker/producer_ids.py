"""Producer ids, handed out one by one from blocks that the coordination store reserves for this broker.

A block (of a thousand, in Kafka) costs one write to the store; what is left of it when the broker stops is lost, so
that no id is ever given twice.  Source: Kafka, RPCProducerIdManager.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from minikafka.cluster.znodes import ProducerIdBlock
from minikafka.errors import CoordinatorNotAvailable, KafkaError
from minikafka.observability.logging import get_logger

_log = get_logger(__name__)


class ProducerIds:
    """The broker's source of producer ids.

    Args:
        reserve_block: reserves the next block in the coordination store.
    """

    __slots__ = ("_left", "_lock", "_reserve_block")

    def __init__(self, reserve_block: Callable[[], Awaitable[ProducerIdBlock]]) -> None:
        self._reserve_block = reserve_block
        self._left = iter(range(0))
        self._lock = asyncio.Lock()

    async def next(self) -> int:
        """An id that nobody else has or will have.

        Raises:
            KafkaError: the store has no block to give at the moment: the client's remedy is to ask again.
        """
        async with self._lock:  # so that requests that find the block empty together reserve one block, not many
            producer_id = next(self._left, None)
            if producer_id is None:
                block = await self._next_block()
                self._left = iter(range(block.first, block.last + 1))
                producer_id = next(self._left)
            return producer_id

    async def _next_block(self) -> ProducerIdBlock:
        try:
            return await self._reserve_block()
        except KafkaError:
            raise
        except Exception as error:
            _log.exception("no_producer_ids")
            raise CoordinatorNotAvailable("no producer ids at the moment") from error
