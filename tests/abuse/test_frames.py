"""Bytes that are no frame, or whose frame is no request: the connection ends, and nothing else happens (F1-F6)."""

from __future__ import annotations

import asyncio
import ssl
import statistics
import struct
import time
from random import Random

import pytest

from minikafka.broker.routes import ROUTES, Route
from minikafka.errors import ErrorCode
from minikafka.protocol.api_keys import ApiKey
from minikafka.protocol.messages.api_versions import ApiVersionsRequest
from minikafka.protocol.messages.metadata import MetadataRequest
from tests.abuse.corpus import sample
from tests.abuse.healthy import MIB, healthy_client
from tests.abuse.victim import Victim
from tests.abuse.wire import frame_of, raw_client, refused, sized

CLAIM_OF_99_MIB = struct.pack(">i", 99 * MIB)
METADATA = frame_of(MetadataRequest(topics=[]), 12)


@pytest.mark.parametrize("size", [-1, -(2**31), 0, 100 * MIB + 1, 2**31 - 1])
async def test_f01_sizes_that_no_frame_has_close_the_connection(victim: Victim, size: int) -> None:
    async with healthy_client(victim, growth_mib=8):
        await refused(victim, struct.pack(">i", size))
        await refused(victim, struct.pack(">i", size), bytes(3 * MIB))


def client_hello() -> bytes:
    outgoing = ssl.MemoryBIO()
    tls = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()


@pytest.mark.parametrize(
    "hello",
    [b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", client_hello(), b"SSH-2.0-OpenSSH_9.9\r\n"],
    ids=["http", "tls", "ssh"],
)
async def test_f02_other_protocols_are_turned_away_at_once(victim: Victim, hello: bytes) -> None:
    async with healthy_client(victim, growth_mib=8):
        await refused(victim, hello)


async def test_f03_large_claims_and_silence_cost_little_and_end_at_the_deadline(impatient_victim: Victim) -> None:
    async def claim(more: bytes) -> None:
        async with raw_client(impatient_victim) as client:
            await client.send(CLAIM_OF_99_MIB + more)
            assert await client.until_closed() == b""

    async with healthy_client(impatient_victim, growth_mib=32):
        await asyncio.gather(*(claim(b"\0" * (number % 3)) for number in range(200)))


@pytest.mark.parametrize("beginning", [METADATA[:2], METADATA[:9]], ids=["half a size", "half a header"])
async def test_f04_half_a_request_is_not_waited_for(impatient_victim: Victim, beginning: bytes) -> None:
    async with healthy_client(impatient_victim, growth_mib=8):
        await refused(impatient_victim, beginning)
        (line,) = [line for line in impatient_victim.log_since() if "connection_closed" in line]
        assert "not whole after 1000 ms" in line


async def test_f04_slow_senders_are_cut_off_and_slow_down_nobody(impatient_victim: Victim) -> None:
    async def dribble() -> None:
        async with raw_client(impatient_victim) as client:
            closed = asyncio.create_task(client.until_closed())
            await client.send(struct.pack(">i", 10_000))
            while not closed.done():
                await client.send(b"\0")
                await asyncio.wait([closed], timeout=0.05)
            assert await closed == b""

    async with healthy_client(impatient_victim, growth_mib=16) as healthy:
        await healthy.served(200)
        alone_s = statistics.median(healthy.times_s)
        healthy.times_s.clear()
        began = time.monotonic()
        await asyncio.gather(*(dribble() for _ in range(20)))
        assert time.monotonic() - began < 5
        assert statistics.median(healthy.times_s) < 2 * alone_s + 0.010


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.api_key.name)
async def test_f05_a_frame_longer_or_shorter_than_its_request_closes_the_connection(
    victim: Victim, route: Route
) -> None:
    async with healthy_client(victim, growth_mib=16):
        for version in range(route.first_parsed, route.last_version + 1):
            payload = sample(route.api_key, version, Random(version))
            await refused(victim, sized(payload + b"\0"))
            await refused(victim, sized(payload[:-1]))


def header_of(api_key: int, version: int) -> bytes:
    """A request of nothing but zeros after its header, whichever header it has."""
    return sized(struct.pack(">hhih", api_key, version, 1, 0) + bytes(10))


@pytest.mark.parametrize("api_key", [-1, 4, 5, 6, 7, 52, 93, 1000, 32767, -32768])
async def test_f06_an_unknown_api_closes_the_connection(victim: Victim, api_key: int) -> None:
    async with healthy_client(victim, growth_mib=8):
        await refused(victim, header_of(api_key, 0))


async def test_f06_versions_that_are_not_served_close_the_connection(victim: Victim) -> None:
    async with healthy_client(victim, growth_mib=8):
        for route in ROUTES:
            if route.api_key is not ApiKey.API_VERSIONS:
                for version in (-1, route.first_parsed - 1, route.last_version + 1, 99, 32767):
                    await refused(victim, header_of(route.api_key, version))


@pytest.mark.parametrize("version", [-1, 5, 99, 32767])
async def test_f06_an_unknown_version_of_api_versions_is_answered_in_version_0(victim: Victim, version: int) -> None:
    async with healthy_client(victim, growth_mib=8), raw_client(victim) as client:
        await client.send(header_of(ApiKey.API_VERSIONS, version))
        told = await client.response(ApiVersionsRequest(), 0)
        assert told.error_code == ErrorCode.UNSUPPORTED_VERSION
        assert {api.api_key: (api.min_version, api.max_version) for api in told.api_keys}[ApiKey.API_VERSIONS] == (0, 4)
        await client.send(frame_of(ApiVersionsRequest(), 0))
        assert (await client.response(ApiVersionsRequest(), 0)).error_code == 0
