"""Expected and received messages side by side."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import NamedTuple

from minikafka_client import Message

_SHOWN_CHARACTERS = 120


class Received(NamedTuple):
    """A message, and its value as it is compared."""

    value: object
    message: Message


def could_be_sent(expected: Sequence[object], received: Sequence[Received]) -> bool:
    """Whether somebody who sends ``expected`` one by one can have caused ``received``.

    Kafka keeps the order within a partition only: each partition must have its messages in the order of ``expected``,
    all of them together each expected value once.
    """
    rest = list(expected)
    partitions: defaultdict[int, list[object]] = defaultdict(list)
    for value, message in received:
        if value not in rest:
            return False
        rest.remove(value)
        partitions[message.partition].append(value)
    return not rest and all(_is_subsequence(values, expected) for values in partitions.values())


def difference(topic: str, expected: Sequence[object], received: Sequence[Received]) -> str:
    """What is missing and what is too much, line by line.

    ::

        orders: 2 messages expected, 2 received
            b'tea'
          - b'cake'
          + b'coffee'    partition 0, offset 1, key b'alice'
        (- expected, not received; + received, not expected)
    """
    wanted = [_shown(value) for value in expected]
    there = [_shown(entry.value) for entry in received]
    lines = [f"{topic}: {len(wanted)} messages expected, {len(there)} received"]
    if sorted(wanted) == sorted(there):
        lines[0] += ", the same ones in another order"
    for what, first, end, there_first, there_end in SequenceMatcher(None, wanted, there, autojunk=False).get_opcodes():
        if what == "equal":
            lines += [f"    {text}" for text in wanted[first:end]]
        else:
            lines += [f"  - {text}" for text in wanted[first:end]]
            lines += [f"  + {_shown(entry.value)}    {_place(entry)}" for entry in received[there_first:there_end]]
    return "\n".join([*lines, "(- expected, not received; + received, not expected)"])


def _is_subsequence(values: Sequence[object], whole: Sequence[object]) -> bool:
    rest = iter(whole)
    return all(value in rest for value in values)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}... ({len(text)} characters)"


def _place(entry: Received) -> str:
    message = entry.message
    key = f", key {_shown(message.key)}" if message.key is not None else ""
    return f"partition {message.partition}, offset {message.offset}{key}"
