"""The way to the broker that looks after a group, or after a transactional id."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Container
from enum import IntEnum
from typing import TypeVar

from minikafka.errors import ErrorCode, KafkaError, RequestTimedOut
from minikafka.net.connection import Connection
from minikafka.protocol.api_keys import ApiKey
from minikafka.protocol.messages.find_coordinator import FindCoordinatorRequest
from minikafka.protocol.schema import Message, Request
from minikafka_client.cluster import Cluster
from minikafka_client.connections import Lane
from minikafka_client.errors import NETWORK_ERRORS, error_from_code, is_retriable

FIND_COORDINATOR_VERSION = 4

R = TypeVar("R", bound=Message)

_BATCHED_FROM = 4


class KeyType(IntEnum):
    """What a coordinator looks after."""

    GROUP = 0
    TRANSACTION = 1

    def __str__(self) -> str:
        return "group" if self is KeyType.GROUP else "transactional id"


MOVED = frozenset({ErrorCode.NOT_COORDINATOR, ErrorCode.COORDINATOR_NOT_AVAILABLE})
"""The coordinator is elsewhere: it must be looked up again."""

PASSING = MOVED | {ErrorCode.COORDINATOR_LOAD_IN_PROGRESS}
"""What passes by itself when a coordinator starts or moves."""


class Coordinators:
    """Which broker looks after which group, looked up when first needed and remembered until :meth:`forget`.

    With another ``key_type`` it is transactional ids instead of groups.
    """

    def __init__(self, cluster: Cluster, key_type: KeyType = KeyType.GROUP) -> None:
        self._cluster = cluster
        self._key_type = key_type
        self._nodes: dict[str, int] = {}
        self._finding: dict[str, asyncio.Task[int]] = {}
        self._troubles: dict[str, Exception] = {}  # why a look-up under way has found nothing so far

    async def connection(self, group_id: str, lane: Lane = Lane.CONTROL) -> Connection:
        """The connection to the group's coordinator, looked up with pauses for as long as a request may take.

        Raises:
            RequestTimedOut: There was no coordinator within ``request_timeout_ms``.
            OSError: It cannot be reached; the next call looks it up again.
            KafkaError: The group may not be used, as the broker says.
        """
        node_id = await self.node_id(group_id)
        try:
            return await self._cluster.connection(node_id, lane)
        except OSError:
            self.forget(group_id)
            raise

    async def node_id(self, group_id: str) -> int:
        """The node id of the group's coordinator; errors as :meth:`connection`."""
        known = self._nodes.get(group_id)
        if known is not None:
            return known
        finding = self._finding.get(group_id)
        if finding is None:
            finding = self._finding[group_id] = asyncio.create_task(self._find(group_id))
            finding.add_done_callback(lambda task: self._found(group_id, task))
        # Shielded, for one caller that gives up must not take the answer away from the others.
        return await asyncio.shield(finding)

    def forget(self, group_id: str) -> None:
        """Look the coordinator up again when it is next needed: it moved, or does not answer."""
        self._nodes.pop(group_id, None)

    async def close(self) -> None:
        """Give up what is being looked up."""
        finding = list(self._finding.values())
        for task in finding:
            task.cancel()
        await asyncio.gather(*finding, return_exceptions=True)

    async def ask(
        self,
        group_id: str,
        request: Request[R],
        max_version: int,
        *,
        timeout_ms: int,
        error_of: Callable[[R], int] = lambda response: getattr(response, "error_code", 0),
        passing: Container[int] = PASSING,
    ) -> R:
        """Ask the group's coordinator, again while it moves, starts or does not answer.

        Only for requests that may be carried out twice.

        Args:
            group_id: Whose coordinator is asked.
            request: What to ask.
            max_version: The newest version of the request that this client knows what to do with.
            timeout_ms: How long to try.
            error_of: Where an answer has the error that says that the coordinator is elsewhere, if it is.
            passing: After which errors to ask again.

        Returns:
            The answer; its errors, other than those that passed, are for the caller to look at.

        Raises:
            RequestTimedOut: There was no answer in time; the text is the last that went wrong.
            KafkaError: The group may not be used, or the broker is too old for the request.
        """
        left_s = timeout_ms / 1_000
        give_up_at = time.monotonic() + left_s
        why: Exception | None = None
        attempt = 0
        while True:
            try:
                connection = self._ready_connection(group_id)
                if connection is None:
                    connection = await self._connection_within(group_id, left_s)
                    left_s = give_up_at - time.monotonic()
                version = connection.pick(ApiKey(request.API_KEY), max_version)
                wait_ms = min(round(left_s * 1_000), self._cluster.options.request_timeout_ms)
                response = await connection.request(request, version, timeout_ms=wait_ms)
                code = error_of(response)
                if code not in passing:
                    return response
                if code in MOVED:
                    self.forget(group_id)
                why = error_from_code(code)
            except (KafkaError, OSError) as error:
                if isinstance(error, NETWORK_ERRORS):
                    self.forget(group_id)
                elif not is_retriable(error):
                    raise
                if why is None or not isinstance(error, RequestTimedOut):  # what was said tells more than silence
                    why = error
            pause_s = self._cluster.options.backoff.delay_s(attempt)
            left_s = give_up_at - time.monotonic() - pause_s
            if left_s <= 0:
                what, why = type(request).__name__, self._troubles.get(group_id, why)
                raise RequestTimedOut(f"{what} for {self._key_type} {group_id!r}: {why} ({timeout_ms} ms)") from why
            await asyncio.sleep(pause_s)
            attempt += 1

    def _ready_connection(self, group_id: str) -> Connection | None:
        node_id = self._nodes.get(group_id)
        return None if node_id is None else self._cluster.ready_connection(node_id, Lane.CONTROL)

    async def _connection_within(self, group_id: str, timeout_s: float) -> Connection:
        try:
            async with asyncio.timeout(timeout_s):
                return await self.connection(group_id)
        except TimeoutError:
            raise RequestTimedOut("no answer") from None

    def _found(self, group_id: str, task: asyncio.Task[int]) -> None:
        self._finding.pop(group_id, None)
        self._troubles.pop(group_id, None)
        if not task.cancelled():
            task.exception()  # whoever asked hears of it; nobody may have waited so long

    async def _find(self, group_id: str) -> int:
        timeout_ms = self._cluster.options.request_timeout_ms
        last_error: Exception = RequestTimedOut("no answer")
        attempt = 0
        try:
            async with asyncio.timeout(timeout_ms / 1_000):
                while True:
                    try:
                        node_id = await self._find_once(group_id)
                    except (KafkaError, OSError) as error:
                        if not is_retriable(error):
                            raise
                        last_error = self._troubles[group_id] = error
                    else:
                        self._nodes[group_id] = node_id
                        return node_id
                    await asyncio.sleep(self._cluster.options.backoff.delay_s(attempt))
                    attempt += 1
        except TimeoutError:
            why = f"no coordinator of {self._key_type} {group_id!r} within {timeout_ms} ms: {last_error}"
            raise RequestTimedOut(why) from last_error

    async def _find_once(self, group_id: str) -> int:
        connection = await self._cluster.any_connection()
        version = connection.pick(ApiKey.FIND_COORDINATOR, FIND_COORDINATOR_VERSION)
        request = FindCoordinatorRequest(key_type=self._key_type)
        if version >= _BATCHED_FROM:
            request.coordinator_keys = [group_id]
        else:
            request.key = group_id
        told = await connection.request(request, version, timeout_ms=self._cluster.options.request_timeout_ms)
        found = told.coordinators[0] if told.coordinators else told
        if found.error_code != ErrorCode.NONE:
            raise error_from_code(found.error_code, found.error_message)
        if found.node_id not in self._cluster.metadata.brokers:
            await self._cluster.refresh()
        return found.node_id
