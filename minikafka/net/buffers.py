"""Receive buffers that are used again, but never while somebody still holds a slice of one.

The bytes of a request are handed up the stack as slices of the buffer they arrived in.  Writing new bytes into that
buffer while a slice is still needed (across an ``await``, say) would deliver one client's record to another's topic:
that fault in Kafka's own producer is CVE-2026-35554.  Here the interpreter keeps the books: a ``bytearray`` refuses to
change its length while any ``memoryview`` of it is alive, so a change of length that succeeds proves the buffer free.
"""

from __future__ import annotations

from collections import deque

CHUNK_BYTES = 256 * 1024
"""Size of the buffer that all connections of a loop receive small frames into, one after the other."""

MIN_READ_BYTES = 64 * 1024
"""The room that a read is offered at least: with less left, the next chunk begins."""

MIN_POOLED_BYTES = 64 * 1024
"""Smaller buffers are cheaper to allocate than to keep."""

_MAX_TRIES = 4  # busy buffers looked at before a new one is made


def is_unreferenced(buffer: bytearray) -> bool:
    """Whether no memoryview of ``buffer`` is alive, anywhere: then its bytes may be overwritten."""
    try:
        last = buffer.pop()
    except BufferError:
        return False
    buffer.append(last)
    return True


class BufferPool:
    """Buffers of one event loop: the shared chunk, and larger ones in sizes of powers of two.

    The chunk is shared by all connections: a loop asks for a buffer, reads, and reports the bytes without running
    anything else in between, so each connection keeps the part it filled and the next one goes on behind it.
    """

    __slots__ = ("_free", "_free_bytes", "_max_free_bytes", "chunk", "chunk_end", "lent_bytes")

    def __init__(self, max_free_bytes: int = 16 * 1024 * 1024) -> None:
        self._free: dict[int, deque[bytearray]] = {}
        self._free_bytes = 0
        self._max_free_bytes = max_free_bytes
        self.lent_bytes = 0
        """The size of all buffers that were acquired and not released yet."""
        self.chunk = memoryview(self.acquire(CHUNK_BYTES))
        self.chunk_end = 0

    def make_room(self) -> None:
        """Begin another chunk when the rest of this one is too small to read into."""
        if CHUNK_BYTES - self.chunk_end >= MIN_READ_BYTES:
            return
        used = self.chunk.obj
        self.chunk = memoryview(self.acquire(CHUNK_BYTES))
        self.chunk_end = 0
        assert isinstance(used, bytearray)
        self.release(used)

    def acquire(self, min_bytes: int) -> bytearray:
        """A buffer of at least ``min_bytes`` that nobody else can see; what it holds is left over from before."""
        size = min_bytes if min_bytes < MIN_POOLED_BYTES else 1 << (min_bytes - 1).bit_length()
        self.lent_bytes += size
        free = self._free.get(size)
        if free:
            for _ in range(min(_MAX_TRIES, len(free))):
                buffer = free.popleft()
                if is_unreferenced(buffer):
                    self._free_bytes -= size
                    return buffer
                free.append(buffer)
        return bytearray(size)

    def release(self, buffer: bytearray) -> None:
        """Give back a buffer; slices of it may still be in use, and it is not handed out before they are gone."""
        size = len(buffer)
        self.lent_bytes -= size
        if size < MIN_POOLED_BYTES:
            return
        free = self._free.setdefault(size, deque())
        free.append(buffer)
        self._free_bytes += size
        while self._free_bytes > self._max_free_bytes:
            largest = max(size for size, buffers in self._free.items() if buffers)
            self._free[largest].popleft()
            self._free_bytes -= largest
