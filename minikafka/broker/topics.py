"""Topics from wish to log: every change goes to the cluster's state first and then to this broker's logs.

    create       controller writes  ->  logs are made      ->  partitions lead  ->  answer
    delete       controller writes  ->  partitions resign  ->  files are gone   ->  answer
    configure    controller writes  ->  logs obey          ->  answer

The cluster's state is the truth.  What a crash leaves half done is completed by :meth:`TopicService.start`: logs that
are missing are made, logs of topics that are gone are removed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, TypeVar

from minikafka.clock import Clock
from minikafka.cluster.controller import Controller
from minikafka.cluster.metadata import MetadataCache, TopicMetadata
from minikafka.cluster.store import StoreError
from minikafka.cluster.topic_requests import TopicSpec
from minikafka.config.alter import ConfigAlteration
from minikafka.config.broker import BrokerConfig
from minikafka.config.describe import ConfigDescription
from minikafka.config.topic import TopicConfig
from minikafka.errors import InvalidConfig, KafkaError, StorageError, TopicAlreadyExists
from minikafka.observability.logging import get_logger
from minikafka.replication.partitions import Partitions
from minikafka.storage.log import Log
from minikafka.storage.log_manager import LogManager
from minikafka.types import INTERNAL_TOPICS, NO_LEADER, ZERO_UUID, TopicPartition, is_legal_topic_name

T = TypeVar("T")

REST_AFTER_DELETION_S = 5.0
"""How long the name of a deleted topic is not created automatically: clients that still ask for it would revive it."""

PARTITIONS_PER_TURN = 16
"""Logs that are made or removed before other requests get their turn."""

_log = get_logger(__name__)


class TopicService:
    """Makes, deletes and configures topics, one change at a time.

    A change that has begun is carried to its end, even when the client that asked for it is gone.

    Args:
        config: What the broker was started with.
        controller: Writes the cluster's state.
        metadata: Where it is read.
        log_manager: The logs, all opened.
        partitions: What is served; this service fills it.
        clock: For the rest after a deletion.
    """

    def __init__(
        self,
        config: BrokerConfig,
        controller: Controller,
        metadata: MetadataCache,
        *,
        log_manager: LogManager,
        partitions: Partitions,
        clock: Clock,
    ) -> None:
        self._config = config
        self._controller = controller
        self._metadata = metadata
        self._log_manager = log_manager
        self._partitions = partitions
        self._clock = clock
        self._lock = asyncio.Lock()
        self._changes: set[asyncio.Task[Any]] = set()
        self._deleted_at: dict[str, float] = {}
        self._deletion_listeners: list[Callable[[str], None]] = []
        self._configuration_listeners: list[Callable[[str | None], None]] = []

    @property
    def default_partition_count(self) -> int:
        """How many partitions a topic gets when nobody says."""
        return self._config.num_partitions

    @property
    def deletes_topics(self) -> bool:
        """Whether topics can be deleted at all."""
        return self._config.delete_topic_enable

    def configs(self) -> Mapping[str, TopicConfig]:
        """What the logs of each topic are to be opened with."""
        return {topic.name: self._config_of(topic) for topic in self._metadata.topics}

    def start(self) -> None:
        """Bring the logs that were found on disk in line with the cluster's state, and serve them.

        A log that cannot be used makes its own partition offline, no more.
        """
        self._remove_orphans()
        for topic in list(self._metadata.topics):
            for index in range(len(topic.partitions)):
                try:
                    self._serve(topic, index)
                except StorageError as error:
                    _log.error("partition_offline", topic=topic.name, partition=index, reason=str(error))
                    self._take_offline(topic.name, index, str(error))

    def on_deletion(self, listener: Callable[[str], None]) -> None:
        """Have ``listener`` called with the name of each topic that has been deleted."""
        self._deletion_listeners.append(listener)

    def on_configuration(self, listener: Callable[[str | None], None]) -> None:
        """Have ``listener`` called with the name of each topic whose logs go by new settings; None when all do.

        Whoever asked for the change gets the answer afterwards.
        """
        self._configuration_listeners.append(listener)

    async def drain(self) -> None:
        """Wait until no change is under way."""
        while self._changes:
            await asyncio.wait(self._changes)

    def creates_automatically(self, name: str) -> bool:
        """Whether a client that asks for a topic which is not there brings it into being."""
        if not self._config.auto_create_topics_enable or name in INTERNAL_TOPICS or not is_legal_topic_name(name):
            return False
        deleted_at = self._deleted_at.get(name)
        return deleted_at is None or self._clock.monotonic() - deleted_at >= REST_AFTER_DELETION_S

    async def create_automatically(self, name: str) -> None:
        """Create a topic with the broker's defaults, or wait until the one who was faster has.

        Raises:
            KafkaError: It cannot be made.
        """
        try:
            await self.create(TopicSpec(name))
        except TopicAlreadyExists:
            return

    async def create(self, spec: TopicSpec, *, validate_only: bool = False) -> TopicMetadata:
        """Create a topic: it can be produced to when this returns.

        Args:
            spec: What it shall be like.
            validate_only: Only say whether it could be made.

        Raises:
            StorageError: Its logs cannot be made, or the cluster's state not be written; the topic does not exist.
            KafkaError: See :meth:`Controller.create_topic`.
        """
        if validate_only:
            return await self._controller.create_topic(spec, validate_only=True)
        return await self._carry_out(self._create(spec))

    async def delete(self, name: str) -> None:
        """Delete a topic: its files are gone when this returns.

        Raises:
            UnknownTopicOrPartition: There is no such topic.
            StorageError: The cluster's state could not be written; or some files are left, which the next start clears.
        """
        await self._carry_out(self._delete(name))

    async def add_partitions(
        self,
        name: str,
        partition_count: int,
        manual: Sequence[tuple[int, ...]] | None = None,
        *,
        validate_only: bool = False,
    ) -> None:
        """Give a topic ``partition_count`` partitions in all: they can be produced to when this returns.

        Raises:
            StorageError: The cluster's state could not be written, or a log not be made: that partition is offline.
            KafkaError: See :meth:`Controller.create_partitions`.
        """
        await self._carry_out(self._add_partitions(name, partition_count, manual, validate_only))

    async def alter_topic_config(
        self, name: str, alterations: Sequence[ConfigAlteration], *, validate_only: bool = False
    ) -> None:
        """Change some of a topic's settings: its logs go by them when this returns.

        Raises:
            KafkaError: See :meth:`Controller.alter_topic_config`.
        """
        change = self._controller.alter_topic_config(name, alterations, validate_only=validate_only)
        await self._carry_out(self._configure_topic(change, validate_only))

    async def replace_topic_config(
        self, name: str, settings: Mapping[str, str | None], *, validate_only: bool = False
    ) -> None:
        """Give a topic exactly these settings: its logs go by them when this returns.

        Raises:
            KafkaError: See :meth:`Controller.replace_topic_config`.
        """
        change = self._controller.replace_topic_config(name, settings, validate_only=validate_only)
        await self._carry_out(self._configure_topic(change, validate_only))

    async def alter_broker_config(
        self, broker_id: int | None, alterations: Sequence[ConfigAlteration], *, validate_only: bool = False
    ) -> None:
        """Change settings of this broker, or of all when None: every log goes by them when this returns.

        Raises:
            KafkaError: See :meth:`Controller.alter_broker_config`.
        """
        change = self._controller.alter_broker_config(broker_id, alterations, validate_only=validate_only)
        await self._carry_out(self._configure_broker(change, validate_only))

    async def replace_broker_config(
        self, broker_id: int | None, settings: Mapping[str, str | None], *, validate_only: bool = False
    ) -> None:
        """Make exactly these the settings of this broker, or of all when None: every log goes by them.

        Raises:
            KafkaError: See :meth:`Controller.replace_broker_config`.
        """
        change = self._controller.replace_broker_config(broker_id, settings, validate_only=validate_only)
        await self._carry_out(self._configure_broker(change, validate_only))

    def describe_config(self, topic: TopicMetadata) -> Sequence[ConfigDescription]:
        """Every configuration key of a topic: what it is, and why."""
        return self._controller.broker_settings.describe_topic(topic.settings)

    async def _carry_out(self, change: Coroutine[Any, Any, T]) -> T:
        """Wait for a change; being cancelled ends the waiting, not the change."""
        task = asyncio.ensure_future(self._one_at_a_time(change))
        self._changes.add(task)
        task.add_done_callback(self._changed)
        return await asyncio.shield(task)

    def _changed(self, task: asyncio.Task[Any]) -> None:
        self._changes.discard(task)
        if not task.cancelled():
            error = task.exception()  # also marks it as seen: perhaps nobody waits any more
            if error is not None and not isinstance(error, KafkaError):
                _log.error("topic_change_failed", exc_info=error)

    async def _one_at_a_time(self, change: Coroutine[Any, Any, T]) -> T:
        async with self._lock:
            with _store_errors_answered():
                return await change

    async def _create(self, spec: TopicSpec) -> TopicMetadata:
        topic = await self._controller.create_topic(spec)
        try:
            await self._serve_from(topic, 0)
        except StorageError:
            await self._controller.delete_topic(topic.name)
            await self._remove_logs(topic)
            raise
        self._deleted_at.pop(topic.name, None)
        _log.info("topic_created", topic=topic.name, partitions=len(topic.partitions))
        return topic

    async def _delete(self, name: str) -> None:
        topic = await self._controller.delete_topic(name)
        self._note_deletion(name)
        await self._remove_logs(topic)
        for listener in self._deletion_listeners:
            listener(name)
        _log.info("topic_deleted", topic=name, partitions=len(topic.partitions))

    async def _add_partitions(
        self, name: str, partition_count: int, manual: Sequence[tuple[int, ...]] | None, validate_only: bool
    ) -> None:
        before = self._metadata.topic(name)
        grown = await self._controller.create_partitions(name, partition_count, manual, validate_only=validate_only)
        if not validate_only and before is not None:
            await self._serve_from(grown, len(before.partitions))

    async def _configure_topic(self, change: Coroutine[Any, Any, TopicMetadata], validate_only: bool) -> None:
        topic = await change
        if not validate_only:
            self._reconfigure(topic)
            self._note_configuration(topic.name)

    async def _configure_broker(self, change: Coroutine[Any, Any, object], validate_only: bool) -> None:
        await change
        if not validate_only:
            for topic in self._metadata.topics:
                self._reconfigure(topic)
            self._note_configuration(None)

    async def _serve_from(self, topic: TopicMetadata, first: int) -> None:
        for index in range(first, len(topic.partitions)):
            try:
                self._serve(topic, index)
            except StorageError as error:
                self._take_offline(topic.name, index, str(error))
                raise
            if index % PARTITIONS_PER_TURN == PARTITIONS_PER_TURN - 1:
                await asyncio.sleep(0)

    def _take_offline(self, name: str, index: int, reason: str) -> None:
        """Refuse requests for a partition, and let clients see that nobody leads it, as long as this broker runs."""
        self._partitions.mark_offline(TopicPartition(name, index), reason)
        topic = self._metadata.topic(name)
        if topic is not None:
            partitions = list(topic.partitions)
            partitions[index] = replace(partitions[index], leader_id=NO_LEADER)
            self._metadata.put_topic(replace(topic, partitions=tuple(partitions)))

    def _serve(self, topic: TopicMetadata, index: int) -> None:
        """Make the log of a partition if there is none, and serve it in the role that the cluster gives this broker."""
        state = topic.partitions[index]
        if self._config.node_id not in state.replicas:
            return
        topic_partition = TopicPartition(topic.name, index)
        log = self._log_manager.get(topic_partition)
        if log is not None and not _belongs_to(log, topic):
            self._log_manager.delete(topic_partition)
            log = None
        if log is None:
            log = self._log_manager.create(topic_partition, topic.topic_id, self._config_of(topic))
        elif log.topic_id == ZERO_UUID:
            _log.warning("topic_id_lost", partition=str(topic_partition), hint="partition.metadata is damaged")
            log.topic_id = topic.topic_id
        self._partitions.become_leader(log, state)

    async def _remove_logs(self, topic: TopicMetadata) -> None:
        """Stop serving a topic, then remove its logs, all that can be removed."""
        topic_partitions = [TopicPartition(topic.name, index) for index in range(len(topic.partitions))]
        for topic_partition in topic_partitions:
            self._partitions.delete(topic_partition)
        failure: StorageError | None = None
        for count, topic_partition in enumerate(topic_partitions, 1):
            try:
                self._log_manager.delete(topic_partition)
            except StorageError as error:
                failure = error
            if count % PARTITIONS_PER_TURN == 0:
                await asyncio.sleep(0)
        if failure is not None:
            raise failure

    def _remove_orphans(self) -> None:
        """Remove the logs of topics that were deleted, or deleted and made anew, while this broker was down.

        Without a single topic it is rather the cluster's state that was lost: then nothing is removed, for the logs are
        all that is left.
        """
        orphans = [log for log in self._log_manager.logs.values() if not self._is_wanted(log)]
        if orphans and not self._metadata.topics:
            _log.error("logs_without_topics", logs=len(orphans), hint="the cluster knows no topic: was its state lost?")
            return
        for log in orphans:
            _log.warning("orphan_log_removed", partition=str(log.topic_partition), size_bytes=log.size_bytes)
            try:
                self._log_manager.delete(log.topic_partition)
            except StorageError as error:
                _log.error("orphan_log_not_removed", partition=str(log.topic_partition), reason=str(error))

    def _is_wanted(self, log: Log) -> bool:
        topic = self._metadata.topic(log.topic_partition.topic)
        state = self._metadata.partition(*log.topic_partition)
        return (
            topic is not None
            and state is not None
            and self._config.node_id in state.replicas
            and _belongs_to(log, topic)
        )

    def _reconfigure(self, topic: TopicMetadata) -> None:
        config = self._config_of(topic)
        for index in range(len(topic.partitions)):
            log = self._log_manager.logs.get(TopicPartition(topic.name, index))
            if log is not None:
                log.reconfigure(config)

    def _note_configuration(self, topic: str | None) -> None:
        for listener in self._configuration_listeners:
            listener(topic)

    def _config_of(self, topic: TopicMetadata) -> TopicConfig:
        """A topic's configuration; its own settings do not count when the broker's later ones contradict them."""
        try:
            return self._controller.topic_config(topic.settings)
        except InvalidConfig as error:
            _log.error("topic_settings_ignored", topic=topic.name, reason=str(error))
            return self._controller.topic_config({})

    def _note_deletion(self, name: str) -> None:
        now = self._clock.monotonic()
        self._deleted_at = {topic: at for topic, at in self._deleted_at.items() if now - at < REST_AFTER_DELETION_S}
        self._deleted_at[name] = now


def _belongs_to(log: Log, topic: TopicMetadata) -> bool:
    """Whether a log holds records of ``topic``; one that lost its file with the id has never been another's."""
    return log.topic_id in {topic.topic_id, ZERO_UUID}


@contextmanager
def _store_errors_answered() -> Iterator[None]:
    try:
        yield
    except StoreError as error:
        raise StorageError(f"the cluster's state cannot be written: {error}") from error
