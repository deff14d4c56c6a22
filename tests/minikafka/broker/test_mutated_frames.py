"""5,000 damaged requests against a live broker, with a healthy client beside them.

``MUTATION_SEED`` chooses other damage; a failure prints the seed.
"""

from __future__ import annotations

import asyncio
import os
import resource
import struct
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from minikafka.broker.routes import ROUTES
from minikafka.errors import ErrorCode
from minikafka.net.connection import Connection
from minikafka.net.server import Address
from minikafka.protocol.api_keys import request_class
from minikafka.protocol.codec import encode
from minikafka.protocol.header import encode_request_header
from minikafka.protocol.messages.create_topics import CreatableTopic, CreateTopicsRequest
from minikafka.protocol.messages.fetch import FetchPartition, FetchRequest, FetchTopic
from minikafka.protocol.messages.metadata import MetadataRequest
from minikafka.protocol.schema import Message
from tests.support.broker import running_broker
from tests.support.data_plane import batch_of, produce_request
from tests.wire.test_mutated_frames import MUTATIONS
from tests.wire.values import random_message

REQUESTS = 5_000
AT_A_TIME = 20
SEED = int(os.environ.get("MUTATION_SEED", "2026"))
PATIENCE_S = 0.2  # damage can turn a fetch's max_wait_ms into weeks
MIB = 1024 * 1024


def requests(random: Random) -> Iterator[tuple[Message, int]]:
    """Requests of every API and version that is served, half of the data plane's for a topic that exists."""
    served = [(route.api_key, v) for route in ROUTES for v in range(route.first_parsed, route.last_version + 1)]
    while True:
        api_key, version = random.choice(served)
        if random.random() < 0.3:
            yield produce_request("orders", {0: batch_of(b"value", b"other")}), random.randint(3, 12)
        elif random.random() < 0.2:
            wanted = FetchPartition(partition=0, fetch_offset=0, partition_max_bytes=1000)
            topics = [FetchTopic(topic="orders", partitions=[wanted])]
            yield FetchRequest(max_wait_ms=1, min_bytes=0, topics=topics, forgotten_topics_data=[]), 11
        else:
            message: Any = random_message(request_class(api_key), version, random)
            if isinstance(message, CreateTopicsRequest):
                message.validate_only = True  # thousands of partitions take a disk its time
            yield message, version


def damaged(message: Message, version: int, random: Random) -> bytes:
    frame = encode_request_header(message.API_KEY, version, random.getrandbits(31), "damaged")
    encode(message, version, frame)
    for _ in range(random.randint(1, 2)):
        if frame:
            random.choice(MUTATIONS)(frame, random)
    return bytes(frame) or b"\0"


async def send(address: Address, frame: bytes) -> None:
    """Send a frame, and take what comes for as long as there is patience."""
    reader, writer = await asyncio.open_connection(*address)
    try:
        async with asyncio.timeout(PATIENCE_S):
            writer.write(struct.pack(">i", len(frame)) + frame)
            writer.write_eof()
            await reader.read()
    except (TimeoutError, ConnectionError):
        pass
    finally:
        writer.transport.abort()


def rss_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


async def test_damaged_requests_hurt_nobody_but_their_connection(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    print(f"MUTATION_SEED={SEED}")
    random = Random(SEED)
    unhandled: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: unhandled.append(context))
    async with running_broker(tmp_path / "data", "auto.create.topics.enable=false") as running:
        healthy = await Connection.open(*running.address, client_id="healthy")
        topic = CreatableTopic(name="orders", num_partitions=1, replication_factor=1, assignments=[], configs=[])
        created = await healthy.request(CreateTopicsRequest(topics=[topic], timeout_ms=5_000), 7, timeout_ms=10_000)
        assert created.topics[0].error_code == ErrorCode.NONE
        source = requests(random)
        before = rss_bytes()
        for _ in range(REQUESTS // AT_A_TIME):
            frames = [damaged(*next(source), random) for _ in range(AT_A_TIME)]
            await asyncio.gather(*(send(running.address, frame) for frame in frames))
            answer = await healthy.request(MetadataRequest(topics=[]), 12, timeout_ms=5_000)
            assert answer.controller_id == 1
        assert rss_bytes() - before < 64 * MIB
        healthy.close()
    assert unhandled == []
    assert "Traceback" not in capsys.readouterr().err
