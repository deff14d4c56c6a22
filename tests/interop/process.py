"""A broker process that can be killed and started again on its data."""

from __future__ import annotations

import json
import signal
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from minikafka.records.batch import RecordBatch, iter_batches
from tests.minikafka.cli.support import Serving, serving


class BrokerProcess:
    """``minikafka serve`` on a directory.

    Args:
        directory: Where its data and its logs are.
        settings: ``key=value`` texts, as for ``-X``.
        environ: What its environment has beside that of every test.
        port: Where it serves in every life; a free one in each when 0.
    """

    def __init__(self, directory: Path, *settings: str, environ: dict[str, str] | None = None, port: int = 0) -> None:
        self.data_dir = directory / "data"
        self._directory = directory
        self._arguments = [part for setting in settings for part in ("-X", setting)]
        self._port = port
        self._environ = environ
        self._stack = ExitStack()
        self._serving: Serving
        self._starts = 0

    def __enter__(self) -> Self:
        self._start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def bootstrap(self) -> str:
        """Where it serves now."""
        return self._serving.bootstrap

    def kill_and_restart(self) -> None:
        """End it as a crash does, and start another on what it left."""
        assert self._serving.end(signal.SIGKILL) == -signal.SIGKILL
        self._stack.close()
        self._start()

    def complaints(self) -> list[str]:
        """What it logged as warnings and errors, over all its lives."""
        lines = [line for path in sorted(self._directory.glob("*.log")) for line in path.read_text().splitlines()]
        return [line for line in lines if not line.startswith("{") or json.loads(line)["level"] != "info"]

    def batches(self, topic: str, partition: int) -> list[RecordBatch]:
        """The batches of a partition, as they lie in its segments."""
        segments = sorted((self.data_dir / f"{topic}-{partition}").glob("*.log"))
        return [batch for segment in segments for batch in iter_batches(memoryview(segment.read_bytes()))]

    def _start(self) -> None:
        self._starts += 1
        log = self._stack.enter_context((self._directory / f"{self._starts}.log").open("wb"))
        self._serving = self._stack.enter_context(
            serving(
                self._directory,
                *["--data-dir", str(self.data_dir), "--log", "json"],
                *self._arguments,
                environ=self._environ,
                stderr=log.fileno(),
                port=self._port,
            )
        )
