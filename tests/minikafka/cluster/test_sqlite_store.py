import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap

import pytest

from minikafka.cluster import sqlite_tree
from minikafka.cluster.sqlite_store import SqliteStore
from minikafka.cluster.store import EventKind, SessionExpired, StoreUnavailable
from tests.support.clock import ManualClock


@pytest.fixture
def clock():
    return ManualClock()


async def opened(*arguments, **options):
    store = SqliteStore(*arguments, **options)
    await store.open()
    return store


async def test_what_was_written_is_there_after_a_restart(tmp_path):
    store = await opened(tmp_path / "db")
    await store.create("/a", b"kept")
    await store.close()
    again = await opened(tmp_path / "db")
    assert (await again.get("/a")).value == b"kept"
    await again.close()


async def test_a_session_that_is_not_renewed_in_time_is_dead(clock):
    late = await opened(":memory:", clock, session_timeout_ms=6000)
    alive = late.another_session()
    await alive.open()
    await late.create("/late", ephemeral=True)
    await alive.create("/alive", ephemeral=True)
    clock.advance(5000)
    await alive.renew()
    assert await alive.exists("/late") is not None
    clock.advance(2000)
    await alive.renew()
    assert await alive.exists("/late") is None
    assert await alive.exists("/alive") is not None
    with pytest.raises(SessionExpired):
        await late.renew()
    assert late.session_expired.is_set()
    await late.close()
    await alive.close()


async def test_a_session_renews_itself(tmp_path):
    store = await opened(tmp_path / "db", session_timeout_ms=30)
    renewed = asyncio.Event()
    renew = store.renew

    async def watched_renew():
        await renew()
        renewed.set()

    store.renew = watched_renew
    async with asyncio.timeout(10):
        await renewed.wait()
    assert not store.session_expired.is_set()
    await store.close()


HOLDER = """
import asyncio, sys
from minikafka.cluster.sqlite_store import SqliteStore

async def main():
    store = SqliteStore(sys.argv[1])
    await store.open()
    await store.create("/broker", b"", ephemeral=True)
    print("ready", flush=True)
    for line in sys.stdin:
        await store.create("/from-elsewhere")
        print("done", flush=True)

asyncio.run(main())
"""


@pytest.fixture
def holder(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(HOLDER), str(tmp_path / "db")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "ready\n"
    yield process
    process.kill()
    process.wait()
    process.stdin.close()
    process.stdout.close()


def make_zombie(pid):
    os.kill(pid, signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)


async def test_the_session_of_a_killed_process_is_dead_at_once(tmp_path, holder):
    store = await opened(tmp_path / "db")
    assert await store.exists("/broker") is not None
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    again = await opened(tmp_path / "db")
    assert await again.exists("/broker") is None
    await again.close()
    await store.close()


async def test_the_session_of_a_killed_process_is_dead_though_nobody_asked_how_it_ended(tmp_path, holder):
    make_zombie(holder.pid)
    store = await opened(tmp_path / "db")
    assert await store.exists("/broker") is None
    await store.close()


async def test_a_watch_tells_of_another_process_and_of_its_death(tmp_path, holder):
    store = await opened(tmp_path / "db")
    events = asyncio.Queue()
    await store.watch("/", events.put_nowait)
    holder.stdin.write("go\n")
    holder.stdin.flush()
    async with asyncio.timeout(10):
        assert await events.get() == (EventKind.CREATED, "/from-elsewhere")
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    async with asyncio.timeout(10):
        assert await events.get() == (EventKind.DELETED, "/broker")
    await store.close()


async def test_a_watcher_that_was_left_behind_is_told_so(tmp_path, monkeypatch):
    monkeypatch.setattr(sqlite_tree, "KEPT_CHANGES", 10)
    tree = sqlite_tree.SqliteTree(tmp_path / "db")
    tree.begin_watching()
    store = await opened(tmp_path / "db")
    await store.create("/a")
    for _ in range(25):
        await store.set("/a", b"")
    assert tree.take_changes() == [(EventKind.LOST, "/")]
    await store.set("/a", b"")
    assert tree.take_changes() == [(EventKind.CHANGED, "/a")]
    tree.close()
    await store.close()


async def test_a_lost_watch_names_its_own_path(clock):
    store = await opened(":memory:", clock)
    events = []
    watch = await store.watch("/a", events.append)
    watch.tell(sqlite_tree.WatchEvent(EventKind.LOST, "/"))
    assert events == [(EventKind.LOST, "/a")]
    await store.close()


async def test_a_change_is_finished_and_told_of_when_its_caller_is_cancelled(clock):
    store = await opened(":memory:", clock)
    told = asyncio.Queue()
    await store.watch("/a", told.put_nowait)
    task = asyncio.ensure_future(store.create("/a"))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with asyncio.timeout(10):
        assert await told.get() == (EventKind.CREATED, "/a")
    await store.close()


async def test_closing_twice_is_closing_once(clock):
    store = await opened(":memory:", clock)
    await store.close()
    await store.close()


async def test_a_closed_store_is_unavailable(clock):
    store = await opened(":memory:", clock)
    await store.close()
    with pytest.raises(StoreUnavailable):
        await store.get("/")


async def test_a_store_closes_when_its_disk_takes_no_more(tmp_path):
    store = await opened(tmp_path / "db")
    await store.create("/broker", ephemeral=True)
    other = sqlite3.connect(tmp_path / "db")
    other.execute("CREATE TRIGGER full BEFORE DELETE ON sessions BEGIN SELECT RAISE(ABORT, 'disk is full'); END")
    other.commit()
    await store.close()
    with pytest.raises(StoreUnavailable):
        await store.get("/")
    other.close()


async def test_a_file_that_is_no_database_is_refused(tmp_path):
    path = tmp_path / "db"
    path.write_bytes(b"this is no database, " * 100)
    with pytest.raises(StoreUnavailable, match="db"):
        await SqliteStore(path).open()


async def test_a_database_of_a_newer_version_is_refused(tmp_path):
    store = await opened(tmp_path / "db")
    await store._database.read(lambda tree: tree._db.execute("PRAGMA user_version = 99"))
    await store.close()
    with pytest.raises(StoreUnavailable, match="newer version"):
        await SqliteStore(tmp_path / "db").open()


def test_a_process_is_known_by_its_start_time_too():
    mine = sqlite_tree.identify_process(os.getpid())
    assert mine == sqlite_tree.identify_process(os.getpid())
    assert mine.start
    assert sqlite_tree.identify_process(2**22 + 1).start == ""
