from __future__ import annotations

import asyncio

from minikafka.net.buffers import CHUNK_BYTES, MIN_POOLED_BYTES, MIN_READ_BYTES, BufferPool, is_unreferenced

SIZE = MIN_POOLED_BYTES


def test_a_buffer_with_a_slice_of_a_slice_alive_is_referenced() -> None:
    buffer = bytearray(SIZE)
    inner = memoryview(buffer)[10:][:5]
    assert not is_unreferenced(buffer)
    inner.release()
    del inner
    assert is_unreferenced(buffer)
    assert len(buffer) == SIZE


def test_the_proof_leaves_the_bytes_as_they_are() -> None:
    buffer = bytearray(b"abcdef")
    assert is_unreferenced(buffer)
    assert buffer == b"abcdef"


def test_a_buffer_is_used_again_once_nobody_holds_a_slice_of_it() -> None:
    pool = BufferPool()
    buffer = pool.acquire(SIZE)
    held = memoryview(buffer)[:1]
    pool.release(buffer)
    other = pool.acquire(SIZE)
    assert other is not buffer
    del held
    assert pool.acquire(SIZE) is buffer


async def test_a_slice_needed_across_an_await_keeps_its_bytes() -> None:
    """CVE-2026-35554: a re-used buffer delivered one record as another."""
    pool = BufferPool()
    seen: list[bytes] = []

    async def handler(record: memoryview) -> None:
        before = bytes(record)
        await asyncio.sleep(0)
        seen.append(bytes(record))
        assert seen[-1] == before

    tasks = []
    for number in range(50):
        buffer = pool.acquire(SIZE)
        buffer[:4] = number.to_bytes(4)
        tasks.append(asyncio.create_task(handler(memoryview(buffer)[:4])))
        pool.release(buffer)
    await asyncio.gather(*tasks)
    assert seen == [number.to_bytes(4) for number in range(50)]


def test_sizes_are_rounded_up_to_powers_of_two_so_that_they_fit_again() -> None:
    pool = BufferPool()
    buffer = pool.acquire(SIZE + 1)
    assert len(buffer) == 2 * SIZE
    pool.release(buffer)
    assert pool.acquire(2 * SIZE - 7) is buffer


def test_small_buffers_are_made_to_measure() -> None:
    assert len(BufferPool().acquire(17)) == 17


def test_the_pool_keeps_no_more_than_it_may() -> None:
    pool = BufferPool(max_free_bytes=3 * SIZE)
    buffers = [pool.acquire(SIZE) for _ in range(8)]
    for buffer in buffers:
        pool.release(buffer)
    again = [pool.acquire(SIZE) for _ in range(8)]
    assert sum(any(buffer is old for old in buffers) for buffer in again) == 3


def test_lent_bytes_are_those_not_given_back() -> None:
    pool = BufferPool()
    before = pool.lent_bytes
    buffers = [pool.acquire(100), pool.acquire(SIZE)]
    assert pool.lent_bytes - before == 100 + SIZE
    for buffer in buffers:
        pool.release(buffer)
    assert pool.lent_bytes == before


def test_a_chunk_makes_way_when_too_little_of_it_is_left() -> None:
    pool = BufferPool()
    first = pool.chunk.obj
    pool.chunk_end = CHUNK_BYTES - MIN_READ_BYTES
    pool.make_room()
    assert pool.chunk.obj is first
    pool.chunk_end += 1
    pool.make_room()
    assert pool.chunk.obj is not first
    assert pool.chunk_end == 0


def test_a_chunk_comes_back_only_when_its_frames_are_done_with() -> None:
    pool = BufferPool()
    first = pool.chunk.obj
    frame = pool.chunk[:10]
    pool.chunk_end = CHUNK_BYTES
    pool.make_room()
    pool.chunk_end = CHUNK_BYTES
    pool.make_room()
    assert pool.chunk.obj is not first
    del frame
    pool.chunk_end = CHUNK_BYTES
    pool.make_room()
    assert pool.chunk.obj is first
