from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from minikafka_client import AsyncAdmin
from tests.support.broker import running_broker


@pytest.fixture
async def bootstrap(tmp_path: Path) -> AsyncIterator[str]:
    """A real broker."""
    async with running_broker(tmp_path) as broker:
        yield broker.bootstrap


@pytest.fixture
async def admin(bootstrap: str) -> AsyncIterator[AsyncAdmin]:
    """An admin of it."""
    async with AsyncAdmin(bootstrap) as made:
        yield made
