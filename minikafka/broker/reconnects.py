"""Notice clients that were told an address and never came back to it.

Whoever publishes port 9092 of a container as 19092 sees clients connect, learn ``localhost:9092`` and hang.  Nothing
in Kafka's protocol tells the broker, but it can watch: a client that got Metadata opens its next connection at once.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import NamedTuple

from minikafka.net.handler import Address

PATIENCE_S = 5.0
"""How long a client may take for its second connection before it is called lost."""

MAX_PEERS = 10_000
"""Peers beyond this number are not watched: the memory of a broker is not for clients that never return."""


class LostClient(NamedTuple):
    """A client that did not come back: where it is, what it was told, and the address it had reached."""

    peer_host: str
    told: Address
    arrived_at: Address


class _Verdict(Enum):
    WATCHED = "watched"
    RETURNED = "returned"
    LOST = "lost"


class ReconnectWatch:
    """Watches each peer host once, from the first address it is told other than the one it reached.

    Args:
        call_later: Calls back after so many seconds, as an event loop does.
        report: Called at most once for each peer host.
    """

    def __init__(
        self, call_later: Callable[[float, Callable[[], None]], object], report: Callable[[LostClient], None]
    ) -> None:
        self._call_later = call_later
        self._report = report
        self._verdicts: dict[str, _Verdict] = {}

    def told(self, peer_host: str, told: Address, arrived_at: Address) -> None:
        """Remember that a client at ``peer_host``, which reached ``arrived_at``, was told to use ``told``."""
        if told == arrived_at or peer_host in self._verdicts or len(self._verdicts) >= MAX_PEERS:
            return
        self._verdicts[peer_host] = _Verdict.WATCHED
        lost = LostClient(peer_host, told, arrived_at)
        self._call_later(PATIENCE_S, lambda: self._judge(lost))

    def connected(self, peer_host: str) -> None:
        """A connection was opened from ``peer_host``."""
        if self._verdicts.get(peer_host) is _Verdict.WATCHED:
            self._verdicts[peer_host] = _Verdict.RETURNED

    def _judge(self, lost: LostClient) -> None:
        if self._verdicts[lost.peer_host] is _Verdict.WATCHED:
            self._verdicts[lost.peer_host] = _Verdict.LOST
            self._report(lost)
