"""Connections that do not read, end halfway, or are far too many (F23-F25)."""

from __future__ import annotations

import asyncio
import itertools
import resource
import socket
import struct
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager

import pytest

from minikafka.net.connection import NetworkError
from minikafka.protocol.messages.api_versions import ApiVersionsRequest
from minikafka.protocol.messages.fetch import FetchPartition, FetchRequest, FetchTopic
from minikafka.protocol.messages.metadata import MetadataRequest, MetadataRequestTopic
from tests.abuse.healthy import BRIEF_S, MIB, TOPIC, delete_topic, healthy_client, kafka_client
from tests.abuse.victim import Victim
from tests.abuse.wire import frame_of, raw_client
from tests.support.data_plane import batch_of, produce_request

BULK = "bulk"


def fetch_frame(topic: str, offset: int = 0, *, correlation_id: int = 7, max_wait_ms: int = 0) -> bytes:
    partition = FetchPartition(partition=0, fetch_offset=offset, partition_max_bytes=MIB)
    topics = [FetchTopic(topic=topic, partitions=[partition])]
    return frame_of(
        FetchRequest(max_wait_ms=max_wait_ms, min_bytes=1, topics=topics), 12, correlation_id=correlation_id
    )


@asynccontextmanager
async def bulk_topic(victim: Victim) -> AsyncIterator[None]:
    """A topic with a megabyte to fetch."""
    async with kafka_client(victim) as client:
        await client.create_topic(BULK)
        await client.produce(BULK, batch_of(bytes(1_000_000)))
        yield
        await delete_topic(client, BULK)


async def test_f23_a_thousand_pipelined_requests_are_answered_in_order(victim: Victim) -> None:
    kinds: list[Callable[[int], bytes]] = [
        lambda n: frame_of(ApiVersionsRequest(), 0, correlation_id=n),
        lambda n: frame_of(MetadataRequest(topics=[MetadataRequestTopic(name=TOPIC)]), 4, correlation_id=n),
        lambda n: frame_of(produce_request(TOPIC, {5: batch_of(b"x")}, acks=-1), 7, correlation_id=n),
        lambda n: fetch_frame(TOPIC, correlation_id=n),
    ]
    frames = [kind(number) for number, kind in zip(range(1_000), itertools.cycle(kinds), strict=False)]
    async with healthy_client(victim) as healthy, raw_client(victim) as client:
        await client.send(b"".join(frames))
        await healthy.served(5)  # nothing is read meanwhile
        answers = [await client.answer() for _ in frames]
        assert [struct.unpack_from(">i", answer) for answer in answers] == [(number,) for number in range(1_000)]


async def test_f23_a_client_that_does_not_read_is_given_a_few_megabytes_at_most(victim: Victim) -> None:
    async with (
        bulk_topic(victim),
        healthy_client(victim, growth_mib=48) as healthy,
        raw_client(victim, read_bytes=4096) as client,
    ):
        await client.send(fetch_frame(BULK) * 500)
        await healthy.served(20)
        assert healthy.slowest_s < BRIEF_S
        for _ in range(20):
            assert len(await client.answer()) > 1_000_000
        client.reset()


async def test_f23_many_clients_that_do_not_read_are_not_worth_more(victim: Victim) -> None:
    async def ask_and_ignore(done: asyncio.Event) -> None:
        async with raw_client(victim, read_bytes=4096) as client:
            await client.send(fetch_frame(BULK) * 50)
            await done.wait()
            client.reset()

    async with bulk_topic(victim), healthy_client(victim, growth_mib=20 * 4 + 48) as healthy:
        done = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            for _ in range(20):
                group.create_task(ask_and_ignore(done))
            await healthy.served(50)
            done.set()


async def test_f24_a_client_that_has_ended_its_side_gets_its_answers(victim: Victim) -> None:
    async with bulk_topic(victim), healthy_client(victim), raw_client(victim) as client:
        await client.send(fetch_frame(BULK) * 5, fetch_frame(BULK, offset=1, max_wait_ms=100))
        client.end_sending()
        for _ in range(5):
            assert len(await client.answer()) > 1_000_000
        assert len(await client.answer()) < 1_000
        assert await client.until_closed() == b""


