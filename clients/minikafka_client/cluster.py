"""The cluster as a client sees it: where its brokers are, who leads what, and a way to reach each of them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from random import Random

from minikafka.errors import ErrorCode, KafkaError, RequestTimedOut
from minikafka.net.connection import Connection
from minikafka.protocol.api_keys import ApiKey
from minikafka.protocol.messages.metadata import MetadataRequest, MetadataRequestTopic, MetadataResponse
from minikafka.types import is_legal_topic_name
from minikafka_client.backoff import Backoff
from minikafka_client.connections import ConnectionOptions, ConnectionPool, Lane
from minikafka_client.errors import NETWORK_ERRORS, ClientClosed, NoBrokersAvailable, error_from_code
from minikafka_client.metadata import BrokerAddress, ClusterMetadata, TopicInfo, metadata_from, parse_addresses

METADATA_VERSION = 12

_log = logging.getLogger(__name__)

# A topic may take a moment to appear after it was created; missing for longer, it is taken for missing.
_MISSING_TOPIC_PATIENCE_S = 2.0


@dataclass(frozen=True, slots=True)
class ClusterOptions:
    """What producer, consumer and admin tell their :class:`Cluster`; times in milliseconds."""

    client_id: str
    request_timeout_ms: int = 30_000
    connect_timeout_ms: int = 10_000
    metadata_max_age_ms: int = 300_000
    max_response_bytes: int = 100 * 1024 * 1024
    allow_auto_create_topics: bool = True
    backoff: Backoff = field(default_factory=Backoff)


class Cluster:
    """Metadata of the topics of interest, kept fresh, and connections to the brokers.

    Metadata is asked for again when it is ``metadata_max_age_ms`` old, when an answer showed it to be out of date
    (:meth:`refresh_soon`), and after a failure, with growing pauses.  A broker that moved is found through the other
    brokers, and if none of them answers through the bootstrap servers, whose names are then looked up anew.
    """

    def __init__(self, bootstrap_servers: str, options: ClusterOptions) -> None:
        self.metadata = ClusterMetadata()
        self.options = options
        self._random = Random()
        self._bootstrap = parse_addresses(bootstrap_servers)
        self._pool = ConnectionPool(
            ConnectionOptions(options.client_id, options.connect_timeout_ms, options.max_response_bytes)
        )
        self._topics: set[str] = set()
        self._tracks_all = False
        self._listeners: list[Callable[[], None]] = []
        self._refreshing: asyncio.Task[ClusterMetadata] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._not_before = 0.0
        self._failures = 0
        self._closed = False

    async def start(self) -> None:
        """Find the cluster.

        Raises:
            NoBrokersAvailable: No bootstrap server answered.
        """
        await self.refresh()

    async def close(self) -> None:
        """Give up what is being asked and close the connections."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        if self._refreshing is not None:
            self._refreshing.cancel()
            await asyncio.gather(self._refreshing, return_exceptions=True)
        await self._pool.close()

    def on_update(self, listener: Callable[[], None]) -> None:
        """Have ``listener`` called after each change of :attr:`metadata`."""
        self._listeners.append(listener)

    def track(self, topics: Iterable[str]) -> None:
        """Ask for these topics as well from the next refresh on."""
        self._topics.update(topics)

    def track_all(self) -> None:
        """Ask for all topics from the next refresh on."""
        self._tracks_all = True

    async def refresh(self) -> ClusterMetadata:
        """Ask for the metadata now; a question that is already under way is shared.

        Raises:
            NoBrokersAvailable: Nobody answered.
            ClientClosed: The client was closed.
        """
        if self._closed:
            raise ClientClosed("the client was closed")
        return await asyncio.shield(self._start_refresh())

    def refresh_soon(self) -> None:
        """Refresh in the background, for an answer showed the metadata to be out of date."""
        if self._refreshing is None and not self._closed:
            self._refresh_in(max(0.0, self._not_before - asyncio.get_running_loop().time()))

    async def topic(self, name: str, timeout_ms: int) -> TopicInfo:
        """The partitions of a topic, asked for (and waited for) when they are not known.

        Raises:
            KafkaError: The topic does not exist or may not be used, as the broker says.
            RequestTimedOut: ``timeout_ms`` went by without a definite answer.
        """
        known = self.metadata.topics.get(name)
        if known is not None:
            return known
        if not is_legal_topic_name(name):
            raise error_from_code(ErrorCode.INVALID_TOPIC_EXCEPTION, f"{name!r} cannot name a topic")
        self.track([name])
        try:
            async with asyncio.timeout(timeout_ms / 1_000):
                return await self._wait_for_topic(name)
        except KafkaError:
            self._topics.discard(name)
            raise
        except TimeoutError:
            self._topics.discard(name)
            raise RequestTimedOut(f"no metadata of topic {name!r} within {timeout_ms} ms") from None

    async def connection(self, node_id: int, lane: Lane = Lane.CONTROL) -> Connection:
        """The connection to a broker.

        Raises:
            OSError: It cannot be reached, or the metadata has no such broker.
        """
        broker = self.metadata.brokers.get(node_id)
        if broker is None:
            raise NoBrokersAvailable(f"broker {node_id} is not in the metadata of the cluster")
        return await self._pool.get(broker.address, lane)

    def ready_connection(self, node_id: int, lane: Lane) -> Connection | None:
        """The connection to a broker, when it is open already."""
        broker = self.metadata.brokers.get(node_id)
        return None if broker is None else self._pool.ready(broker.address, lane)

    async def any_connection(self) -> Connection:
        """A connection to some broker, an open one if there is one.

        Raises:
            NoBrokersAvailable: None answered; the text says for each address why.
        """
        reasons = []
        for address in self._candidates():
            try:
                return await self._pool.get(address, Lane.CONTROL)
            except NETWORK_ERRORS as error:
                reasons.append(str(error))
        raise NoBrokersAvailable(f"no broker answered ({'; '.join(reasons)})")

    def _candidates(self) -> list[BrokerAddress]:
        """Brokers with an open connection first, then the others, at last the bootstrap servers."""
        known = [broker.address for broker in self.metadata.brokers.values()]
        self._random.shuffle(known)
        bootstrap = self._random.sample(self._bootstrap, len(self._bootstrap))
        addresses = list(dict.fromkeys(known + bootstrap))
        return sorted(addresses, key=lambda address: self._pool.ready(address, Lane.CONTROL) is None)

    async def _wait_for_topic(self, name: str) -> TopicInfo:
        loop = asyncio.get_running_loop()
        missing_since: float | None = None
        attempt = 0
        while True:
            try:
                metadata = await self.refresh()
            except NoBrokersAvailable:
                metadata = ClusterMetadata()
            if name in metadata.topics:
                return metadata.topics[name]
            error = metadata.errors.get(name)
            if error is ErrorCode.UNKNOWN_TOPIC_OR_PARTITION:
                missing_since = missing_since or loop.time()
                if loop.time() - missing_since > _MISSING_TOPIC_PATIENCE_S:
                    raise error_from_code(error, f"topic {name!r} does not exist")
            elif error is not None and not error.retriable:
                raise error_from_code(error, f"topic {name!r}: {error.name}")
            await asyncio.sleep(self.options.backoff.delay_s(attempt))
            attempt += 1

    def _start_refresh(self) -> asyncio.Task[ClusterMetadata]:
        if self._refreshing is None:
            if self._timer is not None:
                self._timer.cancel()
            self._refreshing = asyncio.create_task(self._refresh(), name="metadata refresh")
            self._refreshing.add_done_callback(self._refreshed)
        return self._refreshing

    async def _refresh(self) -> ClusterMetadata:
        topics = sorted(self._topics)
        response = await self._ask_for_metadata(topics)
        self.metadata = metadata_from(response, self.metadata)
        live = {broker.address for broker in self.metadata.brokers.values()}
        self._pool.forget_all_but(frozenset(live.union(self._bootstrap)))
        return self.metadata

    async def _ask_for_metadata(self, topics: list[str]) -> MetadataResponse:
        request = MetadataRequest(
            topics=None if self._tracks_all else [MetadataRequestTopic(name=name) for name in topics],
            allow_auto_topic_creation=self.options.allow_auto_create_topics,
        )
        reasons = []
        for address in self._candidates():
            try:
                connection = await self._pool.get(address, Lane.CONTROL)
                version = connection.pick(ApiKey.METADATA, METADATA_VERSION)
                response = await connection.request(request, version, timeout_ms=self.options.request_timeout_ms)
            except NETWORK_ERRORS as error:
                reasons.append(str(error))
                continue
            return response
        raise NoBrokersAvailable(f"no broker answered ({'; '.join(reasons)})")

    def _refreshed(self, task: asyncio.Task[ClusterMetadata]) -> None:
        self._refreshing = None
        if self._closed or task.cancelled() or not self.metadata.brokers:
            return  # whoever starts a client hears of a failure, and tries again or not
        error = task.exception()
        backoff_s = self.options.backoff.delay_s(self._failures)
        self._not_before = asyncio.get_running_loop().time() + backoff_s
        if error is not None and self._failures == 0:
            _log.warning("cannot refresh the metadata of the cluster, will try again: %s", error)
        is_complete = error is None and self._topics <= self.metadata.topics.keys()
        self._failures = 0 if is_complete else self._failures + 1
        self._refresh_in(self.options.metadata_max_age_ms / 1_000 if is_complete else backoff_s)
        for listener in self._listeners:
            listener()

    def _refresh_in(self, delay_s: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(delay_s, self._start_refresh)
