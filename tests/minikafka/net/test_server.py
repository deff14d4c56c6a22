"""The server on real sockets; a frame's first byte tells the handler here what to do with it."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import socket
import struct
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from minikafka.net.loop import LoopFaults
from minikafka.net.server import (
    Address,
    BrokerProtocol,
    Buffer,
    CarriedOut,
    CloseConnection,
    ConnectionInfo,
    Reply,
    Server,
    ServerLimits,
)

pytestmark = pytest.mark.usefixtures("no_unhandled_exceptions")

MIB = 1024 * 1024
BIG = bytes(MIB)


class Requests:
    """The handler: E echoes, B answers a megabyte, N nothing, C closes, X fails.

    W waits to be released, D is carried out and its answer waits; both may then still close or fail.
    """

    def __init__(self) -> None:
        self.released = asyncio.Event()
        self.started = asyncio.Event()
        self.cancelled = 0
        self.seen = 0
        self.connections: list[ConnectionInfo] = []

    def __call__(self, frame: memoryview, info: ConnectionInfo):  # type: ignore[no-untyped-def]
        self.seen += 1
        what = bytes(frame[:1])
        if what == b"W":
            return self._wait(frame)
        if what == b"D":
            return CarriedOut(self._wait(frame))
        if what == b"C":
            raise CloseConnection("the test wants it")
        if what == b"X":
            raise RuntimeError("a fault of ours")
        return {b"N": None, b"B": [BIG]}.get(what, [b"re:", bytes(frame)])

    async def _wait(self, frame: memoryview) -> Reply:
        self.started.set()
        try:
            await self.released.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if frame[1:2] == b"X":
            raise RuntimeError("a fault of ours")
        if frame[1:2] == b"C":
            raise CloseConnection("the test wants it")
        return [b"waited:", bytes(frame)]


class Client:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, *frames: bytes) -> None:
        self.writer.write(b"".join(struct.pack(">i", len(frame)) + frame for frame in frames))

    def send_raw(self, data: bytes) -> None:
        self.writer.write(data)

    async def receive(self) -> bytes:
        (size,) = struct.unpack(">i", await self.reader.readexactly(4))
        return await self.reader.readexactly(size)

    async def ask(self, frame: bytes) -> bytes:
        self.send(frame)
        return await self.receive()

    async def is_closed(self) -> bool:
        """Waits until the server has closed; False if it sends something instead."""
        try:
            async with asyncio.timeout(10):
                return await self.reader.read(1) == b""
        except ConnectionError:
            return True

    def reset(self) -> None:
        """Go without a goodbye: the server gets an RST."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


class Running:
    def __init__(self, server: Server, address: Address, requests: Requests) -> None:
        self.server = server
        self.address = address
        self.requests = requests

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Client]:
        reader, writer = await asyncio.open_connection(*self.address)
        try:
            yield Client(reader, writer)
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


@asynccontextmanager
async def running(limits: ServerLimits | None = None) -> AsyncIterator[Running]:
    requests = Requests()
    server = Server(requests, limits or ServerLimits(), requests.connections.append)
    address = server.bind("127.0.0.1", 0, "PLAINTEXT")
    await server.start()
    try:
        yield Running(server, address, requests)
    finally:
        await server.close(0)


def rss_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


