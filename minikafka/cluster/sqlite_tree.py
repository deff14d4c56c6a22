"""The node tree in an SQLite database: the synchronous half of the embedded coordination store.

    nodes      path | parent | value | version | created | modified | owner
    changes    id (the transaction log, its newest part) | kind | path
    sessions   id | timeout_ms | renewed (CLOCK_MONOTONIC, ms) | pid | process_start | boot_id

A change's row id is ZooKeeper's zxid.  Other processes read ``changes`` to learn what their watches have to tell.
A session dies when it is not renewed in time, or at once when its process is gone, so that a broker that was killed
can be started again without waiting for its own ghost.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from minikafka.cluster.store import (
    ANY_VERSION,
    NO_OWNER,
    BadVersion,
    Check,
    Create,
    Delete,
    EventKind,
    NoChildrenForEphemerals,
    Node,
    NodeExists,
    NodeStat,
    NoNode,
    NotEmpty,
    Operation,
    SessionExpired,
    SetValue,
    StoreUnavailable,
    WatchEvent,
    check_path,
    parent_of,
)

IN_MEMORY = ":memory:"
KEPT_CHANGES = 10_000
"""How many changes are kept for other processes to read; a watcher that is further behind is told so."""

BUSY_TIMEOUT_S = 5.0
_ENDED = frozenset("ZXx")
"""States of a process that runs no more (proc_pid_stat(5)): a zombie, and one that is about to go."""

_SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE nodes (
    path TEXT PRIMARY KEY, parent TEXT NOT NULL, value BLOB NOT NULL, version INTEGER NOT NULL,
    created INTEGER NOT NULL, modified INTEGER NOT NULL, owner INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX children ON nodes (parent);
CREATE INDEX owned ON nodes (owner) WHERE owner != 0;
CREATE TABLE changes (id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, path TEXT NOT NULL);
CREATE TABLE sessions (
    id INTEGER PRIMARY KEY AUTOINCREMENT, timeout_ms INTEGER NOT NULL, renewed INTEGER NOT NULL,
    pid INTEGER NOT NULL, process_start TEXT NOT NULL, boot_id TEXT NOT NULL
);
INSERT INTO nodes VALUES ('/', '', x'', 0, 0, 0, 0);
"""


class ProcessIdentity(NamedTuple):
    """What tells a process from a later one with the same id."""

    pid: int
    start: str
    boot_id: str


