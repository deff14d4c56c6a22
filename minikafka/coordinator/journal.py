"""What coordinators write: appended at once, in effect when it is durable, and never out of order."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Generic, NamedTuple, Protocol, TypeVar

from minikafka.errors import CoordinatorNotAvailable, KafkaError
from minikafka.observability.logging import get_logger
from minikafka.types import ProducerIdAndEpoch

R = TypeVar("R")

Outcome = Callable[[KafkaError | None], None]
"""Called once: with None when the records are as durable as ``acks=all`` promises, else with what clients are told."""

_log = get_logger(__name__)


class Appendable(Protocol):
    """The log that is written to; a :class:`~minikafka.coordinator.state_log.StateLog`."""

    def append(
        self, records: Sequence[tuple[bytes, bytes | None]], producer: ProducerIdAndEpoch | None = None, /
    ) -> asyncio.Future[None] | None:
        """Append records as one batch; the future is done when they are durable, None when they are already.

        With a producer they are part of its transaction.
        """
        ...


class _Pending(NamedTuple):
    durable: asyncio.Future[None] | None
    then: Outcome

    @property
    def is_over(self) -> bool:
        return self.durable is None or self.durable.done()


class Journal(Generic[R]):
    """The writes of one shard.

    Args:
        log: Where they go.
        encode: From a record to its key and value.
        on_append: Called with records that are in the log, before their outcome.
        on_failure: Called after an outcome that leaves open what the log holds: the disk failed after the append.
    """

    __slots__ = ("_encode", "_log", "_on_append", "_on_failure", "_pending")

    def __init__(
        self,
        log: Appendable,
        encode: Callable[[R], tuple[bytes, bytes | None]],
        on_append: Callable[[Sequence[R]], None],
        on_failure: Callable[[KafkaError], None],
    ) -> None:
        self._log = log
        self._encode = encode
        self._on_append = on_append
        self._on_failure = on_failure
        self._pending: deque[_Pending] = deque()

    @property
    def is_settled(self) -> bool:
        """Whether everything that was appended is in effect."""
        return not self._pending

    def append(self, records: Sequence[R], then: Outcome, producer: ProducerIdAndEpoch | None = None) -> None:
        """Append records as one batch, of a producer's transaction if there is one.

        When they cannot be appended, ``then`` is called with the reason before this returns.
        """
        try:
            durable = self._append(records, producer)
        except KafkaError as error:
            then(error)
            return
        self._when_over(_Pending(durable, then))

    def follow(self, durable: asyncio.Future[None] | None, then: Outcome) -> None:
        """Take up what has just been appended to the log by others, and will be durable with ``durable``."""
        self._when_over(_Pending(durable, then))

    def write(
        self, records: Sequence[R], in_effect: Callable[[], None], producer: ProducerIdAndEpoch | None = None
    ) -> asyncio.Future[None] | None:
        """Append records as one batch, and have ``in_effect`` called when they are durable.

        Returns:
            What is done right after that, or fails if the records may be lost; None when it was called already.

        Raises:
            KafkaError: Nothing was appended.
        """
        durable = self._append(records, producer)
        if durable is None and not self._pending:
            in_effect()
            return None
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def then(error: KafkaError | None) -> None:
            if error is None:
                in_effect()
            resolve(written, error)

        self._when_over(_Pending(durable, then))
        return written

    def settle(self) -> asyncio.Future[None]:
        """A future that is done when everything that was appended until now is in effect, or has failed."""
        settled: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._when_over(_Pending(None, partial(resolve, settled)))
        return settled

    def _append(self, records: Sequence[R], producer: ProducerIdAndEpoch | None) -> asyncio.Future[None] | None:
        try:
            durable = self._log.append([self._encode(record) for record in records], producer)
        except KafkaError:
            raise
        except Exception as error:  # a bug must not leave somebody waiting for an answer that never comes
            _log.exception("records_not_written")
            raise CoordinatorNotAvailable("the broker failed to write its records") from error
        self._on_append(records)
        return durable

    def _when_over(self, pending: _Pending) -> None:
        if pending.durable is None and not self._pending:
            pending.then(None)
            return
        self._pending.append(pending)
        if pending.durable is not None:
            pending.durable.add_done_callback(self._advance)

    def _advance(self, _: asyncio.Future[None]) -> None:
        """Tell the outcomes that are known, up to the first that is not."""
        while self._pending and self._pending[0].is_over:
            durable, then = self._pending.popleft()
            error = None if durable is None else _failure_of(durable)
            then(error)
            if error is not None:
                self._on_failure(error)


def resolve(durable: asyncio.Future[None], error: KafkaError | None) -> None:
    """Say how a write has ended; perhaps nobody waits for it, or not any more."""
    if durable.done():
        return
    if error is None:
        durable.set_result(None)
    else:
        durable.set_exception(error)
        durable.exception()  # seen, so that nobody complains that it was not


def _failure_of(durable: asyncio.Future[None]) -> KafkaError | None:
    error = asyncio.CancelledError() if durable.cancelled() else durable.exception()
    if error is None or isinstance(error, KafkaError):
        return error
    return CoordinatorNotAvailable(f"the records may be lost: {error!r}")
