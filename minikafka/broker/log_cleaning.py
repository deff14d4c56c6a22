"""Compaction, beside everything else that a broker does: one log after another, in one thread of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import TYPE_CHECKING

from minikafka.broker.periodic import Periodic
from minikafka.clock import Clock
from minikafka.config.broker import BrokerConfig
from minikafka.errors import KafkaError
from minikafka.observability.logging import get_logger
from minikafka.replication.partitions import Partitions
from minikafka.storage.cleaner import Cleaner
from minikafka.storage.log import Log
from minikafka.storage.pace import Pace
from minikafka.types import TopicPartition

if TYPE_CHECKING:
    from minikafka.storage.compaction import CompactionMeans, CompactionTicket

_log = get_logger(__name__)


class LogCleaning:
    """Compacts the logs that need it.

    The event loop chooses a log and puts in place what the thread has written; the thread reads and writes, at a pace
    that leaves the processor and the disk to clients.

    Args:
        config: The broker's.
        logs: Those that there are, as they come and go.
        partitions: Know up to where records are committed.
        clock: Ages records.
        checkpoint: Has the recovery points written down.
    """

    def __init__(
        self,
        config: BrokerConfig,
        logs: Mapping[TopicPartition, Log],
        partitions: Partitions,
        clock: Clock,
        *,
        checkpoint: Callable[[], Awaitable[None]],
    ) -> None:
        self._config = config
        self._checkpoint = checkpoint
        self._rounds = Periodic("compaction", config.log_cleaner_backoff_ms, self._clean_all)
        self._thread: ThreadPoolExecutor
        self._cleaner = Cleaner(logs, _committed_end_by(partitions), clock)

    def wake(self) -> None:
        """Look for logs that need it now."""
        self._rounds.wake()

    async def run(self) -> None:
        """Work until cancelled."""
        with ThreadPoolExecutor(1, thread_name_prefix="cleaner") as self._thread:
            await self._rounds.run()

    @cached_property
    def _means(self) -> CompactionMeans:
        # Late, as a broker that starts does not wait for what only compaction needs.
        from minikafka.storage.compaction import CompactionMeans  # noqa: PLC0415

        return CompactionMeans(
            self._config.log_cleaner_dedupe_buffer_size,
            self._config.log_cleaner_io_buffer_size,
            self._config.minikafka_decompression_max_bytes,
            Pace(self._config.log_cleaner_io_max_bytes_per_second).spend,
        )

    async def _clean_all(self) -> None:
        interrupted: set[TopicPartition] = set()
        while (log := self._cleaner.choose(but_not=interrupted)) is not None:
            try:
                if not await self._clean(log):
                    interrupted.add(log.topic_partition)
            except KafkaError as error:
                self._cleaner.failed(log, error)

    async def _clean(self, log: Log) -> bool:
        """Compact one log; False when the pass has not come to its end."""
        loop, thread = asyncio.get_running_loop(), self._thread
        flush = log.begin_flush()
        if flush is not None:
            await loop.run_in_executor(thread, flush.run)
            log.end_flush(flush)
        await self._checkpoint()
        size_bytes = log.size_bytes
        ticket = log.begin_compaction(self._cleaner.end_offset_of(log), self._means)
        if ticket is None:
            return False
        await _run(ticket, log, thread)
        if ticket.is_aborted:
            return False
        _log.info(
            "log_compacted",
            partition=str(log.topic_partition),
            end_offset=ticket.end_offset,
            size_bytes_before=size_bytes,
            size_bytes=log.size_bytes,
        )
        return True


async def _run(ticket: CompactionTicket, log: Log, thread: ThreadPoolExecutor) -> None:
    loop = asyncio.get_running_loop()
    try:
        while not ticket.is_done:
            await loop.run_in_executor(thread, ticket.run)
            log.end_compaction(ticket)
    finally:
        if not ticket.is_done:
            ticket.abort()
        thread.submit(ticket.close)


def _committed_end_by(partitions: Partitions) -> Callable[[TopicPartition], int | None]:
    def committed_end(topic_partition: TopicPartition) -> int | None:
        partition = partitions.get(*topic_partition)
        return None if partition is None else partition.last_stable_offset

    return committed_end
