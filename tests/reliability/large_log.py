"""How long a broker takes from its start to serving when it was killed with a log of 1 GB."""

from __future__ import annotations

import time
from pathlib import Path
from random import Random

from minikafka.net.connection import Connection
from tests.support.broker import spawned_broker
from tests.support.data_plane import DataPlaneClient, batch_of

_LOG_BYTES = 1 << 30
_BATCH_BYTES = 900_000


async def kill_and_measure(directory: Path, random: Random) -> float:
    """Fill a log, kill its broker, and start again; the seconds until it serves.

    Raises:
        AssertionError: Not everything is there that was acknowledged.
    """
    batch = batch_of(random.randbytes(_BATCH_BYTES))
    async with spawned_broker(directory / "data", "log.flush.on.acks.all=never") as broker:
        connection = await Connection.open(*broker.address, client_id="writer")
        client = DataPlaneClient(connection)
        await client.create_topic("large")
        count = _LOG_BYTES // len(batch)
        for _ in range(count):
            answer = await client.produce("large", batch)
            assert answer.error_code == 0, answer
        await broker.kill()
        connection.close()
    began = time.perf_counter()
    async with spawned_broker(directory / "data") as broker:
        connection = await Connection.open(*broker.address, client_id="reader")
        try:
            assert await DataPlaneClient(connection).end_offset("large") == count
        finally:
            connection.close()
        return time.perf_counter() - began
