"""A broker that is killed while it compacts: of every key the last acknowledged value is there, where it was.

``CRASH_KILLS`` asks for more kills than those of every run, ``CRASH_SEED`` for others.
"""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from random import Random

import pytest

from minikafka.net.connection import Connection, NetworkError
from minikafka.protocol.schema import as_view
from minikafka.records.batch import iter_batches
from minikafka.records.record import Record, iter_records
from tests.support.broker import SpawnedBroker, quiet_port, spawned_broker
from tests.support.data_plane import DataPlaneClient, batch_of

KILLS = int(os.environ.get("CRASH_KILLS", "6"))
SEED = int(os.environ.get("CRASH_SEED", "2026"))

_TOPIC = "accounts"
_KEYS = 20
_ACKNOWLEDGED_AT_LEAST = 150
_TIMEOUT_S = 60.0
_SETTINGS = (
    "log.segment.bytes=16384",
    "log.cleanup.policy=compact",
    "log.cleaner.min.cleanable.ratio=0.1",
    "log.cleaner.backoff.ms=5",
    "log.flush.offset.checkpoint.interval.ms=20",
)

pytestmark = [pytest.mark.crash, pytest.mark.slow, pytest.mark.timeout(60 + 10 * KILLS)]


class _Table:
    """What was acknowledged, by key: the offset and the value of the last record."""

    def __init__(self) -> None:
        self.last: dict[bytes, tuple[int, bytes]] = {}
        self.sent: dict[bytes, bytes] = {}
        self.count = 0

    async def write(self, client: DataPlaneClient, random: Random, reached: asyncio.Event) -> None:
        """Write until the broker is gone."""
        target = self.count + _ACKNOWLEDGED_AT_LEAST
        try:
            while True:
                key, value = b"k%d" % random.randrange(_KEYS), b"%d " % len(self.sent) + random.randbytes(200)
                self.sent[value] = key
                answer = await client.produce(_TOPIC, batch_of(value, key=key), acks=-1)
                assert answer.error_code == 0, answer
                self.last[key] = answer.base_offset, value
                self.count += 1
                if self.count >= target:
                    reached.set()
        except NetworkError:
            reached.set()

    def check(self, found: dict[int, Record]) -> None:
        """Nothing else than what was sent is there, and of each key what was acknowledged last, or something later."""
        latest = {record.key: offset for offset, record in found.items()}
        assert all(record.value is not None and self.sent[record.value] == record.key for record in found.values())
        for key, (offset, value) in self.last.items():
            assert latest.get(key, -1) >= offset, f"{key!r} of offset {offset} is lost"
            assert offset not in found or found[offset].value == value


async def test_no_key_is_lost_when_the_broker_is_killed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    random = Random(SEED)
    port = quiet_port(random)
    table = _Table()
    left = 0
    for number in range(KILLS + 1):
        # The first comes between the renames and the removals that make a compacted segment part of the log.
        failpoint = f"compaction.after_commit:kill@{random.randint(1, 3)}" if number % 2 == 0 and number < KILLS else ""
        environ = {"MINIKAFKA_FAILPOINT": failpoint} if failpoint else {}
        async with spawned_broker(tmp_path / "data", *_SETTINGS, port=port, environ=environ) as broker:
            connection = await Connection.open(*broker.address, client_id="table")
            client = DataPlaneClient(connection)
            if number == 0:
                await client.create_topic(_TOPIC)
            found = await _read(client)
            table.check(found)
            left = len(found)
            if number < KILLS:
                await _write_and_kill(broker, client, table, random, dies_alone=bool(failpoint))
            connection.close()
    assert left < table.count / 2, "nothing was compacted"
    with capsys.disabled():
        print(f"\n{KILLS} kills while compacting, seed {SEED}: {table.count} records acknowledged, {left} left, 0 lost")


async def _write_and_kill(
    broker: SpawnedBroker, client: DataPlaneClient, table: _Table, random: Random, *, dies_alone: bool
) -> None:
    reached = asyncio.Event()
    writing = asyncio.create_task(table.write(client, random, reached))
    async with asyncio.timeout(_TIMEOUT_S):
        await reached.wait()
        if not dies_alone:
            await asyncio.sleep(random.uniform(0, 0.3))  # not for something to happen: the kill comes at any time
            broker.process.kill()
        assert await broker.process.wait() == -signal.SIGKILL
        await writing


async def _read(client: DataPlaneClient) -> dict[int, Record]:
    found: dict[int, Record] = {}
    offset, end_offset = 0, await client.end_offset(_TOPIC)
    while offset < end_offset:
        fetched = await client.fetch(_TOPIC, offset)
        assert fetched.error_code == 0, fetched
        for batch in iter_batches(as_view(fetched.records or b"")):
            batch.verify_crc()
            assert batch.base_offset >= offset
            found |= {record.offset: record for record in iter_records(batch, budget_bytes=1 << 20)}
            offset = batch.next_offset
    return found
