from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import cast

import pytest

from minikafka.broker.housekeeping import Housekeeping
from minikafka.config.broker import BrokerConfig
from minikafka.config.sources import load
from minikafka.errors import StorageError
from minikafka.storage.log_manager import LogManager
from tests.support.clock import ManualClock


class Logs:
    """Fails each piece of work once, and counts how often it is done."""

    def __init__(self) -> None:
        self.retention: list[int] = []
        self.checkpoints = 0
        self.done = asyncio.Event()

    def apply_retention(self, now_ms: int) -> int:
        self.retention.append(now_ms)
        if len(self.retention) == 1:
            raise StorageError("the disk is tired")
        self._look()
        return 0

    def begin_checkpoint(self) -> list[object]:
        self.checkpoints += 1
        if self.checkpoints == 1:
            raise StorageError("the disk is tired")
        self._look()
        return []

    def end_checkpoint(self, tickets: list[object]) -> None:
        assert tickets == []

    def _look(self) -> None:
        if len(self.retention) > 2 and self.checkpoints > 2:
            self.done.set()


def config() -> BrokerConfig:
    overrides = ["log.retention.check.interval.ms=1", "log.flush.offset.checkpoint.interval.ms=1"]
    return load(None, {}, overrides).config


async def test_an_error_of_the_disk_is_no_reason_to_stop(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    logs, clock = Logs(), ManualClock()
    with ThreadPoolExecutor(1) as worker:
        task = asyncio.create_task(Housekeeping(config(), cast("LogManager", logs), clock, worker).run())
        async with asyncio.timeout(10):
            await logs.done.wait()
        task.cancel()
        await asyncio.wait([task])
    assert set(logs.retention) == {clock.now_ms()}
    assert capsys.readouterr().err.count("the disk is tired") == 2
