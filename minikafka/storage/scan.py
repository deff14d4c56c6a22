"""Reading a segment batch by batch to find out how far it can be believed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from minikafka.config.definition import MAX_LONG
from minikafka.errors import CorruptMessage, KafkaError
from minikafka.records.batch import HEADER_SIZE, LOG_OVERHEAD, MAGIC, RecordBatch
from minikafka.storage.batch_headers import BatchHeader
from minikafka.storage.fs import File

_CHUNK_BYTES = 4 * 1024 * 1024
_PREFIX_BYTES = 4
_MAGIC_AT = 16


class BadBatch(NamedTuple):
    """The first place in a segment that does not hold the next batch of the log."""

    position: int
    expected_offset: int
    reason: str


class Scanner:
    """One pass over the batches of a segment, checking everything: length, magic, CRC, offset and epoch.

    Iterating yields the headers of the good batches.  Afterwards ``bad`` tells where and why it ended early, and
    ``next_offset`` and ``leader_epoch`` are what the following segment has to go on from.

    Args:
        file: The segment.
        position: Where to begin: the beginning of a batch.
        size: The length of the file.
        next_offset: The offset of the first batch.
        leader_epoch: That of the batch before it: epochs do not fall.
        allow_gaps: Whether compaction may have removed whole batches.
        gapless_from: From this offset on it has not, whatever ``allow_gaps`` says.

    Source: Kafka, LogSegment.recover, DefaultRecordBatch.ensureValid.
    """

    def __init__(
        self,
        file: File,
        position: int,
        size: int,
        *,
        next_offset: int,
        leader_epoch: int,
        allow_gaps: bool,
        gapless_from: int = MAX_LONG,
    ) -> None:
        self.next_offset = next_offset
        self.leader_epoch = leader_epoch
        self.bad: BadBatch | None = None
        self._file = file
        self._position = position
        self._size = size
        self._gapless_from = gapless_from if allow_gaps else 0

    def __iter__(self) -> Iterator[BatchHeader]:
        while self._position < self._size and self.bad is None:
            yield from self._scan_chunk(memoryview(self._file.pread(self._chunk_size(), self._position)))

    def _chunk_size(self) -> int:
        remaining = self._size - self._position
        if remaining > _CHUNK_BYTES:
            claimed = int.from_bytes(self._file.pread(4, self._position + 8), "big") + LOG_OVERHEAD
            if _CHUNK_BYTES < claimed <= remaining:
                return claimed
        return min(_CHUNK_BYTES, remaining)

    def _scan_chunk(self, chunk: memoryview) -> Iterator[BatchHeader]:
        start = self._position
        end = len(chunk)
        is_last = start + end >= self._size
        at = 0
        while at < end:
            if not is_last and at and _is_cut_off(chunk, at, end):
                return  # the next chunk begins with this batch
            try:
                batch = RecordBatch.parse(chunk, at)
                batch.verify_crc()
                self._check_sequence(batch)
            except KafkaError as error:
                self.bad = BadBatch(start + at, self.next_offset, str(error))
                return
            last_offset = batch.last_offset
            epoch = batch.partition_leader_epoch
            yield _header_of(batch, start + at)
            self.next_offset = last_offset + 1
            self.leader_epoch = epoch
            at += batch.size
            self._position = start + at

    def _check_sequence(self, batch: RecordBatch) -> None:
        offset = self.next_offset
        if batch.base_offset != offset and not offset < batch.base_offset <= self._gapless_from:
            raise CorruptMessage(f"a batch begins at offset {batch.base_offset}, {offset} is next")
        if batch.last_offset_delta < 0:
            raise CorruptMessage(f"a batch has the last offset delta {batch.last_offset_delta}")
        if batch.partition_leader_epoch < self.leader_epoch:
            raise CorruptMessage(f"leader epoch {batch.partition_leader_epoch} comes after {self.leader_epoch}")


def _is_cut_off(chunk: memoryview, at: int, end: int) -> bool:
    left = end - at
    return left < HEADER_SIZE or int.from_bytes(chunk[at + 8 : at + LOG_OVERHEAD], "big") + LOG_OVERHEAD > left


def end_of_data(file: File, position: int, size: int) -> int:
    """Where the zeros begin that fill the file to its end; at least ``position``.

    Preallocation leaves such zeros, and so does a file system that has written the new length of a file, but not
    its contents, when the power goes.
    """
    while size > position:
        start = max(position, size - _CHUNK_BYTES)
        chunk = file.pread(size - start, start).rstrip(b"\0")
        if chunk:
            return start + len(chunk)
        size = start
    return position


def find_later_batch(file: File, position: int, size: int, after_offset: int) -> BatchHeader | None:
    """A valid batch that begins after ``position`` and whose offsets are above ``after_offset``.

    It says that what is before it was damaged after it had been written.  What its place, length and CRC agree on is
    no coincidence; a producer who sent bytes that look like a batch inside of one can make a torn batch look damaged.
    """
    # Offsets grow by less than one a byte, so that all that can follow share their first bytes.
    prefixes = {
        offset.to_bytes(8, "big")[:_PREFIX_BYTES] for offset in (after_offset + 1, after_offset + 1 + size - position)
    }
    alternatives = b"|".join(re.escape(prefix) for prefix in prefixes)
    gap = _MAGIC_AT - _PREFIX_BYTES
    pattern = re.compile(b"(?=(?:%b).{%d}%c)" % (alternatives, gap, MAGIC), re.DOTALL)
    start = position + 1
    while start < size:
        chunk = file.pread(_CHUNK_BYTES + HEADER_SIZE, start)
        for match in pattern.finditer(chunk):
            header = _valid_batch(file, start + match.start(), size, after_offset)
            if header is not None:
                return header
        start += _CHUNK_BYTES
    return None


def _valid_batch(file: File, position: int, size: int, after_offset: int) -> BatchHeader | None:
    length = int.from_bytes(file.pread(4, position + 8), "big") + LOG_OVERHEAD
    if not HEADER_SIZE <= length <= size - position:
        return None
    try:
        batch = RecordBatch.parse(memoryview(file.pread(length, position)))
        batch.verify_crc()
    except KafkaError:
        return None
    if not after_offset < batch.base_offset <= after_offset + 1 + size or batch.last_offset_delta < 0:
        return None
    return _header_of(batch, position)


def _header_of(batch: RecordBatch, position: int) -> BatchHeader:
    return BatchHeader(
        position,
        batch.size,
        batch.base_offset,
        batch.last_offset,
        batch.partition_leader_epoch,
        batch.attributes,
        batch.max_timestamp_ms,
        batch.producer_id,
        batch.producer_epoch,
        batch.base_sequence,
    )