async def test_f24_clients_that_are_reset_in_the_middle_of_an_answer_leave_nothing(victim: Victim) -> None:
    async with bulk_topic(victim), healthy_client(victim, growth_mib=32):
        for _ in range(100):
            async with raw_client(victim, read_bytes=4096) as client:
                await client.send(fetch_frame(BULK) * 3)
                await client.some(1_000)
                client.reset()


@pytest.mark.parametrize("requests_behind", [0, 3])
async def test_f24_clients_that_go_while_they_wait_leave_nothing(victim: Victim, requests_behind: int) -> None:
    async with kafka_client(victim) as quiet_client:
        await quiet_client.create_topic("quiet")
        waiting = fetch_frame("quiet", max_wait_ms=600_000)
        async with healthy_client(victim, growth_mib=24) as healthy, AsyncExitStack() as stack:
            clients = [await stack.enter_async_context(raw_client(victim)) for _ in range(200)]
            for client in clients:
                await client.send(waiting * (1 + requests_behind))
            await healthy.served(3)
            for client in clients:
                client.reset()
        await delete_topic(quiet_client, "quiet")


async def test_f24_a_topic_that_goes_ends_the_fetches_that_wait_for_it(victim: Victim) -> None:
    async with kafka_client(victim) as client, healthy_client(victim):
        await client.create_topic("short-lived")
        async with raw_client(victim) as waiting:
            await waiting.send(fetch_frame("short-lived", max_wait_ms=600_000))
            await delete_topic(client, "short-lived")
            assert await waiting.answer()


def open_idle(victim: Victim, count: int) -> ExitStack:
    """Connections that say nothing; from several addresses, for one has not that many ports."""
    with ExitStack() as stack:
        for number in range(count):
            source = (f"127.0.1.{number % 8 + 1}", 0)
            stack.enter_context(socket.create_connection(victim.address, source_address=source))
        return stack.pop_all()


@pytest.fixture
def many_files() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("many_files")
async def test_f25_ten_thousand_idle_connections_disturb_nobody(victim: Victim) -> None:
    async with healthy_client(victim, growth_mib=96) as healthy:
        idle = await asyncio.to_thread(open_idle, victim, 10_000)
        healthy.times_s.clear()
        await healthy.served(50)
        assert victim.socket_count > 10_000
        assert healthy.slowest_s < BRIEF_S
        async with kafka_client(victim) as another:
            assert await another.end_offset(TOPIC) > 0
        await asyncio.to_thread(idle.close)


async def test_f25_a_storm_of_connections_passes(victim: Victim) -> None:
    def storm() -> None:
        for number in range(3_000):
            with socket.create_connection(victim.address) as connection:
                if number % 2:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                if number % 3:
                    connection.sendall(b"\0\0\0\1")

    async with healthy_client(victim, growth_mib=32) as healthy:
        began = time.monotonic()
        await asyncio.to_thread(storm)
        assert time.monotonic() - began < 20
        assert healthy.slowest_s < BRIEF_S
        await healthy.served()
        assert len(victim.log_since()) < 200


async def is_served(victim: Victim) -> bool:
    """Whether a new client is let in, and can read."""
    try:
        async with kafka_client(victim) as client:
            return await client.end_offset(TOPIC) > 0
    except NetworkError:
        return False


async def test_f25_at_the_limit_of_file_descriptors_old_clients_are_served_and_new_ones_later(
    impatient_victim: Victim,
) -> None:
    victim = impatient_victim
    limits = resource.prlimit(victim.pid, resource.RLIMIT_NOFILE)
    async with healthy_client(victim, growth_mib=16) as healthy:
        try:
            resource.prlimit(victim.pid, resource.RLIMIT_NOFILE, (victim.file_count + 20, limits[1]))
            idle = await asyncio.to_thread(open_idle, victim, 300)
            await healthy.served(50)
            assert victim.socket_count < 300
            await asyncio.to_thread(idle.close)
            async with asyncio.timeout(20):
                while not await is_served(victim):
                    pass  # the broker has not seen yet that the idle ones are gone
        finally:
            resource.prlimit(victim.pid, resource.RLIMIT_NOFILE, limits)
        assert len(victim.log_since()) < 100
