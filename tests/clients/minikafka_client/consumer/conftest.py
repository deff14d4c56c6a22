from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from minikafka_client import AsyncAdmin, NewTopic
from minikafka_client.consumer.options import GroupProtocol
from tests.clients.support.reading import PARTITIONS, Make
from tests.support.broker import RunningBroker, running_broker

QUICK_GROUPS = [
    "group.min.session.timeout.ms=50",
    "group.consumer.min.session.timeout.ms=50",
    "group.consumer.min.heartbeat.interval.ms=10",
    "group.consumer.heartbeat.interval.ms=20",
    "offsets.topic.num.partitions=1",
]
"""Settings of a broker that lets groups beat and fail quickly."""


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[RunningBroker]:
    """Such a broker, with one topic of four partitions."""
    async with running_broker(tmp_path, *QUICK_GROUPS) as running:
        async with AsyncAdmin(running.bootstrap) as admin:
            await admin.create_topics([NewTopic("orders", num_partitions=PARTITIONS)])
        yield running


@pytest.fixture(params=["classic", "consumer"])
def protocol(request: pytest.FixtureRequest) -> GroupProtocol:
    """Each of the two protocols of groups."""
    chosen: GroupProtocol = request.param
    return chosen


@pytest.fixture
def consumer(broker: RunningBroker, protocol: GroupProtocol) -> Make:
    """Makes consumers of one group, by each protocol."""
    return Make(broker, protocol)
