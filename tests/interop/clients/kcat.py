"""kcat, on whatever librdkafka the machine has; Debian's is from before several of its bugs were mended."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections import defaultdict
from collections.abc import Callable, Iterable
from io import BufferedReader

from tests.interop.clients.client import AS_USUAL, Headers, NewRecord, Record, Refused, Sending, Start

EXECUTABLE = shutil.which("kcat") or shutil.which("kafkacat")

_KEY_SEPARATOR = "\x1f"
_RECORD_SEPARATOR = "\x1e"
_FORMAT = r"%p %o %T %K %S %h\n%k%s"
_TIMEOUT_S = 60.0
_READ_BYTES = 1 << 20

# How it names the errors that the tests provoke.
_CODES = {
    "Broker: Unknown topic or partition": 3,
    "Broker: Message size too large": 10,
    "Broker: Invalid topic": 17,
}


class Kcat:
    """Sends, reads, finds offsets by time, and lists."""

    name = "kcat"

    def send(self, bootstrap: str, topic: str, records: Iterable[NewRecord], how: Sending = AS_USUAL) -> None:
        """Send lines; all records of one call have their headers in common."""
        timeout_ms = int(how.timeout_s * 1_000)
        lines: defaultdict[int | None, list[NewRecord]] = defaultdict(list)
        for record in records:
            assert record.timestamp_ms is None, "kcat sends no timestamps"
            lines[record.partition].append(record)
        for partition, theirs in lines.items():
            arguments = ["-P", "-t", topic, "-z", how.codec, "-Z", "-K", _KEY_SEPARATOR, "-D", _RECORD_SEPARATOR]
            arguments += [] if partition is None else ["-p", str(partition)]
            (headers,) = {record.headers for record in theirs}
            for key, value in headers:
                arguments += ["-H", f"{key}={(value or b'').decode()}"]
            properties = {
                "acks": how.acks,
                "enable.idempotence": str(how.is_idempotent).lower(),
                "message.max.bytes": how.max_request_bytes,
                "message.timeout.ms": 2 * timeout_ms,
                "topic.metadata.propagation.max.ms": timeout_ms,
            }
            for key, value in properties.items():
                arguments += ["-X", f"{key}={value}"]
            text = _RECORD_SEPARATOR.encode().join(map(_line, theirs))
            _run(bootstrap, *arguments, stdin=text)

    def read(self, bootstrap: str, topic: str, start: Start, take: Callable[[Record], object]) -> None:
        if start.timestamp_ms is not None:
            place = f"s@{start.timestamp_ms}"
        else:
            place = "beginning" if start.offset is None else str(start.offset)
        partition = [] if start.partition is None else ["-p", str(start.partition)]
        self._read(take, bootstrap, "-t", topic, *partition, "-o", place, "-e")

    def follow(self, bootstrap: str, topic: str, count: int, wait_ms: int, take: Callable[[Record], object]) -> None:
        place = ["-t", topic, "-p", "0", "-o", "beginning", "-c", str(count)]
        self._read(take, bootstrap, *place, "-u", "-X", f"fetch.wait.max.ms={wait_ms}")

    def _read(self, take: Callable[[Record], object], bootstrap: str, *arguments: str) -> None:
        command = _command(bootstrap, "-C", *arguments, "-q", "-f", _FORMAT)
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            for record in _records(process.stdout):
                take(record)
            said = process.stderr.read().decode()
            if process.wait(_TIMEOUT_S):
                raise _refused(said)

    def offsets_at(self, bootstrap: str, topic: str, timestamp_ms: int) -> dict[int, int | None]:
        found = {}
        for partition in range(len(self.metadata(bootstrap, topic))):
            answer = _run(bootstrap, "-Q", "-t", f"{topic}:{partition}:{timestamp_ms}")
            match = re.search(rb"offset (-?\d+)", answer)
            assert match, answer
            offset = int(match[1])
            found[partition] = offset if offset >= 0 else None
        return found

    def topics(self, bootstrap: str) -> set[str]:
        """The names of all topics."""
        return {topic["topic"] for topic in json.loads(_run(bootstrap, "-L", "-J"))["topics"]}

    def nodes(self, bootstrap: str) -> set[str]:
        """``HOST:PORT`` of every broker."""
        return {broker["name"] for broker in json.loads(_run(bootstrap, "-L", "-J"))["brokers"]}

    def metadata(self, bootstrap: str, topic: str) -> list[dict[str, object]]:
        """The partitions of a topic, as ``kcat -L -J`` prints them."""
        (described,) = json.loads(_run(bootstrap, "-L", "-J", "-t", topic))["topics"]
        if "error" in described:
            raise _refused(described["error"])
        partitions: list[dict[str, object]] = described["partitions"]
        return partitions


def _command(bootstrap: str, *arguments: str) -> list[str]:
    assert EXECUTABLE is not None, "kcat is not installed"
    return [EXECUTABLE, "-b", bootstrap, *arguments]


def _run(bootstrap: str, *arguments: str, stdin: bytes = b"") -> bytes:
    done = subprocess.run(
        _command(bootstrap, *arguments), input=stdin, capture_output=True, timeout=_TIMEOUT_S, check=False
    )
    said = done.stderr.decode()
    # It also exits with 0 when a record could not be delivered.
    if done.returncode or "Delivery failed" in said:
        raise _refused(said)
    return done.stdout


def _refused(said: str) -> Refused:
    codes = [code for text, code in _CODES.items() if text in said]
    return Refused(codes[0] if codes else None, said)


def _line(record: NewRecord) -> bytes:
    """With -Z, what is empty is sent as null; without a separator there is no key."""
    assert record.value != b""
    key = b"" if record.key is None else record.key + _KEY_SEPARATOR.encode()
    return key + (record.value or b"")


def _records(stream: BufferedReader) -> Iterable[Record]:
    """Parse what is printed with :data:`_FORMAT`: lengths first, so that keys and values may hold anything."""
    content = bytearray()
    position = 0
    while chunk := stream.read1(_READ_BYTES):
        del content[:position]
        content += chunk
        position = 0
        while (line_end := content.find(b"\n", position)) >= 0:
            partition, offset, timestamp, key_size, value_size, headers = content[position:line_end].split(b" ", 5)
            key_end = line_end + 1 + max(int(key_size), 0)
            value_end = key_end + max(int(value_size), 0)
            if value_end > len(content):
                break
            yield Record(
                int(partition),
                int(offset),
                int(timestamp),
                bytes(content[line_end + 1 : key_end]) if int(key_size) >= 0 else None,
                bytes(content[key_end:value_end]) if int(value_size) >= 0 else None,
                _headers(headers.decode()),
            )
            position = value_end
    assert position == len(content), bytes(content[position:])


def _headers(text: str) -> Headers:
    """What ``%h`` prints, ``a=1,b=2``; so the tests' headers hold neither character."""
    pairs = (pair.partition("=") for pair in text.split(",") if pair)
    return tuple((key, value.encode()) for key, _, value in pairs)
