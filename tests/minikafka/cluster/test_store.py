"""What every coordination store promises.  A further store joins by adding its factory to ``STORES``."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import pytest

from minikafka.cluster.sqlite_store import SqliteStore
from minikafka.cluster.store import (
    BadVersion,
    Check,
    CoordinationStore,
    Create,
    Delete,
    EventKind,
    NoChildrenForEphemerals,
    NodeExists,
    NoNode,
    NotEmpty,
    SessionExpired,
    SetValue,
    WatchEvent,
    check_path,
    ensure_path,
    parent_of,
)

DEADLINE_S = 10


@dataclass
class Service:
    """A running coordination service: what the tests need of one besides its stores."""

    connect: Callable[[], Awaitable[CoordinationStore]]
    expire: Callable[[CoordinationStore], Awaitable[None]]
    """Have the service take a session for dead, as if it had been silent for too long."""


async def expire_sqlite_session(store: CoordinationStore) -> None:
    assert isinstance(store, SqliteStore)
    await store._database.change(lambda tree: tree.end_session(store.session_id))


@asynccontextmanager
async def sqlite_in_memory(tmp_path) -> AsyncIterator[Service]:
    async with AsyncExitStack() as stack:
        first = SqliteStore()

        async def connect() -> SqliteStore:
            store = first.another_session()
            await store.open()
            stack.push_async_callback(store.close)
            return store

        yield Service(connect, expire_sqlite_session)


@asynccontextmanager
async def sqlite_files(tmp_path) -> AsyncIterator[Service]:
    """Every session with a database object of its own, as in processes of their own."""
    async with AsyncExitStack() as stack:

        async def connect() -> SqliteStore:
            store = SqliteStore(tmp_path / "store.sqlite")
            await store.open()
            stack.push_async_callback(store.close)
            return store

        yield Service(connect, expire_sqlite_session)


STORES = {"sqlite-memory": sqlite_in_memory, "sqlite-file": sqlite_files}


@pytest.fixture(params=STORES)
async def service(request, tmp_path):
    async with STORES[request.param](tmp_path) as running:
        yield running


@pytest.fixture
async def store(service):
    return await service.connect()


@pytest.fixture
async def other(service, store):
    return await service.connect()


class Recorder:
    """A watch's callback that remembers, and can be waited for."""

    def __init__(self) -> None:
        self.events: list[WatchEvent] = []
        self._grown = asyncio.Event()

    def __call__(self, event: WatchEvent) -> None:
        self.events.append(event)
        self._grown.set()

    async def count(self, number: int) -> list[WatchEvent]:
        async with asyncio.timeout(DEADLINE_S):
            while len(self.events) < number:
                self._grown.clear()
                await self._grown.wait()
        return self.events


async def test_a_node_is_read_as_it_was_written(store):
    await store.create("/a", b"one")
    node = await store.get("/a")
    assert (node.value, node.stat.version, node.stat.owner) == (b"one", 0, 0)


async def test_another_session_sees_what_was_written(store, other):
    await store.create("/a", b"one")
    assert (await other.get("/a")).value == b"one"


async def test_each_set_gives_the_next_version(store):
    await store.create("/a")
    assert await store.set("/a", b"1") == 1
    assert await store.set("/a", b"2", expected_version=1) == 2
    assert (await store.get("/a")).value == b"2"


async def test_transactions_are_numbered_upwards(store):
    await store.create("/a")
    await store.create("/b")
    await store.set("/a", b"1")
    a, b = (await store.get("/a")).stat, (await store.get("/b")).stat
    assert a.created < b.created < a.modified


async def test_a_version_that_is_not_current_changes_nothing(store):
    await store.create("/a", b"0")
    await store.set("/a", b"1")
    with pytest.raises(BadVersion):
        await store.set("/a", b"2", expected_version=0)
    with pytest.raises(BadVersion):
        await store.delete("/a", expected_version=0)
    assert (await store.get("/a")).value == b"1"


async def test_a_node_made_again_begins_with_version_0(store):
    await store.create("/a")
    await store.set("/a", b"1")
    await store.delete("/a", expected_version=1)
    await store.create("/a")
    assert (await store.get("/a")).stat.version == 0


