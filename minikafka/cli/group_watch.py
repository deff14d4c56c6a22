"""A table of how far a group is that renews itself: in place on a terminal, one below the other elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from minikafka.cli.console import print_table
from minikafka.cli.exits import failure_of
from minikafka.cli.group_progress import HEADER, GroupProgress, progress_of
from minikafka_client.sync import Admin

if TYPE_CHECKING:
    from rich.console import RenderableType

Show = Callable[[GroupProgress | str], None]
"""Shows how far the group is, or why that is not known at the moment."""


def watch_group(admin: Admin, group_id: str, interval_s: float) -> None:
    """Show a group until Ctrl-C; a broker that does not answer is asked again.

    Raises:
        KafkaError, OSError: The group cannot be shown even once.
    """
    progress: GroupProgress | str = progress_of(admin, [group_id])[0]
    with _screen() as show:
        while True:
            show(progress)
            time.sleep(interval_s)
            progress = _progress_or_problem(admin, group_id)


def _progress_or_problem(admin: Admin, group_id: str) -> GroupProgress | str:
    try:
        return progress_of(admin, [group_id])[0]
    except Exception as error:
        failure = failure_of(error)
        if failure is None:
            raise
        return failure.message


@contextmanager
def _screen() -> Iterator[Show]:
    if not sys.stdout.isatty():
        yield print_progress
        return
    from rich.live import Live

    with Live(auto_refresh=False, vertical_overflow="visible") as live:
        yield lambda progress: live.update(_rendered(progress), refresh=True)


def print_progress(progress: GroupProgress | str) -> None:
    """Print the table once."""
    if isinstance(progress, str):
        click.echo(f"minikafka: {progress}", err=True)
        return
    click.echo(f"GROUP {click.style(progress.group.group_id, bold=True)}  {progress.title()}")
    if progress.partitions:
        print_table(HEADER, progress.rows())
    for remark in progress.remarks():
        click.echo(remark)
    click.echo()


def _rendered(progress: GroupProgress | str) -> RenderableType:
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    if isinstance(progress, str):
        return Text(progress, style="red")
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in HEADER:
        table.add_column(name, justify="left" if name in {"PARTITION", "MEMBER"} else "right")
    for row in progress.rows():
        table.add_row(*map(str, row), style="" if row[-1] in {0, "-"} else "yellow")
    title = Text.assemble("GROUP ", (progress.group.group_id, "bold"), f"  {progress.title()}")
    return Group(title, table, *map(Text, progress.remarks()))
