"""A transaction that hangs: its records are in a partition, and no coordinator knows of it."""

from __future__ import annotations

import shutil
from pathlib import Path

from minikafka.net.connection import Connection
from minikafka.types import ProducerIdAndEpoch
from tests.support.transaction_client import TransactionClient


async def leave_open(bootstrap: str) -> ProducerIdAndEpoch:
    """Make ``orders`` with two partitions, and leave a transaction of ``payments`` open in the first."""
    host, _, port = bootstrap.rpartition(":")
    connection = await Connection.open(host, int(port), client_id="lost")
    try:
        client = TransactionClient(connection)
        await client.create_topic("orders", 2)
        producer = await client.begin("payments")
        await client.produce_in("payments", producer, {0: 1})
        return producer
    finally:
        connection.close()


def forget_transactions(data_dir: Path) -> None:
    """Take away what coordinators remember, while no broker runs there: as a disk that lost it."""
    for directory in data_dir.glob("__transaction_state-*"):
        shutil.rmtree(directory)
