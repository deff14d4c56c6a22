"""Command lines as their users see them, and brokers in processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[3]
_START_TIMEOUT_S = 60.0
_STOP_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class Outcome:
    """What a command left behind."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Serving:
    """A broker in a process of its own."""

    process: subprocess.Popen[bytes]
    bootstrap: str
    ready_file: Path

    def end(self, signal_number: int) -> int:
        """Send a signal and wait for the end; returns the exit code."""
        self.process.send_signal(signal_number)
        return self.process.wait(_STOP_TIMEOUT_S)


Invoke = Callable[..., Outcome]


def environment() -> dict[str, str]:
    """This process's environment without settings for brokers, and with the project importable."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("MINIKAFKA_", "KAFKA_"))}
    return {**inherited, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "clients")])}


def command_line(*arguments: str) -> list[str]:
    """The program and its arguments, for a process of its own."""
    return [sys.executable, "-m", "minikafka", *arguments]


@contextmanager
def serving(
    directory: Path,
    *arguments: str,
    environ: dict[str, str] | None = None,
    stderr: int | None = subprocess.DEVNULL,
    port: int = 0,
) -> Iterator[Serving]:
    """``minikafka serve``, on a free port unless one is given, killed at the end if it still runs."""
    ready_file = directory / "ready"
    ready_file.unlink(missing_ok=True)  # of one that was killed
    process = subprocess.Popen(
        command_line("serve", "--listen", f"127.0.0.1:{port}", "--ready-file", str(ready_file), *arguments),
        env=environment() | (environ or {}),
        stdout=subprocess.PIPE,
        stderr=stderr,
    )
    try:
        deadline = time.monotonic() + _START_TIMEOUT_S
        while not ready_file.exists():
            assert process.poll() is None, f"the broker ended with {process.returncode}"
            assert time.monotonic() < deadline, "the broker did not become ready"
            time.sleep(0.005)  # a file that appears sends no word
        yield Serving(process, ready_file.read_text().strip(), ready_file)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait(_STOP_TIMEOUT_S)
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()
