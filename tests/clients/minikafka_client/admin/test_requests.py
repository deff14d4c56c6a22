from __future__ import annotations

import pytest

from minikafka.errors import NotController
from minikafka.protocol.api_keys import ApiKey
from minikafka_client import AsyncAdmin, NewTopic
from tests.clients.support.fake_cluster import FakeCluster


async def test_a_controller_that_moved_is_looked_for(two_brokers: FakeCluster) -> None:
    async with AsyncAdmin(two_brokers.bootstrap_servers, retry_backoff_ms=1) as admin:
        two_brokers.controller_id = 1
        await admin.create_topics([NewTopic("orders")])
    assert [node_id for node_id, key, _ in two_brokers.requests if key is ApiKey.CREATE_TOPICS] == [0, 1]


async def test_a_controller_that_is_gone_is_not_looked_for_for_ever(two_brokers: FakeCluster) -> None:
    two_brokers.controller_id = 7
    async with AsyncAdmin(two_brokers.bootstrap_servers, retry_backoff_ms=1, request_timeout_ms=30) as admin:
        with pytest.raises((ConnectionError, NotController)):
            await admin.create_topics([NewTopic("orders")])
