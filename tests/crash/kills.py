"""A broker that is killed again and again under load, with acks=all."""

from __future__ import annotations

import asyncio
import signal
import statistics
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

from minikafka.net.connection import Connection, NetworkError
from minikafka.types import TopicPartition
from tests.crash.copies import Copy
from tests.crash.load import PARTITIONS, ConfluentLoad, Journal, RawLoad
from tests.support.broker import SpawnedBroker, quiet_port, spawned_broker
from tests.support.data_plane import DataPlaneClient

_SETTINGS = ("log.segment.bytes=65536", "log.flush.offset.checkpoint.interval.ms=50")
_FAILPOINTS = ("log.after_append", "log.after_roll", "flush.before_sync", "flush.after_sync")
_ACKNOWLEDGED_AT_LEAST = 200
_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was acknowledged, and nothing of it lost."""

    raw: int
    confluent: int
    repeated: int
    """Records that librdkafka has written twice."""
    starts_s: Sequence[float]
    """From the start of each process to serving."""

    def __str__(self) -> str:
        return (
            f"{self.raw} and {self.confluent} records acknowledged, 0 lost, {self.repeated} written twice by "
            f"librdkafka; from the start of the process to serving median {statistics.median(self.starts_s):.2f} s, "
            f"at most {max(self.starts_s):.2f} s"
        )


async def kill_again_and_again(directory: Path, kills: int, random: Random) -> Outcome:
    """Kill a broker so many times, and look after each start whether everything is there.

    Raises:
        AssertionError: Something that was acknowledged is lost, changed or elsewhere.
    """
    port = quiet_port(random)
    starts_s: list[float] = []
    with ExitStack() as stack:
        raw = RawLoad(stack.enter_context(Journal(directory / "raw")))
        journal = stack.enter_context(Journal(directory / "confluent"))
        confluent = stack.enter_context(ConfluentLoad(journal, f"127.0.0.1:{port}"))
        places = [TopicPartition(topic, n) for topic in (raw.topic, confluent.topic) for n in range(PARTITIONS)]
        copies = {place: Copy(place) for place in places}
        for number in range(kills + 1):
            failpoint = _some_failpoint(random) if number % 3 == 2 and number < kills else ""
            began = time.perf_counter()
            try:
                async with _broker(directory / "data", port, failpoint) as broker:
                    starts_s.append(time.perf_counter() - began)
                    if number == 0:
                        await _create_topics(broker)
                        confluent.start()
                    if number == kills:
                        await asyncio.to_thread(confluent.stop)
                    await _check(broker, copies, raw, confluent)
                    if number < kills:
                        await _load_and_kill(broker, raw, confluent, random, dies_alone=bool(failpoint))
            except (RuntimeError, NetworkError) as error:
                # On a slow machine what librdkafka has in store is enough to reach the failpoint before all is read.
                # The next broker, which has none, is asked for everything again.
                if not failpoint or (isinstance(error, RuntimeError) and str(error)):
                    raise
            if number < kills:
                confluent.broker_died()
        _check_confluent(confluent, copies)
        repeated = sum(copy.repeated for copy in copies.values())
        return Outcome(raw.journal.length, journal.length, repeated, starts_s)


async def _load_and_kill(
    broker: SpawnedBroker, raw: RawLoad, confluent: ConfluentLoad, random: Random, *, dies_alone: bool
) -> None:
    raw.start(broker.address, _ACKNOWLEDGED_AT_LEAST)
    async with asyncio.timeout(_TIMEOUT_S):
        await raw.target_reached()
        if not dies_alone:
            await asyncio.to_thread(confluent.wait_acknowledged)
            await asyncio.sleep(random.uniform(0, 0.3))  # not for something to happen: the kill comes at any time
            broker.process.kill()
        assert await broker.process.wait() == -signal.SIGKILL
        await raw.broker_gone()


async def _check(
    broker: SpawnedBroker, copies: dict[TopicPartition, Copy], raw: RawLoad, confluent: ConfluentLoad
) -> None:
    """Everything that was acknowledged before the broker was started is there."""
    acknowledged = [*raw.journal.read_on(), *confluent.journal.read_on()]
    connection = await Connection.open(*broker.address, client_id="reader")
    try:
        client = DataPlaneClient(connection)
        for place, copy in copies.items():
            await copy.read_again(client, confluent.maybe_twice)
            copy.check(entry for entry in acknowledged if entry.place == place)
    finally:
        connection.close()


def _check_confluent(confluent: ConfluentLoad, copies: dict[TopicPartition, Copy]) -> None:
    """What librdkafka sent is all there, and in its order, however often it had to send it."""
    assert confluent.errors == []
    assert confluent.journal.length == confluent.sent
    for number in range(PARTITIONS):
        copy = copies[TopicPartition(confluent.topic, number)]
        numbers = [int(value.split(b"|")[3]) for value in copy.in_order]
        assert numbers == list(range(number + 1, confluent.sent + 1, PARTITIONS))


def _some_failpoint(random: Random) -> str:
    """A place in the code where the broker kills itself, and how often it comes by before."""
    name = random.choice(_FAILPOINTS)
    nth = random.randint(3, 6) if name == "log.after_roll" else random.randint(300, 900)
    return f"{name}:kill@{nth}"


@asynccontextmanager
async def _broker(data_dir: Path, port: int, failpoint: str) -> AsyncIterator[SpawnedBroker]:
    environ = {"MINIKAFKA_FAILPOINT": failpoint} if failpoint else {}
    async with spawned_broker(data_dir, *_SETTINGS, port=port, environ=environ) as broker:
        yield broker


async def _create_topics(broker: SpawnedBroker) -> None:
    connection = await Connection.open(*broker.address, client_id="admin")
    try:
        client = DataPlaneClient(connection)
        for topic in (RawLoad.topic, ConfluentLoad.topic):
            await client.create_topic(topic, PARTITIONS)
    finally:
        connection.close()
