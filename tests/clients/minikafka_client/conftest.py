from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.clients.support.fake_cluster import FakeCluster, fake_cluster


@pytest.fixture
async def cluster() -> AsyncIterator[FakeCluster]:
    """One broker that misbehaves on demand."""
    async with fake_cluster() as made:
        yield made


@pytest.fixture
async def two_brokers() -> AsyncIterator[FakeCluster]:
    """Two of them."""
    async with fake_cluster(2) as made:
        yield made
