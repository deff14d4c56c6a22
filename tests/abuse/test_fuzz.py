"""5,000 damaged requests against a live broker, with a healthy client beside them.

``MUTATION_SEED`` chooses other damage; a failure prints the seed.
"""

from __future__ import annotations

import asyncio
import struct
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random

import pytest

from minikafka.protocol.messages.api_versions import ApiVersionsRequest
from tests.abuse.corpus import PARTITIONS, TOPICS, Sample, corpus, sample
from tests.abuse.healthy import BRIEF_S, TOPIC, healthy_client, kafka_client
from tests.abuse.victim import Victim
from tests.abuse.wire import RawClient, frame_of, raw_client, sized
from tests.wire.mutations import MUTATIONS, SEED

FRAMES = 5_000
CLIENTS = 8
PATIENCE_S = 0.25
"""How long an answer is waited for; damaged fetches may have asked for it in days."""

HELLO = frame_of(ApiVersionsRequest(), 0)
SIZES = (0, -1, 1, 3, 2**31 - 1, -(2**31), 104_857_601, 65_536)


@pytest.mark.timeout(180)
async def test_5000_damaged_frames_do_no_harm_to_a_live_broker(tmp_path: Path) -> None:
    print(f"MUTATION_SEED={SEED}")
    victim = Victim(tmp_path)
    try:
        outcomes = await attack(victim)
        async with kafka_client(victim) as client:
            end_offset = await client.end_offset(TOPIC)
    finally:
        assert victim.stop() == 0
    print(outcomes)
    assert outcomes.total() == FRAMES
    assert outcomes["closed"] > FRAMES // 4  # the damage is real
    assert outcomes["answered"] > FRAMES // 10  # and does not all end in the first field
    assert outcomes["kept waiting"] < FRAMES // 10
    await comes_back(tmp_path, end_offset)


async def attack(victim: Victim) -> Counter[str]:
    """Everything at once; what became of the frames."""
    random = Random(SEED)
    outcomes: Counter[str] = Counter()
    async with kafka_client(victim) as client:
        topic_ids = [await client.create_topic(name, PARTITIONS) for name in TOPICS]
        samples = list(corpus(random, [*topic_ids, bytes(16), random.randbytes(16)], per_version=8))
        conversations = damaged_conversations(samples, topic_ids, random)
        async with healthy_client(victim, growth_mib=160) as healthy, asyncio.TaskGroup() as group:
            for _ in range(CLIENTS):
                group.create_task(converse(victim, conversations, outcomes))
        assert healthy.slowest_s < BRIEF_S
    return outcomes


def damaged_conversations(
    samples: Sequence[Sample], topic_ids: Sequence[bytes], random: Random
) -> Iterator[list[bytes]]:
    """What each connection sends: the damaged frame last, alone or behind some that are not."""
    for number in range(FRAMES):
        api_key, version, payload = samples[number % len(samples)]
        if random.random() < 0.5:
            frame = damaged_bytes(payload, random)
        else:
            frame = sized(sample(api_key, version, random, topic_ids, wildness=random.choice((0.1, 0.5, 1))))
        before = [sized(random.choice(samples).payload) for _ in range(random.choice((0, 0, 1, 3)))]
        yield [HELLO, *before, frame]


def damaged_bytes(payload: bytes, random: Random) -> bytes:
    """A frame, now and then of another size than it says."""
    damaged = bytearray(payload)
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        if damaged:
            random.choice(MUTATIONS)(damaged, random)
    size = random.choice(SIZES) if random.random() < 0.1 else len(damaged)
    return struct.pack(">i", size) + damaged


async def converse(victim: Victim, conversations: Iterator[list[bytes]], outcomes: Counter[str]) -> None:
    for frames in conversations:
        async with raw_client(victim) as client:
            outcomes[await outcome(client, frames)] += 1


async def outcome(client: RawClient, frames: Sequence[bytes]) -> str:
    """Whether as many answers came as there were frames, or fewer."""
    await client.send(b"".join(frames))
    client.end_sending()
    try:
        async with asyncio.timeout(PATIENCE_S):
            answers = await client.until_closed()
    except TimeoutError:
        client.reset()
        return "kept waiting"
    return "answered" if count_frames(answers) >= len(frames) else "closed"


def count_frames(received: bytes) -> int:
    count = position = 0
    while position < len(received):
        (size,) = struct.unpack_from(">i", received, position)
        position += 4 + size
        count += 1
    return count


async def comes_back(directory: Path, end_offset: int) -> None:
    """Nothing of it has stayed that would keep the broker from starting, and nothing that was written has gone."""
    again = Victim(directory)
    try:
        async with healthy_client(again), kafka_client(again) as client:
            assert await client.end_offset(TOPIC) > end_offset
    finally:
        assert again.stop() == 0
