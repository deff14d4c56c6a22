"""``fdatasync`` without a thread that waits for it: the kernel carries it out, and an eventfd says when it has.

A flush in a thread costs several times what the disk makes of it: Python's lock is handed to the thread and back, twice
for each flush, while the event loop wants it all the time.  Linux's own asynchronous I/O (``io_submit``, since 4.18 for
this) needs no thread of ours.

Source: Linux, include/uapi/linux/aio_abi.h, fs/aio.c.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from collections.abc import Callable
from typing import NamedTuple, cast

CAPACITY = 128
"""How many can be under way at a time, if not more; the rest is not taken."""

_EVENTS_AT_ONCE = 32

# struct iocb: u64 data | u32 key | u32 rw_flags | u16 opcode | s16 priority | u32 fildes | u64 buf | u64 nbytes |
#              s64 offset | u64 reserved | u32 flags | u32 resfd
_IOCB = struct.Struct("=QIIHhIQQqQII")
_OPCODE_FDSYNC = 3
_FLAG_RESFD = 1

# struct io_event: u64 data, as in the iocb | u64 iocb | s64 res, an errno below 0 | s64 res2
_EVENT = struct.Struct("=QQqq")


class _Calls(NamedTuple):
    """The numbers of the system calls, which no C library has functions for."""

    setup: int
    destroy: int
    getevents: int
    submit: int


_CALLS = {"x86_64": _Calls(206, 207, 208, 209), "aarch64": _Calls(0, 1, 4, 2)}


class KernelSyncs:
    """Files on their way to the disk; made by :func:`open_kernel_syncs`, and used by one thread."""

    __slots__ = (
        "_calls",
        "_context",
        "_events",
        "_iocb",
        "_iocb_address",
        "_pending",
        "_started",
        "_syscall",
        "event_fd",
    )

    def __init__(self, calls: _Calls) -> None:
        # Not CDLL, which would let go of Python's lock: none of the calls waits for anything.
        self._syscall = ctypes.PyDLL(None, use_errno=True).syscall
        self._calls = calls
        self._context = ctypes.c_ulong(0)
        if self._syscall(calls.setup, CAPACITY, ctypes.byref(self._context)) != 0:
            raise OSError(ctypes.get_errno(), "io_setup")
        self._iocb = ctypes.create_string_buffer(_IOCB.size)
        self._iocb_address = ctypes.c_void_p(ctypes.addressof(self._iocb))
        self._events = ctypes.create_string_buffer(_EVENTS_AT_ONCE * _EVENT.size)
        self._pending: dict[int, Callable[[int], None]] = {}
        self._started = 0
        self.event_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        """Readable when :meth:`tell` has something to tell."""

    def start(self, fd: int, then: Callable[[int], None]) -> bool:
        """Have a file synced, as ``fdatasync`` would.

        Args:
            fd: The file; it may be closed before the end.
            then: Called by :meth:`tell`, with the errno; 0 when the file is on the disk.

        Returns:
            False when the kernel does not take it: too much is under way, or the file cannot be synced like this.
        """
        self._started += 1
        _IOCB.pack_into(
            self._iocb, 0, self._started, 0, 0, _OPCODE_FDSYNC, 0, fd, 0, 0, 0, 0, _FLAG_RESFD, self.event_fd
        )
        if self._syscall(self._calls.submit, self._context, ctypes.c_long(1), ctypes.byref(self._iocb_address)) != 1:
            return False
        self._pending[self._started] = then
        return True

    def tell(self) -> None:
        """Tell those whose files are on the disk, or cannot be brought there."""
        try:
            os.eventfd_read(self.event_fd)
        except BlockingIOError:
            return
        count = _EVENTS_AT_ONCE
        while count == _EVENTS_AT_ONCE:  # the eventfd tells of those that are left no more
            count = self._getevents()
            ended = [_EVENT.unpack_from(self._events, position * _EVENT.size) for position in range(count)]
            for number, _, result, _ in ended:
                self._pending.pop(number)(-result)

    def close(self) -> None:
        """Wait for what is under way, of which nobody is told, and free what the kernel has kept."""
        self._syscall(self._calls.destroy, self._context)
        os.close(self.event_fd)

    def _getevents(self) -> int:
        none, most = ctypes.c_long(0), ctypes.c_long(_EVENTS_AT_ONCE)
        return cast("int", self._syscall(self._calls.getevents, self._context, none, most, self._events, None))


def open_kernel_syncs() -> KernelSyncs | None:
    """The kernel's way, or None: this is another system or processor, or we are not allowed to."""
    if sys.platform != "linux" or sys.maxsize < 2**32:
        return None
    calls = _CALLS.get(os.uname().machine)
    if calls is None:
        return None
    try:
        return KernelSyncs(calls)
    except OSError:
        return None
