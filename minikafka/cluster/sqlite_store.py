"""The embedded coordination store: sessions with an SQLite database in the data directory, or in memory.

All database work happens in one thread of the database's own: a commit waits for the disk, the event loop does not.
Sessions of one process share the database object and are told of each other's changes within the call; the changes of
other processes are found by polling, and only while somebody watches.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from minikafka.clock import Clock, SystemClock
from minikafka.cluster.sqlite_tree import IN_MEMORY, SqliteTree
from minikafka.cluster.store import (
    ANY_VERSION,
    Create,
    Delete,
    EventKind,
    Node,
    NodeStat,
    NoNode,
    Operation,
    SessionExpired,
    SetValue,
    StoreUnavailable,
    WatchCallback,
    WatchEvent,
    check_path,
)
from minikafka.observability.logging import get_logger

T = TypeVar("T")

SESSION_TIMEOUT_MS = 18_000
"""As Kafka's ``zookeeper.session.timeout.ms``."""

POLL_INTERVAL_S = 0.1
POLLS_PER_EXPIRY = 10

_log = get_logger(__name__)


class SqliteDatabase:
    """An open database, its thread, and the watches that this process has on it."""

    def __init__(self, path: Path | str, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._executor: ThreadPoolExecutor | None = None
        self._tree: SqliteTree | None = None
        self._watches: dict[SqliteWatch, None] = {}
        self._poller: asyncio.Task[None] | None = None
        self._users = 0

    def now_ms(self) -> int:
        """The time that sessions are measured with: monotonic, and one for all processes of the machine."""
        return int(self._clock.monotonic() * 1000)

    async def attach(self) -> None:
        """Open the database for one more session.

        Raises:
            StoreUnavailable: It cannot be opened.
        """
        if self._users == 0:
            self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="coordination-store")
            loop = asyncio.get_running_loop()
            self._tree = await loop.run_in_executor(self._executor, SqliteTree, self._path)
        self._users += 1

    async def detach(self) -> None:
        """Close the database when its last session goes."""
        self._users -= 1
        if self._users > 0:
            return
        if self._poller is not None:
            self._poller.cancel()
            self._poller = None
        await self.read(SqliteTree.close)
        assert self._executor is not None
        self._executor.shutdown()
        self._tree = None

    async def read(self, function: Callable[[SqliteTree], T]) -> T:
        """Call ``function`` with the tree, in the database's thread."""
        if self._tree is None:
            raise StoreUnavailable("/", f"{self._path} is closed")
        return await asyncio.get_running_loop().run_in_executor(self._executor, function, self._tree)

    async def change(self, function: Callable[[SqliteTree], T]) -> T:
        """Call a function that changes the tree; the watches are told before this returns.

        A change that has begun is finished and told of even if the caller is cancelled meanwhile.
        """
        return await asyncio.shield(asyncio.ensure_future(self._change_and_tell(function)))

    async def watch(self, watch: SqliteWatch) -> None:
        """Tell ``watch`` of what happens from now on."""
        if not self._watches:
            await self.read(SqliteTree.begin_watching)
        self._watches[watch] = None
        if self._poller is None and str(self._path) != IN_MEMORY:
            self._poller = asyncio.get_running_loop().create_task(self._poll())

    def forget(self, watch: SqliteWatch) -> None:
        """Tell ``watch`` nothing any more."""
        self._watches.pop(watch, None)
        if not self._watches and self._poller is not None:
            self._poller.cancel()
            self._poller = None

    async def _change_and_tell(self, function: Callable[[SqliteTree], T]) -> T:
        def change(tree: SqliteTree) -> tuple[T, list[WatchEvent]]:
            result = function(tree)
            return result, tree.take_changes() if self._watches else []

        result, events = await self.read(change)
        self._tell(events)
        return result

    async def _poll(self) -> None:
        """Find what other processes change, and which of them have died."""
        polls = 0
        while True:
            await asyncio.sleep(POLL_INTERVAL_S)
            polls += 1
            try:
                if polls % POLLS_PER_EXPIRY == 0:
                    await self.change(lambda tree: tree.expire_sessions(self.now_ms()))
                self._tell(await self.read(_changes_of_others))
            except StoreUnavailable as error:
                _log.warning("coordination_store_unavailable", error=str(error))

    def _tell(self, events: Sequence[WatchEvent]) -> None:
        for event in events:
            for watch in tuple(self._watches):
                watch.tell(event)


class SqliteWatch:
    """A watch on one path and all below it."""

    __slots__ = ("_callback", "_database", "_path", "_prefix")

    def __init__(self, database: SqliteDatabase, path: str, callback: WatchCallback) -> None:
        self._database = database
        self._path = path
        self._prefix = path.rstrip("/") + "/"
        self._callback = callback

    def tell(self, event: WatchEvent) -> None:
        """Pass on an event that is about the watched part of the tree."""
        if event.kind is EventKind.LOST:
            self._callback(WatchEvent(EventKind.LOST, self._path))
        elif event.path == self._path or event.path.startswith(self._prefix):
            self._callback(event)

    def cancel(self) -> None:
        """Be told nothing any more."""
        self._database.forget(self)


