"""What a broker gives to who reads a partition from its beginning, compared with what it gave before."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from minikafka.protocol.schema import as_view
from minikafka.records.batch import iter_batches
from minikafka.records.record import iter_records
from minikafka.types import TopicPartition
from tests.crash.load import Entry, is_sound
from tests.support.data_plane import DataPlaneClient

_MAX_RECORD_BYTES = 1 << 26


class Copy:
    """All the records of one partition, as they were read last."""

    def __init__(self, place: TopicPartition) -> None:
        self.values: list[bytes] = []
        """By offset."""
        self._place = place
        self._content = b""
        self._offsets: dict[bytes, int] = {}

    async def read_again(self, client: DataPlaneClient, maybe_twice: Collection[bytes]) -> None:
        """Read the partition from its beginning once more: it may only have grown.

        Args:
            client: Of the broker.
            maybe_twice: Values that a producer may have sent twice.
        """
        content = await self._read(client)
        assert content.startswith(self._content), f"{self._place} has changed what it had"
        for batch in iter_batches(memoryview(content)[len(self._content) :]):
            batch.verify_crc()
            assert batch.base_offset == len(self.values), f"{self._place} has a gap"
            for record in iter_records(batch, budget_bytes=_MAX_RECORD_BYTES):
                assert record.offset == len(self.values)
                assert record.value is not None
                self._add(record.value, maybe_twice)
        self._content = content

    def check(self, acknowledged: Iterable[Entry]) -> None:
        """Nothing that was acknowledged is missing, or is elsewhere than it was said to be."""
        for _, offset, value in acknowledged:
            assert offset < len(self.values), f"{self._place} has lost offset {offset}, {value!r}"
            assert self.values[offset] == value, f"{self._place} has another record at {offset}"

    @property
    def repeated(self) -> int:
        """How many records are there a second time."""
        return len(self.values) - len(self._offsets)

    @property
    def in_order(self) -> Iterable[bytes]:
        """The values, each where it came first."""
        return self._offsets

    def _add(self, value: bytes, maybe_twice: Collection[bytes]) -> None:
        assert is_sound(value, self._place), f"{self._place} holds {value!r}"
        assert value not in self._offsets or value in maybe_twice, f"{self._place} holds {value!r} twice"
        self._offsets.setdefault(value, len(self.values))
        self.values.append(value)

    async def _read(self, client: DataPlaneClient) -> bytes:
        topic, partition = self._place
        end_offset = await client.end_offset(topic, partition)
        parts: list[bytes] = []
        offset = 0
        while offset < end_offset:
            fetched = await client.fetch(topic, offset, partition=partition)
            assert fetched.error_code == 0, fetched
            assert fetched.records
            parts.append(bytes(as_view(fetched.records)))
            *_, last = iter_batches(memoryview(parts[-1]))
            offset = last.last_offset + 1
        return b"".join(parts)
