from __future__ import annotations

import asyncio

import pytest

from minikafka_client.connections import ConnectionOptions, ConnectionPool, Lane
from minikafka_client.metadata import BrokerAddress
from tests.clients.support.fake_cluster import FakeCluster

OPTIONS = ConnectionOptions("test", 5_000, 1_000_000)


def address_of(cluster: FakeCluster) -> BrokerAddress:
    return BrokerAddress(*cluster.addresses[0])


async def test_those_who_need_a_connection_share_it(cluster: FakeCluster) -> None:
    pool = ConnectionPool(OPTIONS)
    wanted = (pool.get(address_of(cluster), Lane.CONTROL) for _ in range(5))
    assert len(set(await asyncio.gather(*wanted))) == 1
    assert cluster.servers[0].connection_count == 1
    await pool.close()


async def test_each_lane_has_its_own(cluster: FakeCluster) -> None:
    pool = ConnectionPool(OPTIONS)
    connections = {await pool.get(address_of(cluster), lane) for lane in Lane}
    assert len(connections) == len(Lane)
    await pool.close()


async def test_a_connection_that_was_lost_is_replaced(cluster: FakeCluster) -> None:
    pool = ConnectionPool(OPTIONS)
    first = await pool.get(address_of(cluster), Lane.DATA)
    first.close()
    assert pool.ready(address_of(cluster), Lane.DATA) is None
    second = await pool.get(address_of(cluster), Lane.DATA)
    assert second is not first
    assert pool.ready(address_of(cluster), Lane.DATA) is second
    await pool.close()


async def test_one_who_gives_up_does_not_take_the_connection_from_the_others(cluster: FakeCluster) -> None:
    pool = ConnectionPool(OPTIONS)
    waits = [asyncio.create_task(pool.get(address_of(cluster), Lane.DATA)) for _ in range(2)]
    await asyncio.sleep(0)
    waits[0].cancel()
    assert not (await waits[1]).is_closed
    await pool.close()


async def test_a_failure_is_everybodys_and_the_next_one_tries_again(cluster: FakeCluster) -> None:
    pool = ConnectionPool(OPTIONS)
    port = cluster.addresses[0].port
    await cluster.stop()
    outcomes = await asyncio.gather(
        *(pool.get(address_of(cluster), Lane.DATA) for _ in range(2)), return_exceptions=True
    )
    assert all(isinstance(outcome, OSError) for outcome in outcomes)
    await cluster.start_node(0, port)
    assert not (await pool.get(address_of(cluster), Lane.DATA)).is_closed
    await pool.close()


async def test_closing_closes_what_is_open_and_stops_what_is_being_opened(cluster: FakeCluster) -> None:
    pool = ConnectionPool(OPTIONS)
    connection = await pool.get(address_of(cluster), Lane.DATA)
    opening = asyncio.create_task(pool.get(address_of(cluster), Lane.SECOND))
    await asyncio.sleep(0)
    await pool.close()
    assert connection.is_closed
    with pytest.raises(asyncio.CancelledError):
        await opening
