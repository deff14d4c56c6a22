"""A client that minds its own business, and tells how it was served meanwhile."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from minikafka.errors import ErrorCode
from minikafka.net.connection import Connection
from minikafka.protocol.messages.delete_topics import DeleteTopicsRequest, DeleteTopicState
from minikafka.protocol.messages.metadata import MetadataRequest, MetadataRequestTopic
from minikafka.types import ZERO_UUID
from tests.abuse.victim import Victim, complaints
from tests.support.data_plane import DataPlaneClient, batch_of, values_of

MIB = 1024 * 1024
TOPIC = "healthy"

BRIEF_S = 8.0
"""What no request may keep another client waiting for, though the machine is busy with other tests too."""

_PACE_S = 0.002
_LAST_WORD_S = 20.0


class HealthyClient:
    """Produces a record and fetches it, again and again.

    Every record is different, and has to come back as it was sent, at the offset after the last one.
    """

    def __init__(self, client: DataPlaneClient, victim: Victim) -> None:
        self.victim = victim
        self.times_s: list[float] = []
        """How long each round trip took."""
        self._client = client
        self._next_offset = 0
        self._served = asyncio.Event()
        self._stop = asyncio.Event()

    @property
    def slowest_s(self) -> float:
        return max(self.times_s)

    async def begin(self) -> None:
        """Make the topic, unless an earlier one has, and see that it works."""
        asked = MetadataRequest(topics=[MetadataRequestTopic(name=TOPIC)], allow_auto_topic_creation=True)
        await self._client.ask(asked, 9)
        self._next_offset = await self._client.end_offset(TOPIC)
        await self._round_trip()

    async def run(self) -> None:
        """Go on until told to stop."""
        while not self._stop.is_set():
            await self._round_trip()
            await asyncio.sleep(_PACE_S)

    def stop(self) -> None:
        self._stop.set()

    async def _round_trip(self) -> None:
        began = time.monotonic()
        value = b"%d at %f" % (self._next_offset, began)
        produced = await self._client.produce(TOPIC, batch_of(value), acks=-1)
        assert (produced.error_code, produced.base_offset) == (0, self._next_offset), produced
        fetched = await self._client.fetch(TOPIC, self._next_offset)
        assert fetched.error_code == 0, fetched
        assert values_of(fetched.records) == [value]
        self._next_offset += 1
        self.times_s.append(time.monotonic() - began)
        self._served.set()

    async def served(self, times: int = 1) -> None:
        """Wait until that many more round trips are done, not counting the one that was under way."""
        async with asyncio.timeout(_LAST_WORD_S):
            for _ in range(1 + times):
                self._served.clear()
                await self._served.wait()


@asynccontextmanager
async def healthy_client(victim: Victim, *, growth_mib: int = 48) -> AsyncIterator[HealthyClient]:
    """A healthy client beside whatever is done to ``victim`` inside.

    At the end it must still be served, all other connections be gone, no fault be logged, and the broker's memory never
    have grown by more than ``growth_mib``.
    """
    async with kafka_client(victim) as client:
        healthy = HealthyClient(client, victim)
        await healthy.begin()
        victim.log_since()
        victim.forget_peak()
        before_bytes, sockets = victim.rss_bytes, victim.socket_count
        async with asyncio.TaskGroup() as group:  # a client that is not served well ends the test at once
            group.create_task(healthy.run())
            yield healthy
            assert victim.is_alive
            await healthy.served()
            await _until_gone(victim, sockets)
            healthy.stop()
        assert complaints(victim.log_since()) == []
        grown_mib = (victim.peak_rss_bytes - before_bytes) / MIB
        assert grown_mib < growth_mib, f"the broker grew by {grown_mib:.1f} MiB"


@asynccontextmanager
async def kafka_client(victim: Victim) -> AsyncIterator[DataPlaneClient]:
    """A client that speaks Kafka well enough to be answered."""
    connection = await Connection.open(*victim.address, client_id="test")
    try:
        yield DataPlaneClient(connection, timeout_ms=30_000)
    finally:
        connection.close()


async def delete_topic(client: DataPlaneClient, name: str, *, may_be_missing: bool = False) -> None:
    """Make room for the next test."""
    wanted = DeleteTopicsRequest(topics=[DeleteTopicState(name=name, topic_id=ZERO_UUID)], timeout_ms=10_000)
    (deleted,) = (await client.ask(wanted, 6)).responses
    allowed = {ErrorCode.NONE, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION} if may_be_missing else {ErrorCode.NONE}
    assert deleted.error_code in allowed, deleted


async def _until_gone(victim: Victim, sockets: int) -> None:
    """Wait until the broker has as many sockets as before."""
    async with asyncio.timeout(_LAST_WORD_S):
        while victim.socket_count > sockets:  # noqa: ASYNC110 - a socket that is closed over there sends no word
            await asyncio.sleep(0.01)
