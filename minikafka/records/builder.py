"""Writing a batch: records in, one run of bytes out.

Used by producers, and by brokers for what they write themselves, unless it is a single record.

Source: Kafka, clients/common/record/MemoryRecordsBuilder.java.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import repeat

from minikafka.records.batch import (
    CONTROL_FLAG,
    HEADER,
    HEADER_SIZE,
    LOG_APPEND_TIME_FLAG,
    LOG_OVERHEAD,
    MAGIC,
    TRANSACTIONAL_FLAG,
    TimestampType,
    write_crc,
)
from minikafka.records.builder_columns import with_columns
from minikafka.records.compression import Compression, compress
from minikafka.records.varint import VARINTS, encode_varint
from minikafka.types import NO_LEADER_EPOCH, NO_PRODUCER_EPOCH, NO_PRODUCER_ID, NO_SEQUENCE, NO_TIMESTAMP

_NO_HEADERS = b"\x00"
_LONGEST_FIXED_PARTS = 5 + 1 + 10 + 5 + 5 + 5 + 5
"""Length, attributes, the two deltas, the lengths of key and value, the count of headers."""


def record_size_bound(key: bytes | None, value: bytes | None, headers: Iterable[tuple[str, bytes | None]] = ()) -> int:
    """The most bytes that a record may take before compression, wherever in its batch it stands."""
    size = _LONGEST_FIXED_PARTS + len(key or b"") + len(value or b"")
    for name, content in headers:
        size += 10 + 4 * len(name) + len(content or b"")
    return size


class RecordBatchBuilder:
    """One batch in the making.

    Producer id, epoch and first sequence are plain attributes, and so is whether the batch is part of a transaction: a
    producer knows them only when the batch is sent.
    """

    __slots__ = (
        "_base_timestamp_ms",
        "_buffer",
        "_compression",
        "_count",
        "_flags",
        "_level",
        "_max_timestamp_ms",
        "base_sequence",
        "is_transactional",
        "producer_epoch",
        "producer_id",
    )

    def __init__(
        self,
        compression: Compression = Compression.NONE,
        *,
        producer_id: int = NO_PRODUCER_ID,
        producer_epoch: int = NO_PRODUCER_EPOCH,
        base_sequence: int = NO_SEQUENCE,
        is_transactional: bool = False,
        is_control: bool = False,
        timestamp_type: TimestampType = TimestampType.CREATE_TIME,
        compression_level: int | None = None,
    ) -> None:
        self.producer_id = producer_id
        self.producer_epoch = producer_epoch
        self.base_sequence = base_sequence
        self._compression = compression
        self._level = compression_level
        self.is_transactional = is_transactional
        self._flags = (CONTROL_FLAG if is_control else 0) | (
            LOG_APPEND_TIME_FLAG if timestamp_type is TimestampType.LOG_APPEND_TIME else 0
        )
        self._buffer = bytearray(HEADER_SIZE)
        self._count = 0
        self._base_timestamp_ms = NO_TIMESTAMP
        self._max_timestamp_ms = NO_TIMESTAMP

    def __len__(self) -> int:
        return self._count

    @property
    def size_bytes(self) -> int:
        """The size of the batch so far, were it not compressed: a bound for what :meth:`build` makes of it."""
        return len(self._buffer)

    @property
    def max_timestamp_ms(self) -> int:
        """The latest timestamp so far, -1 before the first record."""
        return self._max_timestamp_ms

    def append(
        self,
        timestamp_ms: int,
        key: bytes | None,
        value: bytes | None,
        headers: Iterable[tuple[str, bytes | None]] = (),
    ) -> int:
        """Add a record at the end.

        Returns:
            Its offset delta: 0 for the first record, 1 for the next.
        """
        offset_delta = self._count
        if offset_delta == 0:
            self._base_timestamp_ms = self._max_timestamp_ms = timestamp_ms
        elif timestamp_ms > self._max_timestamp_ms:
            self._max_timestamp_ms = timestamp_ms
        varints = VARINTS
        time = varints[timestamp_ms - self._base_timestamp_ms]
        offset = varints[offset_delta]
        keyed = b"\x01" if key is None else varints[len(key)] + key
        valued = b"\x01" if value is None else varints[len(value)] + value
        tail = _encode_headers(headers) if headers else _NO_HEADERS
        record = b"".join((b"\x00", time, offset, keyed, valued, tail))
        buffer = self._buffer
        buffer += varints[len(record)]
        buffer += record
        self._count = offset_delta + 1
        return offset_delta

    def extend(
        self,
        timestamps_ms: Sequence[int],
        keys: Sequence[bytes | None],
        values: Sequence[bytes | None],
        headers: Sequence[Iterable[tuple[str, bytes | None]]] | None = None,
    ) -> None:
        """Add many records, as :meth:`append` would one by one; without headers that is several times faster.

        Args:
            timestamps_ms: The first of each belong together, and so on.
            keys: As many.
            values: As many.
            headers: As many, or None when no record has any.
        """
        if not timestamps_ms:
            return
        base_timestamp_ms = self._base_timestamp_ms if self._count else timestamps_ms[0]
        extended = None
        if headers is None:
            extended = with_columns(
                self._buffer, self._count, base_timestamp_ms, timestamps_ms=timestamps_ms, keys=keys, values=values
            )
        if extended is None:
            for fields in zip(timestamps_ms, keys, values, headers or repeat(()), strict=False):
                self.append(*fields)
            return
        self._buffer = extended
        self._base_timestamp_ms = base_timestamp_ms
        latest_ms = timestamps_ms[-1]  # columns are of timestamps that do not go back
        self._max_timestamp_ms = max(self._max_timestamp_ms, latest_ms) if self._count else latest_ms
        self._count += len(timestamps_ms)

    def build(self, base_offset: int = 0, leader_epoch: int = NO_LEADER_EPOCH) -> bytes:
        """The whole batch.  The builder is unchanged: the same batch can be built again for another attempt.

        Raises:
            ValueError: There are no records.
        """
        return bytes(self._finished(bytearray(self._buffer), base_offset, leader_epoch))

    def build_in_place(self) -> memoryview:
        """As :meth:`build`, in the builder's own memory if the batch is not compressed.

        What is returned is changed by building again, and as long as it is in use no record can be added.
        """
        return memoryview(self._finished(self._buffer, 0, NO_LEADER_EPOCH))

    def _finished(self, batch: bytearray, base_offset: int, leader_epoch: int) -> bytearray:
        if not self._count:
            raise ValueError("a record batch needs at least one record")
        if self._compression is not Compression.NONE:
            batch = bytearray(HEADER_SIZE)
            batch += compress(self._compression, memoryview(self._buffer)[HEADER_SIZE:], self._level)
        HEADER.pack_into(
            batch,
            0,
            base_offset,
            len(batch) - LOG_OVERHEAD,
            leader_epoch,
            MAGIC,
            0,
            self._flags | self._compression | (TRANSACTIONAL_FLAG if self.is_transactional else 0),
            self._count - 1,
            self._base_timestamp_ms,
            self._max_timestamp_ms,
            self.producer_id,
            self.producer_epoch,
            self.base_sequence,
            self._count,
        )
        write_crc(batch)
        return batch


def _encode_headers(headers: Iterable[tuple[str, bytes | None]]) -> bytes:
    parts = [b""]
    count = 0
    for count, (name, content) in enumerate(headers, start=1):  # noqa: B007 - the count is wanted after the loop
        key = name.encode()
        parts += (encode_varint(len(key)), key)
        parts += (b"\x01",) if content is None else (encode_varint(len(content)), content)
    parts[0] = encode_varint(count)
    return b"".join(parts)
