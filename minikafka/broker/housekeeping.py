"""What a broker does on its own, by the clock."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor

from minikafka.broker.log_cleaning import LogCleaning
from minikafka.clock import Clock
from minikafka.config.broker import BrokerConfig
from minikafka.errors import KafkaError
from minikafka.observability.logging import get_logger
from minikafka.replication.partitions import Partitions
from minikafka.storage.log_manager import LogManager

_log = get_logger(__name__)


class Housekeeping:
    """Deletes segments that have had their time, has logs compacted, and notes down how far they are on disk.

    The recovery points only make the start after a crash shorter, so nobody waits for them: their file is written in
    a worker thread.
    """

    def __init__(
        self,
        config: BrokerConfig,
        log_manager: LogManager,
        clock: Clock,
        worker: Executor,
        *,
        partitions: Partitions | None = None,
    ) -> None:
        self._config = config
        self._log_manager = log_manager
        self._clock = clock
        self._worker = worker
        self._partitions = partitions
        self._checkpointing = asyncio.Lock()

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_every(self._config.log_retention_check_interval_ms, self._apply_retention))
            tasks.create_task(
                _every(self._config.log_flush_offset_checkpoint_interval_ms, self._checkpoint_recovery_points)
            )
            if self._partitions is not None and self._config.log_cleaner_enable:
                tasks.create_task(self._log_cleaning(self._partitions).run())

    async def _apply_retention(self) -> None:
        self._log_manager.apply_retention(self._clock.now_ms())

    async def _checkpoint_recovery_points(self) -> None:
        async with self._checkpointing:  # one writer at a time
            tickets = self._log_manager.begin_checkpoint()
            loop = asyncio.get_running_loop()
            for ticket in tickets:
                await loop.run_in_executor(self._worker, ticket.run)
            self._log_manager.end_checkpoint(tickets)

    def _log_cleaning(self, partitions: Partitions) -> LogCleaning:
        return LogCleaning(
            self._config,
            self._log_manager.logs,
            partitions,
            self._clock,
            checkpoint=self._checkpoint_recovery_points,
        )


async def _every(interval_ms: int, work: Callable[[], Awaitable[None]]) -> None:
    """Do ``work`` again and again; an error that storage reports is no reason to stop."""
    while True:
        await asyncio.sleep(max(interval_ms, 1) / 1000)
        try:
            await work()
        except KafkaError as error:
            _log.error("housekeeping_failed", work=getattr(work, "__name__", ""), error=str(error))
