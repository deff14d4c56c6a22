"""The composition root: the one place that knows every part of a broker and puts them together."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from minikafka.broker.advertise import Advertiser, AdvertiseSettings, gather_facts, log_lost_client
from minikafka.broker.dispatcher import Dispatcher
from minikafka.broker.fetch_sessions import FetchSessionCache
from minikafka.broker.housekeeping import Housekeeping
from minikafka.broker.producer_ids import ProducerIds
from minikafka.broker.reconnects import ReconnectWatch
from minikafka.broker.routes import ROUTES
from minikafka.broker.services import Services
from minikafka.broker.topics import TopicService
from minikafka.clock import Clock, SystemClock
from minikafka.cluster.controller import Controller
from minikafka.cluster.metadata import BrokerInfo, Endpoint, MetadataCache
from minikafka.cluster.sqlite_store import SqliteStore
from minikafka.config.broker import BrokerConfig
from minikafka.config.sources import LoadedConfig
from minikafka.coordinator.group.coordinator import GroupCoordinator
from minikafka.coordinator.transaction.coordinator import TransactionCoordinator
from minikafka.coordinator.transaction.partition_markers import PartitionMarkers
from minikafka.net.server import Address, Server, ServerLimits
from minikafka.observability import events
from minikafka.observability.logging import get_logger
from minikafka.replication.group_commit import GroupCommit
from minikafka.replication.partitions import Partitions
from minikafka.replication.state import DurabilityPolicy
from minikafka.storage import filenames
from minikafka.storage.fs import FileSystem, OsFileSystem
from minikafka.storage.log_manager import LogManager

STORE_FILE = "coordination.sqlite3"
"""The embedded coordination store, in the first data directory."""

STOP_GRACE_S = 1.0
"""How long requests in progress may take to finish when a broker stops."""

_log = get_logger(__name__)


class Broker:
    """A running broker: ``await broker.start()``, and ``await broker.stop()`` at the end.

    Args:
        loaded_config: What it is to be like.
        fs: Where its logs are.
        clock: What its records are stamped with.
    """

    def __init__(
        self, loaded_config: LoadedConfig, *, fs: FileSystem | None = None, clock: Clock | None = None
    ) -> None:
        self.addresses: Mapping[str, Address] = {}
        """Where each listener, by name, serves clients; the ports that the system chose included."""
        self._loaded_config = loaded_config
        self._config: BrokerConfig = loaded_config.config
        self._fs = fs if fs is not None else OsFileSystem()
        self._clock = clock if clock is not None else SystemClock()
        self._metadata = MetadataCache()
        self._running = AsyncExitStack()

    @property
    def cluster_id(self) -> str:
        """The id of the cluster that this broker is of, known once it has started."""
        return self._metadata.cluster_id

    async def start(self) -> None:
        """Open the logs, recovering them after a crash, and serve clients; they are served when this returns.

        Raises:
            StorageError: A data directory cannot be used: another broker has it, or it is another cluster's.
            OSError: A listener's address cannot be had.
            StoreError: The coordination store cannot be used.
            BrokerIdInUse: Another running broker of the cluster has the same id.
        """
        async with AsyncExitStack() as stack:
            await self._start(stack)
            self._running = stack.pop_all()

    async def stop(self) -> None:
        """Finish what is in progress, force the logs to disk, and mark them clean."""
        await self._running.aclose()
        _log.info("broker_stopped", node_id=self._config.node_id)

    async def _start(self, stack: AsyncExitStack) -> None:
        """Build the broker from below; ``stack`` takes it down from above, whatever part of it stands."""
        config = self._config
        _open_event_log(stack, config)
        worker = ThreadPoolExecutor(config.background_threads, thread_name_prefix="worker")
        stack.callback(worker.shutdown)
        log_manager = self._lock_logs(stack)
        was_killed = self._was_killed(log_manager)
        controller = await self._join_store(stack, log_manager)
        group_commit = GroupCommit(worker)
        durability = DurabilityPolicy(config.log_flush_on_acks_all, config.minikafka_unflushed_max_bytes)
        partitions = Partitions(config.node_id, group_commit, durability)
        topics = TopicService(
            config, controller, self._metadata, log_manager=log_manager, partitions=partitions, clock=self._clock
        )
        log_manager.open_all(topics.configs())
        stack.callback(log_manager.close)
        stack.push_async_callback(group_commit.drain)
        if was_killed:
            await controller.begin_leader_epochs()
        topics.start()
        stack.push_async_callback(topics.drain)
        await self._serve(stack, self._services(controller, partitions, log_manager, topics, worker))

    def _services(
        self,
        controller: Controller,
        partitions: Partitions,
        log_manager: LogManager,
        topics: TopicService,
        worker: ThreadPoolExecutor,
    ) -> Services:
        producer_ids = ProducerIds(controller.next_producer_id_block)
        groups = self._coordinate_groups(partitions, topics)
        return Services(
            loaded_config=self._loaded_config,
            clock=self._clock,
            metadata=self._metadata,
            controller=controller,
            partitions=partitions,
            log_manager=log_manager,
            topics=topics,
            producer_ids=producer_ids,
            groups=groups,
            transactions=self._coordinate_transactions(partitions, topics, groups, producer_ids),
            fetch_sessions=FetchSessionCache(self._clock, self._config.max_incremental_fetch_session_cache_slots),
            advertiser=self._make_advertiser(),
            worker=worker,
        )

    def _coordinate_groups(self, partitions: Partitions, topics: TopicService) -> GroupCoordinator:
        groups = GroupCoordinator(self._config, partitions, self._metadata, self._clock, topics.create)
        topics.on_deletion(groups.topic_deleted)
        return groups

    def _coordinate_transactions(
        self, partitions: Partitions, topics: TopicService, groups: GroupCoordinator, producer_ids: ProducerIds
    ) -> TransactionCoordinator:
        transactions = TransactionCoordinator(
            self._config,
            partitions,
            self._metadata,
            self._clock,
            create_topic=topics.create,
            next_producer_id=producer_ids.next,
            write_marker=PartitionMarkers(partitions, groups),
        )
        topics.on_deletion(transactions.topic_deleted)
        return transactions

    def _lock_logs(self, stack: AsyncExitStack) -> LogManager:
        config = self._config
        log_manager = LogManager(
            [Path(directory) for directory in config.log_dirs],
            self._fs,
            self._clock,
            config.topic_defaults(),
            max_decompressed_bytes=config.minikafka_decompression_max_bytes,
        )
        for home in log_manager.directories:
            stack.callback(home.release)
        log_manager.lock()
        return log_manager

    def _was_killed(self, log_manager: LogManager) -> bool:
        """Whether the broker that last used the data directories did not come to its end."""
        homes = [home.path for home in log_manager.directories if home.identity is not None]
        return not all(self._fs.exists(path / filenames.CLEAN_SHUTDOWN) for path in homes)

    async def _join_store(self, stack: AsyncExitStack, log_manager: LogManager) -> Controller:
        store = SqliteStore(Path(self._config.log_dirs[0]) / STORE_FILE, self._clock)
        await store.open()
        stack.push_async_callback(store.close)
        controller = Controller(store, self._metadata, self._loaded_config, self._clock)
        await controller.start(log_manager.cluster_id)
        log_manager.claim(self._metadata.cluster_id, self._config.node_id)
        return controller

    def _make_advertiser(self) -> Advertiser:
        watch = ReconnectWatch(asyncio.get_running_loop().call_later, log_lost_client)
        settings = AdvertiseSettings.of(self._config)
        return Advertiser(self._config.node_id, self._metadata, settings, gather_facts(), watch)

    async def _serve(self, stack: AsyncExitStack, services: Services) -> None:
        dispatcher = Dispatcher(ROUTES, services)
        server = Server(dispatcher, _limits(self._config), services.advertiser.connection_opened)
        stack.push_async_callback(server.close, STOP_GRACE_S)
        stack.callback(services.groups.close)  # those who wait for other members are sent away
        stack.callback(services.transactions.close)
        stack.callback(services.partitions.end_waits)  # those whose clients are gone would hold the stop up too
        addresses = {
            listener.name: server.bind(listener.host, listener.port, listener.name)
            for listener in self._config.parsed_listeners()
        }
        await services.controller.join(BrokerInfo(self._config.node_id, self._endpoints(addresses)))
        await server.start()
        self.addresses = addresses
        housekeeping = Housekeeping(
            self._config, services.log_manager, self._clock, services.worker, partitions=services.partitions
        )
        services.topics.on_configuration(housekeeping.topic_configured)
        _work_beside(stack, housekeeping.run())
        _work_beside(stack, services.groups.run())
        _work_beside(stack, services.transactions.run())
        _work_beside(stack, _preload(dispatcher))

    def _endpoints(self, addresses: Mapping[str, Address]) -> dict[str, Endpoint]:
        """What other brokers are told: how they, and their clients, find this one."""
        endpoints = {
            listener.name: Endpoint(listener.host or socket.gethostname(), addresses[listener.name].port)
            for listener in self._config.parsed_listeners()
        }
        for advertised in self._config.parsed_advertised_listeners():
            endpoints[advertised.name] = Endpoint(advertised.host, advertised.port)
        return endpoints


def _open_event_log(stack: AsyncExitStack, config: BrokerConfig) -> None:
    if config.minikafka_event_log_path is not None:
        events.open_log(Path(config.minikafka_event_log_path))
        stack.callback(events.open_log, None)


def _limits(config: BrokerConfig) -> ServerLimits:
    return ServerLimits(
        max_request_bytes=config.socket_request_max_bytes,
        max_buffered_bytes=config.queued_max_request_bytes,
        max_connections=config.max_connections,
        max_connections_per_ip=config.max_connections_per_ip,
        max_idle_ms=config.connections_max_idle_ms,
        read_timeout_ms=config.minikafka_request_read_timeout_ms,
        backlog=config.socket_listen_backlog_size,
    )


async def _preload(dispatcher: Dispatcher) -> None:
    """Import what the first requests would otherwise wait for, without keeping any that is there already waiting."""
    for _ in dispatcher.preload():
        await asyncio.sleep(0)


def _work_beside(stack: AsyncExitStack, work: Coroutine[Any, Any, None]) -> None:
    """Run ``work`` until the broker stops."""
    task = asyncio.create_task(work)
    task.add_done_callback(_log_failure)
    stack.push_async_callback(_cancel, task)


def _log_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        _log.error("background_work_failed", exc_info=task.exception())


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])
