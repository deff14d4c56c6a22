"""Answers on their way out: those that can go together, and those that wait for an earlier one."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator

from minikafka.net.handler import Buffer, Reply
from minikafka.protocol.frame import FRAME_PREFIX

_JOIN_BYTES = 32 * 1024
"""Up to this size, copying the parts of answers into one is cheaper than to hand each to the kernel."""

_pack_size = FRAME_PREFIX.pack


class AnswerBatch:
    """Answers that are handed to the kernel together."""

    __slots__ = ("_buffers", "size")

    def __init__(self) -> None:
        self._buffers: list[Buffer] = []
        self.size = 0
        """How many bytes they are."""

    def add(self, reply: list[Buffer]) -> None:
        """Put an answer behind the others, with its size in front."""
        size = len(reply[0]) if len(reply) == 1 else sum(map(len, reply))
        self._buffers.append(_pack_size(size))
        self._buffers += reply
        self.size += size + FRAME_PREFIX.size

    def send(self, transport: asyncio.Transport) -> None:
        """Hand everything to ``transport`` and begin anew."""
        if not self._buffers:
            return
        buffers, size = self._buffers, self.size
        self._buffers, self.size = [], 0
        if size <= _JOIN_BYTES:
            transport.write(b"".join(buffers))
        else:
            transport.writelines(buffers)


class OwedAnswers:
    """The answers that a connection owes, in the order of its requests; the first is not there yet."""

    __slots__ = ("_owed",)

    def __init__(self) -> None:
        self._owed: deque[asyncio.Task[Reply] | list[Buffer]] = deque()

    def __len__(self) -> int:
        return len(self._owed)

    def add(self, answer: asyncio.Task[Reply] | list[Buffer]) -> None:
        """Owe another answer: one that a task will have, or one that only has to wait its turn."""
        self._owed.append(answer)

    def take_ready(self) -> Iterator[list[Buffer]]:
        """The answers whose turn has come.

        Raises:
            Exception: What the task of the next answer has raised instead of returning it.
            asyncio.CancelledError: It was cancelled.
        """
        owed = self._owed
        while owed:
            first = owed[0]
            if isinstance(first, list):
                reply: Reply = first
            elif first.done():
                reply = first.result()
            else:
                return
            owed.popleft()
            if reply is not None:
                yield reply

    def cancel(self) -> None:
        """Forget them all: nobody is there to be answered.

        A task that has only just been made takes its first step first, so that what it was made of is never left
        without having run at all, and puts its things in order.
        """
        loop = asyncio.get_running_loop()
        for answer in self._owed:
            if isinstance(answer, list):
                continue
            if answer.done():
                _forget(answer)
            else:
                loop.call_soon(answer.cancel)
                answer.add_done_callback(_forget)
        self._owed.clear()


def _forget(task: asyncio.Task[Reply]) -> None:
    if not task.cancelled():
        task.exception()  # asked for, so that nobody complains that it never was
