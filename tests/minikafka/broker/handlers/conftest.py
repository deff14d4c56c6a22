from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.broker import RunningBroker, running_broker
from tests.support.group_client import GroupClient, group_client
from tests.support.transaction_client import TransactionClient, transaction_client


@pytest.fixture
async def group_broker(tmp_path: Path) -> AsyncIterator[RunningBroker]:
    """A broker with the topic ``orders`` of four partitions."""
    settings = ("offsets.topic.num.partitions=5", "group.min.session.timeout.ms=100")
    async with running_broker(tmp_path / "data", *settings) as broker, group_client(broker) as client:
        await client.create_topic("orders", 4)
        yield broker


@pytest.fixture
async def member(group_broker: RunningBroker) -> AsyncIterator[GroupClient]:
    async with group_client(group_broker) as client:
        yield client


@pytest.fixture
async def other(group_broker: RunningBroker) -> AsyncIterator[GroupClient]:
    async with group_client(group_broker) as client:
        yield client


@pytest.fixture
async def transaction_broker(tmp_path: Path) -> AsyncIterator[RunningBroker]:
    """A broker with the topic ``orders`` of four partitions, where groups and transactions can be coordinated."""
    settings = ("transaction.state.log.num.partitions=5", "offsets.topic.num.partitions=5")
    async with running_broker(tmp_path / "data", *settings) as broker, transaction_client(broker) as client:
        await client.create_topic("orders", 4)
        await client.find_coordinator("any")
        yield broker


@pytest.fixture
async def transactional(transaction_broker: RunningBroker) -> AsyncIterator[TransactionClient]:
    async with transaction_client(transaction_broker) as client:
        yield client
