"""What members subscribe to: names, and regular expressions in the syntax of RE2 (KIP-848, KIP-1043).

RE2 looks at each character of a name once, whatever the expression, so that no expression can hold the event loop; that
is why it has neither look-arounds nor back references.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, Protocol, cast

from minikafka.coordinator.group.consumer.ledger import Resolved
from minikafka.coordinator.group.consumer.member import Member
from minikafka.coordinator.group.values import TopicsView
from minikafka.errors import InvalidRegularExpression

_MAX_MEMORY_BYTES: Final = 1 << 17
"""Of a compiled expression: it bounds how long a match can take, and holds thousands of topic names."""


def check_expression(expression: str) -> None:
    """Make sure that an expression can be used.

    Raises:
        InvalidRegularExpression: It is not in RE2's syntax, or too large.
    """
    _compile(expression)


def matching(expression: str, names: Iterable[str]) -> frozenset[str]:
    """The names that an expression matches as a whole; none if it cannot be used, but was taken by another broker."""
    try:
        compiled = _compile(expression)
    except InvalidRegularExpression:
        return frozenset()
    return frozenset(name for name in names if compiled.fullmatch(name))


def topics_of(member: Member, expressions: Mapping[str, Resolved]) -> Iterator[str]:
    """The names of all topics that a member subscribes to; some may not exist, some may come twice."""
    yield from member.subscribed_topic_names
    if member.subscribed_topic_regex is not None:
        resolved = expressions.get(member.subscribed_topic_regex)
        yield from resolved.topics if resolved is not None else ()


def metadata_hash(names: Iterable[str], topics: TopicsView) -> int:
    """A number, as int64, that changes when one of these topics comes, goes, grows or is made anew (KIP-1101).

    It is 0 when none of them exists.

    Kafka hashes with XXH3, which Python does not have.  The numbers are only compared with one another: a group that a
    broker of another kind takes over rebalances once.
    """
    found = [(topic_id, name) for name in sorted(set(names)) if (topic_id := topics.topic_id(name)) is not None]
    if not found:
        return 0
    digest = hashlib.blake2b(digest_size=8)
    for topic_id, name in found:
        digest.update(topic_id + topics.partition_count(name).to_bytes(4, "big"))
    return int.from_bytes(digest.digest(), "big", signed=True)


class _Compiled(Protocol):
    def fullmatch(self, text: str, /) -> object | None: ...


def _compile(expression: str) -> _Compiled:
    import re2  # noqa: PLC0415 - 5 ms of every start, for what few groups use

    options = re2.Options()
    options.max_mem = _MAX_MEMORY_BYTES
    options.never_capture = True  # groups cost a second, much slower pass
    options.log_errors = False
    try:
        return cast(_Compiled, re2.compile(expression, options))
    except re2.error as error:
        reason = error.args[0].decode(errors="replace") if isinstance(error.args[0], bytes) else str(error)
        raise InvalidRegularExpression(f"{expression!r} is not a valid regular expression: {reason}") from error
