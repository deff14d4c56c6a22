"""Snapshots: the producers of a log as they were at one offset, so that a start need not read the whole log.

A file is named after the offset of the first record that it knows nothing of, and holds::

     0  version    i16    1
     2  crc        u32    CRC-32C of everything after it
     6  count      i32
    10  producers  46 bytes each
            producer_id               i64
            epoch                     i16
            last_sequence             i32   of its last batch; -1 when it has none of this epoch
            last_offset               i64   of its last batch, -1
            offset_delta              i32   the last offset of that batch less its first one, 0
            last_timestamp            i64
            coordinator_epoch         i32
            transaction_first_offset  i64   -1 when no transaction is open
        batches    32 bytes each, up to the end: the earlier ones of the last five, oldest first
            producer_id, last_sequence, last_offset, offset_delta, timestamp

Kafka writes no batches, and reads a file that has some as if they were not there.  Here they stand because a broker
that is alone has no follower that still knows them when a producer repeats what it had under way.

A file is written in place.  One that is torn, or that the disk has not kept, does not have its CRC: the next older one
is read instead, and the log from there on.

Source: Kafka, ProducerStateManager.writeSnapshot, ProducerSnapshot.json.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from minikafka.errors import StorageError
from minikafka.observability.logging import get_logger
from minikafka.records.crc32c import crc32c
from minikafka.storage.filenames import SNAPSHOT_SUFFIX, base_offset_of, segment_file
from minikafka.storage.fs import File, FileSystem, failpoint, read_file, write_fully
from minikafka.storage.producer_state import BatchMetadata, ProducerState
from minikafka.types import NO_OFFSET

_VERSION = 1
_PREFIX = struct.Struct(">hI")
_COUNT = struct.Struct(">i")
_PRODUCER = struct.Struct(">qhiqiqiq")
_BATCH = struct.Struct(">qiqiq")

_log = get_logger(__name__)


class CorruptSnapshot(StorageError):
    """A file is no snapshot, or not a whole one."""


def encode(producers: Collection[ProducerState]) -> bytes:
    """The contents of a snapshot."""
    parts = [_COUNT.pack(len(producers))]
    parts += [_pack(producer) for producer in producers]
    parts += [
        _BATCH.pack(producer.producer_id, *batch) for producer in producers for batch in list(producer.batches)[:-1]
    ]
    body = b"".join(parts)
    return _PREFIX.pack(_VERSION, crc32c(body)) + body


def decode(content: bytes) -> list[ProducerState]:
    """The producers in a snapshot.

    Raises:
        CorruptSnapshot: It is damaged, or of another version.
    """
    if len(content) < _PREFIX.size + _COUNT.size:
        raise CorruptSnapshot(f"{len(content)} bytes are no snapshot")
    version, crc = _PREFIX.unpack_from(content)
    if version != _VERSION:
        raise CorruptSnapshot(f"a snapshot of version {version} is not known")
    if crc != crc32c(memoryview(content)[_PREFIX.size :]):
        raise CorruptSnapshot("the crc is wrong")
    (count,) = _COUNT.unpack_from(content, _PREFIX.size)
    position = _PREFIX.size + _COUNT.size
    batches_at = position + count * _PRODUCER.size
    if not position <= batches_at <= len(content) or (len(content) - batches_at) % _BATCH.size:
        raise CorruptSnapshot(f"{count} producers do not fit {len(content)} bytes")
    earlier: dict[int, list[BatchMetadata]] = {}
    for producer_id, *fields in _BATCH.iter_unpack(content[batches_at:]):
        earlier.setdefault(producer_id, []).append(BatchMetadata(*fields))
    return [_unpack(fields, earlier) for fields in _PRODUCER.iter_unpack(content[position:batches_at])]


def save(fs: FileSystem, directory: Path, offset: int, producers: Collection[ProducerState]) -> Sequence[File]:
    """Write a snapshot; not being able to is no fault, for the log can be read instead.

    Returns:
        Its file, not forced to disk yet.
    """
    try:
        file = fs.open(path_of(directory, offset), create=True)
        file.truncate(0)
        write_fully(file, (encode(producers),))
    except StorageError as error:
        _log.warning("snapshot_not_saved", directory=str(directory), offset=offset, error=str(error))
        return ()
    failpoint("snapshot.after_write")
    return (file,)


def load(fs: FileSystem, directory: Path, offset: int) -> list[ProducerState]:
    """Read a snapshot.

    Raises:
        CorruptSnapshot: It is damaged.
        StorageError: It cannot be read.
    """
    return decode(read_file(fs, path_of(directory, offset)))


def remove(fs: FileSystem, directory: Path, offset: int) -> None:
    """Remove a snapshot that nobody needs; one that cannot be removed does no harm."""
    path = path_of(directory, offset)
    try:
        if fs.exists(path):
            fs.unlink(path)
    except StorageError as error:
        _log.warning("snapshot_not_removed", path=str(path), error=str(error))


def path_of(directory: Path, offset: int) -> Path:
    """The file of the snapshot at ``offset``."""
    return directory / segment_file(offset, SNAPSHOT_SUFFIX)


def offsets_in(names: Iterable[str]) -> list[int]:
    """The offsets of the snapshots among the files of a partition, the newest last."""
    found = [base_offset_of(name) for name in names if name.endswith(SNAPSHOT_SUFFIX)]
    return sorted(offset for offset in found if offset is not None)


def _pack(producer: ProducerState) -> bytes:
    last = producer.batches[-1] if producer.batches else BatchMetadata(-1, NO_OFFSET, 0, -1)
    return _PRODUCER.pack(
        producer.producer_id,
        producer.epoch,
        last.last_sequence,
        last.last_offset,
        last.offset_delta,
        producer.last_timestamp_ms,
        producer.coordinator_epoch,
        producer.transaction_first_offset,
    )


def _unpack(fields: Sequence[int], earlier: dict[int, list[BatchMetadata]]) -> ProducerState:
    producer_id, epoch, last_sequence, last_offset, offset_delta, timestamp_ms, coordinator_epoch, first_offset = fields
    batches = earlier.get(producer_id, [])
    if last_offset != NO_OFFSET:
        batches = [*batches, BatchMetadata(last_sequence, last_offset, offset_delta, timestamp_ms)]
    return ProducerState(
        producer_id,
        epoch,
        coordinator_epoch=coordinator_epoch,
        last_timestamp_ms=timestamp_ms,
        transaction_first_offset=first_offset,
        batches=batches,
    )
