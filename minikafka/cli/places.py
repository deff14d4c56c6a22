"""Places in a topic as they are written on a command line: ``beginning``, ``end``, ``4211``, ``-10``, ``@-5m``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

import click

from minikafka.cli.options import parse_age
from minikafka.clock import SystemClock
from minikafka.types import TopicPartition
from minikafka_client.sync import Consumer

PLACE_HELP = """\b
PLACE is one of these, in every partition:
  beginning   the first record that is still there
  end         after the last record
  4211        an offset
  -10         ten records before the end
  @-5m        the first record of the last five minutes (ms, s, m, h, d)
  @2026-11-22T10:00   the first record of that time or later, local time
                      unless it says otherwise
  @1795341600000      the same in milliseconds since 1970
"""
"""The end of the help of commands that take a place; click keeps the lines apart for the backspace."""


class PlaceKind(Enum):
    """What the number of a place means."""

    BEGINNING = "beginning"
    END = "end"
    OFFSET = "offset"
    BEFORE_END = "before end"
    TIME = "time"


@dataclass(frozen=True, slots=True)
class Place:
    """A place in each partition; ``number`` is an offset, a count of records or milliseconds since 1970."""

    kind: PlaceKind
    number: int = 0

    def resolve(self, consumer: Consumer, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        """The offset of this place in each partition, as things are now.

        Raises:
            KafkaError: The broker does not say.
        """
        match self.kind:
            case PlaceKind.BEGINNING:
                return consumer.beginning_offsets(partitions)
            case PlaceKind.END:
                return consumer.end_offsets(partitions)
            case PlaceKind.OFFSET:
                return dict.fromkeys(partitions, self.number)
            case PlaceKind.BEFORE_END:
                begins = consumer.beginning_offsets(partitions)
                ends = consumer.end_offsets(partitions)
                return {where: max(begins[where], ends[where] - self.number) for where in partitions}
            case PlaceKind.TIME:
                found = consumer.offsets_for_times(dict.fromkeys(partitions, self.number))
                later = [where for where, there in found.items() if there is None]
                ends = consumer.end_offsets(later) if later else {}
                return ends | {where: there.offset for where, there in found.items() if there is not None}


def parse_place(text: str, now_ms: int) -> Place:
    """The place that ``text`` means.

    Args:
        text: As the module says.
        now_ms: What ``@-5m`` counts from.

    Raises:
        ValueError: It means none.
    """
    if text in {PlaceKind.BEGINNING.value, PlaceKind.END.value}:
        return Place(PlaceKind(text))
    if text.startswith("@"):
        return Place(PlaceKind.TIME, _parse_time(text[1:], now_ms))
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdecimal()):
        raise ValueError(f"{text!r} is none of beginning, end, OFFSET, -COUNT and @TIME")
    return Place(PlaceKind.BEFORE_END if text.startswith("-") else PlaceKind.OFFSET, int(digits))


def _parse_time(text: str, now_ms: int) -> int:
    if text.isascii() and text.isdecimal():
        return int(text)
    age_ms = parse_age(text.removeprefix("-")) if text.startswith("-") else None
    if age_ms is not None:
        return max(0, now_ms - age_ms)
    try:
        return int(datetime.fromisoformat(text).timestamp() * 1000)
    except (ValueError, OverflowError):
        raise ValueError(f"@{text} is none of @-5m, @2026-11-22T10:00 and @MILLISECONDS") from None


def place_option(ctx: click.Context, parameter: click.Parameter, value: str | None) -> Place | None:
    """A click callback that turns the text of an option into a place; an option that is not given has none.

    Raises:
        BadParameter: The text means no place.
    """
    if value is None:
        return None
    try:
        return parse_place(value, SystemClock().now_ms())
    except ValueError as error:
        raise click.BadParameter(str(error), ctx=ctx, param=parameter) from None
