"""Programs of others, in processes of their own, as their users start and stop them."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from confluent_kafka import ConsumerGroupState
from confluent_kafka.admin import AdminClient

from minikafka_client import Consumer, Message, TopicPartition

_HERE = Path(__file__).parent / "applications"
_TIMEOUT_S = 60


class Application:
    """One of the programs in ``applications/``, from its start until it is terminated as an operator does it.

    Args:
        name: Its module.
        arguments: What it is given.
        log: Where its output goes; shown when it does not end well.
    """

    def __init__(self, name: str, *arguments: str, log: Path) -> None:
        self._command = [sys.executable, "-W", "ignore", str(_HERE / f"{name}.py"), *arguments]
        self._log = log
        self._process: subprocess.Popen[bytes]
        self._is_killed = False

    def __enter__(self) -> Self:
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(self._command, stdout=output, stderr=subprocess.STDOUT)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._is_killed:
            return
        try:
            self.check()
            self._process.terminate()
            self._process.wait(_TIMEOUT_S)
        finally:
            self._process.kill()
            self._process.wait()
        assert self._process.returncode == 0, self._log.read_text()

    def kill(self) -> None:
        """End it as a crash does."""
        self._process.kill()
        self._process.wait()
        self._is_killed = True

    def check(self) -> None:
        """Fail if it has ended by itself."""
        assert self._process.poll() is None, self._log.read_text()


def gather(
    bootstrap: str,
    topic: str,
    count: int,
    applications: Sequence[Application],
    isolation_level: Literal["read_uncommitted", "read_committed"] = "read_uncommitted",
) -> list[Message]:
    """The first ``count`` messages of a topic with one partition, as soon as applications have written them."""
    messages: list[Message] = []
    deadline = time.monotonic() + _TIMEOUT_S
    with Consumer(bootstrap, auto_offset_reset="earliest", isolation_level=isolation_level) as consumer:
        consumer.assign([TopicPartition(topic, 0)])
        while len(messages) < count:
            messages += consumer.poll(timeout_ms=500)
            for application in applications:
                application.check()
            assert time.monotonic() < deadline, f"only {len(messages)} of {count} messages came"
    return messages


def wait_for_members(bootstrap: str, group: str, count: int) -> None:
    """Wait until a group has so many members, and each of them something to do."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    deadline = time.monotonic() + _TIMEOUT_S
    while True:
        described = admin.describe_consumer_groups([group])[group].result(_TIMEOUT_S)
        busy = [member for member in described.members if member.assignment.topic_partitions]
        if described.state == ConsumerGroupState.STABLE and len(busy) == len(described.members) == count:
            return
        assert time.monotonic() < deadline, f"{group} is {described.state} with {len(busy)} members that work"
        time.sleep(0.05)  # a group that has settled sends no word
