"""What a consumer subscribes to: topics by name, or all whose names match a pattern."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from minikafka.types import INTERNAL_TOPICS

_FLAGS = {"i": re.IGNORECASE, "m": re.MULTILINE, "s": re.DOTALL}


@dataclass(frozen=True, slots=True)
class Subscription:
    """Topics, or a pattern that whole names must match; never both."""

    names: frozenset[str] = frozenset()
    pattern: re.Pattern[str] | None = None

    def topics(self, existing: Iterable[str]) -> frozenset[str]:
        """The topics that are meant: those named, whether they exist or not, or those of ``existing`` that match."""
        if self.pattern is None:
            return self.names
        matches = self.pattern.fullmatch
        return frozenset(name for name in existing if name not in INTERNAL_TOPICS and matches(name))

    @property
    def pattern_text(self) -> str | None:
        """The pattern for another engine to match, its flags inside."""
        if self.pattern is None:
            return None
        flags = "".join(letter for letter, flag in _FLAGS.items() if self.pattern.flags & flag)
        return f"(?{flags}){self.pattern.pattern}" if flags else self.pattern.pattern

    def __bool__(self) -> bool:
        return self.pattern is not None or bool(self.names)


def subscription_to(topics: Iterable[str] | re.Pattern[str]) -> Subscription:
    """The subscription that a caller means.

    Raises:
        TypeError: It is a string: is that a name or a pattern?
    """
    if isinstance(topics, str):
        raise TypeError("topics is a list of names, or a pattern made by re.compile(); not one name")
    if isinstance(topics, re.Pattern):
        return Subscription(pattern=topics)
    return Subscription(frozenset(topics))


def wanted_topics(topics: Iterable[str], pattern: str | re.Pattern[str] | None) -> Subscription:
    """The subscription that two options mean, of which one is given at most.

    Raises:
        ValueError: Both are given, or the pattern is none.
        TypeError: ``topics`` is a string.
    """
    if pattern is None:
        return subscription_to(topics)
    if topics:
        raise ValueError("give topics or a topic_pattern, not both")
    try:
        return Subscription(pattern=re.compile(pattern))
    except re.error as error:
        raise ValueError(f"topic_pattern {pattern!r} is no regular expression: {error}") from None
