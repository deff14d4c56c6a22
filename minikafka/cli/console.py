"""What commands print: tables for people, JSON for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence

import click

from minikafka.cli.exits import ExitCode, Failure

JsonValue = str | int | float | bool | Sequence["JsonValue"] | Mapping[str, "JsonValue"] | None

_GAP = "  "


def print_json(value: JsonValue) -> None:
    """Print a value as JSON, indented."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def print_table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print rows under a header; columns of numbers, and of "-" where one is missing, are flush right."""
    texts = [[str(cell) for cell in row] for row in rows]
    columns = list(zip(header, *texts, strict=True))
    widths = [max(map(len, column)) for column in columns]
    is_number = [
        any(isinstance(row[place], int) for row in rows)
        and all(isinstance(row[place], int) or row[place] == "-" for row in rows)
        for place in range(len(header))
    ]
    aligned = [str.rjust if number else str.ljust for number in is_number]
    click.echo(click.style(_line(header, widths, aligned), bold=True))
    for row in texts:
        click.echo(_line(row, widths, aligned))


def confirm(question: str) -> bool:
    """Ask before something is gone for good; Ctrl-C is left to the caller.

    Raises:
        Failure: Nobody is there to answer.
    """
    try:
        return click.confirm(question, err=True)
    except click.Abort:
        if sys.stdin.isatty():
            raise
        click.echo(err=True)
        raise Failure("nobody answered, so nothing was done; -y does not ask", ExitCode.USAGE) from None


def plural(count: int, noun: str) -> str:
    """``1 topic``, ``2 topics``; numbers are grouped by thousands."""
    ending = "" if count == 1 else "es" if noun.endswith("ch") else "s"
    return f"{count:,} {noun}{ending}"


def age_text(age_ms: int) -> str:
    """``30s``, ``10m``, ``2h`` or ``7d``, rounded down: as ages are given to commands."""
    seconds = max(0, age_ms) // 1_000
    for unit_s, unit in ((86_400, "d"), (3_600, "h"), (60, "m")):
        if seconds >= unit_s:
            return f"{seconds // unit_s}{unit}"
    return f"{seconds}s"


def _line(cells: Sequence[str], widths: Sequence[int], aligned: Sequence[Callable[[str, int], str]]) -> str:
    padded = [align(cell, width) for cell, width, align in zip(cells, widths, aligned, strict=True)]
    return _GAP.join(padded).rstrip()
