"""``minikafka bench``: how fast this machine, this broker and the client that comes with it send and read records."""

from __future__ import annotations

import os
import secrets
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import click

from minikafka.cli.complete import topic_names
from minikafka.cli.console import JsonValue, plural, print_json
from minikafka.cli.exits import Failure
from minikafka.cli.options import CLIENT_ID, bootstrap_option, output_option
from minikafka_client.admin.types import NewTopic
from minikafka_client.producer.delivery import Delivery
from minikafka_client.producer.options import Acks, CompressionName
from minikafka_client.sync import Admin, Consumer, Producer

_VALUES = 64
_MEASURED_RECORDS = 20_000
_RECORDS_PER_PROGRESS = 5_000
_RECORDS_PER_POLL = 5_000
_POLL_MS = 200
_PERCENTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p99.9": 0.999, "max": 1.0}

Progress = Callable[[int], None]
"""Shows how many records are done."""


@dataclass(frozen=True, slots=True)
class Load:
    """What is sent."""

    count: int
    size_bytes: int
    acks: Acks = "all"
    compression: CompressionName = "none"
    linger_ms: float = 0.0
    rate: float | None = None


@dataclass(frozen=True, slots=True)
class Measured:
    """What came of it; ``sample_ms`` are waits in ascending order, of which ``sample`` says what was waited for."""

    records: int
    size_bytes: int
    seconds: float
    sample: str
    sample_ms: Sequence[float]

    def percentiles(self) -> dict[str, float]:
        """Waits that so many did not exceed."""
        last = len(self.sample_ms) - 1
        return {name: round(self.sample_ms[round(share * last)], 3) for name, share in _PERCENTILES.items()}

    def __str__(self) -> str:
        megabytes = self.size_bytes / 1e6
        waits = "  ".join(f"{name} {wait_ms:,.1f}" for name, wait_ms in self.percentiles().items())
        return (
            f"{plural(self.records, 'record')}, {megabytes:,.1f} MB in {self.seconds:.2f} s: "
            f"{self.records / self.seconds:,.0f} records/s, {megabytes / self.seconds:,.1f} MB/s\n"
            f"{self.sample} in ms: {waits}"
        )

    def as_json(self) -> dict[str, JsonValue]:
        """All of it."""
        return {
            "records": self.records,
            "bytes": self.size_bytes,
            "seconds": round(self.seconds, 6),
            "records_per_s": round(self.records / self.seconds, 1),
            "mb_per_s": round(self.size_bytes / 1e6 / self.seconds, 3),
            f"{self.sample}_ms": self.percentiles(),
        }


@click.group()
def bench() -> None:
    """How fast records are sent and read, with the client that comes with minikafka.

    Without TOPIC it makes one of its own, and deletes it afterwards.
    """


@bench.command()
@click.argument("topic", required=False, shell_complete=topic_names)
@click.option("-n", "--count", type=click.IntRange(min=1), default=1_000_000, show_default=True, help="How many.")
@click.option("--size", type=click.IntRange(min=0), default=100, show_default=True, help="Bytes of each value.")
@click.option("--partitions", type=click.IntRange(min=1), default=1, show_default=True, help="Of a topic of its own.")
@click.option("--acks", type=click.Choice(["all", "1", "0"]), default="all", show_default=True)
@click.option(
    "--compression", type=click.Choice(["none", "gzip", "snappy", "lz4", "zstd"]), default="none", show_default=True
)
@click.option("--linger", "linger_ms", type=click.FloatRange(min=0), metavar="MS", default=0, show_default=True)
@click.option("--rate", type=click.FloatRange(min=0, min_open=True), metavar="N", help="At most so many a second.")
@bootstrap_option
@output_option
def produce(
    *,
    topic: str | None,
    count: int,
    size: int,
    partitions: int,
    acks: Literal["all", "1", "0"],
    compression: CompressionName,
    linger_ms: float,
    rate: float | None,
    bootstrap: str,
    output: str,
) -> None:
    """Send records to TOPIC: how many a second, and how long each waits to be acknowledged.

    As fast as they can be made, most of them wait for those before them: --rate shows how long one waits by itself.
    """
    wanted_acks: Acks = "all" if acks == "all" else 1 if acks == "1" else 0
    load = Load(count, size, wanted_acks, compression, linger_ms, rate)
    with _topic(bootstrap, topic, partitions) as name, _progress("send", count) as progress:
        measured = _send(bootstrap, name, load, progress)
    _show(measured, output)