class SqliteStore:
    """A session with the embedded store; see :class:`minikafka.cluster.store.CoordinationStore`."""

    def __init__(
        self,
        path: Path | str = IN_MEMORY,
        clock: Clock | None = None,
        *,
        session_timeout_ms: int = SESSION_TIMEOUT_MS,
        database: SqliteDatabase | None = None,
    ) -> None:
        """Prepare a session; :meth:`open` begins it.

        Args:
            path: The database's file, or ``:memory:``.
            clock: What sessions are timed with.
            session_timeout_ms: How long the session may be out of touch before others take it for dead.
            database: The database of another session in this process, to share it.
        """
        self._database = database if database is not None else SqliteDatabase(path, clock or SystemClock())
        self._session_timeout_ms = session_timeout_ms
        self._session_id = 0
        self._session_expired = asyncio.Event()
        self._watches: list[SqliteWatch] = []
        self._heartbeat: asyncio.Task[None] | None = None

    @property
    def session_id(self) -> int:
        """The owner of the ephemeral nodes that this session makes."""
        return self._session_id

    @property
    def session_expired(self) -> asyncio.Event:
        """Set when others took the session for dead."""
        return self._session_expired

    def another_session(self) -> SqliteStore:
        """A further session of this process with the same database, not opened yet."""
        return SqliteStore(session_timeout_ms=self._session_timeout_ms, database=self._database)

    async def open(self) -> None:
        """Begin the session.

        Raises:
            StoreUnavailable: The database cannot be opened.
        """
        database = self._database
        await database.attach()

        def begin(tree: SqliteTree) -> int:
            tree.expire_sessions(database.now_ms())
            return tree.begin_session(self._session_timeout_ms, database.now_ms())

        self._session_id = await database.change(begin)
        self._heartbeat = asyncio.get_running_loop().create_task(self._beat())

    async def get(self, path: str) -> Node:
        """The node at ``path``; raises NoNode."""
        node = await self._read(lambda tree: tree.get(path))
        if node is None:
            raise NoNode(path, f"there is no node {path}")
        return node

    async def exists(self, path: str) -> NodeStat | None:
        """What is known of the node at ``path``, None if there is none."""
        node = await self._read(lambda tree: tree.get(path))
        return None if node is None else node.stat

    async def children(self, path: str) -> list[str]:
        """The names of the nodes directly below ``path``, sorted; raises NoNode."""
        return await self._read(lambda tree: tree.children(path))

    async def tree(self, path: str) -> Mapping[str, Node]:
        """Every node below ``path``, at any depth, by its path."""
        return await self._read(lambda tree: tree.tree(path))

    async def create(self, path: str, value: bytes = b"", *, ephemeral: bool = False) -> None:
        """Make a node; raises NodeExists, NoNode, NoChildrenForEphemerals."""
        await self._apply([Create(path, value, ephemeral)])

    async def set(self, path: str, value: bytes, expected_version: int = ANY_VERSION) -> int:
        """Give a node another value, and return its new version; raises NoNode, BadVersion."""
        versions = await self._apply([SetValue(path, value, expected_version)])
        return versions[0]

    async def delete(self, path: str, expected_version: int = ANY_VERSION) -> None:
        """Take a node away; raises NoNode, BadVersion, NotEmpty."""
        await self._apply([Delete(path, expected_version)])

    async def multi(self, operations: Sequence[Operation]) -> None:
        """Do all of ``operations``, or none; raises the error of the first that fails."""
        await self._apply(operations)

    async def watch(self, path: str, callback: WatchCallback) -> SqliteWatch:
        """Call ``callback`` for every change to the node at ``path`` and to any below it."""
        check_path(path)
        self._check_session()
        watch = SqliteWatch(self._database, path, callback)
        await self._database.watch(watch)
        self._watches.append(watch)
        return watch

    async def close(self) -> None:
        """End the session; a second time does nothing.

        A disk that takes no more is no reason to fail: the session ends with this process too.
        """
        if self._heartbeat is None:
            return
        self._heartbeat.cancel()
        self._heartbeat = None
        self._cancel_watches()
        try:
            await self._database.change(lambda tree: tree.end_session(self._session_id))
        except StoreUnavailable as error:
            _log.warning("session_not_ended", session_id=self._session_id, error=str(error))
        finally:
            await self._database.detach()

    async def _read(self, function: Callable[[SqliteTree], T]) -> T:
        self._check_session()
        return await self._database.read(function)

    async def _apply(self, operations: Sequence[Operation]) -> list[int]:
        self._check_session()
        try:
            return await self._database.change(lambda tree: tree.apply(operations, self._session_id))
        except SessionExpired:
            self._expire()
            raise

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(self._session_timeout_ms / 3000)
            try:
                await self.renew()
            except SessionExpired:
                return
            except StoreUnavailable as error:
                _log.warning("coordination_store_unavailable", error=str(error))

    async def renew(self) -> None:
        """Show that the session is alive, and bury those that are not; done every third of the timeout.

        Raises:
            SessionExpired: It is too late.
        """
        now_ms = self._database.now_ms()

        def renew(tree: SqliteTree) -> None:
            tree.renew_session(self._session_id, now_ms)
            tree.expire_sessions(now_ms)

        try:
            await self._database.change(renew)
        except SessionExpired:
            self._expire()
            raise

    def _check_session(self) -> None:
        if self._session_expired.is_set():
            raise SessionExpired("/", f"session {self._session_id} has expired")

    def _expire(self) -> None:
        if not self._session_expired.is_set():
            _log.error("coordination_session_expired", session_id=self._session_id)
            self._session_expired.set()
            self._cancel_watches()

    def _cancel_watches(self) -> None:
        for watch in self._watches:
            watch.cancel()
        self._watches.clear()


def _changes_of_others(tree: SqliteTree) -> list[WatchEvent]:
    return tree.take_changes() if tree.was_changed_by_others() else []
