"""How ``consume`` prints messages: for people, for programs, or as they are.

Key, value and headers are bytes.  Bytes that are UTF-8 are shown as text, others as ``0x...`` to people and as
``{"base64": "..."}`` in JSON.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable
from datetime import datetime
from json.encoder import encode_basestring

import click

from minikafka_client.consumer.message import Message

PRETTY = "pretty"
JSON = "json"
RAW = "raw"
FORMATS = (PRETTY, JSON, RAW)

Formatter = Callable[[Iterable[Message]], bytes]
"""Turns messages into what is written to standard output, whole lines."""

_SHOWN_BYTES = 64


def formatter(name: str, *, is_colored: bool) -> Formatter:
    """The formatter of one of :data:`FORMATS`; only the pretty one knows colors."""
    match name:
        case "json":
            return _as_json
        case "raw":
            return _as_raw
        case _:
            return _as_colored if is_colored else _as_plain


def _as_raw(messages: Iterable[Message]) -> bytes:
    return b"".join([(message.value or b"") + b"\n" for message in messages])


def _as_json(messages: Iterable[Message]) -> bytes:
    # Written out by hand, because it is three times as fast as a dictionary and json.dumps.
    lines = [
        f'{{"topic": {encode_basestring(message.topic)}, "partition": {message.partition}, '
        f'"offset": {message.offset}, "timestamp_ms": {message.timestamp_ms}, '
        f'"key": {bytes_as_json(message.key)}, "value": {bytes_as_json(message.value)}, '
        f'"headers": [{_json_headers(message)}]}}\n'
        for message in messages
    ]
    return "".join(lines).encode()


def bytes_as_json(content: bytes | None) -> str:
    """Bytes as JSON: a string if they are UTF-8, else ``{"base64": "..."}``, and null for none."""
    if content is None:
        return "null"
    try:
        return encode_basestring(content.decode())
    except UnicodeDecodeError:
        return f'{{"base64": "{base64.b64encode(content).decode()}"}}'


def _json_headers(message: Message) -> str:
    if not message.headers:
        return ""
    return ", ".join(
        f'{{"key": {encode_basestring(header.key)}, "value": {bytes_as_json(header.value)}}}'
        for header in message.headers
    )


def _as_plain(messages: Iterable[Message]) -> bytes:
    return "".join([_pretty_line(message, _unstyled) for message in messages]).encode()


def _as_colored(messages: Iterable[Message]) -> bytes:
    return "".join([_pretty_line(message, _styled) for message in messages]).encode()


def _pretty_line(message: Message, style: Callable[[str, str], str]) -> str:
    time = datetime.fromtimestamp(message.timestamp_ms / 1000).strftime("%H:%M:%S.%f")[:-3]
    place = f"{message.topic}[{message.partition}] @ {message.offset}"
    key = "" if message.key is None else f"  {style('key=', 'bright_black')}{style(shown(message.key), 'cyan')}"
    value = style("null", "bright_black") if message.value is None else shown(message.value)
    headers = " ".join(f"{_printable(name)}={shown(content)}" for name, content in message.headers)
    tail = f"   {style(f'headers: {headers}', 'bright_black')}" if headers else ""
    return f"{style(time, 'bright_black')}  {style(place, 'green')}{key}  {value}{tail}\n"


def _styled(text: str, color: str) -> str:
    return click.style(text, fg=color)


def _unstyled(text: str, _color: str) -> str:
    return text


def shown(content: bytes | None) -> str:
    """Bytes for people: text on one line, or the first of them in hexadecimal."""
    if content is None:
        return "null"
    try:
        return _printable(content.decode())
    except UnicodeDecodeError:
        dots = f"... ({len(content):,} bytes)" if len(content) > _SHOWN_BYTES else ""
        return f"0x{content[:_SHOWN_BYTES].hex()}{dots}"


def _printable(text: str) -> str:
    """Text on one line that cannot move the cursor or color the terminal, whoever wrote it."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
