"""How the admin reaches brokers: any, a certain one, the controller, or the coordinator of a group or a transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from itertools import count
from typing import TypeVar

from minikafka.errors import ErrorCode, NotController, UnsupportedVersion
from minikafka.net.connection import Connection
from minikafka.protocol.api_keys import ApiKey
from minikafka.protocol.schema import Message, Request
from minikafka.types import NO_LEADER, TopicPartition
from minikafka_client.cluster import Cluster, ClusterOptions
from minikafka_client.coordinators import PASSING, Coordinators, KeyType
from minikafka_client.errors import Outcomes, error_from_code, raise_failures

ANY_BROKER = NO_LEADER
"""As a node id: whichever broker is at hand."""

R = TypeVar("R", bound=Message)
T = TypeVar("T")


class Requests:
    """Sends requests to where they are answered, and again where that is of use."""

    def __init__(self, bootstrap_servers: str, options: ClusterOptions) -> None:
        self.cluster = Cluster(bootstrap_servers, options)
        self.coordinators = Coordinators(self.cluster)
        self.transaction_coordinators = Coordinators(self.cluster, KeyType.TRANSACTION)
        self.timeout_ms = options.request_timeout_ms

    async def start(self) -> None:
        """Find the cluster, unless it is known already.

        Raises:
            NoBrokersAvailable: No bootstrap server answered.
        """
        if not self.cluster.metadata.brokers:
            await self.cluster.start()

    async def close(self) -> None:
        """Close the connections."""
        await self.coordinators.close()
        await self.transaction_coordinators.close()
        await self.cluster.close()

    async def brokers(self) -> list[int]:
        """The node ids of all brokers, as they are now."""
        return sorted((await self.cluster.refresh()).brokers)

    async def connection(self, node_id: int = ANY_BROKER) -> Connection:
        """The connection to a broker.

        Raises:
            OSError: It cannot be reached, or there is no such broker.
        """
        await self.start()
        if node_id == ANY_BROKER:
            return await self.cluster.any_connection()
        return await self.cluster.connection(node_id)

    async def ask(self, request: Request[R], max_version: int, *, node_id: int = ANY_BROKER, min_version: int = 0) -> R:
        """Ask one broker.

        Raises:
            UnsupportedVersion: It does not serve the request, or not from ``min_version`` on.
        """
        connection = await self.connection(node_id)
        version = pick(connection, ApiKey(request.API_KEY), min_version, max_version)
        return await connection.request(request, version, timeout_ms=self.timeout_ms)

    async def ask_patiently(
        self,
        request: Request[R],
        max_version: int,
        *,
        node_id: int,
        error_of: Callable[[R], int],
        min_version: int = 0,
    ) -> R:
        """As :meth:`ask`, again while the broker's coordinators start; other errors are for the caller."""
        deadline = self._deadline()
        for attempt in count():
            response = await self.ask(request, max_version, node_id=node_id, min_version=min_version)
            if error_of(response) not in PASSING or asyncio.get_running_loop().time() > deadline:
                return response
            await self._pause(attempt)
        raise AssertionError("unreachable: count() does not end")

    async def ask_controller(self, request: Request[R], max_version: int, outcomes: Callable[[R], Outcomes]) -> R:
        """Ask whichever broker is the controller, looking for it again when it has moved, and raise what failed."""
        deadline = self._deadline()
        await self.start()
        for attempt in count():
            try:
                response = await self.ask(request, max_version, node_id=self.cluster.metadata.controller_id)
            except OSError as error:
                failure: Exception = error
            else:
                results = outcomes(response)
                if all(outcome.code != ErrorCode.NOT_CONTROLLER for outcome in results.values()):
                    raise_failures(results)
                    return response
                failure = NotController("the controller has moved")
            if asyncio.get_running_loop().time() > deadline:
                raise failure
            await self._pause(attempt)
            await self.cluster.refresh()
        raise AssertionError("unreachable: count() does not end")

    async def ask_coordinator(
        self, group_id: str, request: Request[R], max_version: int, error_of: Callable[[R], int]
    ) -> R:
        """Ask the coordinator of a group, again while it moves or starts; see :meth:`Coordinators.ask`."""
        await self.start()
        return await self.coordinators.ask(
            group_id, request, max_version, timeout_ms=self.timeout_ms, error_of=error_of
        )

    async def ask_transaction_coordinator(
        self, transactional_id: str, request: Request[R], max_version: int, error_of: Callable[[R], int]
    ) -> R:
        """As :meth:`ask_coordinator`, that of a transactional id; again also while a transaction of it is ending."""
        deadline = self._deadline()
        await self.start()
        for attempt in count():
            response = await self.transaction_coordinators.ask(
                transactional_id, request, max_version, timeout_ms=self.timeout_ms, error_of=error_of
            )
            is_over = asyncio.get_running_loop().time() > deadline
            if error_of(response) != ErrorCode.CONCURRENT_TRANSACTIONS or is_over:
                return response
            await self._pause(attempt)
        raise AssertionError("unreachable: count() does not end")

    async def leaders(self, partitions: Iterable[TopicPartition]) -> dict[int, list[TopicPartition]]:
        """Partitions by the broker that leads them now.

        Raises:
            UnknownTopicOrPartition: One of them does not exist.
            LeaderNotAvailable: One of them has no leader.
        """
        by_leader: dict[int, list[TopicPartition]] = {}
        wanted = list(partitions)
        self.cluster.track(where.topic for where in wanted)
        await self.cluster.refresh()
        for where in wanted:
            topic = await self.cluster.topic(where.topic, self.timeout_ms)
            if not 0 <= where.partition < len(topic.partitions):
                raise error_from_code(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, f"partition {where} does not exist")
            leader_id = topic.partitions[where.partition].leader_id
            if leader_id == NO_LEADER:
                raise error_from_code(ErrorCode.LEADER_NOT_AVAILABLE, f"partition {where} has no leader")
            by_leader.setdefault(leader_id, []).append(where)
        return by_leader

    def _deadline(self) -> float:
        return asyncio.get_running_loop().time() + self.timeout_ms / 1_000

    async def _pause(self, attempt: int) -> None:
        await asyncio.sleep(self.cluster.options.backoff.delay_s(attempt))


class AdminPart:
    """What looks after one kind of thing, through the requests that all of them share."""

    def __init__(self, requests: Requests) -> None:
        self._requests = requests


async def together(work: Iterable[Awaitable[T]]) -> list[T]:
    """Do all of it at once, and to its end.

    Raises:
        Exception: A part failed.
        ExceptionGroup: Several did.
    """
    results = await asyncio.gather(*work, return_exceptions=True)
    failures: list[Exception] = []
    for result in results:
        if isinstance(result, ExceptionGroup):
            failures += result.exceptions
        elif isinstance(result, Exception):
            failures.append(result)
    if len(failures) > 1:
        raise ExceptionGroup(f"{len(failures)} failed", failures)
    if failures:
        raise failures[0]
    return [result for result in results if not isinstance(result, BaseException)]


def pick(connection: Connection, api_key: ApiKey, min_version: int, max_version: int) -> int:
    """The version of an API to speak with a broker.

    Raises:
        UnsupportedVersion: It does not serve it, or not from ``min_version`` on.
    """
    version = connection.pick(api_key, max_version)
    if version < min_version:
        raise UnsupportedVersion(f"{connection.address} serves {api_key.name} only up to version {version}")
    return version