async def until(condition) -> None:  # type: ignore[no-untyped-def]
    """Give the loop its turns until ``condition`` holds."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - state has no event to wait for
            await asyncio.sleep(0.001)


# -- answers


async def test_a_request_is_answered() -> None:
    async with running() as run, run.client() as client:
        assert await client.ask(b"Ehello") == b"re:Ehello"


async def test_pipelined_requests_are_answered_in_order_also_when_some_wait() -> None:
    async with running() as run, run.client() as client:
        frames = [b"W%d" % n if n % 3 == 0 else b"E%d" % n for n in range(30)]
        client.send(*frames)
        await run.requests.started.wait()
        run.requests.released.set()
        answers = [await client.receive() for _ in frames]
        assert answers == [b"waited:" + f if f[:1] == b"W" else b"re:" + f for f in frames]


async def test_one_request_of_a_connection_is_in_progress_at_a_time() -> None:
    async with running() as run, run.client() as client:
        client.send(b"W", b"E1", b"E2")
        await run.requests.started.wait()
        await asyncio.sleep(0)
        assert run.requests.seen == 1
        run.requests.released.set()
        assert [await client.receive() for _ in range(3)] == [b"waited:W", b"re:E1", b"re:E2"]


async def test_behind_a_request_that_is_carried_out_the_next_ones_are_begun_and_answers_keep_their_order() -> None:
    async with running() as run, run.client() as client:
        client.send(b"D1", b"D2", b"N", b"D3", b"E4", b"D5")
        await until(lambda: run.requests.seen == 5)
        run.requests.released.set()
        answers = [await client.receive() for _ in range(5)]
        assert answers == [b"waited:D1", b"waited:D2", b"waited:D3", b"re:E4", b"waited:D5"]


async def test_large_answers_do_not_pile_up_behind_one_that_waits() -> None:
    async with running() as run, run.client() as client:
        client.send(b"D", *[b"B"] * 10)
        await until(lambda: run.requests.seen == 2)
        for _ in range(50):
            await asyncio.sleep(0)
        assert run.requests.seen == 2
        run.requests.released.set()
        assert [await client.receive() for _ in range(11)] == [b"waited:D", *[BIG] * 10]


async def test_a_request_that_is_not_carried_out_holds_up_those_behind_it() -> None:
    async with running() as run, run.client() as client:
        client.send(b"D1", b"W2", b"D3")
        await until(lambda: run.requests.seen == 2)
        for _ in range(10):
            await asyncio.sleep(0)
        assert run.requests.seen == 2
        run.requests.released.set()
        assert [await client.receive() for _ in range(3)] == [b"waited:D1", b"waited:W2", b"waited:D3"]


async def test_no_more_answers_are_owed_than_the_limit_allows() -> None:
    async with running() as run, run.client() as client:
        client.send(*[b"D"] * 1_000)
        await until(lambda: run.requests.seen >= 128)
        for _ in range(50):
            await asyncio.sleep(0)
        assert run.requests.seen == 128
        run.requests.released.set()
        assert [await client.receive() for _ in range(1_000)] == [b"waited:D"] * 1_000


async def test_requests_behind_owed_answers_take_no_more_memory_than_they_may() -> None:
    async with running() as run, run.client() as client:
        client.send(*[b"D" + bytes(4 * MIB)] * 6)
        await until(lambda: run.requests.seen == 2)
        for _ in range(200):
            await asyncio.sleep(0.001)
        assert run.requests.seen == 2
        run.requests.released.set()
        for _ in range(6):
            assert len(await client.receive()) == 4 * MIB + 8


async def test_a_waiting_request_holds_up_no_other_connection() -> None:
    async with running() as run, run.client() as waiting, run.client() as other:
        waiting.send(b"W")
        await run.requests.started.wait()
        assert await other.ask(b"E") == b"re:E"


async def test_a_request_without_answer_gets_none() -> None:
    async with running() as run, run.client() as client:
        client.send(b"N", b"E1", b"N", b"E2")
        assert [await client.receive(), await client.receive()] == [b"re:E1", b"re:E2"]


async def test_a_frame_larger_than_any_chunk_is_answered() -> None:
    frame = b"E" + bytes(range(256)) * 20_000
    async with running() as run, run.client() as client:
        for _ in range(3):
            assert await client.ask(frame) == b"re:" + frame


async def test_a_request_sent_byte_by_byte_is_answered() -> None:
    async with running() as run, run.client() as client:
        for byte in struct.pack(">i", 6) + b"Ehello":
            client.send_raw(bytes([byte]))
            await client.writer.drain()
            await asyncio.sleep(0)
        assert await client.receive() == b"re:Ehello"


async def test_clients_share_a_busy_broker() -> None:
    """One that pipelines without end does not keep the other from its turn."""
    async with running() as run, run.client() as greedy, run.client() as modest:
        count = 60_000
        greedy.send(*[b"E"] * count)
        greedy_done = asyncio.create_task(greedy.reader.readexactly(count * 8))
        assert await modest.ask(b"E") == b"re:E"
        await greedy_done


async def test_the_handler_learns_who_asks() -> None:
    async with running() as run, run.client() as client:
        await client.ask(b"E")
        (info,) = run.requests.connections
        assert info.peer == Address(*client.writer.get_extra_info("sockname"))
        assert info.local == run.address
        assert info.listener == "PLAINTEXT"


async def test_requests_sent_before_the_start_are_served_after_it() -> None:
    requests = Requests()
    server = Server(requests, ServerLimits())
    address = server.bind("127.0.0.1", 0, "PLAINTEXT")
    reader, writer = await asyncio.open_connection(*address)
    client = Client(reader, writer)
    client.send(b"E")
    await server.start()
    assert await client.receive() == b"re:E"
    writer.close()
    await server.close(0)


# -- faults


@pytest.mark.parametrize("frame", [b"C", b"X", b"WC", b"WX", b"DC", b"DX"])
async def test_a_fault_ends_its_own_connection_after_what_was_answered_before(
    frame: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    async with running() as run, run.client() as client, run.client() as other:
        run.requests.released.set()
        client.send(b"E1", frame, b"E2")
        assert await client.receive() == b"re:E1"
        assert await client.is_closed()
        assert await other.ask(b"E") == b"re:E"
    lines = capsys.readouterr().err
    assert ("the test wants it" if frame.endswith(b"C") else "a fault of ours") in lines


@pytest.mark.parametrize(
    "data",
    [
        struct.pack(">i", -1),
        struct.pack(">i", -(2**31)),
        struct.pack(">i", 0),
        struct.pack(">i", 2**31 - 1),
        struct.pack(">i", 100 * MIB + 1),
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x00\xc8\x01\x00\x00\xc4\x03\x03" + bytes(32),
    ],
    ids=["-1", "min", "zero", "max", "above the limit", "HTTP", "TLS"],
)
async def test_what_is_no_frame_ends_the_connection_and_costs_no_memory(
    data: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    async with running() as run, run.client() as other:
        await other.ask(b"E")
        before = rss_bytes()
        async with run.client() as client:
            client.send_raw(data)
            assert await client.is_closed()
        assert rss_bytes() - before < 8 * MIB
        assert await other.ask(b"E") == b"re:E"
    assert capsys.readouterr().err.count("connection_closed") == 1


async def test_many_faults_do_not_flood_the_log(capsys: pytest.CaptureFixture[str]) -> None:
    async with running() as run:
        for _ in range(200):
            async with run.client() as client:
                client.send(b"C")
                assert await client.is_closed()
    lines = capsys.readouterr().err.splitlines()
    assert 0 < len(lines) < 60


# -- memory and patience


async def test_claims_of_99_mib_cost_little_and_end_at_the_deadline() -> None:
    async with running(ServerLimits(read_timeout_ms=400)) as run, contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(run.client()) for _ in range(200)]
        await until(lambda: run.server.connection_count == 200)
        before = rss_bytes()
        for client in clients:
            client.send_raw(struct.pack(">i", 99 * MIB))
        assert all(await asyncio.gather(*(client.is_closed() for client in clients)))
        assert rss_bytes() - before < 32 * MIB


@pytest.mark.parametrize("data", [b"\0\0", struct.pack(">i", 50), struct.pack(">i", 50) + b"E" * 20])
async def test_a_request_that_does_not_come_to_its_end_is_not_waited_for(data: bytes) -> None:
    async with running(ServerLimits(read_timeout_ms=200)) as run, run.client() as client, run.client() as idle:
        client.send_raw(data)
        started = time.monotonic()
        assert await client.is_closed()
        assert time.monotonic() - started >= 0.1
        assert await idle.ask(b"E") == b"re:E"


async def test_slow_senders_do_not_slow_down_the_others() -> None:
    async with running() as run, contextlib.AsyncExitStack() as stack:
        slow = [await stack.enter_async_context(run.client()) for _ in range(50)]
        healthy = await stack.enter_async_context(run.client())
        for client in slow:
            client.send_raw(struct.pack(">i", 1000))
        took = []
        for _ in range(200):
            for client in slow[:5]:
                client.send_raw(b"E")
            started = time.monotonic()
            await healthy.ask(b"E")
            took.append(time.monotonic() - started)
        assert sorted(took)[-3] < 0.1


async def test_an_idle_connection_is_closed_without_a_word(capsys: pytest.CaptureFixture[str]) -> None:
    async with running(ServerLimits(max_idle_ms=200)) as run, run.client() as client:
        await client.ask(b"E")
        assert await client.is_closed()
    assert capsys.readouterr().err == ""


async def test_a_connection_whose_request_waits_is_not_idle() -> None:
    async with running(ServerLimits(max_idle_ms=50)) as run, run.client() as client, run.client() as idle:
        client.send(b"W")
        assert await idle.is_closed()
        run.requests.released.set()
        assert await client.receive() == b"waited:W"


async def test_with_minus_one_idle_connections_stay() -> None:
    limits = ServerLimits(max_idle_ms=-1, read_timeout_ms=40)
    async with running(limits) as run, run.client() as client, run.client() as watch:
        watch.send_raw(b"\0")  # closed by the sweep: it has run
        assert await watch.is_closed()
        assert await client.ask(b"E") == b"re:E"


async def test_a_client_that_does_not_read_is_not_served_on_and_loses_nothing() -> None:
    async with running() as run, run.client() as client:
        count = 1_000
        client.send(*[b"B"] * count)
        await until(lambda: run.requests.seen > 0)
        for _ in range(100):
            await asyncio.sleep(0)
        # What fits into the sockets' buffers and the high-water mark, not a thousand megabytes.
        assert run.requests.seen < 60
        for _ in range(count):
            assert await client.receive() == BIG
        assert run.requests.seen == count


async def test_unfinished_requests_together_hold_no_more_than_they_may() -> None:
    limit = 8 * MIB
    limits = ServerLimits(max_buffered_bytes=limit, read_timeout_ms=1_000)
    async with running(limits) as run, contextlib.AsyncExitStack() as stack:
        hoarders = [await stack.enter_async_context(run.client()) for _ in range(20)]
        for client in hoarders:
            client.send_raw(struct.pack(">i", 4 * MIB) + bytes(3 * MIB))
        await until(run.server.is_out_of_memory)
        healthy = await stack.enter_async_context(run.client())
        assert await healthy.ask(b"E") == b"re:E"  # small requests need no buffer of their own
        # At most one more doubling for each buffer that was let go on just below the limit.
        assert run.server.pool.lent_bytes < 3 * limit
        await asyncio.gather(*(client.is_closed() for client in hoarders))
        assert len(await healthy.ask(b"E" + bytes(4 * MIB))) == 4 * MIB + 4


async def test_too_many_connections_are_cut_off() -> None:
    async with running(ServerLimits(max_connections=2)) as run, run.client() as one, run.client() as two:
        await one.ask(b"E")
        await two.ask(b"E")
        async with run.client() as three:
            assert await three.is_closed()
        assert await one.ask(b"E") == b"re:E"
        one.reset()
        await until(lambda: run.server.connection_count == 1)
        async with run.client() as four:
            assert await four.ask(b"E") == b"re:E"


async def test_too_many_connections_from_one_address_are_cut_off() -> None:
    async with running(ServerLimits(max_connections_per_ip=1)) as run, run.client() as one:
        await one.ask(b"E")
        async with run.client() as two:
            assert await two.is_closed()
        reader, writer = await asyncio.open_connection(*run.address, local_addr=("127.0.0.2", 0))
        assert await Client(reader, writer).ask(b"E") == b"re:E"
        writer.close()


# -- the client goes


async def test_a_client_that_has_ended_its_side_is_still_answered() -> None:
    async with running() as run, run.client() as client:
        client.send(b"E1", b"D2", b"W3", b"E4")
        client.writer.write_eof()
        await run.requests.started.wait()
        run.requests.released.set()
        assert [await client.receive() for _ in range(4)] == [b"re:E1", b"waited:D2", b"waited:W3", b"re:E4"]
        assert await client.is_closed()
    await until(lambda: run.server.connection_count == 0)


async def test_half_a_request_and_the_end_of_the_connection_are_no_request() -> None:
    async with running() as run, run.client() as client:
        client.send_raw(struct.pack(">i", 10) + b"E")
        client.writer.write_eof()
        assert await client.is_closed()
        assert run.requests.seen == 0


@pytest.mark.parametrize("pipelined", [[], [b"E"] * 50, [b"D"] * 500], ids=["alone", "answered", "carried out"])
async def test_a_client_that_is_reset_while_it_waits_cancels_its_request(pipelined: list[bytes]) -> None:
    async with running(ServerLimits(read_timeout_ms=200)) as run, run.client() as client:
        client.send(b"W", *pipelined)
        await run.requests.started.wait()
        client.reset()
        await until(lambda: run.server.connection_count == 0)
        await until(lambda: run.requests.cancelled == 1)
        await until(lambda: run.server.in_progress_bytes == 0)
        assert len(asyncio.all_tasks()) == 1


async def test_a_client_that_is_reset_in_the_middle_of_an_answer_leaves_nothing_behind() -> None:
    async with running() as run, run.client() as client:
        client.send(*[b"B"] * 50)
        await client.reader.readexactly(1000)
        client.reset()
        await until(lambda: run.server.connection_count == 0)
        assert len(asyncio.all_tasks()) == 1


class GoneTransport(asyncio.Transport):
    """What uvloop makes of a connection that was reset before it was accepted: nobody is at its other end."""

    def __init__(self) -> None:
        super().__init__({"peername": None, "sockname": None, "socket": None})
        self.aborted = False

    def abort(self) -> None:
        self.aborted = True


async def test_a_client_that_is_reset_before_it_is_accepted_is_never_let_in() -> None:
    let_in: list[ConnectionInfo] = []
    server = Server(Requests(), ServerLimits(), let_in.append)
    transport = GoneTransport()
    protocol = BrokerProtocol(server, "PLAINTEXT")
    protocol.connection_made(transport)
    assert transport.aborted
    assert protocol.is_ending
    protocol.connection_lost(None)
    assert (server.connection_count, let_in) == (0, [])


async def test_a_client_that_never_reads_its_answers_is_cut_off_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("minikafka.net.server._LAST_ANSWER_S", 0.2)
    async with running(ServerLimits(max_idle_ms=200)) as run, run.client() as client:
        client.send(*[b"B"] * 100)
        client.writer.write_eof()
        await until(lambda: run.requests.seen > 0)
        await until(lambda: run.server.connection_count == 0)


# -- many of them


async def test_a_thousand_idle_connections_and_a_storm_of_new_ones_disturb_nobody() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    async with running() as run, run.client() as old:
        idle = []
        before = rss_bytes()
        for _ in range(1_000):
            sock = socket.socket()
            sock.setblocking(False)
            await asyncio.get_running_loop().sock_connect(sock, run.address)
            idle.append(sock)
        await until(lambda: run.server.connection_count == 1_001)
        assert rss_bytes() - before < 16 * MIB
        for number in range(1_000):
            sock = socket.socket()
            sock.setblocking(False)
            await asyncio.get_running_loop().sock_connect(sock, run.address)
            sock.close()
            if number % 20 == 0:
                assert await old.ask(b"E") == b"re:E"
        for sock in idle:
            sock.close()
        await until(lambda: run.server.connection_count == 1)
        assert await old.ask(b"E") == b"re:E"


async def test_at_the_limit_of_file_descriptors_old_clients_are_served_and_new_ones_later(
    capsys: pytest.CaptureFixture[str],
) -> None:
    asyncio.get_running_loop().set_exception_handler(LoopFaults())
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    async with running() as run, run.client() as old:
        await old.ask(b"E")
        waiting = [socket.socket() for _ in range(30)]
        highest = max(sock.fileno() for sock in waiting)
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 4, hard))
        try:
            for sock in waiting:
                sock.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    sock.connect(run.address)
            for _ in range(200):
                assert await old.ask(b"E") == b"re:E"
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            for sock in waiting:
                sock.close()
        async with run.client() as new:
            assert await new.ask(b"E") == b"re:E"
        assert len(capsys.readouterr().err.splitlines()) < 20


# -- the end


async def test_closing_lets_requests_in_progress_finish() -> None:
    async with running() as run, run.client() as client:
        client.send(b"W")
        await run.requests.started.wait()
        closing = asyncio.create_task(run.server.close(10))
        await asyncio.sleep(0)
        run.requests.released.set()
        assert await client.receive() == b"waited:W"
        await closing
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(*run.address)


async def test_closing_begins_nothing_more() -> None:
    async with running() as run, run.client() as client:
        client.send(b"D1", b"W2")
        await until(lambda: run.requests.seen == 2)
        closing = asyncio.create_task(run.server.close(10))
        await asyncio.sleep(0)
        client.send(b"E3")
        run.requests.released.set()
        assert [await client.receive() for _ in range(2)] == [b"waited:D1", b"waited:W2"]
        assert await client.is_closed()
        await closing
        assert run.requests.seen == 2


async def test_closing_waits_for_every_answer_that_is_owed() -> None:
    async with running() as run, run.client() as client:
        client.send(b"D1", b"D2", b"E3")
        await until(lambda: run.requests.seen == 3)
        closing = asyncio.create_task(run.server.close(10))
        await asyncio.sleep(0)
        run.requests.released.set()
        assert [await client.receive() for _ in range(3)] == [b"waited:D1", b"waited:D2", b"re:E3"]
        await closing


async def test_closing_does_not_wait_for_ever() -> None:
    async with running() as run, run.client() as client:
        client.send(b"W")
        await run.requests.started.wait()
        await run.server.close(0.01)
        assert await client.is_closed()
        await until(lambda: run.requests.cancelled == 1)


async def test_every_address_of_a_name_is_served_at_one_port() -> None:
    requests = Requests()
    server = Server(requests, ServerLimits())
    address = server.bind("localhost", 0, "PLAINTEXT")
    await server.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", address.port)
    assert await Client(reader, writer).ask(b"E") == b"re:E"
    writer.close()
    await server.close(0)


def test_an_address_prints_as_clients_write_it() -> None:
    assert str(Address("127.0.0.1", 9092)) == "127.0.0.1:9092"
    assert str(Address("::1", 9092)) == "[::1]:9092"


def test_buffers_are_what_a_reply_is_made_of() -> None:
    buffers: list[Buffer] = [b"a", bytearray(b"b"), memoryview(b"c")]
    assert b"".join(buffers) == b"abc"
