from __future__ import annotations

import asyncio

import pytest

from minikafka.errors import NotController
from minikafka.protocol.api_keys import ApiKey
from minikafka_client import AsyncAdmin, NewTopic
from minikafka_client.admin.requests import together
from tests.clients.support.fake_cluster import FakeCluster


async def test_a_controller_that_moved_is_looked_for(two_brokers: FakeCluster) -> None:
    async with AsyncAdmin(two_brokers.bootstrap_servers, retry_backoff_ms=1) as admin:
        two_brokers.controller_id = 1
        await admin.create_topics([NewTopic("orders")])
    assert [node_id for node_id, key, _ in two_brokers.requests if key is ApiKey.CREATE_TOPICS] == [0, 1]


async def test_a_controller_that_is_gone_is_not_looked_for_for_ever(two_brokers: FakeCluster) -> None:
    two_brokers.controller_id = 7
    async with AsyncAdmin(two_brokers.bootstrap_servers, retry_backoff_ms=1, request_timeout_ms=500) as admin:
        with pytest.raises((ConnectionError, NotController)):
            await admin.create_topics([NewTopic("orders")])


async def test_what_is_done_together_is_done_to_its_end() -> None:
    ended = []

    async def work(number: int, *failures: Exception) -> int:
        await asyncio.sleep(0)
        if len(failures) > 1:
            raise ExceptionGroup("several", failures)
        if failures:
            raise failures[0]
        ended.append(number)
        return number

    first, second, third = (NotController(name) for name in "abc")
    assert await together([work(1), work(2)]) == [1, 2]
    with pytest.raises(NotController) as one:
        await together([work(3, first), work(4)])
    assert one.value is first
    with pytest.raises(ExceptionGroup) as several:
        await together([work(5, first), work(6, second, third), work(7)])
    assert several.value.exceptions == (first, second, third)
    assert ended == [1, 2, 4, 7]