async def test_a_node_is_made_once(store, other):
    await store.create("/a")
    with pytest.raises(NodeExists):
        await other.create("/a")


async def test_the_root_is_there_and_stays(store):
    assert await store.exists("/") is not None
    with pytest.raises(NodeExists):
        await store.create("/")


async def test_a_node_needs_one_above_it(store):
    with pytest.raises(NoNode):
        await store.create("/a/b")


async def test_what_is_not_there_cannot_be_read_set_or_deleted(store):
    for attempt in (store.get("/a"), store.set("/a", b""), store.delete("/a"), store.children("/a")):
        with pytest.raises(NoNode):
            await attempt
    assert await store.exists("/a") is None
    assert await store.tree("/a") == {}


async def test_a_node_with_children_is_not_deleted(store):
    await ensure_path(store, "/a/b")
    with pytest.raises(NotEmpty):
        await store.delete("/a")
    await store.delete("/a/b")
    await store.delete("/a")


async def test_children_are_names_in_order_and_not_grandchildren(store):
    for path in ("/a", "/a/c", "/a/b", "/a/b/x", "/ab"):
        await store.create(path)
    assert await store.children("/a") == ["b", "c"]


async def test_a_tree_is_everything_below_a_node_and_nothing_beside_it(store):
    for path in ("/a", "/a/b", "/a/b/c", "/a-b", "/a.b", "/a0", "/ab"):
        await store.create(path, path.encode())
    tree = await store.tree("/a")
    assert {path: node.value for path, node in tree.items()} == {"/a/b": b"/a/b", "/a/b/c": b"/a/b/c"}


async def test_a_multi_does_all_of_it(store):
    await store.create("/old", b"x")
    await store.multi(
        [Create("/a"), Create("/a/b", b"1"), SetValue("/a/b", b"2", 0), Check("/a/b", 1), Delete("/old", 0)]
    )
    assert (await store.get("/a/b")).value == b"2"
    assert await store.exists("/old") is None


@pytest.mark.parametrize(
    ("last", "error"),
    [
        (Create("/there"), NodeExists),
        (Create("/x/y"), NoNode),
        (SetValue("/there", b"", 7), BadVersion),
        (Delete("/missing"), NoNode),
        (Check("/there", 7), BadVersion),
    ],
)
async def test_a_multi_that_fails_does_none_of_it(store, last, error):
    await store.create("/there", b"0")
    with pytest.raises(error):
        await store.multi([Create("/a"), SetValue("/there", b"1"), last])
    assert await store.exists("/a") is None
    assert (await store.get("/there")).value == b"0"


async def test_of_two_sessions_that_read_the_same_version_one_writes(store, other):
    await store.create("/a")
    results = await asyncio.gather(
        *(session.set("/a", b"x", expected_version=0) for session in (store, other)), return_exceptions=True
    )
    assert sorted(type(result).__name__ for result in results) == ["BadVersion", "int"]


async def test_counting_by_compare_and_set_loses_nothing(store, other):
    await store.create("/count", b"0")

    async def count_up(session, times):
        done = 0
        while done < times:
            node = await session.get("/count")
            try:
                await session.set("/count", b"%d" % (int(node.value) + 1), node.stat.version)
            except BadVersion:
                continue
            done += 1

    await asyncio.gather(count_up(store, 20), count_up(other, 20))
    assert (await store.get("/count")).value == b"40"


async def test_an_ephemeral_node_goes_when_its_session_ends(service, store):
    owner = await service.connect()
    await owner.create("/a", ephemeral=True)
    stat = await store.exists("/a")
    assert stat is not None
    assert stat.owner == owner.session_id != store.session_id
    await owner.close()
    assert await store.exists("/a") is None


async def test_an_ephemeral_node_goes_when_its_session_expires(service, store):
    owner = await service.connect()
    await owner.create("/a", ephemeral=True)
    await service.expire(owner)
    assert await store.exists("/a") is None
    with pytest.raises(SessionExpired):
        await owner.create("/b")
    assert owner.session_expired.is_set()
    with pytest.raises(SessionExpired):
        await owner.get("/")


async def test_nodes_that_are_not_ephemeral_outlive_their_session(service, store):
    owner = await service.connect()
    await owner.create("/a")
    await owner.close()
    assert await store.exists("/a") is not None


