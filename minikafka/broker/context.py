"""What a handler knows of the request beside its message."""

from __future__ import annotations

from dataclasses import dataclass

from minikafka.net.handler import ConnectionInfo

MAX_WAIT_S = 24 * 3600.0
"""No request may ask to wait longer than a day: the loop's timers take no time-out of 2^31 - 1 ms seriously either."""


@dataclass(slots=True)
class RequestContext:
    """One request: where it came from, and how it is to be answered.

    ``received_at`` is the loop's time, in seconds, at which its last byte was there.
    """

    connection: ConnectionInfo
    api_version: int
    client_id: str
    correlation_id: int
    received_at: float

    def deadline(self, timeout_ms: int) -> float:
        """The loop's time at which a request that may take ``timeout_ms`` gives up; at once if that is negative."""
        return self.received_at + min(max(timeout_ms, 0) / 1000, MAX_WAIT_S)
