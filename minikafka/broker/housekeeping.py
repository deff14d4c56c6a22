"""What a broker does on its own: by the clock, and when a topic is told to do things another way."""

from __future__ import annotations

import asyncio
from concurrent.futures import Executor

from minikafka.broker.log_cleaning import LogCleaning
from minikafka.broker.periodic import Periodic
from minikafka.clock import Clock
from minikafka.config.broker import BrokerConfig
from minikafka.errors import KafkaError
from minikafka.observability.logging import get_logger
from minikafka.replication.partitions import Partitions
from minikafka.storage.log_manager import LogManager

_log = get_logger(__name__)


class Housekeeping:
    """Ends segments and deletes them when they have had their time, has logs compacted, and notes how far they are.

    Producers that have written nothing for long are forgotten.

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
        partitions: Partitions,
    ) -> None:
        self._log_manager = log_manager
        self._clock = clock
        self._worker = worker
        self._checkpointing = asyncio.Lock()
        self._cleaning = LogCleaning(
            config, log_manager.logs, partitions, clock, checkpoint=self._checkpoint_recovery_points
        )
        self._retention = Periodic("retention", config.log_retention_check_interval_ms, self._apply_retention)
        self._checkpoints = Periodic(
            "checkpoints", config.log_flush_offset_checkpoint_interval_ms, self._checkpoint_recovery_points
        )
        self._producers = Periodic("producers", config.producer_id_expiration_check_interval_ms, self._expire_producers)
        self._producer_expiration_ms = config.producer_id_expiration_ms
        self._is_compacting = config.log_cleaner_enable

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._retention.run())
            tasks.create_task(self._checkpoints.run())
            tasks.create_task(self._producers.run())
            if self._is_compacting:
                tasks.create_task(self._cleaning.run())

    def topic_configured(self, topic: str | None) -> None:
        """Do at once what the new settings of a topic, or of all, ask for, rather than when its time comes.

        When this returns its segments have ended and gone that are too old or too many by now; compaction begins.
        A Kafka broker lets ``log.retention.check.interval.ms`` pass first.
        """
        try:
            self._log_manager.apply_retention(self._clock.now_ms(), topic)
        except KafkaError as error:
            _log.error("retention_failed", topic=topic, error=str(error))
        self._cleaning.wake()

    async def _apply_retention(self) -> None:
        self._log_manager.apply_retention(self._clock.now_ms())

    async def _expire_producers(self) -> None:
        now_ms = self._clock.now_ms()
        for log in self._log_manager.logs.values():
            log.producers.states.expire(now_ms, self._producer_expiration_ms)

    async def _checkpoint_recovery_points(self) -> None:
        async with self._checkpointing:  # one writer at a time
            tickets = self._log_manager.begin_checkpoint()
            loop = asyncio.get_running_loop()
            for ticket in tickets:
                await loop.run_in_executor(self._worker, ticket.run)
            self._log_manager.end_checkpoint(tickets)
