"""``minikafka produce``: send lines, CSV rows or JSON lines to a topic."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

import click

from minikafka.cli import sources
from minikafka.cli.complete import topic_names
from minikafka.cli.console import plural
from minikafka.cli.exits import ExitCode, Failure
from minikafka.cli.options import CLIENT_ID, bootstrap_option, key_values
from minikafka.cli.sources import InputRecord
from minikafka_client.producer.options import Acks, CompressionName
from minikafka_client.sync import Producer

_RECORDS_PER_PROGRESS = 2_000
# A throw-away program is better told soon that its topic cannot be had than kept waiting for a minute.
_MAX_BLOCK_MS = 15_000

Progress = Callable[[], None]


@dataclass(frozen=True, slots=True)
class _Input:
    """What to read, and how it becomes records."""

    file: Path | None
    format: str
    key: str | None
    key_separator: str | None
    key_column: str | None

    def check(self) -> None:
        """Refuse options that make no sense together.

        Raises:
            UsageError: They do not.
        """
        if [self.key, self.key_separator, self.key_column].count(None) < 2:
            raise click.UsageError("Give one of --key, --key-sep and --key-column")
        if self.key_separator is not None and self.format != sources.LINES:
            raise click.UsageError(f"--key-sep is for lines; {self.format} has --key-column")
        if self.key_column is not None and self.format == sources.LINES:
            raise click.UsageError("--key-column is for csv and jsonl; lines have --key-sep")
        if self.key_separator == "":
            raise click.UsageError("--key-sep is empty")

    def records(self, source: BinaryIO) -> Iterator[InputRecord]:
        """The records of ``source``, read as they are asked for."""
        key = None if self.key is None else self.key.encode()
        match self.format:
            case sources.CSV:
                is_tabbed = self.file is not None and self.file.suffix.lower() == ".tsv"
                delimiter = "\t" if is_tabbed else ","
                return sources.from_csv(source, key=key, key_column=self.key_column, delimiter=delimiter)
            case sources.JSON_LINES:
                return sources.from_json_lines(source, key=key, key_column=self.key_column)
            case _:
                separator = None if self.key_separator is None else self.key_separator.replace("\\t", "\t").encode()
                return sources.from_lines(source, key=key, separator=separator)


class _Tally:
    """How much was sent, and since when."""

    def __init__(self) -> None:
        self.records = 0
        self.size_bytes = 0
        self._started = time.perf_counter()

    def __str__(self) -> str:
        seconds = max(time.perf_counter() - self._started, 1e-6)
        megabytes = self.size_bytes / 1e6
        return (
            f"{plural(self.records, 'record')}, {megabytes:,.1f} MB in {seconds:.1f} s "
            f"({megabytes / seconds:,.1f} MB/s, {self.records / seconds:,.0f} records/s)"
        )


@click.command()
@click.argument("topic", shell_complete=topic_names)
@click.option(
    "--file", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="Read a file, not standard input."
)
@click.option(
    "--format", "format_", type=click.Choice(sources.FORMATS), help="[default: what the file's suffix says, or lines]"
)
@click.option("-k", "--key", metavar="KEY", help="The key of every record.")
@click.option("--key-sep", metavar="TEXT", help=r"Lines are KEY, this text, VALUE; \t is a tab.")
@click.option("--key-column", metavar="NAME", help="The CSV column, or the field of JSON lines, that is the key.")
@click.option("-H", "--header", "headers", metavar="K=V", multiple=True, callback=key_values, help="Repeatable.")
@click.option("-p", "--partition", type=click.IntRange(min=0), help="[default: by the key, or in turn]")
@click.option("--acks", type=click.Choice(["all", "1", "0"]), default="all", show_default=True)
@click.option(
    "--compression",
    type=click.Choice(["none", "gzip", "snappy", "lz4", "zstd"]),
    default="none",
    show_default=True,
)
@bootstrap_option
def produce(
    *,
    topic: str,
    file: Path | None,
    format_: str | None,
    key: str | None,
    key_sep: str | None,
    key_column: str | None,
    headers: dict[str, str],
    partition: int | None,
    acks: Literal["all", "1", "0"],
    compression: CompressionName,
    bootstrap: str,
) -> int:
    """Send records to TOPIC: one for each line, or for each row.

    \b
    lines   the value is the line without its end
    csv     the first line names the columns; the value is a JSON object of the
            row, {"column": "text", ...}, where every field is a string
    jsonl   the value is the line as it stands, which must be JSON
    """  # noqa: D301 - click keeps the lines of a paragraph apart that begins with a backspace
    source = _Input(file, format_ or sources.format_of(file), key, key_sep, key_column)
    source.check()
    tally = _Tally()
    wanted_acks: Acks = "all" if acks == "all" else 1 if acks == "1" else 0
    interrupted = False
    with Producer(
        bootstrap, client_id=CLIENT_ID, acks=wanted_acks, compression=compression, max_block_ms=_MAX_BLOCK_MS
    ) as producer:
        target = _Target(producer, topic, partition, headers)
        try:
            target.send_all(source, tally)
        except KeyboardInterrupt:
            interrupted = True
        except Failure as failure:
            producer.flush()
            sent = f"the {plural(tally.records, 'record')} before it were sent" if tally.records else "nothing was sent"
            raise Failure(f"{failure.message}; {sent}", failure.code) from None
    click.echo(f"{tally} to {topic}", err=True)
    return ExitCode.INTERRUPTED if interrupted else ExitCode.OK


class _Target:
    """Where records go, and what all of them have in common."""

    def __init__(self, producer: Producer, topic: str, partition: int | None, headers: dict[str, str]) -> None:
        self._producer = producer
        self._topic = topic
        self._partition = partition
        self._headers = headers or None

    def send_all(self, source: _Input, tally: _Tally) -> None:
        """Send every record of ``source`` on its way, keeping ``tally``."""
        send, topic, partition, headers = self._producer.send, self._topic, self._partition, self._headers
        with _opened(source.file) as (stream, progress):
            for key, value in source.records(stream):
                send(topic, value, key, partition=partition, headers=headers)
                tally.records += 1
                tally.size_bytes += len(value) + (len(key) if key is not None else 0)
                if not tally.records % _RECORDS_PER_PROGRESS:
                    progress()


@contextmanager
def _opened(path: Path | None) -> Iterator[tuple[BinaryIO, Progress]]:
    """The input, and what to call now and then to show how far it is read."""
    if path is None:
        yield sys.stdin.buffer, _no_progress
        return
    with ExitStack() as stack:
        file = stack.enter_context(path.open("rb"))
        progress = stack.enter_context(_progress_bar(path, file)) if sys.stderr.isatty() else _no_progress
        yield file, progress


@contextmanager
def _progress_bar(path: Path, file: BinaryIO) -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(path.name, total=path.stat().st_size)
        yield lambda: bar.update(task, completed=file.tell())


def _no_progress() -> None:
    return
