from __future__ import annotations

import itertools
import struct
from collections.abc import Iterable
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minikafka.net.buffers import CHUNK_BYTES, BufferPool
from minikafka.net.receive import FIRST_ALLOCATION_BYTES, ReceiveBuffer
from minikafka.protocol.errors import DecodeError

MAX = 100 * 1024 * 1024
MIB = 1024 * 1024


def framed(*frames: bytes) -> bytes:
    return b"".join(struct.pack(">i", len(frame)) + frame for frame in frames)


def feed(receive: ReceiveBuffer, data: bytes, max_read: int = MAX) -> list[memoryview]:
    """Receive ``data`` as a transport does, in reads of at most ``max_read`` bytes; the frames that came out."""
    frames: list[memoryview] = []
    while data:
        room = receive.get_buffer()
        assert len(room) > 0
        size = min(len(room), len(data), max_read)
        room[:size] = data[:size]
        room.release()
        receive.received(size)
        data = data[size:]
        while (frame := receive.next_frame()) is not None:
            frames.append(frame)
    return frames


def pieces(data: bytes, cuts: Iterable[int]) -> list[bytes]:
    edges = [0, *sorted({cut % (len(data) + 1) for cut in cuts}), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(edges) if end > start]


sizes = st.one_of(
    st.integers(1, 40),
    st.integers(1, 5_000),
    st.sampled_from([FIRST_ALLOCATION_BYTES - 4, FIRST_ALLOCATION_BYTES, CHUNK_BYTES - 4, CHUNK_BYTES, 700_000]),
)


@settings(max_examples=40)
@given(st.lists(sizes, max_size=12), st.lists(st.integers(0, 2**22), max_size=12), st.integers(0, 2**32))
def test_frames_come_out_as_they_went_in_however_they_are_cut(sizes: list[int], cuts: list[int], seed: int) -> None:
    random = Random(seed)
    frames = [random.randbytes(size) for size in sizes]
    receive = ReceiveBuffer(BufferPool(), MAX)
    got = [frame for piece in pieces(framed(*frames), cuts) for frame in feed(receive, piece)]
    # All slices are still held here: bytes received later must not have been written over them.
    assert [bytes(frame) for frame in got] == frames
    assert not receive.in_frame


@settings(max_examples=40)
@given(st.data())
def test_connections_that_share_a_pool_never_see_each_others_bytes(data: st.DataObject) -> None:
    pool = BufferPool()
    buffers = [ReceiveBuffer(pool, MAX) for _ in range(3)]
    sent = [
        [bytes([number]) * size for size in data.draw(st.lists(sizes, min_size=1, max_size=6))] for number in range(3)
    ]
    streams = [framed(*frames) for frames in sent]
    got: list[list[memoryview]] = [[], [], []]
    while any(streams):
        number = data.draw(st.sampled_from([n for n in range(3) if streams[n]]))
        size = data.draw(st.integers(1, 300_000))
        got[number] += feed(buffers[number], streams[number][:size])
        streams[number] = streams[number][size:]
    assert [[bytes(frame) for frame in frames] for frames in got] == sent


def test_small_frames_are_taken_from_where_they_arrived() -> None:
    pool = BufferPool()
    frames = feed(ReceiveBuffer(pool, MAX), framed(*[b"x" * 100] * 50))
    assert len(frames) == 50
    assert all(frame.obj is pool.chunk.obj for frame in frames)


def test_a_row_of_large_frames_is_received_in_place() -> None:
    receive = ReceiveBuffer(BufferPool(), MAX)
    feed(receive, framed(bytes(MIB)))
    stream = framed(*[bytes(MIB)] * 5)
    data, received_at = stream, set()
    frames = []
    while data:
        room = receive.get_buffer()
        received_at.add(id(room.obj))
        size = min(len(room), len(data))
        room[:size] = data[:size]
        receive.received(size)
        data = data[size:]
        while (frame := receive.next_frame()) is not None:
            frames.append(frame)
    assert len(frames) == 5
    # Each frame lies in a buffer that the transport itself has written to.
    assert all(id(frame.obj) in received_at for frame in frames)


def test_a_claim_alone_is_given_little() -> None:
    receive = ReceiveBuffer(BufferPool(), MAX)
    feed(receive, struct.pack(">i", MAX))
    assert receive.allocated_bytes == FIRST_ALLOCATION_BYTES


def test_a_buffer_grows_with_the_bytes_that_arrive() -> None:
    receive = ReceiveBuffer(BufferPool(), MAX)
    feed(receive, struct.pack(">i", MAX))
    received = 4
    for _ in range(400):
        feed(receive, bytes(10_000))
        received += 10_000
        assert receive.allocated_bytes <= max(FIRST_ALLOCATION_BYTES, 2 * received)


def test_whoever_has_delivered_a_large_frame_is_trusted_with_twice_as_much() -> None:
    receive = ReceiveBuffer(BufferPool(), MAX)
    feed(receive, framed(bytes(MIB)))
    feed(receive, struct.pack(">i", MAX) + b"head")
    assert receive.allocated_bytes == 2 * MIB


def test_a_frame_is_never_given_more_than_it_needs() -> None:
    receive = ReceiveBuffer(BufferPool(), MAX)
    feed(receive, framed(bytes(8 * MIB)))
    feed(receive, struct.pack(">i", 1000) + b"head")
    assert receive.allocated_bytes == 1004


@pytest.mark.parametrize("size", [0, -1, -(2**31), 101, 2**31 - 1, 0x47455420, 0x16030100])
def test_a_size_that_no_frame_can_have_is_refused_before_anything_is_allocated(size: int) -> None:
    receive = ReceiveBuffer(BufferPool(), 100)
    with pytest.raises(DecodeError):
        feed(receive, struct.pack(">i", size) + b"body")
    assert receive.allocated_bytes == 0


def test_frames_before_a_bad_size_come_out_first() -> None:
    receive = ReceiveBuffer(BufferPool(), 100)
    room = receive.get_buffer()
    data = framed(b"good") + struct.pack(">i", -1)
    room[: len(data)] = data
    receive.received(len(data))
    frame = receive.next_frame()
    assert frame is not None
    assert bytes(frame) == b"good"
    with pytest.raises(DecodeError):
        receive.next_frame()


def test_an_idle_connection_holds_no_buffer() -> None:
    pool = BufferPool()
    receive = ReceiveBuffer(pool, MAX)
    before = pool.lent_bytes
    for size in (100, 100_000, 3 * MIB):
        feed(receive, framed(bytes(size)))
        assert receive.allocated_bytes == 0
        assert pool.lent_bytes == before


def test_clear_forgets_what_was_there() -> None:
    pool = BufferPool()
    receive = ReceiveBuffer(pool, MAX)
    before = pool.lent_bytes
    for beginning in (b"\0\0", struct.pack(">i", 9) + b"abc", struct.pack(">i", MIB) + bytes(300_000)):
        feed(receive, beginning)
        assert receive.in_frame
        receive.clear()
        assert not receive.in_frame
        assert pool.lent_bytes == before
    (frame,) = feed(receive, framed(b"next"))
    assert bytes(frame) == b"next"
