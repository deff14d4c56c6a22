"""What the network and the layer above it agree on: a frame comes with its connection, an answer goes back."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Generic, NamedTuple, TypeVar

T = TypeVar("T")

Buffer = bytes | bytearray | memoryview

Reply = list[Buffer] | None
"""An answer as the buffers of its header and body, without the size in front; None is no answer at all (acks=0)."""


class Address(NamedTuple):
    """One end of a TCP connection: an IP address as text, without brackets, and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class ConnectionInfo:
    """Who is at the other end of a connection.

    The client's software name and version are empty until it has told them with ApiVersions.
    """

    __slots__ = ("client_software_name", "client_software_version", "id", "listener", "local", "peer")

    def __init__(self, id: int, peer: Address, local: Address, listener: str) -> None:  # noqa: A002 - its name
        self.id = id
        self.peer = peer
        self.local = local
        self.listener = listener
        self.client_software_name = ""
        self.client_software_version = ""


class CarriedOut(Generic[T]):
    """What a handler returns when the request has had all its effects, and only the answer has to wait.

    The connection's next requests are begun meanwhile, up to and including the first that is not of this kind; answers
    still go out in the order of the requests.  So a producer that sends without waiting has many batches on their way
    to the disk together.
    """

    __slots__ = ("answer",)

    def __init__(self, answer: Coroutine[Any, Any, T]) -> None:
        self.answer = answer


FrameHandler = Callable[[memoryview, ConnectionInfo], Reply | Coroutine[Any, Any, Reply] | CarriedOut[Reply]]
"""Called with each whole frame, one at a time for each connection.

The frame is a slice of a receive buffer: it stays as it is for as long as anything refers to it, and no longer.  An
answer that is returned costs no task.  A coroutine becomes one, and the next frame waits for its end; it is cancelled
when the connection goes.
"""


class CloseConnection(Exception):
    """Raised by a handler to close the connection the frame came from, and no other; the text is logged once."""
