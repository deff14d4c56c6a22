"""Everything a handler may be built from; see each handler's ``build`` for the few things it takes."""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # only the composition root needs these modules; a handler that is tested alone does not
    from minikafka.broker.advertise import Advertiser
    from minikafka.broker.fetch_sessions import FetchSessionCache
    from minikafka.broker.producer_ids import ProducerIds
    from minikafka.broker.topics import TopicService
    from minikafka.clock import Clock
    from minikafka.cluster.controller import Controller
    from minikafka.cluster.metadata import MetadataCache
    from minikafka.config.sources import LoadedConfig
    from minikafka.coordinator.group.coordinator import GroupCoordinator
    from minikafka.coordinator.transaction.coordinator import TransactionCoordinator
    from minikafka.replication.partitions import Partitions
    from minikafka.storage.log_manager import LogManager


@dataclass(frozen=True, slots=True)
class Services:
    """The parts of a broker.

    Built once by the composition root.  No handler keeps it: its ``build`` picks what it needs, so that what a handler
    can touch stands in its constructor.
    """

    loaded_config: LoadedConfig
    clock: Clock
    metadata: MetadataCache
    controller: Controller
    partitions: Partitions
    log_manager: LogManager
    topics: TopicService
    producer_ids: ProducerIds
    groups: GroupCoordinator
    transactions: TransactionCoordinator
    fetch_sessions: FetchSessionCache
    advertiser: Advertiser
    worker: Executor
    """Threads for what would hold up the event loop: compressed batches, fdatasync."""