async def test_a_multi_can_make_ephemeral_nodes(service, store):
    owner = await service.connect()
    await owner.multi([Create("/dir"), Create("/dir/a", b"", ephemeral=True)])
    await owner.close()
    assert await store.children("/dir") == []


async def test_an_ephemeral_node_has_no_children(store):
    await store.create("/a", ephemeral=True)
    with pytest.raises(NoChildrenForEphemerals):
        await store.create("/a/b")


async def test_a_watch_tells_of_the_node_and_of_everything_below_it(store):
    recorder = Recorder()
    await store.watch("/a", recorder)
    await store.create("/a")
    await store.create("/a/b")
    await store.create("/ab")
    await store.set("/a/b", b"1")
    await store.delete("/a/b")
    await store.delete("/a")
    assert await recorder.count(5) == [
        (EventKind.CREATED, "/a"),
        (EventKind.CREATED, "/a/b"),
        (EventKind.CHANGED, "/a/b"),
        (EventKind.DELETED, "/a/b"),
        (EventKind.DELETED, "/a"),
    ]


async def test_a_watch_on_the_root_tells_of_everything(store):
    recorder = Recorder()
    await store.watch("/", recorder)
    await store.create("/a")
    assert await recorder.count(1) == [(EventKind.CREATED, "/a")]


async def test_a_watch_tells_of_other_sessions_changes_in_order(store, other):
    recorder = Recorder()
    await store.watch("/", recorder)
    await other.create("/a")
    await store.create("/b")
    await other.multi([Create("/c"), SetValue("/a", b"1")])
    assert await recorder.count(4) == [
        (EventKind.CREATED, "/a"),
        (EventKind.CREATED, "/b"),
        (EventKind.CREATED, "/c"),
        (EventKind.CHANGED, "/a"),
    ]


async def test_own_changes_are_told_before_the_call_returns(store):
    recorder = Recorder()
    await store.watch("/a", recorder)
    await store.create("/a")
    assert len(recorder.events) == 1


async def test_a_watch_does_not_tell_of_what_was_before_it_nor_of_what_failed(store):
    await store.create("/a")
    recorder = Recorder()
    await store.watch("/", recorder)
    with pytest.raises(NoNode):
        await store.multi([Create("/b"), Delete("/missing")])
    await store.create("/c")
    assert await recorder.count(1) == [(EventKind.CREATED, "/c")]


async def test_a_watch_tells_of_ephemeral_nodes_that_go(service, store):
    owner = await service.connect()
    await owner.create("/a", ephemeral=True)
    recorder = Recorder()
    await store.watch("/a", recorder)
    await service.expire(owner)
    assert await recorder.count(1) == [(EventKind.DELETED, "/a")]


async def test_a_cancelled_watch_is_silent(store):
    recorder, witness = Recorder(), Recorder()
    watch = await store.watch("/", recorder)
    await store.watch("/", witness)
    watch.cancel()
    watch.cancel()
    await store.create("/a")
    await witness.count(1)
    assert recorder.events == []


async def test_whoever_is_told_of_a_change_reads_nothing_older(store, other):
    await store.create("/a", b"0")
    read: asyncio.Queue[asyncio.Task] = asyncio.Queue()
    await store.watch("/a", lambda _: read.put_nowait(asyncio.ensure_future(store.get("/a"))))
    await other.set("/a", b"1")
    async with asyncio.timeout(DEADLINE_S):
        assert (await (await read.get())).value == b"1"


@pytest.mark.parametrize("path", ["", "a", "/a/", "//a", "/a//b", "/./a", "/a/..", "/a\0b"])
async def test_what_is_no_path_is_refused(store, path):
    with pytest.raises(ValueError, match="not the path of a node"):
        await store.create(path)
    with pytest.raises(ValueError, match="not the path of a node"):
        await store.get(path)


def test_paths_have_parents():
    check_path("/a/b")
    assert parent_of("/a/b") == "/a"
    assert parent_of("/a") == "/"
    assert parent_of("/") == "/"


async def test_a_path_is_ensured_by_several_at_once(store, other):
    await asyncio.gather(ensure_path(store, "/a/b/c"), ensure_path(other, "/a/b/c"))
    assert await store.exists("/a/b/c") is not None
