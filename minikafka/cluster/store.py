"""What a coordination service offers: a tree of small versioned nodes, as ZooKeeper keeps it.

    /brokers/ids/1              ephemeral: gone when the session that made it ends
    /brokers/topics/orders      value (bytes), version 0, 1, 2, ... with every set

Every store keeps ZooKeeper's promises: writes happen one after another, a ``multi`` happens whole or not at all, a
version that was read decides whether a write still applies, and whoever learns of a change by a watch then reads
nothing older.  tests/minikafka/cluster/test_store.py states them for every store alike.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple, Protocol

ANY_VERSION = -1
"""Expects nothing of a node's version."""

NO_OWNER = 0


class StoreError(Exception):
    """A request that the store refused; ``path`` is the node that it was about."""

    def __init__(self, path: str, message: str) -> None:
        super().__init__(message)
        self.path = path


class NodeExists(StoreError):
    """There is a node at the path already."""


class NoNode(StoreError):
    """There is no node at the path, or none above it."""


class BadVersion(StoreError):
    """Somebody changed the node since it was read."""


class NotEmpty(StoreError):
    """The node has children and cannot be deleted."""


class NoChildrenForEphemerals(StoreError):
    """An ephemeral node cannot have children."""


class SessionExpired(StoreError):
    """The store took the session for dead, and deleted its ephemeral nodes."""


class StoreUnavailable(StoreError):
    """The store itself does not work: a full or broken disk, or nobody at the other end."""


class NodeStat(NamedTuple):
    """What is known of a node besides its value."""

    version: int
    created: int
    """The transaction that made the node; transactions are numbered upwards across the whole store."""
    modified: int
    """The transaction that set its value last."""
    owner: int
    """The session of an ephemeral node, 0 for others."""


class Node(NamedTuple):
    """A node as it was read."""

    value: bytes
    stat: NodeStat


@dataclass(frozen=True, slots=True)
class Create:
    """Make a node below one that exists."""

    path: str
    value: bytes = b""
    ephemeral: bool = False


@dataclass(frozen=True, slots=True)
class SetValue:
    """Give a node another value, and the next version."""

    path: str
    value: bytes
    expected_version: int = ANY_VERSION


@dataclass(frozen=True, slots=True)
class Delete:
    """Take a node without children away."""

    path: str
    expected_version: int = ANY_VERSION


@dataclass(frozen=True, slots=True)
class Check:
    """Change nothing, but have the whole ``multi`` fail if the node has another version."""

    path: str
    expected_version: int = ANY_VERSION


Operation = Create | SetValue | Delete | Check


class EventKind(Enum):
    """What happened to a node."""

    CREATED = "created"
    CHANGED = "changed"
    DELETED = "deleted"
    LOST = "lost"
    """Events were missed: everything that is watched may have changed.  The path is the watch's."""


class WatchEvent(NamedTuple):
    """One change to a watched node, or to one below it."""

    kind: EventKind
    path: str


WatchCallback = Callable[[WatchEvent], None]


class Watch(Protocol):
    """A watch that is set; it stays until it is cancelled or its session ends."""

    def cancel(self) -> None:
        """Be told nothing any more."""
        ...


class CoordinationStore(Protocol):
    """One session with a coordination service.

    Every method raises :class:`SessionExpired` once the session has ended and :class:`StoreUnavailable` when the
    service cannot be used; what a method raises besides stands with it.
    """

    @property
    def session_id(self) -> int:
        """The owner of the ephemeral nodes that this session makes."""
        ...

    @property
    def session_expired(self) -> asyncio.Event:
        """Set when the service took the session for dead."""
        ...

    async def get(self, path: str) -> Node:
        """The node at ``path``.

        Raises:
            NoNode: There is none.
        """
        ...

    async def exists(self, path: str) -> NodeStat | None:
        """What is known of the node at ``path``, None if there is none."""
        ...

    async def children(self, path: str) -> list[str]:
        """The names of the nodes directly below ``path``, sorted.

        Raises:
            NoNode: There is no node at ``path``.
        """
        ...

    async def tree(self, path: str) -> Mapping[str, Node]:
        """Every node below ``path``, at any depth, by its path; empty if there is no node at ``path``."""
        ...

    async def create(self, path: str, value: bytes = b"", *, ephemeral: bool = False) -> None:
        """Make a node.

        Raises:
            NodeExists: There is one.
            NoNode: There is none above it.
            NoChildrenForEphemerals: The one above it is ephemeral.
        """
        ...

    async def set(self, path: str, value: bytes, expected_version: int = ANY_VERSION) -> int:
        """Give a node another value, and return its new version.

        Raises:
            NoNode: There is none.
            BadVersion: It has another version than ``expected_version``.
        """
        ...

    async def delete(self, path: str, expected_version: int = ANY_VERSION) -> None:
        """Take a node away.

        Raises:
            NoNode: There is none.
            BadVersion: It has another version than ``expected_version``.
            NotEmpty: It has children.
        """
        ...

    async def multi(self, operations: Sequence[Operation]) -> None:
        """Do all of ``operations`` in order as one transaction, or none of them.

        Raises:
            StoreError: The error of the first operation that fails.
        """
        ...

    async def watch(self, path: str, callback: WatchCallback) -> Watch:
        """Call ``callback``, on the event loop, for every change to the node at ``path`` and to any below it.

        The node need not exist.  Changes are told in the order in which they happened, those of this session too.
        """
        ...

    async def close(self) -> None:
        """End the session: its ephemeral nodes go, its watches fall silent."""
        ...


def check_path(path: str) -> None:
    """Check that ``path`` can name a node.

    Raises:
        ValueError: It does not begin with ``/``, ends with one, or has an empty, ``.`` or ``..`` part or a NUL.
    """
    if path == "/":
        return
    parts = path.split("/")
    if parts[0] or len(parts) < 2 or any(part in {"", ".", ".."} or "\0" in part for part in parts[1:]):
        raise ValueError(f"{path!r} is not the path of a node")


def parent_of(path: str) -> str:
    """The path of the node above; the root is above itself."""
    return path.rpartition("/")[0] or "/"


async def ensure_path(store: CoordinationStore, path: str) -> None:
    """Make the node at ``path`` and those above it where they are missing, with empty values."""
    missing: list[str] = []
    while path != "/" and await store.exists(path) is None:
        missing.append(path)
        path = parent_of(path)
    for absent in reversed(missing):
        try:
            await store.create(absent)
        except NodeExists:
            continue  # another session was faster
