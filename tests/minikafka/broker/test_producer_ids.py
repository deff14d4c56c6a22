from __future__ import annotations

import asyncio

import pytest

from minikafka.broker.producer_ids import ProducerIds
from minikafka.cluster.znodes import ProducerIdBlock
from minikafka.errors import CoordinatorNotAvailable, StorageError


class Reserve:
    """A coordination store that hands out blocks of three ids, each after a turn of the loop."""

    def __init__(self) -> None:
        self.blocks = 0
        self.failing = False

    async def __call__(self) -> ProducerIdBlock:
        await asyncio.sleep(0)
        if self.failing:
            raise StorageError("no store")
        self.blocks += 1
        return ProducerIdBlock(self.blocks * 10, self.blocks * 10 + 2)


async def test_ids_come_from_the_block_one_by_one_and_then_from_the_next() -> None:
    ids = ProducerIds(Reserve())
    assert [await ids.next() for _ in range(5)] == [10, 11, 12, 20, 21]


async def test_requests_that_come_together_share_a_block() -> None:
    reserve = Reserve()
    ids = ProducerIds(reserve)
    assert sorted(await asyncio.gather(*(ids.next() for _ in range(6)))) == [10, 11, 12, 20, 21, 22]
    assert reserve.blocks == 2


async def test_a_store_that_fails_costs_no_ids() -> None:
    reserve = Reserve()
    ids = ProducerIds(reserve)
    reserve.failing = True
    with pytest.raises(StorageError):
        await ids.next()
    reserve.failing = False
    assert await ids.next() == 10


async def test_any_other_trouble_makes_the_client_ask_again() -> None:
    async def reserve() -> ProducerIdBlock:
        raise RuntimeError("a bug")

    with pytest.raises(CoordinatorNotAvailable):
        await ProducerIds(reserve).next()
