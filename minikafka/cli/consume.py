"""``minikafka consume`` and ``minikafka tail``: print the records of a topic."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import click

from minikafka.cli.console import plural
from minikafka.cli.exits import ExitCode, Failure
from minikafka.cli.formats import FORMATS, PRETTY, Formatter, formatter
from minikafka.cli.options import bootstrap_option
from minikafka.cli.places import Place, PlaceKind, place_option
from minikafka.types import TopicPartition
from minikafka_client.consumer.message import Message
from minikafka_client.sync import Consumer

_RECORDS_PER_POLL = 5_000
_POLL_MS = 200

Output = Literal["pretty", "json", "raw"]


@dataclass(frozen=True, slots=True)
class _Reading:
    """What to read of a topic, and when to stop."""

    topic: str
    start: Place
    until: Place | None
    partitions: Sequence[int]
    count: int | None
    timeout_s: float | None


@click.command()
@click.argument("topic")
@click.option("--from", "start", metavar="PLACE", default="beginning", show_default=True, callback=place_option)
@click.option("--until", metavar="PLACE", callback=place_option, help="Stop there.  [default: follow for ever]")
@click.option("-e", "--exit-at-end", is_flag=True, help="Stop at what is the end now: --until end.")
@click.option("-p", "--partition", "partitions", type=click.IntRange(min=0), multiple=True, help="[default: all]")
@click.option("-n", "--count", type=click.IntRange(min=0), help="Stop after so many records.")
@click.option("--timeout", "timeout_s", type=float, metavar="S", help="Exit code 4 when nothing comes for so long.")
@click.option("-o", "--output", type=click.Choice(FORMATS), default=PRETTY, show_default=True)
@bootstrap_option
def consume(
    *,
    topic: str,
    start: Place,
    until: Place | None,
    exit_at_end: bool,
    partitions: Sequence[int],
    count: int | None,
    timeout_s: float | None,
    output: Output,
    bootstrap: str,
) -> int:
    """Print the records of TOPIC, and go on as they arrive until Ctrl-C.

    PLACE is one of these, in every partition that is read:

    \b
    beginning   the first record that is still there
    end         after the last record
    4211        an offset
    -10         ten records before the end
    @-5m        the first record of the last five minutes (s, m, h, d)
    @2026-11-22T10:00, @1795341600000   the first record of that time or later

    \b
    pretty   time  topic[partition] @ offset  key  value; what is not UTF-8 as 0x...
    json     one object a line; what is not UTF-8 as {"base64": "..."}
    raw      the value alone, and a line's end
    """  # noqa: D301 - click keeps the lines of a paragraph apart that begins with a backspace
    if exit_at_end and until is not None:
        raise click.UsageError("Give --until or --exit-at-end")
    stop = Place(PlaceKind.END) if exit_at_end else until
    return _read(_Reading(topic, start, stop, partitions, count, timeout_s), output, bootstrap)


@click.command()
@click.argument("topic")
@click.option("-p", "--partition", "partitions", type=click.IntRange(min=0), multiple=True, help="[default: all]")
@click.option("-n", "--count", type=click.IntRange(min=0), help="Stop after so many records.")
@click.option("-o", "--output", type=click.Choice(FORMATS), default=PRETTY, show_default=True)
@bootstrap_option
def tail(*, topic: str, partitions: Sequence[int], count: int | None, output: Output, bootstrap: str) -> int:
    """Print what arrives in TOPIC from now on: consume --from end."""
    reading = _Reading(topic, Place(PlaceKind.END), None, partitions, count, None)
    return _read(reading, output, bootstrap)


def _read(reading: _Reading, output: Output, bootstrap: str) -> int:
    is_colored = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    started = time.monotonic()
    with Consumer(bootstrap, client_id="minikafka-cli", allow_auto_create_topics=False) as consumer:
        reader = _Reader(consumer, reading, formatter(output, is_colored=is_colored))
        try:
            reader.run()
        except _OutputClosed:
            # What is still buffered would make the interpreter's last flush fail.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        except KeyboardInterrupt:
            seconds = time.monotonic() - started
            partitions = plural(len(reader.partitions), "partition")
            click.echo(
                f" {plural(reader.count, 'message')} in {seconds:.1f} s, {partitions}, no group (nothing committed)",
                err=True,
            )
    return ExitCode.OK


class _OutputClosed(Exception):
    """Whoever read standard output, such as ``head``, has seen enough."""


class _Reader:
    """Polls and prints until it is time to stop."""

    def __init__(self, consumer: Consumer, reading: _Reading, format_messages: Formatter) -> None:
        self.count = 0
        self.partitions: Sequence[TopicPartition] = ()
        self._consumer = consumer
        self._reading = reading
        self._format = format_messages
        self._stops: dict[TopicPartition, int] = {}
        self._unfinished: set[TopicPartition] = set()

    def run(self) -> None:
        """Print what is to be read.

        Raises:
            Failure: There is no such partition, or nothing came for too long.
        """
        self._begin()
        last_news = time.monotonic()
        while not self._is_done():
            messages = self._consumer.poll(_POLL_MS, self._records_wanted())
            now = time.monotonic()
            if messages:
                last_news = now
                self._print(messages)
            elif self._reading.timeout_s is not None and now - last_news >= self._reading.timeout_s:
                raise Failure(f"nothing came for {self._reading.timeout_s:g} s", ExitCode.TIMEOUT)

    def _begin(self) -> None:
        reading = self._reading
        self.partitions = self._chosen(self._consumer.partitions_for_topic(reading.topic))
        starts = reading.start.resolve(self._consumer, self.partitions)
        if reading.until is not None:
            self._stops = reading.until.resolve(self._consumer, self.partitions)
            self._unfinished = set(self.partitions)
        self._consumer.assign(self.partitions)
        for partition, offset in starts.items():
            self._consumer.seek(partition, offset)

    def _chosen(self, known: Sequence[TopicPartition]) -> Sequence[TopicPartition]:
        wanted = self._reading.partitions
        unknown = set(wanted) - {where.partition for where in known}
        if unknown:
            topic = self._reading.topic
            raise Failure(f"{topic} has no partition {min(unknown)}; see 'minikafka topic describe {topic}'")
        return [where for where in known if where.partition in wanted] if wanted else known

    def _records_wanted(self) -> int:
        limit = self._reading.count
        return _RECORDS_PER_POLL if limit is None else min(_RECORDS_PER_POLL, limit - self.count)

    def _print(self, messages: Sequence[Message]) -> None:
        if self._stops:
            messages = [message for message in messages if message.offset < self._stops[_place(message)]]
        self.count += len(messages)
        try:
            sys.stdout.buffer.write(self._format(messages))
            sys.stdout.buffer.flush()
        except BrokenPipeError:
            raise _OutputClosed from None

    def _is_done(self) -> bool:
        if self._reading.count is not None and self.count >= self._reading.count:
            return True
        if self._reading.until is None:
            return False
        # Positions, not messages: the last offsets before the stop may hold none.
        ended = [where for where in self._unfinished if self._consumer.position(where) >= self._stops[where]]
        if ended:
            self._consumer.pause(*ended)
            self._unfinished -= set(ended)
        return not self._unfinished


def _place(message: Message) -> TopicPartition:
    return TopicPartition(message.topic, message.partition)
