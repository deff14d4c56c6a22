"""The transaction coordinator: which transactional ids this broker looks after, and where their state is.

A transactional id belongs to a partition of ``__transaction_state``, and the broker that leads the partition
coordinates its transactions.

Source: Kafka, TransactionCoordinator.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any

from minikafka.clock import Clock
from minikafka.cluster.metadata import MetadataCache
from minikafka.cluster.topic_requests import TopicSpec
from minikafka.config.transaction import TransactionConfig
from minikafka.coordinator.internal_topic import InternalTopic
from minikafka.coordinator.places import Places
from minikafka.errors import InvalidRequest, InvalidTransactionTimeout, KafkaError, NotCoordinator
from minikafka.observability.logging import get_logger
from minikafka.replication.partition import Partition
from minikafka.replication.partitions import Partitions
from minikafka.types import TRANSACTION_STATE_TOPIC, ProducerIdAndEpoch

if TYPE_CHECKING:
    from minikafka.coordinator.transaction.markers import WriteMarker
    from minikafka.coordinator.transaction.metadata import TransactionVersion
    from minikafka.coordinator.transaction.shard import Ended, TransactionShard

FIRST_VERSION_WITH_EPOCH_BUMP = 2
"""Of transactions."""

_log = get_logger(__name__)


class TransactionCoordinator:
    """Finds the shard of each transactional id.

    Args:
        config: The broker's.
        partitions: What it leads.
        metadata: The cluster.
        clock: For time-outs and dates.
        create_topic: Creates a topic; it can be written to when that returns.
        next_producer_id: A producer id that nobody has had.
        write_marker: Ends a transaction in a partition.
    """

    def __init__(
        self,
        config: TransactionConfig,
        partitions: Partitions,
        metadata: MetadataCache,
        clock: Clock,
        *,
        create_topic: Callable[[TopicSpec], Awaitable[object]],
        next_producer_id: Callable[[], Awaitable[int]],
        write_marker: WriteMarker,
    ) -> None:
        self.topic = InternalTopic(
            TopicSpec(
                TRANSACTION_STATE_TOPIC,
                config.transaction_state_log_num_partitions,
                config.transaction_state_log_replication_factor,
                settings=config.transaction_topic_settings(),
            ),
            metadata,
            create_topic,
        )
        """``__transaction_state``."""
        self._config = config
        self._clock = clock
        self._next_producer_id = next_producer_id
        self._write_marker = write_marker
        self._places = Places(self.topic, partitions, clock, self._open_shard)

    async def initialize(
        self, transactional_id: str, timeout_ms: int, expected: ProducerIdAndEpoch | None = None
    ) -> ProducerIdAndEpoch:
        """Give a producer its id and epoch, durably; see :meth:`Transaction.initialize`.

        Raises:
            KafkaError: As there, and as :meth:`shard_of`.
            InvalidRequest: The transactional id is empty.
            InvalidTransactionTimeout: It is not positive, or longer than this broker allows.
        """
        if not transactional_id:
            raise InvalidRequest("the transactional id is empty")
        max_timeout_ms = self._config.transaction_max_timeout_ms
        if not 0 < timeout_ms <= max_timeout_ms:
            raise InvalidTransactionTimeout(f"{timeout_ms} ms is not in (0, {max_timeout_ms}]")
        new_producer_id = None
        if self.shard_of(transactional_id).needs_producer_id(transactional_id, expected):
            new_producer_id = await self._next_producer_id()
        initialized = self.shard_of(transactional_id).initialize(
            transactional_id, timeout_ms, expected, new_producer_id
        )
        if initialized.durable is not None:
            await initialized.durable
        return initialized.producer

    def end(
        self, transactional_id: str, producer: ProducerIdAndEpoch, *, is_commit: bool, version: TransactionVersion
    ) -> Ended | Coroutine[Any, Any, Ended]:
        """Decide a transaction, at once unless the producer needs another id; see :meth:`Transaction.end`.

        Raises:
            KafkaError: As there, and as :meth:`shard_of`.
        """
        shard = self.shard_of(transactional_id)
        if version >= FIRST_VERSION_WITH_EPOCH_BUMP and shard.is_out_of_epochs(transactional_id):
            return self._end_with_new_id(transactional_id, producer, is_commit=is_commit, version=version)
        return shard.end(transactional_id, producer, is_commit=is_commit, version=version)

    def shard_of(self, transactional_id: str) -> TransactionShard:
        """The shard that has a transactional id, or would have it.

        Raises:
            NotCoordinator: Another broker coordinates it.
            CoordinatorLoadInProgress: It is being loaded.
            CoordinatorNotAvailable: The broker is about to stop.
        """
        return self._places.shard_of(transactional_id)

    def shards(self) -> list[TransactionShard]:
        """The shards of everything that this broker coordinates.

        Raises:
            CoordinatorLoadInProgress: One of them is being loaded.
            CoordinatorNotAvailable: The broker is about to stop.
        """
        return self._places.shards()

    async def run(self) -> None:
        """Load what there is, now and after failures, and forget what expires; until cancelled."""
        forget_every_s = self._config.transaction_remove_expired_transaction_cleanup_interval_ms / 1000
        load_every_s = self._config.transaction_abort_timed_out_transaction_cleanup_interval_ms / 1000
        slept_s = 0.0
        while True:
            await self._places.load_all()
            nap_s = min(load_every_s, forget_every_s)
            await asyncio.sleep(nap_s)
            slept_s += nap_s
            if slept_s >= forget_every_s:
                slept_s = 0.0
                await self._forget_what_expired()

    def topic_deleted(self, name: str) -> None:
        """Forget everything, if it is this coordinator's topic that is gone."""
        if name == TRANSACTION_STATE_TOPIC:
            self._places.leave_all(NotCoordinator(f"{TRANSACTION_STATE_TOPIC} was deleted"))

    def close(self) -> None:
        """Send away everybody who waits, as the broker is about to stop."""
        self._places.close()

    async def _end_with_new_id(
        self, transactional_id: str, producer: ProducerIdAndEpoch, *, is_commit: bool, version: TransactionVersion
    ) -> Ended:
        new_producer_id = await self._next_producer_id()
        return self.shard_of(transactional_id).end(
            transactional_id, producer, is_commit=is_commit, version=version, new_producer_id=new_producer_id
        )

    def _open_shard(self, partition: Partition, on_failure: Callable[[KafkaError], None]) -> TransactionShard:
        # Late, as a broker that starts does not wait for what only transactions need.
        from minikafka.coordinator.state_log import StateLog  # noqa: PLC0415
        from minikafka.coordinator.transaction.shard import TransactionShard  # noqa: PLC0415

        load_buffer_bytes = self._config.transaction_state_log_load_buffer_size
        log = StateLog(partition, self._clock, load_buffer_bytes=load_buffer_bytes)
        return TransactionShard(log, partition.leader_epoch, self._write_marker, self._clock, on_failure)

    async def _forget_what_expired(self) -> None:
        for index in self._places.led():
            try:
                self._places.shard_at(index).forget_what_expired(self._config.transactional_id_expiration_ms)
            except KafkaError as error:
                _log.warning("transactional_ids_not_expired", partition=index, reason=str(error))
            await asyncio.sleep(0)