class SqliteTree:
    """The tree, its sessions and its latest changes.  Used from one thread."""

    def __init__(self, path: Path | str) -> None:
        """Open the database, and lay it out if it is new.

        Args:
            path: The file, or ``:memory:``.

        Raises:
            StoreUnavailable: It cannot be opened, or is none of ours.
        """
        self._path = str(path)
        self._process = identify_process(os.getpid())
        self._last_taken = 0
        self._data_version = 0
        with self._translated("/"):
            self._db = sqlite3.connect(
                self._path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
            )
            if self._path != IN_MEMORY:
                # One fsync a commit instead of three, and readers do not wait for the writer.
                self._db.execute("PRAGMA journal_mode = WAL")
                self._db.execute("PRAGMA synchronous = FULL")
            self._lay_out()

    def close(self) -> None:
        """Close the database."""
        self._db.close()

    def get(self, path: str) -> Node | None:
        """The node at ``path``, None if there is none."""
        check_path(path)
        with self._translated(path):
            row = self._db.execute(
                "SELECT value, version, created, modified, owner FROM nodes WHERE path = ?", (path,)
            ).fetchone()
        return None if row is None else Node(row[0], NodeStat(*row[1:]))

    def children(self, path: str) -> list[str]:
        """The names below ``path``, sorted.

        Raises:
            NoNode: There is no node at ``path``.
        """
        check_path(path)
        with self._translated(path):
            self._require(path)
            rows = self._db.execute("SELECT path FROM nodes WHERE parent = ? ORDER BY path", (path,)).fetchall()
        return [row[0].rpartition("/")[2] for row in rows]

    def tree(self, path: str) -> Mapping[str, Node]:
        """Every node below ``path``."""
        check_path(path)
        prefix = path if path == "/" else path + "/"
        with self._translated(path):
            # '0' is the character after '/', so this range is exactly what begins with the prefix.
            rows = self._db.execute(
                "SELECT path, value, version, created, modified, owner FROM nodes WHERE path > ? AND path < ?",
                (prefix, prefix[:-1] + "0"),
            ).fetchall()
        return {row[0]: Node(row[1], NodeStat(*row[2:])) for row in rows}

    def apply(self, operations: Sequence[Operation], session_id: int) -> list[int]:
        """Do all of ``operations``, or none, and return the version that each left its node with.

        Raises:
            StoreError: The first operation's that failed; nothing is done.
        """
        for operation in operations:
            check_path(operation.path)
        with self._transaction("/"):
            self._require_session(session_id)
            return [self._apply_one(operation, session_id) for operation in operations]

    def begin_session(self, timeout_ms: int, now_ms: int) -> int:
        """Make a session that has to be renewed within every ``timeout_ms``, and return its id."""
        with self._without_fsync(), self._transaction("/"):
            cursor = self._db.execute(
                "INSERT INTO sessions (timeout_ms, renewed, pid, process_start, boot_id) VALUES (?, ?, ?, ?, ?)",
                (timeout_ms, now_ms, *self._process),
            )
        assert cursor.lastrowid is not None
        return cursor.lastrowid

    def renew_session(self, session_id: int, now_ms: int) -> None:
        """Keep a session alive.

        Raises:
            SessionExpired: It is too late.
        """
        with self._without_fsync(), self._transaction("/"):
            self._require_session(session_id)
            self._db.execute("UPDATE sessions SET renewed = ? WHERE id = ?", (now_ms, session_id))

    def end_session(self, session_id: int) -> None:
        """Delete a session and its ephemeral nodes; one that is gone is no error."""
        with self._transaction("/"):
            self._end_session(session_id)

    def expire_sessions(self, now_ms: int) -> None:
        """Delete the sessions that were not renewed in time, or whose process is gone."""
        with self._translated("/"):
            rows = self._db.execute(
                "SELECT id, timeout_ms, renewed, pid, process_start, boot_id FROM sessions"
            ).fetchall()
        dead = [row[0] for row in rows if self._is_dead(row[1], row[2], ProcessIdentity(*row[3:]), now_ms)]
        for session_id in dead:
            self.end_session(session_id)

    def begin_watching(self) -> None:
        """Have :meth:`take_changes` begin with the next change."""
        with self._translated("/"):
            self._last_taken = self._last_change_id()

    def take_changes(self) -> list[WatchEvent]:
        """What was changed, by anybody, since this was called last; LOST alone when not all of that is known."""
        with self._translated("/"):
            rows = self._db.execute(
                "SELECT id, kind, path FROM changes WHERE id > ? ORDER BY id", (self._last_taken,)
            ).fetchall()
        if not rows:
            return []
        first_expected, self._last_taken = self._last_taken + 1, rows[-1][0]
        if rows[0][0] != first_expected:
            return [WatchEvent(EventKind.LOST, "/")]
        return [WatchEvent(EventKind(kind), path) for _, kind, path in rows]

    def was_changed_by_others(self) -> bool:
        """Whether another connection has committed anything since this was called last."""
        with self._translated("/"):
            before, self._data_version = self._data_version, self._db.execute("PRAGMA data_version").fetchone()[0]
        return bool(before != self._data_version)

    def _lay_out(self) -> None:
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if version == _SCHEMA_VERSION:
            return
        if version != 0:
            raise StoreUnavailable("/", f"{self._path} was written by a newer version (layout {version})")
        self._db.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version = {_SCHEMA_VERSION}; COMMIT;")

    @contextmanager
    def _transaction(self, path: str) -> Iterator[None]:
        with self._translated(path):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    @contextmanager
    def _without_fsync(self) -> Iterator[None]:
        """For what is about sessions alone: after a power cut none of them is alive anyway."""
        self._db.execute("PRAGMA synchronous = NORMAL")
        try:
            yield
        finally:
            self._db.execute("PRAGMA synchronous = FULL")

    @contextmanager
    def _translated(self, path: str) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise StoreUnavailable(path, f"{self._path}: {error}") from error

    def _apply_one(self, operation: Operation, session_id: int) -> int:
        match operation:
            case Create(path, value, ephemeral):
                self._create(path, value, session_id if ephemeral else NO_OWNER)
                return 0
            case SetValue(path, value, expected):
                return self._set(path, value, expected)
            case Delete(path, expected):
                self._delete(path, expected)
                return ANY_VERSION
            case Check(path, expected):
                return self._require(path, expected).version

    def _create(self, path: str, value: bytes, owner: int) -> None:
        if self.get(path) is not None:
            raise NodeExists(path, f"there is a node {path} already")
        if self._require(parent_of(path)).owner != NO_OWNER:
            raise NoChildrenForEphemerals(path, f"{parent_of(path)} is ephemeral and cannot have children")
        number = self._log(EventKind.CREATED, path)
        self._db.execute(
            "INSERT INTO nodes VALUES (?, ?, ?, 0, ?, ?, ?)", (path, parent_of(path), value, number, number, owner)
        )

    def _set(self, path: str, value: bytes, expected_version: int) -> int:
        version = self._require(path, expected_version).version + 1
        number = self._log(EventKind.CHANGED, path)
        self._db.execute(
            "UPDATE nodes SET value = ?, version = ?, modified = ? WHERE path = ?", (value, version, number, path)
        )
        return version

    def _delete(self, path: str, expected_version: int) -> None:
        self._require(path, expected_version)
        if path == "/" or self._db.execute("SELECT 1 FROM nodes WHERE parent = ? LIMIT 1", (path,)).fetchone():
            raise NotEmpty(path, f"the node {path} has children")
        self._log(EventKind.DELETED, path)
        self._db.execute("DELETE FROM nodes WHERE path = ?", (path,))

    def _require(self, path: str, expected_version: int = ANY_VERSION) -> NodeStat:
        node = self.get(path)
        if node is None:
            raise NoNode(path, f"there is no node {path}")
        if expected_version not in {ANY_VERSION, node.stat.version}:
            raise BadVersion(path, f"the node {path} has version {node.stat.version}, not {expected_version}")
        return node.stat

    def _require_session(self, session_id: int) -> None:
        if self._db.execute("SELECT 1 FROM sessions WHERE id = ?", (session_id,)).fetchone() is None:
            raise SessionExpired("/", f"session {session_id} has expired")

    def _end_session(self, session_id: int) -> None:
        self._db.execute("DELETE FROM sessions WHERE id = ?", (session_id,))
        for (path,) in self._db.execute("SELECT path FROM nodes WHERE owner = ?", (session_id,)).fetchall():
            self._delete(path, ANY_VERSION)

    def _is_dead(self, timeout_ms: int, renewed_ms: int, owner: ProcessIdentity, now_ms: int) -> bool:
        if owner.boot_id != self._process.boot_id or not renewed_ms <= now_ms <= renewed_ms + timeout_ms:
            return True
        return owner != self._process and identify_process(owner.pid) != owner

    def _last_change_id(self) -> int:
        return int(self._db.execute("SELECT coalesce(max(id), 0) FROM changes").fetchone()[0])

    def _log(self, kind: EventKind, path: str) -> int:
        number = self._db.execute("INSERT INTO changes (kind, path) VALUES (?, ?)", (kind.value, path)).lastrowid
        assert number is not None
        # Now and then is enough: the table may grow to twice what is kept.
        if number % KEPT_CHANGES == 0:
            self._db.execute("DELETE FROM changes WHERE id <= ?", (number - KEPT_CHANGES,))
        return number


def identify_process(pid: int) -> ProcessIdentity:
    """What identifies the process that now has the id ``pid``; empty texts where the system does not tell.

    A process that has ended, and whose parent has not asked how, is none.  On systems without ``/proc`` a session is
    told dead only by its time.
    """
    try:
        boot_id = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ProcessIdentity(pid, "", "")
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ProcessIdentity(pid, "", boot_id)
    # The command may hold spaces and parentheses; the state is the first field after it, the start time the 20th.
    fields = stat.rpartition(")")[2].split()
    if fields[0] in _ENDED:
        return ProcessIdentity(pid, "", boot_id)
    return ProcessIdentity(pid, fields[19], boot_id)
