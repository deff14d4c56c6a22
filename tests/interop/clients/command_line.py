"""The commands ``minikafka produce`` and ``minikafka consume``."""

from __future__ import annotations

import base64
import json
import subprocess
from collections import defaultdict
from collections.abc import Callable, Iterable

from tests.interop.clients.client import AS_USUAL, NewRecord, Record, Refused, Sending, Start
from tests.minikafka.cli.support import command_line, environment

_KEY_SEPARATOR = "\x1f"
_TIMEOUT_S = 60.0


class CommandLine:
    """Sends and reads."""

    name = "minikafka command line"

    def send(self, bootstrap: str, topic: str, records: Iterable[NewRecord], how: Sending = AS_USUAL) -> None:
        """Send lines: keys and values that are text, with neither timestamps nor headers."""
        lines: defaultdict[int | None, list[bytes]] = defaultdict(list)
        for record in records:
            assert record.key is not None
            assert record.value is not None
            assert record.timestamp_ms is None
            assert not record.headers
            lines[record.partition].append(record.key + _KEY_SEPARATOR.encode() + record.value + b"\n")
        for partition, theirs in lines.items():
            acks = "all" if how.acks < 0 else str(how.acks)
            arguments = ["--key-sep", _KEY_SEPARATOR, "--compression", how.codec, "--acks", acks]
            arguments += [] if partition is None else ["-p", str(partition)]
            run("produce", topic, *arguments, "-b", bootstrap, stdin=b"".join(theirs))

    def read(self, bootstrap: str, topic: str, start: Start, take: Callable[[Record], object]) -> None:
        if start.timestamp_ms is not None:
            place = f"@{start.timestamp_ms}"
        else:
            place = "beginning" if start.offset is None else str(start.offset)
        partition = [] if start.partition is None else ["-p", str(start.partition)]
        arguments = [*partition, "--from", place, "--exit-at-end", "-o", "json", "-b", bootstrap]
        command = command_line("consume", topic, *arguments)
        with subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            for line in process.stdout:
                take(_record(json.loads(line)))
            said = process.stderr.read().decode()
            if process.wait(_TIMEOUT_S):
                raise Refused(None, said)
            assert said == ""


def run(*arguments: str, stdin: bytes = b"") -> str:
    """Run a command to its end, and return what it printed.

    Raises:
        Refused: It failed.
    """
    done = subprocess.run(
        command_line(*arguments), env=environment(), input=stdin, capture_output=True, timeout=_TIMEOUT_S, check=False
    )
    if done.returncode:
        raise Refused(None, done.stderr.decode())
    return done.stdout.decode()


def _record(line: dict[str, object]) -> Record:
    partition, offset, timestamp_ms = line["partition"], line["offset"], line["timestamp_ms"]
    headers = line["headers"]
    assert isinstance(partition, int)
    assert isinstance(offset, int)
    assert isinstance(timestamp_ms, int)
    assert isinstance(headers, list)
    pairs = tuple((header["key"], _bytes(header["value"])) for header in headers)
    return Record(partition, offset, timestamp_ms, _bytes(line["key"]), _bytes(line["value"]), pairs)


def _bytes(shown: object) -> bytes | None:
    if shown is None:
        return None
    if isinstance(shown, str):
        return shown.encode()
    assert isinstance(shown, dict)
    return base64.b64decode(shown["base64"])
