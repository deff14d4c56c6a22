"""Java properties files, which is what ``server.properties`` is.

Source: java.util.Properties.load.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
_SEPARATOR = re.compile(r"(?<!\\)(?:\\\\)*(?P<separator>\s*[=:]\s*|\s+)")
_CONTROL = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}


class Property(NamedTuple):
    """One entry of a properties file and the line, from 1, that it begins on."""

    key: str
    value: str
    line: int


def parse_properties(text: str) -> list[Property]:
    """The entries of a properties file in order; a key that comes twice is there twice."""
    properties: list[Property] = []
    logical, begun = "", 0
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.lstrip()
        if not logical and (not line or line[0] in "#!"):
            continue
        begun = begun or number
        if _continues(line):
            logical += line[:-1]
            continue
        properties.append(_entry(logical + line, begun))
        logical, begun = "", 0
    if logical:
        properties.append(_entry(logical, begun))
    return properties


def _continues(line: str) -> bool:
    backslashes = len(line) - len(line.rstrip("\\"))
    return backslashes % 2 == 1


def _entry(line: str, number: int) -> Property:
    match = _SEPARATOR.search(line)
    if match is None:
        return Property(_unescape(line), "", number)
    return Property(_unescape(line[: match.start("separator")]), _unescape(line[match.end() :]), number)


def _unescape(text: str) -> str:
    return _ESCAPE.sub(_unescape_one, text)


def _unescape_one(match: re.Match[str]) -> str:
    escaped = match[1]
    if len(escaped) == 5:
        return chr(int(escaped[1:], 16))
    return _CONTROL.get(escaped, escaped)
