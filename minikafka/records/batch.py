"""The record batch, magic 2: a view on its bytes, and the few fields a broker may rewrite.

::

     0  base_offset             i64  \
     8  batch_length            i32   |  the prefix: outside the CRC, stamped by the leader
    12  partition_leader_epoch  i32  /
    16  magic                   i8      2
    17  crc                     u32     CRC-32C of everything from 21 to the end
    21  attributes              i16     0-2 codec, 3 log append time, 4 transactional, 5 control, 6 delete horizon
    23  last_offset_delta       i32
    27  base_timestamp          i64     of the first record; of the delete horizon when bit 6 is set
    35  max_timestamp           i64
    43  producer_id             i64
    51  producer_epoch          i16
    53  base_sequence           i32
    57  records_count           i32
    61  records                         one after another; compressed as a whole when a codec is set

``batch_length`` counts the bytes after itself.

Source: Kafka, clients/common/record/DefaultRecordBatch.java, ByteBufferLogInputStream.java.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from enum import IntEnum
from typing import NoReturn

from minikafka.errors import CorruptMessage, InvalidRecord, UnsupportedCompressionType
from minikafka.records.compression import Compression, compress, decompress
from minikafka.records.crc32c import crc32c
from minikafka.types import NO_PRODUCER_ID, NO_SEQUENCE

HEADER = struct.Struct(">qiibIhiqqqhii")
HEADER_SIZE = HEADER.size
LOG_OVERHEAD = 12
"""The bytes before those that ``batch_length`` counts."""
PREFIX_SIZE = 16
"""The bytes outside the CRC that the leader of the partition writes."""
MAGIC = 2

CODEC_MASK = 0x07
LOG_APPEND_TIME_FLAG = 0x08
TRANSACTIONAL_FLAG = 0x10
CONTROL_FLAG = 0x20
DELETE_HORIZON_FLAG = 0x40

_LENGTH_AT = 8
_MAGIC_AT = 16
_CRC_AT = 17
_ATTRIBUTES_AT = 21
_MAX_TIMESTAMP_AT = 35
_SMALLEST_LENGTH = 14
"""Of the oldest message format: below it Kafka does not even look for the magic."""

_MAX_SEQUENCE = 0x7FFF_FFFF
_PREFIX = struct.Struct(">qii")
_LENGTH = struct.Struct(">i")
_CODECS = tuple(Compression)


class TimestampType(IntEnum):
    """Who dated the records: their producer, or the broker that appended them."""

    CREATE_TIME = 0
    LOG_APPEND_TIME = 1


class RecordBatch:
    """One batch, read in place: the header's fields as attributes, the rest as slices of ``view``.

    Made by :meth:`parse`, and read only.  It keeps the buffer below ``view`` alive, and is wrong as soon as that
    buffer is used for something else.
    """

    __slots__ = (
        "attributes",
        "base_offset",
        "base_sequence",
        "base_timestamp_ms",
        "batch_length",
        "crc",
        "last_offset_delta",
        "magic",
        "max_timestamp_ms",
        "partition_leader_epoch",
        "producer_epoch",
        "producer_id",
        "records_count",
        "size",
        "view",
    )

    base_offset: int
    batch_length: int
    partition_leader_epoch: int
    magic: int
    crc: int
    attributes: int
    last_offset_delta: int
    base_timestamp_ms: int
    max_timestamp_ms: int
    producer_id: int
    producer_epoch: int
    base_sequence: int
    records_count: int
    size: int
    view: memoryview

    @classmethod
    def parse(cls, view: memoryview, pos: int = 0) -> RecordBatch:
        """The batch that starts at ``pos``; whatever follows it is ignored.

        The CRC and the records are not looked at.

        Raises:
            CorruptMessage: The batch is cut short, its length is impossible, or its magic is none of Kafka's.
            InvalidRecord: It is a message set of an old format (magic 0 or 1).
        """
        available = len(view) - pos
        if available < HEADER_SIZE or view[pos + _MAGIC_AT] != MAGIC:
            _refuse(view, pos, available)
        batch = cls.__new__(cls)
        (
            batch.base_offset,
            batch.batch_length,
            batch.partition_leader_epoch,
            batch.magic,
            batch.crc,
            batch.attributes,
            batch.last_offset_delta,
            batch.base_timestamp_ms,
            batch.max_timestamp_ms,
            batch.producer_id,
            batch.producer_epoch,
            batch.base_sequence,
            batch.records_count,
        ) = HEADER.unpack_from(view, pos)
        size = batch.size = LOG_OVERHEAD + batch.batch_length
        if not HEADER_SIZE <= size <= available:
            _refuse(view, pos, available)
        batch.view = view[pos : pos + size]
        return batch

    @property
    def last_offset(self) -> int:
        """The offset of the last record there was when the batch was written."""
        return self.base_offset + self.last_offset_delta

    @property
    def next_offset(self) -> int:
        """The base offset of the batch after this one."""
        return self.base_offset + self.last_offset_delta + 1

    @property
    def last_sequence(self) -> int:
        """The sequence number of the last record, -1 without any; after 2**31 - 1 they start again at 0."""
        if self.base_sequence == NO_SEQUENCE:
            return NO_SEQUENCE
        return (self.base_sequence + self.last_offset_delta) & _MAX_SEQUENCE

    @property
    def compression(self) -> Compression:
        """The codec of the records.

        Raises:
            UnsupportedCompressionType: Its number, 5 to 7, means nothing yet.
        """
        codec = self.attributes & CODEC_MASK
        if codec >= len(_CODECS):
            raise UnsupportedCompressionType(f"unknown compression codec {codec}")
        return _CODECS[codec]

    @property
    def is_compressed(self) -> bool:
        """Whether the records are compressed, by whatever codec."""
        return self.attributes & CODEC_MASK != 0

    @property
    def timestamp_type(self) -> TimestampType:
        """Whether every record counts as written at ``max_timestamp_ms``, or at its own time."""
        return TimestampType.LOG_APPEND_TIME if self.attributes & LOG_APPEND_TIME_FLAG else TimestampType.CREATE_TIME

    @property
    def is_transactional(self) -> bool:
        """Whether the records await the marker of their transaction."""
        return self.attributes & TRANSACTIONAL_FLAG != 0

    @property
    def is_control(self) -> bool:
        """Whether the record is for brokers and clients, and hidden from applications."""
        return self.attributes & CONTROL_FLAG != 0

    @property
    def has_producer_id(self) -> bool:
        """Whether an idempotent producer wrote the batch."""
        return self.producer_id > NO_PRODUCER_ID

    @property
    def delete_horizon_ms(self) -> int | None:
        """When compaction may remove the tombstones in this batch (KIP-534), if it has set a time."""
        return self.base_timestamp_ms if self.attributes & DELETE_HORIZON_FLAG else None

    @property
    def records_view(self) -> memoryview:
        """The bytes after the header, compressed or not."""
        return self.view[HEADER_SIZE:]

    def records_bytes(self, budget_bytes: int) -> bytes | memoryview:
        """The records as they are one after another: the same memory, or decompressed into ``budget_bytes`` at most.

        Raises:
            InvalidRecord: They are corrupt, or exceed the budget.
            UnsupportedCompressionType: The codec is unknown.
        """
        if self.is_compressed:
            return decompress(self.compression, self.records_view, budget_bytes)
        return self.records_view

    def verify_crc(self) -> None:
        """Check every byte that a producer wrote against the CRC it wrote.

        Raises:
            CorruptMessage: They differ.
        """
        computed = crc32c(self.view[_ATTRIBUTES_AT:])
        if computed != self.crc:
            raise CorruptMessage(f"record batch is corrupt (stored crc = {self.crc}, computed crc = {computed})")

    def stamped_prefix(self, base_offset: int, leader_epoch: int) -> bytes:
        """The first 16 bytes as the leader writes them; the other ``view[16:]`` are written as they came."""
        return _PREFIX.pack(base_offset, self.batch_length, leader_epoch)


def with_log_append_time(batch: RecordBatch, now_ms: int) -> bytearray:
    """A copy of the batch, dated ``now_ms`` by the broker.

    The timestamp is inside the CRC, so that it is computed anew: verify the old one first.

    Source: Kafka, DefaultRecordBatch.setMaxTimestamp.
    """
    copy = bytearray(batch.view)
    struct.pack_into(">h", copy, _ATTRIBUTES_AT, batch.attributes | LOG_APPEND_TIME_FLAG)
    struct.pack_into(">q", copy, _MAX_TIMESTAMP_AT, now_ms)
    write_crc(copy)
    return copy


def with_compression(batch: RecordBatch, codec: Compression, budget_bytes: int, level: int | None = None) -> bytearray:
    """A copy of the batch whose records are compressed by ``codec``, everything else being equal.

    Raises:
        InvalidRecord: The records are corrupt, or exceed the budget.
        UnsupportedCompressionType: The batch's own codec is unknown.
    """
    records = compress(codec, batch.records_bytes(budget_bytes), level)
    copy = bytearray(batch.view[:HEADER_SIZE]) + records
    struct.pack_into(">i", copy, _LENGTH_AT, len(copy) - LOG_OVERHEAD)
    struct.pack_into(">h", copy, _ATTRIBUTES_AT, batch.attributes & ~CODEC_MASK | codec)
    write_crc(copy)
    return copy


def write_crc(batch: bytearray) -> None:
    """Compute and store the CRC of a batch whose other fields are all in place."""
    struct.pack_into(">I", batch, _CRC_AT, crc32c(memoryview(batch)[_ATTRIBUTES_AT:]))


def iter_batches(view: memoryview) -> Iterator[RecordBatch]:
    """The batches of a fetch or of a piece of a segment, in order.

    A last batch that is cut off, as the end of a fetch may be, ends the iteration: compare the sizes with ``view``
    where every byte has to be accounted for.

    Raises:
        CorruptMessage: A length is impossible, or a magic is none of Kafka's.
        InvalidRecord: There is a message set of an old format.
    """
    pos = 0
    while len(view) - pos > _MAGIC_AT:
        (length,) = _LENGTH.unpack_from(view, pos + _LENGTH_AT)
        if length > len(view) - pos - LOG_OVERHEAD:
            return
        batch = RecordBatch.parse(view, pos)
        yield batch
        pos += batch.size


def _refuse(view: memoryview, pos: int, available: int) -> NoReturn:
    """Say what is wrong, in the order in which Kafka looks at it."""
    if available <= _MAGIC_AT:
        raise CorruptMessage(f"{available} bytes are too few for a record batch")
    (length,) = _LENGTH.unpack_from(view, pos + _LENGTH_AT)
    magic = view[pos + _MAGIC_AT]
    if length < _SMALLEST_LENGTH:
        raise CorruptMessage(f"record batch length {length} is less than the smallest, {_SMALLEST_LENGTH}")
    if length > available - LOG_OVERHEAD:
        raise CorruptMessage(f"record batch claims {length} bytes, {available - LOG_OVERHEAD} follow")
    if magic < MAGIC:
        raise InvalidRecord(f"record batches of magic {magic} are not supported, only of magic {MAGIC}")
    if magic > MAGIC:
        raise CorruptMessage(f"invalid magic {magic} in a record batch")
    raise CorruptMessage(f"record batch length {length} is less than its header's, {HEADER_SIZE - LOG_OVERHEAD}")
