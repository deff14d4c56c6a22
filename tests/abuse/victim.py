"""A broker in a process of its own, and what can be seen of it from outside: memory, sockets, files, log."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from minikafka.net.server import Address

ROOT = Path(__file__).parents[2]
_START_TIMEOUT_S = 30.0
_STOP_TIMEOUT_S = 30.0


class Victim:
    """The broker that everything is done to; its working directory is empty but for what it writes there itself."""

    def __init__(self, directory: Path, *overrides: str) -> None:
        self.directory = directory
        self._log_path = directory / "log"
        self._log_position = 0
        work = directory / "work"
        work.mkdir(exist_ok=True)
        ready = directory / "ready"
        ready.unlink(missing_ok=True)
        settings = ["--data-dir", str(directory / "data"), "--listen", "127.0.0.1:0", "--ready-file", str(ready)]
        for override in overrides:
            settings += ["-X", override]
        with self._log_path.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "minikafka", "serve", "--log", "json", *settings],
                cwd=work,
                env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "clients")])},
                stderr=log,
            )
        self.address = self._when_ready(ready)

    def _when_ready(self, ready: Path) -> Address:
        deadline = time.monotonic() + _START_TIMEOUT_S
        while not ready.exists():
            assert self.is_alive, self._log_path.read_text()
            assert time.monotonic() < deadline, "the broker does not get ready"
            time.sleep(0.005)  # a file that appears sends no word
        host, _, port = ready.read_text().strip().rpartition(":")
        return Address(host, int(port))

    def stop(self) -> int:
        """End it as an operator does; returns the exit code."""
        self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(_STOP_TIMEOUT_S)
        finally:
            self._process.kill()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    @property
    def rss_bytes(self) -> int:
        return self._status_bytes("VmRSS")

    @property
    def peak_rss_bytes(self) -> int:
        """The most since :meth:`forget_peak`."""
        return self._status_bytes("VmHWM")

    def forget_peak(self) -> None:
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")

    def _status_bytes(self, key: str) -> int:
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(f"{key}:"):
                return int(line.split()[1]) * 1024
        raise KeyError(key)

    @property
    def file_count(self) -> int:
        """Its open files of any kind."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    @property
    def socket_count(self) -> int:
        """Its listener, what the loop needs for itself, and one for each client."""
        count = 0
        for descriptor in os.scandir(f"/proc/{self.pid}/fd"):
            try:
                count += os.readlink(descriptor.path).startswith("socket:")
            except FileNotFoundError:
                continue  # closed meanwhile
        return count

    def files(self) -> set[Path]:
        """Everything beside its data directory, and the directories of partitions in it."""
        data = self.directory / "data"
        beside = {path for path in self.directory.rglob("*") if data not in path.parents}
        return beside | {path for path in data.rglob("*") if path.is_dir()}

    def log_since(self) -> list[str]:
        """What it has logged since the last call."""
        with self._log_path.open("rb") as log:
            log.seek(self._log_position)
            written = log.read()
        whole = written[: written.rfind(b"\n") + 1]
        self._log_position += len(whole)
        return whole.decode().split("\n")[:-1]


def complaints(lines: list[str]) -> list[str]:
    """The lines that tell of a fault of the broker's own, or that nobody meant to write."""
    return [line for line in lines if _is_complaint(line)]


def _is_complaint(line: str) -> bool:
    try:
        entry = json.loads(line)
    except ValueError:
        return True
    return entry.get("level") not in {"debug", "info", "warning"} or "exception" in entry
