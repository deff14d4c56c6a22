"""The log of a shard of groups in memory, whose disk is as slow and as broken as a test needs it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator, Sequence

from minikafka.coordinator.state_log import StoredMarker, StoredRecord
from minikafka.errors import KafkaError
from minikafka.types import NO_PRODUCER_ID, ProducerIdAndEpoch


class MemoryStateLog:
    """Records in a list; appends are durable at once unless the disk is ``held``."""

    def __init__(self) -> None:
        self.records: list[StoredRecord | StoredMarker] = []
        self.is_held = False
        self.error: KafkaError | None = None
        """Raised by appends."""
        self._waiting: deque[asyncio.Future[None]] = deque()

    def append(
        self, records: Sequence[tuple[bytes, bytes | None]], producer: ProducerIdAndEpoch | None = None
    ) -> asyncio.Future[None] | None:
        if self.error is not None:
            raise self.error
        for key, value in records:
            producer_id = NO_PRODUCER_ID if producer is None else producer.producer_id
            self.records.append(StoredRecord(key, value, len(self.records), producer_id))
        return self._appended()

    def append_unforced(self, records: Sequence[tuple[bytes, bytes | None]]) -> None:
        if self.error is not None:
            raise self.error
        self.records += [StoredRecord(key, value, len(self.records) + n) for n, (key, value) in enumerate(records)]

    def append_marker(self, producer_id: int, *, is_commit: bool) -> asyncio.Future[None] | None:
        """Append the end of a transaction."""
        self.records.append(StoredMarker(producer_id, is_commit))
        return self._appended()

    def _appended(self) -> asyncio.Future[None] | None:
        if not self.is_held:
            return None
        self._waiting.append(asyncio.get_running_loop().create_future())
        return self._waiting[-1]

    def read_all(self) -> Iterator[StoredRecord | StoredMarker]:
        return iter(list(self.records))

    @property
    def waiting(self) -> int:
        """How many appends are not durable yet."""
        return len(self._waiting)

    async def flush(self) -> None:
        """Make all that was appended durable, and let those who wait know."""
        while self._waiting:
            self._waiting.popleft().set_result(None)
        await asyncio.sleep(0)

    async def break_down(self, error: KafkaError) -> None:
        """Fail all that was appended and is not durable."""
        while self._waiting:
            self._waiting.popleft().set_exception(error)
        await asyncio.sleep(0)