@bench.command()
@click.argument("topic", required=False, shell_complete=topic_names)
@click.option("-n", "--count", type=click.IntRange(min=1), help="How many.  [default: all there are, or 1000000]")
@click.option("--size", type=click.IntRange(min=0), default=100, show_default=True, help="Bytes, in its own topic.")
@click.option("--partitions", type=click.IntRange(min=1), default=1, show_default=True, help="Of a topic of its own.")
@bootstrap_option
@output_option
def consume(*, topic: str | None, count: int | None, size: int, partitions: int, bootstrap: str, output: str) -> None:
    """Read TOPIC from its beginning: how many records a second, and how long each poll takes."""
    with _topic(bootstrap, topic, partitions) as name:
        if topic is None:
            load = Load(count or 1_000_000, size)
            with _progress("fill", load.count) as progress:
                _send(bootstrap, name, load, progress)
        measured = _read(bootstrap, name, count)
    _show(measured, output)


@contextmanager
def _topic(bootstrap: str, name: str | None, partitions: int) -> Iterator[str]:
    """The topic of that name, or one that is there for as long as it is needed."""
    if name is not None:
        yield name
        return
    made = f"bench-{secrets.token_hex(4)}"
    with Admin(bootstrap, client_id=CLIENT_ID) as admin:
        admin.create_topics([NewTopic(made, num_partitions=partitions)])
        try:
            yield made
        finally:
            admin.delete_topics([made])


def _send(bootstrap: str, topic: str, load: Load, progress: Progress) -> Measured:
    values = [os.urandom(load.size_bytes) for _ in range(_VALUES)]
    waits_s: list[float] = []
    stride = max(1, load.count // _MEASURED_RECORDS)
    pause_s = 0.0 if load.rate is None else 1 / load.rate
    with Producer(
        bootstrap,
        client_id=CLIENT_ID,
        acks=load.acks,
        compression=load.compression,
        linger_ms=load.linger_ms,
    ) as producer:
        producer.partitions_for(topic)  # what the look-up takes is not part of it
        started = time.perf_counter()
        for number in range(load.count):
            if pause_s:
                time.sleep(max(0.0, started + number * pause_s - time.perf_counter()))
            begun = time.perf_counter()
            delivery = producer.send(topic, values[number % _VALUES])
            if not number % stride:
                delivery.add_done_callback(_Watch(begun, waits_s))
            if not number % _RECORDS_PER_PROGRESS:
                progress(number)
        producer.flush()
        seconds = time.perf_counter() - started
    return Measured(load.count, load.count * load.size_bytes, seconds, "latency", _milliseconds(waits_s))


class _Watch:
    """Notes when a record is acknowledged."""

    __slots__ = ("_begun", "_waits_s")

    def __init__(self, begun: float, waits_s: list[float]) -> None:
        self._begun = begun
        self._waits_s = waits_s

    def __call__(self, _delivery: Delivery) -> None:
        self._waits_s.append(time.perf_counter() - self._begun)


def _read(bootstrap: str, topic: str, count: int | None) -> Measured:
    records = size_bytes = 0
    polls_s: list[float] = []
    with Consumer(bootstrap, client_id=CLIENT_ID, allow_auto_create_topics=False) as consumer:
        partitions = consumer.partitions_for_topic(topic)
        begins, ends = consumer.beginning_offsets(partitions), consumer.end_offsets(partitions)
        there = sum(ends[where] - begins[where] for where in partitions)
        if not there or there < (count or 0):
            raise Failure(f"{topic} has only {plural(there, 'record')}; 'minikafka bench produce {topic}' adds some")
        wanted = count or there
        consumer.assign(partitions)
        consumer.seek_to_beginning()
        with _progress("read", wanted) as progress:
            started = begun = time.perf_counter()
            while records < wanted and any(consumer.position(where) < end for where, end in ends.items()):
                messages = consumer.poll(_POLL_MS, min(_RECORDS_PER_POLL, wanted - records))
                now = time.perf_counter()
                polls_s.append(now - begun)
                begun = now
                records += len(messages)
                size_bytes += sum(len(message.value or b"") for message in messages)
                progress(records)
            seconds = time.perf_counter() - started
    return Measured(records, size_bytes, seconds, "poll", _milliseconds(polls_s))


def _milliseconds(waits_s: Sequence[float]) -> Sequence[float]:
    return sorted(wait_s * 1_000 for wait_s in waits_s)


def _show(measured: Measured, output: str) -> None:
    if output == "json":
        print_json(measured.as_json())
    else:
        click.echo(measured)


@contextmanager
def _progress(what: str, total: int) -> Iterator[Progress]:
    if not sys.stderr.isatty():
        yield lambda done: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.update(task, completed=done)
