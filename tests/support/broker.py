"""Brokers for tests: in this process, or in one of their own that can be killed."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

from minikafka.broker.broker import Broker
from minikafka.clock import Clock
from minikafka.config.sources import load
from minikafka.net.server import Address

ROOT = Path(__file__).parents[2]
_START_TIMEOUT_S = 60.0
_STOP_TIMEOUT_S = 60.0
_WORKERS = 16


@dataclass
class RunningBroker:
    """A broker in this process; ``bootstrap`` is where it is, as clients want it."""

    broker: Broker
    address: Address
    data_dir: Path

    @property
    def bootstrap(self) -> str:
        return str(self.address)


@asynccontextmanager
async def running_broker(
    data_dir: Path, *overrides: str, clock: Clock | None = None, host: str = "127.0.0.1"
) -> AsyncIterator[RunningBroker]:
    """A broker in this process, on a free port; ``overrides`` are ``key=value`` texts as for ``-X``.

    acks=all does not wait for the disk unless an override says so: tests that are about durability do.
    """
    broker = Broker(load(None, {}, [*settings(data_dir, host), *overrides]), clock=clock)
    await broker.start()
    try:
        yield RunningBroker(broker, next(iter(broker.addresses.values())), data_dir)
    finally:
        await broker.stop()


def settings(data_dir: Path, host: str = "127.0.0.1") -> list[str]:
    """What every broker of a test is started with."""
    return [f"listeners=PLAINTEXT://{host}:0", f"log.dirs={data_dir}", "log.flush.on.acks.all=never"]


@dataclass
class SpawnedBroker:
    """A broker in a process of its own."""

    process: asyncio.subprocess.Process
    address: Address
    data_dir: Path

    @property
    def bootstrap(self) -> str:
        return str(self.address)

    async def kill(self) -> None:
        """End it as a crash does: nothing is flushed, nothing said."""
        self.process.kill()
        await self.process.wait()

    async def terminate(self) -> int:
        """End it as an operator does; returns the exit code."""
        self.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(_STOP_TIMEOUT_S):
            return await self.process.wait()


@asynccontextmanager
async def spawned_broker(
    data_dir: Path, *overrides: str, port: int = 0, environ: Mapping[str, str] | None = None
) -> AsyncIterator[SpawnedBroker]:
    """A broker in a process of its own, killed at the end if it still runs.

    Raises:
        RuntimeError: It ended before it served; the text is what it wrote to standard error.
    """
    ready_file = data_dir.parent / f"{data_dir.name}.ready"
    ready_file.unlink(missing_ok=True)
    arguments = ["serve", "--listen", f"127.0.0.1:{port}", "--data-dir", str(data_dir), "--ready-file", str(ready_file)]
    for override in overrides:
        arguments += ["-X", override]
    process = await _spawn(arguments, environ or {})
    try:
        address = await _when_ready(process, ready_file)
        yield SpawnedBroker(process, address, data_dir)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _spawn(arguments: Sequence[str], environ: Mapping[str, str]) -> asyncio.subprocess.Process:
    path = os.pathsep.join([str(ROOT), str(ROOT / "clients")])
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "minikafka",
        *arguments,
        env={**os.environ, "PYTHONPATH": path, **environ},
        stderr=asyncio.subprocess.PIPE,
    )


async def _when_ready(process: asyncio.subprocess.Process, ready_file: Path) -> Address:
    """Where it serves, as soon as it says so."""
    async with asyncio.timeout(_START_TIMEOUT_S):
        while not (text := _read(ready_file)):
            if process.returncode is not None:
                assert process.stderr is not None
                raise RuntimeError((await process.stderr.read()).decode())
            await asyncio.sleep(0.005)  # a file that appears sends no word
    host, _, port = text.rpartition(":")
    return Address(host.strip("[]"), int(port))


def _read(ready_file: Path) -> str:
    return ready_file.read_text().strip() if ready_file.exists() else ""


def quiet_port(random: Random) -> int:
    """A port outside the range that the system gives away by itself: it stays free while no broker runs.

    Tests that run in parallel have ports of their own.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _WORKERS
    while True:
        port = random.randrange(15_000, 30_000, _WORKERS) + worker
        with socket.socket() as sock:
            if sock.connect_ex(("127.0.0.1", port)) != 0:
                return port
