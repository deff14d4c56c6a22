"""Reading a segment from its beginning to its end, batch by batch and in large pieces."""

from __future__ import annotations

from collections.abc import Iterator

from minikafka.records.batch import HEADER_SIZE, LOG_OVERHEAD, RecordBatch
from minikafka.storage.batch_headers import CorruptSegment
from minikafka.storage.fs import File


def read_batches(file: File, size: int, chunk_bytes: int) -> Iterator[RecordBatch]:
    """The batches of a segment, their CRCs verified.

    Args:
        file: The segment.
        size: Its length, where a batch ends.
        chunk_bytes: How much to read at once; a batch that is longer is read whole.

    Raises:
        CorruptSegment: A batch is cut off.
        CorruptMessage: A batch is damaged.
        StorageError: The disk does not give it.
    """
    position = 0
    while position < size:
        chunk = memoryview(file.pread(max(min(chunk_bytes, size - position), HEADER_SIZE), position))
        length = _batch_size(chunk, 0)
        if length > len(chunk):
            chunk = memoryview(file.pread(min(length, size - position), position))
        if length > len(chunk):
            raise CorruptSegment(f"{file.path} has no whole batch at position {position}")
        at = 0
        while len(chunk) - at >= HEADER_SIZE and _batch_size(chunk, at) <= len(chunk) - at:
            batch = RecordBatch.parse(chunk, at)
            batch.verify_crc()
            yield batch
            at += batch.size
        position += at


def _batch_size(chunk: memoryview, at: int) -> int:
    """What the batch there claims, at least the size of a header."""
    return max(int.from_bytes(chunk[at + 8 : at + LOG_OVERHEAD], "big", signed=True) + LOG_OVERHEAD, HEADER_SIZE)
