"""What the tests ask of every client, whatever it calls it.

One adapter for each client, in a module of its own.  They are synchronous and keep nothing: each call begins with a
new connection, as a user's program does.  Consumers read assigned partitions, without a group.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

CODECS = ("none", "gzip", "snappy", "lz4", "zstd")

Headers = tuple[tuple[str, bytes | None], ...]


class NewRecord(NamedTuple):
    """A record to be sent; without a partition, its key decides or chance."""

    key: bytes | None
    value: bytes | None
    partition: int | None = None
    timestamp_ms: int | None = None
    headers: Headers = ()


class Record(NamedTuple):
    """A record as it was read."""

    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers


@dataclass(frozen=True, slots=True)
class Start:
    """Where to begin: at an offset, at the first record of a time, or at the beginning; in one partition or in all."""

    offset: int | None = None
    timestamp_ms: int | None = None
    partition: int | None = None


BEGINNING = Start()


@dataclass(frozen=True, slots=True)
class Sending:
    """How to send; everything else is as the client's authors have it."""

    codec: str = "none"
    acks: int = -1
    """-1 (all), 1 or 0."""
    is_idempotent: bool = True
    """Possible with all acks alone; the command line is always idempotent."""
    max_request_bytes: int = 1_000_000
    timeout_s: float = 20.0
    """How long to go on trying, also while the topic is not there."""


AS_USUAL = Sending()


class Refused(Exception):
    """A client reported an error; ``code`` is Kafka's number, or None when the client gave up without one."""

    def __init__(self, code: int | None, message: object) -> None:
        super().__init__(code, message)
        self.code = code


class Sender(Protocol):
    """A producer."""

    name: str

    def send(self, bootstrap: str, topic: str, records: Iterable[NewRecord], how: Sending = AS_USUAL) -> None:
        """Send ``records`` and wait until all are acknowledged.

        Raises:
            Refused: One was not.
        """


class Reader(Protocol):
    """A consumer."""

    name: str

    def read(self, bootstrap: str, topic: str, start: Start, take: Callable[[Record], object]) -> None:
        """Hand every record from ``start`` to what is the end now to ``take``, in order within a partition.

        Raises:
            Refused: The client reported an error.
        """


class Follower(Protocol):
    """A consumer that goes on at the end."""

    name: str

    def follow(self, bootstrap: str, topic: str, count: int, wait_ms: int, take: Callable[[Record], object]) -> None:
        """Hand the first ``count`` records of partition 0 to ``take``, as they arrive.

        Args:
            bootstrap: Where the broker is.
            topic: Whose partition.
            count: When to stop.
            wait_ms: How long a broker may hold a fetch back when there is nothing to read.
            take: Is called with each record, before the next is asked for.
        """


class TimeFinder(Protocol):
    """A client that can be asked for offsets by time."""

    name: str

    def offsets_at(self, bootstrap: str, topic: str, timestamp_ms: int) -> Mapping[int, int | None]:
        """The first offset of that time or later in every partition; None where all are older."""


class Administrator(Protocol):
    """An admin client; all of it raises :class:`Refused` with the broker's error."""

    name: str

    def create_topic(self, bootstrap: str, topic: str, partitions: int, configs: Mapping[str, str]) -> None:
        """Create a topic."""

    def delete_topic(self, bootstrap: str, topic: str) -> None:
        """Delete a topic."""

    def topics(self, bootstrap: str) -> set[str]:
        """The names of all topics."""

    def partition_count(self, bootstrap: str, topic: str) -> int:
        """How many partitions a topic has."""

    def add_partitions(self, bootstrap: str, topic: str, total: int) -> None:
        """Have a topic grow to ``total`` partitions."""

    def topic_configs(self, bootstrap: str, topic: str) -> dict[str, str | None]:
        """Every setting of a topic."""

    def set_topic_config(self, bootstrap: str, topic: str, key: str, value: str) -> None:
        """Change one setting."""

    def delete_records(self, bootstrap: str, topic: str, partition: int, before_offset: int) -> int:
        """Delete records, and return the first offset that is left."""

    def nodes(self, bootstrap: str) -> set[str]:
        """``HOST:PORT`` of every broker."""


def read_all(reader: Reader, bootstrap: str, topic: str, start: Start = BEGINNING) -> list[Record]:
    """What a reader reads, by partition and offset."""
    records: list[Record] = []
    reader.read(bootstrap, topic, start, records.append)
    assert records == sorted(records, key=lambda record: record.partition) or _in_order(records)
    return sorted(records)


def _in_order(records: list[Record]) -> bool:
    last: dict[int, int] = {}
    for record in records:
        if record.offset <= last.get(record.partition, -1):
            return False
        last[record.partition] = record.offset
    return True
