"""The messages that a piece of code has to produce."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from types import TracebackType

from minikafka.testing.comparison import Received, could_be_sent, difference
from minikafka.testing.reading import Offsets, end_offsets, read_since
from minikafka_client import Message

Deserializer = Callable[[bytes | None], object]


class Expectation:
    """A context, plain or asynchronous, in which a topic has to receive certain messages and no others.

    The list that it hands out has the messages in it when it ends, so that keys and headers can be looked at then.

    Args:
        bootstrap_servers: Where the broker is.
        topic: The topic; it may be made inside the context.
        values: The values of the messages: bytes, None, text for its UTF-8; with ``deserialize``, what that returns.
        deserialize: Makes an object of the bytes of a value.
        timeout_ms: How long after the last line of the context the messages may still take.
    """

    def __init__(
        self,
        bootstrap_servers: str,
        topic: str,
        values: Sequence[object],
        deserialize: Deserializer | None,
        timeout_ms: float,
    ) -> None:
        self._bootstrap_servers = bootstrap_servers
        self._topic = topic
        self._values = values if deserialize is not None else [_as_bytes(value) for value in values]
        self._deserialize = deserialize
        self._timeout_ms = timeout_ms
        self._starts: Offsets = {}
        self._messages: list[Message] = []

    def __enter__(self) -> list[Message]:
        self._starts = end_offsets(self._bootstrap_servers, self._topic)
        return self._messages

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        __tracebackhide__ = True  # pytest then points at the line of the test
        if error is None:
            self._read()
            self._compare()

    async def __aenter__(self) -> list[Message]:
        return await asyncio.to_thread(self.__enter__)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        __tracebackhide__ = True
        if error is None:
            await asyncio.to_thread(self._read)  # the loop may still have to send what is expected
            self._compare()

    def _read(self) -> None:
        enough = len(self._values)
        self._messages += read_since(self._bootstrap_servers, self._topic, self._starts, enough, self._timeout_ms)

    def _compare(self) -> None:
        __tracebackhide__ = True
        received = [Received(self._value(message), message) for message in self._messages]
        if not could_be_sent(self._values, received):
            raise AssertionError(difference(self._topic, self._values, received))

    def _value(self, message: Message) -> object:
        if self._deserialize is None:
            return message.value
        try:
            return self._deserialize(message.value)
        except Exception as error:
            error.add_note(
                f"{message.topic}, partition {message.partition}, offset {message.offset}: {message.value!r}"
            )
            raise


def _as_bytes(value: object) -> object:
    return value.encode() if isinstance(value, str) else value
