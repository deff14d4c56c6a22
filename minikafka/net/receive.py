"""From received bytes to frames, without moving the bytes of a frame once they are where it is.

A frame on the wire is its size and then as many bytes:

    | size: i32 | header and body: size bytes |
"""

from __future__ import annotations

from minikafka.net.buffers import BufferPool
from minikafka.protocol.frame import FRAME_PREFIX, check_frame_size

FIRST_ALLOCATION_BYTES = 64 * 1024
"""What a connection that has proved nothing yet is given for a frame, whatever size the frame claims."""

_PREFIX_BYTES = 4
_EMPTY = memoryview(b"")
_read_size = FRAME_PREFIX.unpack_from


class ReceiveBuffer:
    """The bytes one connection has received and not yet taken as frames.

    Many small frames arrive in the pool's shared chunk and are taken from where they lie.  A frame that is not whole
    at the end of a read moves, once, to a buffer of its own; the rest of it is received straight into that, and for a
    large frame also the size of the next one, so that in a row of large frames nothing is copied at all.

    A claimed size is not believed: a connection is given at most twice the largest frame it has delivered (and at
    least ``FIRST_ALLOCATION_BYTES``); beyond that its buffer doubles as bytes arrive.

    Use: read into ``get_buffer()``, tell ``received()``, then call ``next_frame()`` until it returns None.  Bytes must
    not be received while whole frames are waiting.
    """

    __slots__ = ("_end", "_head", "_largest", "_max_frame_bytes", "_own", "_pool", "_start", "_view", "_wanted")

    def __init__(self, pool: BufferPool, max_frame_bytes: int) -> None:
        self._pool = pool
        self._max_frame_bytes = max_frame_bytes
        self._largest = 0
        self._head = b""  # the beginning of a size that ended with the last read
        self._own: bytearray | None = None  # the buffer of the frame in progress, None when reading into the chunk
        self._wanted = 0  # bytes that the buffer of its own should hold in the end
        self._view = _EMPTY
        self._start = 0
        self._end = 0

    @property
    def in_frame(self) -> bool:
        """Whether some bytes of a frame are here that is not whole."""
        return self._end > self._start or bool(self._head)

    @property
    def allocated_bytes(self) -> int:
        """The size of the buffer that the frame in progress has to itself; 0 when it has none."""
        return 0 if self._own is None else len(self._own)

    def get_buffer(self) -> memoryview:
        """Where the next bytes are to be received."""
        if self._own is not None:
            if self._end == len(self._own):
                self._grow(self._own)
            return self._view[self._end : self._wanted]
        pool = self._pool
        pool.make_room()
        head, start = self._head, pool.chunk_end
        if not head:
            return pool.chunk[start:]
        begin = start + len(head)
        pool.chunk[start:begin] = head
        return pool.chunk[begin:]

    def received(self, n_bytes: int) -> None:
        """``n_bytes`` have been written to the front of the last ``get_buffer()``."""
        if self._own is not None:
            self._end += n_bytes
            return
        pool = self._pool
        self._view = pool.chunk
        self._start = pool.chunk_end
        self._end = pool.chunk_end = self._start + len(self._head) + n_bytes
        self._head = b""

    def next_frame(self) -> memoryview | None:
        """The next whole frame without its size, or None when more bytes are needed first.

        Raises:
            InvalidFrameSize: the size is not one a frame can have; nothing after it can be understood.
        """
        start = self._start
        body = start + _PREFIX_BYTES
        if body > self._end:
            self._keep_head()
            return None
        (size,) = _read_size(self._view, start)
        if not 0 < size <= self._max_frame_bytes:
            check_frame_size(size, self._max_frame_bytes)
        stop = body + size
        if stop > self._end:
            if self._own is None or start:
                self._move_to_own_buffer(size + _PREFIX_BYTES)
            return None
        self._start = stop
        if self._own is not None and size > self._largest:
            self._largest = size
        return self._view[body:stop]

    def clear(self) -> None:
        """Forget everything and give the buffer back."""
        self._leave_buffer()
        self._head = b""

    def _keep_head(self) -> None:
        """Remember up to three bytes of a size, and let go of the buffer they are in."""
        head = bytes(self._view[self._start : self._end])
        self._leave_buffer()
        self._head = head

    def _leave_buffer(self) -> None:
        if self._own is not None:
            self._pool.release(self._own)
            self._own = None
        self._view = _EMPTY
        self._start = self._end = 0

    def _move_to_own_buffer(self, frame_bytes: int) -> None:
        """Continue an incomplete frame of ``frame_bytes``, its size included, in a buffer of its own."""
        rest = self._view[self._start : self._end]
        # Room for the size of the next frame behind a large one spares reading the beginning of that elsewhere.
        # Behind a small one it would only make small reads.
        wanted = frame_bytes + (_PREFIX_BYTES if frame_bytes > FIRST_ALLOCATION_BYTES else 0)
        allowed = max(FIRST_ALLOCATION_BYTES, 2 * self._largest, 2 * len(rest))
        self._leave_buffer()
        self._own = own = self._pool.acquire(min(wanted, allowed))
        self._wanted = wanted
        self._view = memoryview(own)
        self._end = len(rest)
        self._view[: self._end] = rest

    def _grow(self, full: bytearray) -> None:
        """Double the buffer of a frame: as many bytes have arrived as it could hold."""
        self._own = own = self._pool.acquire(min(self._wanted, 2 * len(full)))
        self._view = memoryview(own)
        self._view[: len(full)] = full
        self._pool.release(full)
