"""A shard of transactions over a log in memory, and partitions that take their markers as the test says."""

from __future__ import annotations

import asyncio
from itertools import count

from minikafka.coordinator.transaction.markers import Marker
from minikafka.coordinator.transaction.metadata import TransactionVersion
from minikafka.coordinator.transaction.shard import Ended, TransactionShard
from minikafka.errors import KafkaError
from minikafka.types import ProducerIdAndEpoch, TopicPartition
from tests.support.clock import ManualClock
from tests.support.group_log import MemoryStateLog

ORDERS, LETTERS = TopicPartition("orders", 0), TopicPartition("letters", 0)


class MarkedPartitions:
    """Takes markers; ``errors`` and ``held`` say which partitions refuse theirs, or keep them waiting."""

    def __init__(self) -> None:
        self.written: list[tuple[TopicPartition, Marker]] = []
        self.errors: dict[TopicPartition, KafkaError] = {}
        self.held: dict[TopicPartition, asyncio.Future[None]] = {}

        self.asked = asyncio.Event()
        """Set when a partition was to take a marker."""

    def __call__(self, where: TopicPartition, marker: Marker) -> asyncio.Future[None] | None:
        self.asked.set()
        if where in self.errors:
            raise self.errors[where]
        self.written.append((where, marker))
        return self.held.get(where)

    def hold(self, where: TopicPartition) -> None:
        """Have the disk under a partition be slow."""
        self.held[where] = asyncio.get_running_loop().create_future()

    def release(self, where: TopicPartition, error: KafkaError | None = None) -> None:
        """Have it be done, or fail."""
        held = self.held.pop(where)
        if error is None:
            held.set_result(None)
        else:
            held.set_exception(error)


class ShardHarness:
    """A loaded shard; ``restart`` makes another of the same log."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.log = MemoryStateLog()
        self.partitions = MarkedPartitions()
        self.failures: list[KafkaError] = []
        self._new_ids = count(100)
        self._epochs = count()
        self.shard = self.restart()

    def restart(self) -> TransactionShard:
        """Load the log into a new shard."""
        self.shard = TransactionShard(self.log, next(self._epochs), self.partitions, self.clock, self.failures.append)
        for _ in self.shard.load():
            pass
        return self.shard

    def begin(self, transactional_id: str = "a", timeout_ms: int = 60_000) -> ProducerIdAndEpoch:
        """A producer, at once."""
        initialized = self.shard.initialize(transactional_id, timeout_ms, None, next(self._new_ids))
        assert initialized.durable is None
        return initialized.producer

    def add(self, producer: ProducerIdAndEpoch, *partitions: TopicPartition, transactional_id: str = "a") -> None:
        """Add partitions, at once."""
        assert self.shard.add_partitions(transactional_id, producer, partitions or (ORDERS,)) is None

    def end(
        self,
        producer: ProducerIdAndEpoch,
        *,
        commit: bool = True,
        version: TransactionVersion = TransactionVersion.TV_0,
        transactional_id: str = "a",
    ) -> Ended:
        """Decide a transaction."""
        return self.shard.end(transactional_id, producer, is_commit=commit, version=version)

    def state(self, transactional_id: str = "a") -> str:
        """Where it stands."""
        return self.shard.describe(transactional_id).state.title
