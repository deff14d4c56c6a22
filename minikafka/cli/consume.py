"""``minikafka consume`` and ``minikafka tail``: print the records of a topic."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import Literal, Unpack

import click

from minikafka.cli.complete import group_names, topic_names
from minikafka.cli.console import plural
from minikafka.cli.exits import ExitCode
from minikafka.cli.formats import FORMATS, PRETTY, Formatter, formatter
from minikafka.cli.options import CLIENT_ID, bootstrap_option
from minikafka.cli.places import PLACE_HELP, Place, PlaceKind, place_option
from minikafka.cli.readers import GroupReader, Limits, OutputClosed, PlaceReader, Reader
from minikafka_client.consumer.options import ConsumerOptions
from minikafka_client.sync import Consumer

Output = Literal["pretty", "json", "raw"]

_BEGINNING = Place(PlaceKind.BEGINNING)
_END = Place(PlaceKind.END)


@click.command(epilog=PLACE_HELP)
@click.argument("topic", shell_complete=topic_names)
@click.option(
    "-g", "--group", metavar="GROUP", shell_complete=group_names, help="Read as a member of a group, and commit."
)
@click.option("--from", "start", metavar="PLACE", callback=place_option, help="[default: beginning, or where GROUP is]")
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
    group: str | None,
    start: Place | None,
    until: Place | None,
    exit_at_end: bool,
    partitions: Sequence[int],
    count: int | None,
    timeout_s: float | None,
    output: Output,
    bootstrap: str,
) -> int:
    """Print the records of TOPIC, and go on as they arrive until Ctrl-C.

    With -g it shares the partitions with the other members of GROUP, goes on where the group is (at the beginning if
    it is new), and commits what was printed.

    \b
    pretty   time  topic[partition] @ offset  key  value; what is not UTF-8 as 0x...
    json     one object a line; what is not UTF-8 as {"base64": "..."}
    raw      the value alone, and a line's end
    """  # noqa: D301 - click keeps the lines of a paragraph apart that begins with a backspace
    if exit_at_end and until is not None:
        raise click.UsageError("Give --until or --exit-at-end")
    limits = Limits(count, timeout_s)
    if group is not None:
        _check_group_options(group, start, until, partitions)
        return _run(
            bootstrap,
            output,
            lambda consumer, shown: GroupReader(
                consumer, topic, limits, shown, group_id=group, exit_at_end=exit_at_end
            ),
            group_id=group,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
        )
    begin, stop = start or _BEGINNING, _END if exit_at_end else until
    return _run(
        bootstrap,
        output,
        lambda consumer, shown: PlaceReader(
            consumer, topic, limits, shown, start=begin, until=stop, numbers=partitions
        ),
    )


@click.command()
@click.argument("topic", shell_complete=topic_names)
@click.option("-p", "--partition", "partitions", type=click.IntRange(min=0), multiple=True, help="[default: all]")
@click.option("-n", "--count", type=click.IntRange(min=0), help="Stop after so many records.")
@click.option("-o", "--output", type=click.Choice(FORMATS), default=PRETTY, show_default=True)
@bootstrap_option
def tail(*, topic: str, partitions: Sequence[int], count: int | None, output: Output, bootstrap: str) -> int:
    """Print what arrives in TOPIC from now on: consume --from end."""
    return _run(
        bootstrap,
        output,
        lambda consumer, shown: PlaceReader(
            consumer, topic, Limits(count), shown, start=_END, until=None, numbers=partitions
        ),
    )


def _check_group_options(group: str, start: Place | None, until: Place | None, partitions: Sequence[int]) -> None:
    if partitions:
        raise click.UsageError("-g and --partition exclude each other: the group says who reads which partition")
    if start is not None:
        raise click.UsageError(
            f"-g and --from exclude each other: 'minikafka group seek {group} --to PLACE' moves a group"
        )
    if until is not None:
        raise click.UsageError("-g and --until exclude each other: give --exit-at-end or --count")


def _run(
    bootstrap: str,
    output: Output,
    make_reader: Callable[[Consumer, Formatter], Reader],
    **options: Unpack[ConsumerOptions],
) -> int:
    is_colored = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    started = time.monotonic()
    chosen: ConsumerOptions = {"client_id": CLIENT_ID, "allow_auto_create_topics": False, **options}
    with Consumer(bootstrap, **chosen) as consumer:
        reader = make_reader(consumer, formatter(output, is_colored=is_colored))
        try:
            reader.run()
        except OutputClosed:
            # What is still buffered would make the interpreter's last flush fail.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        except KeyboardInterrupt:
            seconds = time.monotonic() - started
            click.echo(f" {plural(reader.count, 'message')} in {seconds:.1f} s, {reader.summary()}", err=True)
    return ExitCode.OK
